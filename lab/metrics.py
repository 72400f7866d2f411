"""The figures to watch, out of the ledger alone: how often calls succeed, how long they take, what they cost.

`elapsed` is what the caller waited, from intake to the end, every wait and attempt included; `latency` and `ttft` are
those of the attempt that answered, the lab's own queue apart. Attempts whose client was saturated are left out unless
asked for, and so are replies given again under a key; `left_out` says how many. A percentile is the smallest value that
such a share does not exceed (nearest rank; Hyndman and Fan 1996, type 1), and is missing where fewer than
1 / (1 - share) values stand behind it: with 50 of them a p99 is nothing but the slowest.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING

from lab.ledger import Ledger
from lab.tables import filtered

if TYPE_CHECKING:
    import pandas as pd

BY = ("model", "status", "kind", "user", "tag", "experiment", "prompt_name", "prompt_version", "config", "lane", "day")
SHARES = (0.5, 0.95, 0.99)
TIMES = ("elapsed", "latency", "ttft")


def metrics(
    ledger: Ledger,
    since: datetime | float | None = None,
    by: tuple[str, ...] = ("model",),
    *,
    saturated: bool = False,
    until: datetime | float | None = None,
) -> pd.DataFrame:
    """One row a group of calls: columns `by`, then `calls`, `success` (share of those that ended), `answers` (attempts
    behind the percentiles), `left_out` (answers that are not), `elapsed_p50`, `_p95`, `_p99`, the same of `latency`
    and of `ttft`, `queue_p95` (seconds), `attempts`, `retries`, `hedges`, `fallbacks`, `cost` (US dollars; None where
    one is unknown), `cost_extra` (of attempts that did not win).

    `since` and `until` are datetimes or Unix seconds. `saturated` leaves such attempts in. Of a call with several tags
    the first counts.
    """
    import pandas as pd  # slow to import, and only readers need it

    wrong = [name for name in by if name not in BY]
    if wrong or not by:
        raise ValueError(f"by={by!r}: one or more of {', '.join(BY)}")
    where, values = filtered(since=since, until=until)
    groups = ", ".join(f"{_SQL.get(name, f'calls.{name}')} AS {name}" for name in by)
    calls = ledger.frame(
        "SELECT calls.call_id, calls.cached, calls.status AS outcome, calls.queue,"
        f" calls.ended_at - calls.started_at AS elapsed, {groups} FROM calls{where}",
        values,
    )
    attempts = ledger.frame(
        "SELECT attempts.call_id, role, attempts.latency, attempts.ttft, won, saturated, attempts.cost"
        f" FROM attempts JOIN calls ON calls.call_id = attempts.call_id{where}",
        values,
    )
    grouped = calls.groupby(list(by), dropna=False, observed=True)
    calls["place"] = grouped.ngroup()
    merged = attempts.merge(calls[["call_id", "place"]], on="call_id")
    by_place, rows = dict(list(merged.groupby("place"))), []
    for group, found in grouped:
        tried = by_place.get(calls.loc[found.index[0], "place"], merged.iloc[:0])
        won = tried[tried["won"] == 1]
        used = won if saturated else won[won["saturated"] == 0]
        used = used.assign(elapsed=used["call_id"].map(found.set_index("call_id")["elapsed"]))
        ended = found[found["outcome"].isin(("ok", "failed"))]
        first = {
            **dict(zip(by, group, strict=True)),
            "calls": len(found),
            "success": (ended["outcome"] == "ok").mean() if len(ended) else math.nan,
            "answers": len(used),
            "left_out": len(won) - len(used) + int(found["cached"].sum()),
        }
        times = {
            f"{name}_p{share * 100:g}": percentile(used[name].dropna(), share) for name in TIMES for share in SHARES
        }
        counted = {f"{what}s": int((tried["role"] == role).sum()) for what, role in _ROLES.items()}
        cost = {
            "cost": tried["cost"].sum(skipna=False) if len(tried) else 0.0,
            "cost_extra": tried["cost"][tried["won"] == 0].sum(skipna=False) if len(tried) else 0.0,
        }
        queue = {"queue_p95": percentile(found["queue"].dropna(), 0.95)}
        rows.append({**first, **times, **queue, "attempts": len(tried), **counted, **cost})
    return pd.DataFrame(rows, columns=[*by, *COLUMNS])


def percentile(values: pd.Series, share: float) -> float:
    """The smallest of `values` that a `share` of them does not exceed; NaN where too few stand behind it."""
    if len(values) * (1 - share) < 1 - 1e-9:
        return math.nan
    ranked = values.sort_values(ignore_index=True)
    return float(ranked.iloc[max(0, math.ceil(share * len(ranked) - 1e-9) - 1)])


_SQL = {"tag": "json_extract(calls.tags, '$[0]')", "day": "date(calls.started_at, 'unixepoch')"}
_ROLES = {"retrie": "retry", "hedge": "hedge", "fallback": "fallback"}
COLUMNS = (
    "calls",
    "success",
    "answers",
    "left_out",
    *(f"{name}_p{share * 100:g}" for name in TIMES for share in SHARES),
    "queue_p95",
    "attempts",
    "retries",
    "hedges",
    "fallbacks",
    "cost",
    "cost_extra",
)
