"""What the record says: figures, tails, costs, failures, one call's trace, alerts.

Made of the ledger alone; the pages stand on these, and so can a notebook.

`metrics` the figures to watch, a row a group; `percentiles`, `curves`, `phases`, `stragglers`, `rescues` the tail;
`spend`, `waste`, `quality` what it cost; `failures`, `failures_over_time`, `rate_limits` what went wrong;
`calls_over_time`, `figures_over_time` how it went. All take the
same filters: `since`, `until`, `model`, `prompt`, `experiment`, `user`, `tag`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.lazy import names

if TYPE_CHECKING:
    from lab.metrics import alerts, jobtrace, routing, trace
    from lab.metrics.caching import Saved, saved
    from lab.metrics.costs import ANSWERS, WASTE, quality, spend, spend_over_time, waste
    from lab.metrics.faults import failures, failures_over_time, rate_limits
    from lab.metrics.figures import BY, COLUMNS, metrics
    from lab.metrics.monthly import Month, budgets, month
    from lab.metrics.overtime import calls_over_time, figures_over_time
    from lab.metrics.promptcaches import prompt_caches
    from lab.metrics.promptversions import by_version
    from lab.metrics.tails import curves, left_out, percentiles, phases, rescues, stragglers
    from lab.metrics.times import SPANS, binned, parse_span, since_of
    from lab.metrics.wording import beneath, money, readable, share

_HOMES = {
    **dict.fromkeys(("Saved", "saved"), "lab.metrics.caching"),
    **dict.fromkeys(("ANSWERS", "WASTE", "quality", "spend", "spend_over_time", "waste"), "lab.metrics.costs"),
    **dict.fromkeys(("failures", "failures_over_time", "rate_limits"), "lab.metrics.faults"),
    **dict.fromkeys(("BY", "COLUMNS", "metrics"), "lab.metrics.figures"),
    **dict.fromkeys(("beneath", "money", "readable", "share"), "lab.metrics.wording"),
    **dict.fromkeys(("curves", "left_out", "percentiles", "phases", "rescues", "stragglers"), "lab.metrics.tails"),
    **dict.fromkeys(("calls_over_time", "figures_over_time"), "lab.metrics.overtime"),
    "by_version": "lab.metrics.promptversions",
    "prompt_caches": "lab.metrics.promptcaches",
    **dict.fromkeys(("Month", "budgets", "month"), "lab.metrics.monthly"),
    **dict.fromkeys(("SPANS", "binned", "parse_span", "since_of"), "lab.metrics.times"),
    "alerts": "lab.metrics.alerts",
    "jobtrace": "lab.metrics.jobtrace",
    "routing": "lab.metrics.routing",
    "trace": "lab.metrics.trace",
}

__all__ = [
    "ANSWERS",
    "BY",
    "COLUMNS",
    "SPANS",
    "WASTE",
    "Month",
    "Saved",
    "alerts",
    "beneath",
    "binned",
    "budgets",
    "by_version",
    "calls_over_time",
    "curves",
    "failures",
    "failures_over_time",
    "figures_over_time",
    "jobtrace",
    "left_out",
    "metrics",
    "money",
    "month",
    "parse_span",
    "percentiles",
    "phases",
    "prompt_caches",
    "quality",
    "rate_limits",
    "readable",
    "rescues",
    "routing",
    "saved",
    "share",
    "since_of",
    "spend",
    "spend_over_time",
    "stragglers",
    "trace",
    "waste",
]

__getattr__ = names("lab.metrics", _HOMES)
