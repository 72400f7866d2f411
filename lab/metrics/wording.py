"""The figures as a person reads them: shares and times with their intervals, and "too few" where n can't carry one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lab.show import units

if TYPE_CHECKING:
    import pandas as pd

FEW = "too few"
_BENEATH = {
    "calls": "calls",
    "success": "success",
    **{name: f"{{measure}}_{name}" for name in ("p50", "p95", "p99")},
    "first token p95": "ttft_p95",
    "queue p95": "queue_p95",
    "retried": "retry_rate",
    "hedged": "hedge_rate",
    "fell back": "fallback_rate",
    "429s": "rate_limited",
    "invalid": "invalid",
    "cost": "cost",
    "extra": "cost_extra",
    "per good answer": "cost_per_good",
}
"""Which figure each text of `readable` says."""


def readable(frame: pd.DataFrame, by: Sequence[str] = ("model",), measure: str = "elapsed") -> pd.DataFrame:
    """The figures of `metrics` as texts: the columns `by`, `calls`, `success`, `p50`, `p95`, `p99` (of `measure`),
    `first token p95`, `queue p95`, `retried`, `hedged`, `fell back`, `429s`, `invalid`, `cost`, `extra`,
    `per good answer`. Columns that no row has anything in are left out."""
    import pandas as pd  # slow to import, and only readers need it

    rows = [
        {
            **{name: _name(row[name]) for name in by},
            "calls": f"{row['calls']:,.0f}",
            "success": share(row["success"], row["success_low"], row["success_high"]),
            **{name: time(row, f"{measure}_{name}") for name in ("p50", "p95", "p99")},
            "first token p95": "" if row["ttft_p50"] != row["ttft_p50"] else time(row, "ttft_p95"),
            "queue p95": "" if not row["queue_p95"] > 0.0005 else units.seconds(row["queue_p95"]),
            "retried": _rate(row["retry_rate"]),
            "hedged": _rate(row["hedge_rate"]),
            "fell back": _rate(row["fallback_rate"]),
            "429s": f"{row['rate_limited']:,.0f}" if row["rate_limited"] else "",
            "invalid": _rate(row["invalid"]) if row["checked"] else "",
            "cost": money(row["cost"]),
            "extra": money(row["cost_extra"]) if row["cost_extra"] else "",
            "per good answer": money(row["cost_per_good"]) if row["good"] else "",
        }
        for row in frame.to_dict("records")
    ]
    texts = pd.DataFrame(rows)
    empty = [name for name in texts.columns if name not in by and (texts[name] == "").all()]
    return texts.drop(columns=empty)


def beneath(frame: pd.DataFrame, measure: str = "elapsed") -> pd.DataFrame:
    """The figures that the columns of `readable` say, under their names and as numbers: what a table is sorted by."""
    return frame[[name.format(measure=measure) for name in _BENEATH.values()]].set_axis([*_BENEATH], axis="columns")


def share(value: float, low: float, high: float) -> str:
    """A share with its interval: `97.1 % [95–98]`."""
    return "–" if value != value else f"{value:.1%} [{low * 100:.0f}–{high * 100:.0f}]"


def time(row: Any, name: str) -> str:
    """A time with its interval, or that there are too few for one."""
    value = row[name]
    if value != value:
        return FEW
    ends = [row[f"{name}_{end}"] for end in ("low", "high")]
    low, high = (f"{end * 1000:.0f}" if value < 1 else f"{end:.2f}" for end in ends)
    return f"{units.seconds(value)} [{low}–{high}]"


def money(value: float) -> str:
    """US dollars, or that they are not known."""
    return units.dollars(None if value is None or value != value else value)


def _rate(value: float) -> str:
    return "" if value != value or value == 0 else f"{value:.1%}"


def _name(value: Any) -> str:
    return "none" if value is None or value != value else f"{value:g}" if isinstance(value, float) else str(value)
