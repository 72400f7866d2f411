"""What it cost: over time, by anything, the part that bought nothing, and what quality it bought."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lab import stats
from lab.ledger import columns
from lab.ledger.file import Ledger
from lab.ledger.outcomes import ANSWERED
from lab.metrics.figures import LOST, Part, lost, metrics
from lab.metrics.groups import grouped, needed
from lab.metrics.times import binned
from lab.show import palette
from lab.show.moments import utc

if TYPE_CHECKING:
    import pandas as pd

OTHER = palette.OTHERS
ANSWERS = "answers"
WASTE = {
    "hedges": "hedge losers",
    "retries": "failed, then retried",
    "repairs": "did not pass",
    "failed": "failed calls",
}
_SPEND = "calls cost_known cost_unknown cost_extra good cost_per_good".split()
_OUT: tuple[Part, ...] = ("outcomes", "costs")
_ANSWERS = f"""
    SELECT max(calls.id) AS id, eval_hash || ' ' || cluster AS cluster, CASE WHEN calls.status = 'failed' THEN 0.0
        ELSE (SELECT avg(score) FROM scores WHERE scores.call_id = calls.call_id) END AS score
    FROM experiments JOIN cells ON cells.experiment = experiments.experiment AND cells.current
    CROSS JOIN calls ON calls.cell = cells.cell AND +calls.experiment = cells.experiment AND {ANSWERED}
    WHERE json_extract(content, '$.scorers') NOT IN ('{{}}', '[]') GROUP BY cells.experiment, cells.cell
"""


def spend(book: Ledger, by: Sequence[str] = ("model",), **filters: Any) -> pd.DataFrame:
    """What each group cost, dearest first: the columns `by`, then `calls`, `cost` (US dollars, those that are known),
    `cost_unknown` (requests whose cost is not), `cost_extra`, `good`, `cost_per_good`."""
    frame = metrics(book, by=by, only=_OUT, **filters)[[*by, *_SPEND]].rename(columns={"cost_known": "cost"})
    return frame.sort_values("cost", ascending=False, ignore_index=True)


def spend_over_time(book: Ledger, by: str = "model", *, top: int = 5, bins: int = 48, **filters: Any) -> pd.DataFrame:
    """Cost by time and group: columns `start` (UTC), `seconds` (the bin's width), `group`, `cost` (US dollars, as far
    as it is known), `calls`. The `top` groups by cost; the rest is one."""
    import pandas as pd  # slow to import, and only readers need it

    calls = columns.calls(book, ["started_at", "cost", *needed((by,))], **filters)
    groups = grouped(calls, (by,))
    cost = np.nan_to_num(calls["cost"].to_numpy())
    ranked = np.argsort(-groups.total(cost), kind="stable")[:top]
    names = np.array([OTHER] * groups.many, dtype=object)
    for place in ranked:
        value = groups.keys.iloc[place, 0]
        names[place] = "none" if value is None or value != value else str(value)
    start, width = binned(calls["started_at"].to_numpy(), bins)
    frame = pd.DataFrame({"start": start[groups.at], "group": names[groups.code], "cost": cost[groups.at], "calls": 1})
    sums = frame.groupby(["start", "group"], as_index=False).sum()
    sums["start"] = utc(sums["start"])
    sums.insert(1, "seconds", width)
    return sums


def waste(book: Ledger, by: str = "model", **filters: Any) -> pd.DataFrame:
    """Where the money went: columns `group`, `part` (`answers`, or what was lost on), `cost` (US dollars, as far as it
    is known), `requests`."""
    import pandas as pd  # slow to import, and only readers need it

    calls, tried = columns.both(book, ["status", *needed((by,))], ["won", "kind", "status", "cost"], **filters)
    groups = grouped(calls, (by,))
    which, code = groups.of_attempts(tried["at"].to_numpy())
    cost, where = np.nan_to_num(tried["cost"].to_numpy()), lost(calls, tried)
    rows = []
    for place, part in enumerate([ANSWERS, *(WASTE[name] for name in LOST)]):
        taken = (where == place)[which]
        sums = np.bincount(code[taken], weights=cost[which][taken], minlength=groups.many)
        counts = np.bincount(code[taken], minlength=groups.many)
        for group in np.flatnonzero(counts).tolist():
            value: Any = groups.keys.iloc[group, 0]
            name = "none" if value is None or value != value else str(value)
            rows.append({"group": name, "part": part, "cost": float(sums[group]), "requests": int(counts[group])})
    return pd.DataFrame(rows, columns=["group", "part", "cost", "requests"])


def quality(book: Ledger, **filters: Any) -> pd.DataFrame:
    """Quality against cost, a row a prompt version and model of experiments with scores: columns `name`, `prompt`,
    `version`, `model`, `n` (calls), `score`, `low`, `high` (its interval), `cost` (US dollars a call; None where one
    is unknown). As in an experiment's own summary: of each cell the last answer counts, a failed call scores 0, and the
    interval knows which cases go together."""
    import pandas as pd  # slow to import, and only readers need it

    calls = columns.calls(book, ["id", "prompt_name", "prompt_version", "model", "cost"], **filters)
    answers = book.frame(_ANSWERS)
    known = calls.merge(answers, on="id")
    known = known[known["score"].notna()]
    rows = []
    key: Any
    for key, group in known.groupby(["prompt_name", "prompt_version", "model"], observed=True):
        prompt, version, model = key
        interval = stats.share(group["score"].to_numpy(), group["cluster"].tolist())
        rows.append(
            {
                "name": f"{prompt} v{version:.0f} · {model}",
                **{"prompt": prompt, "version": int(version), "model": model, "n": len(group)},
                **{"score": interval.estimate, "low": interval.low, "high": interval.high},
                "cost": group["cost"].mean(skipna=False),
            }
        )
    return pd.DataFrame(rows, columns="name prompt version model n score low high cost".split())
