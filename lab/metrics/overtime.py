"""How the figures went over time: what pages draw as a line under a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lab.ledger import columns
from lab.ledger.file import Ledger
from lab.ledger.queries import filtered
from lab.metrics.figures import answers
from lab.metrics.times import binned
from lab.show.moments import utc

if TYPE_CHECKING:
    import pandas as pd

LEAST = 5
"""Answers of a bin that a percentile of it stands on."""
_NARROW = ("search", "status", "kind", "starred")
"""Filters that figures don't have."""


def calls_over_time(book: Ledger, *, bins: int = 60, **filters: Any) -> pd.DataFrame:
    """How many calls there were, by time and outcome: columns `start` (UTC), `seconds` (the bin's width), `outcome`
    (`ok`, `running`, `cancelled`, or the kind of the failure), `calls`. Filters as in `lab.calls`."""
    import pandas as pd  # slow to import, and only readers need it

    if any(filters.get(name) for name in _NARROW):
        return _binned_in_sql(book, bins, filters)
    narrow = {name: value for name, value in filters.items() if name not in _NARROW}
    frame = columns.calls(book, ["started_at", "status", "kind"], **narrow)
    kind = frame["kind"].astype(object)
    frame["outcome"] = kind.where(kind.notna(), frame["status"].astype(object))
    start, width = binned(frame["started_at"].to_numpy(), bins)
    counts = pd.DataFrame({"start": start, "outcome": frame["outcome"].to_numpy()})
    counts = counts.groupby(["start", "outcome"], as_index=False).size().rename(columns={"size": "calls"})
    counts["start"] = utc(counts["start"])
    counts.insert(1, "seconds", width)
    return counts


def _binned_in_sql(book: Ledger, bins: int, filters: dict[str, Any]) -> pd.DataFrame:
    """The same, of calls that only the ledger's own indexes find."""
    where, values = filtered(**filters)
    ((first, last),) = book.rows(f"SELECT min(started_at), max(started_at) FROM calls{where}", values)
    _start, width = binned(np.array([] if first is None else [first, last]), bins)
    counts = book.frame(
        f"SELECT CAST(started_at / {width} AS INTEGER) * {width} AS start, coalesce(kind, status) AS outcome,"
        f" count(*) AS calls FROM calls{where} GROUP BY 1, 2",
        values,
    )
    counts["start"] = utc(counts["start"])
    counts.insert(1, "seconds", width)
    return counts


def figures_over_time(
    book: Ledger, by: str | None = None, *, since: float, until: float, bins: int = 24, **filters: Any
) -> pd.DataFrame:
    """The figures that pages draw as lines, in equal bins from `since` to `until` (Unix seconds): columns `start`
    (UTC), `seconds`, `group` (of `by`, such as `model`; one for all without), `calls`, `ended`, `success` (share of the
    ended), `p95` (seconds that callers waited; missing where fewer than `LEAST` answers stand behind it), `cost` (US
    dollars, as far as it is known). A bin without calls has a row, with 0 of them."""
    import pandas as pd  # slow to import, and only readers need it

    names = ["started_at", "ended_at", "status", "cached", "cost", *([by] if by else [])]
    calls, tried = columns.both(
        book, names, ["latency", "ttft", "thinking", "won", "saturated"], since=since, until=until, **filters
    )
    each = answers(calls, tried)
    timed = each["answered"] & ~each["saturated"]
    width = (until - since) / bins
    place = np.clip(((calls["started_at"].to_numpy() - since) // width).astype(np.int64), 0, bins - 1)
    status = calls["status"]
    frame = pd.DataFrame(
        {
            "place": place,
            "group": calls[by].astype(object).fillna("none") if by else "all",
            "ok": (status == "ok").to_numpy(),
            "failed": (status == "failed").to_numpy(),
            "cost": np.nan_to_num(calls["cost"].to_numpy()),
            "elapsed": np.where(timed, each["elapsed"], np.nan),
        }
    )
    grouped = frame.groupby(["place", "group"], sort=True)
    sums = grouped.agg(calls=("ok", "size"), ok=("ok", "sum"), failed=("failed", "sum"), cost=("cost", "sum"))
    spread = grouped["elapsed"]
    sums["p95"] = spread.quantile(0.95, interpolation="higher").where(spread.count() >= LEAST)
    every = pd.MultiIndex.from_product([range(bins), sorted(frame["group"].unique())], names=["place", "group"])
    rows = sums.reindex(every).reset_index()
    counted = ["calls", "ok", "failed", "cost"]
    rows[counted] = rows[counted].fillna(0)
    rows["ended"] = rows["ok"] + rows["failed"]
    rows["success"] = rows["ok"] / rows["ended"].where(rows["ended"] > 0)
    rows["start"] = utc(pd.Series(since + rows["place"] * width, dtype=float))
    rows["seconds"] = width
    return rows["start seconds group calls ended success p95 cost".split()]
