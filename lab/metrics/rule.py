"""A rule of an alert: which figure, of which group, against which limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lab.metrics.figures import SHARES, TIMES

SHARE_OF = {"failed": ("failed", "ended"), "fallback": ("fallback_rate", "calls"), "invalid": ("invalid", "checked")}
PERCENTILES = tuple(f"{name}_p{share * 100:g}" for name in TIMES for share in SHARES)
FIGURES = (*SHARE_OF, "auth", "quota", *PERCENTILES, "waiting", "cache", "router", "webhook", "queue", "spent")
BY = ("model", "user", "tag", "experiment", "prompt_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One alert of the file: `alerts.toml` says what the names mean. `over` and `past` are in seconds."""

    name: str
    figure: str
    by: str = "model"
    over: float = 900.0
    above: float | None = None
    times: float | None = None
    past: float = 604_800.0
    least: int = 20
    usd: float | None = None
    per: Literal["day", "month"] = "day"
