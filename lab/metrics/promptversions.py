"""What each version of a prompt is worth, how long it takes and what it costs, model by model, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lab import stats
from lab.ledger import columns
from lab.ledger.file import Ledger
from lab.metrics.costs import quality
from lab.metrics.figures import answers
from lab.stats.quantiles import of_sorted

if TYPE_CHECKING:
    import pandas as pd

FIGURES = ("score", "p95", "cost")
FEW = 5
"""Calls that a mean of costs stands on at least."""


def by_version(book: Ledger, prompt: str, **filters: Any) -> pd.DataFrame:
    """Columns `version`, `model`, `figure` (`score`, of experiments; `p95`, seconds that callers waited; `cost`, US
    dollars a call, on average), `estimate`, `low`, `high` (95 %), `n` (calls behind it). What too few stand behind is
    missing."""
    import pandas as pd  # slow to import, and only readers need it

    rows: list[dict[str, Any]] = []
    for scored in quality(book, prompt=prompt, **filters).to_dict("records"):
        same = {"version": int(scored["version"]), "model": scored["model"], "n": int(scored["n"])}
        rows.append({**same, "figure": "score", **_interval(scored["score"], scored["low"], scored["high"])})
    names = ["started_at", "ended_at", "status", "cached", "cost", "prompt_version", "model"]
    calls, tried = columns.both(
        book, names, ["latency", "ttft", "thinking", "won", "saturated"], prompt=prompt, **filters
    )
    each = answers(calls, tried)
    frame = pd.DataFrame(
        {
            "version": calls["prompt_version"],
            "model": calls["model"].astype(object),
            "elapsed": np.where(each["answered"] & ~each["saturated"], each["elapsed"], np.nan),
            "cost": np.where(calls["cached"].to_numpy() == 1, np.nan, calls["cost"].to_numpy()),
        }
    )
    key: Any
    for key, group in frame.groupby(["version", "model"], observed=True):
        version, model = key
        same = {"version": int(version), "model": model}
        times = np.sort(group["elapsed"].dropna().to_numpy())
        slow = of_sorted(times, 0.95)
        if slow.estimate == slow.estimate:
            rows.append({**same, "n": len(times), "figure": "p95", **_interval(slow.estimate, slow.low, slow.high)})
        costs = group["cost"].dropna().to_numpy()
        if len(costs) >= FEW:
            paid = stats.mean(costs)
            low = max(0.0, paid.low)
            rows.append({**same, "n": len(costs), "figure": "cost", **_interval(paid.estimate, low, paid.high)})
    return pd.DataFrame(rows, columns="version model figure estimate low high n".split())


def _interval(estimate: float, low: float, high: float) -> dict[str, float]:
    return {"estimate": float(estimate), "low": float(low), "high": float(high)}
