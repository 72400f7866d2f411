"""The figures to watch: how often calls succeed, how long they take, what they cost.

`elapsed` is what the caller waited, from intake to the end, every wait and attempt included; `latency`, `ttft` (time to
the first token, be it of a thought) and `answer_ttft` (to the first token of the answer) are those of the attempt that
answered, the lab's own queue apart. Attempts whose client was saturated are left out unless
asked for, and so are replies given again under a key. Percentiles are by nearest rank with order-statistic intervals
(`stats.percentile`), and missing where too few values stand behind an interval: a p50 takes 6, a p95 72, a p99 368.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from lab import stats
from lab.ledger import columns
from lab.ledger.file import Ledger
from lab.ledger.outcomes import ABANDONED
from lab.metrics.groups import BY as BY
from lab.metrics.groups import Groups, grouped, needed
from lab.stats.quantiles import of_sorted

if TYPE_CHECKING:
    import pandas as pd

SHARES = (0.5, 0.95, 0.99)
TIMES = ("elapsed", "latency", "ttft", "answer_ttft")
ROLES = {"retries": "retry", "hedges": "hedge", "fallbacks": "fallback", "repairs": "repair"}
RATES = {"retry_rate": "retry", "hedge_rate": "hedge", "fallback_rate": "fallback", "repair_rate": "repair"}
LOST = ("hedges", "retries", "repairs", "failed")
_NAMES = tuple(f"{name}_p{share * 100:g}" for name in TIMES for share in SHARES)
COLUMNS = (
    *("calls", "ended", "failed", "success", "success_low", "success_high"),
    *("answers", "left_out", "saturated", "batched", "cached"),
    *(f"{name}{end}" for name in _NAMES for end in ("", "_low", "_high")),
    *("queue_p50", "queue_p95", "running", "waiting", "oldest_waiting", "abandoned"),
    *("attempts", *ROLES, *RATES, "rate_limited", "checked", "invalid"),
    *("cost", "cost_known", "cost_unknown", "cost_extra", *(f"cost_{name}" for name in LOST), "good", "cost_per_good"),
)
Part = Literal["outcomes", "times", "queue", "requests", "costs"]
PARTS: tuple[Part, ...] = get_args(Part)
_CALLS = "started_at ended_at status kind queue cached valid".split()
_ATTEMPTS = "role status kind latency ttft thinking won cost saturated".split()


def metrics(
    book: Ledger,
    since: datetime | float | None = None,
    by: Sequence[str] = ("model",),
    *,
    saturated: bool = False,
    only: Collection[Part] = PARTS,
    **filters: Any,
) -> pd.DataFrame:
    """One row a group of calls: the columns `by`, then

    - `calls`, `ended` (ok or failed), `failed`, `success` (share of the ended, with Wilson's interval `_low`, `_high`);
    - `answers` (behind the percentiles), `left_out` (answers that are not: `saturated`, `batched` and `cached`);
    - `elapsed_p50`, `_p95`, `_p99`, the same of `latency`, `ttft` and `answer_ttft`, in seconds, each with `_low` and
      `_high`;
    - `queue_p50`, `queue_p95` (seconds in the lab's own queue), `running` now, of these `waiting` for their first
      request, `oldest_waiting` (seconds), `abandoned` (begun over 15 minutes ago and never ended: a killed process);
    - `attempts` (requests), `retries`, `hedges`, `fallbacks`, `repairs` (requests), `retry_rate` and so on (share of
      calls with one), `rate_limited` (requests told 429), `checked` (calls), `invalid` (share of these);
    - `cost` (US dollars; None where one is unknown: `cost_known` is the sum of the others, `cost_unknown` how many
      requests it is unknown of), `cost_extra` (of requests that did not answer), of it `cost_hedges` (cancelled
      losers), `cost_retries`, `cost_repairs` (answers that did not pass), `cost_failed` (all requests of calls that
      failed); `good` (ok, no check failed, no score below 1) and `cost_per_good`.

    `by`: of `BY`; a call with several tags counts for each. `since`, and the `filters` of
    `lab.ledger.narrowing.FILTERS`, narrow it. `saturated` leaves such attempts in. `only` some parts of it are quicker:
    `outcomes`, `times`, `queue`, `requests`, `costs`.
    """
    import pandas as pd  # slow to import, and only readers need it

    wrong = [name for name in only if name not in PARTS]
    if wrong or not only:
        raise ValueError(f"only={list(only)!r}: some of {', '.join(PARTS)}")
    calls, tried = columns.both(book, [*_CALLS, *needed(by)], _ATTEMPTS, since=since, **filters)
    groups = grouped(calls, by)
    values: dict[str, Any] = {}
    if "outcomes" in only:
        values |= _outcomes(calls, groups)
    if "times" in only:
        values |= _times(calls, tried, groups, saturated)
    if "queue" in only:
        values |= _queue(calls, tried, groups)
    if "requests" in only:
        values |= _requests(calls, tried, groups)
    if "costs" in only:
        values |= _costs(book, calls, tried, groups)
    figures = pd.DataFrame({name: values[name] for name in COLUMNS if name in values})
    return pd.concat([groups.keys, figures], axis=1)


def _outcomes(calls: pd.DataFrame, groups: Groups) -> dict[str, Any]:
    status = calls["status"]
    ok, failed = groups.count((status == "ok").to_numpy()), groups.count((status == "failed").to_numpy())
    shares = [stats.wilson(int(good), int(good + bad)) for good, bad in zip(ok, failed, strict=True)]
    return {
        "calls": groups.count(np.ones(len(calls), dtype=bool)),
        "ended": ok + failed,
        "failed": failed,
        "success": [share.estimate for share in shares],
        "success_low": [share.low for share in shares],
        "success_high": [share.high for share in shares],
        "cached": groups.count(calls["cached"].to_numpy() == 1),
    }


def answers(calls: pd.DataFrame, tried: pd.DataFrame) -> dict[str, np.ndarray]:
    """Of each call: whether it was `answered` by an attempt of its own, or `batched`, by one that stood in a batch and
    has no times, whether that was `saturated`, its `latency`, `ttft` and `answer_ttft`, and the call's `elapsed`
    seconds."""
    won = tried["won"].to_numpy() == 1
    at = tried["at"].to_numpy()[won]
    each = {"answered": np.zeros(len(calls), dtype=bool), "saturated": np.zeros(len(calls), dtype=bool)}
    each["answered"][at] = calls["cached"].to_numpy()[at] == 0
    each["saturated"][at] = tried["saturated"].to_numpy()[won] == 1
    for name in ("latency", "ttft"):
        each[name] = np.full(len(calls), np.nan)
        each[name][at] = tried[name].to_numpy()[won]
    thinking = np.full(len(calls), np.nan)
    if "thinking" in tried:
        thinking[at] = tried["thinking"].to_numpy()[won]
    each["answer_ttft"] = each["ttft"] + np.nan_to_num(thinking)
    each["batched"] = each["answered"] & np.isnan(each["latency"])
    each["answered"] &= ~each["batched"]
    return {**each, "elapsed": (calls["ended_at"] - calls["started_at"]).to_numpy()}


def _times(calls: pd.DataFrame, tried: pd.DataFrame, groups: Groups, saturated: bool) -> dict[str, Any]:
    each = answers(calls, tried)
    timed = each["answered"] if saturated else each["answered"] & ~each["saturated"]
    left_out = groups.count(each["answered"] & each["saturated"])
    values: dict[str, Any] = {
        "answers": groups.count(timed),
        "saturated": left_out,
        "batched": groups.count(each["batched"]),
        "left_out": (0 if saturated else left_out) + groups.count(each["batched"] | (calls["cached"].to_numpy() == 1)),
    }
    for name in TIMES:
        parts = groups.spread(each[name], timed)
        for share in SHARES:
            intervals = [of_sorted(part, share) for part in parts]
            column = f"{name}_p{share * 100:g}"
            values[column] = [interval.estimate for interval in intervals]
            values[f"{column}_low"] = [interval.low for interval in intervals]
            values[f"{column}_high"] = [interval.high for interval in intervals]
    return values


def _queue(calls: pd.DataFrame, tried: pd.DataFrame, groups: Groups) -> dict[str, Any]:
    queues = groups.spread(calls["queue"].to_numpy(), np.ones(len(calls), dtype=bool))
    age = time.time() - calls["started_at"].to_numpy()
    running = (calls["status"] == "running").to_numpy()
    lost = running & (age > ABANDONED)
    sent = np.zeros(len(calls), dtype=bool)
    sent[tried["at"].to_numpy()] = True
    waiting = running & ~lost & ~sent
    oldest = np.full(groups.many, np.nan)
    np.fmax.at(oldest, groups.code[waiting[groups.at]], age[groups.at[waiting[groups.at]]])
    return {
        **{f"queue_p{share * 100:g}": [of_sorted(part, share).estimate for part in queues] for share in (0.5, 0.95)},
        "running": groups.count(running & ~lost),
        "waiting": groups.count(waiting),
        "oldest_waiting": oldest,
        "abandoned": groups.count(lost),
    }


def _requests(calls: pd.DataFrame, tried: pd.DataFrame, groups: Groups) -> dict[str, Any]:
    which, code = groups.of_attempts(tried["at"].to_numpy())

    def count(mask: np.ndarray) -> np.ndarray:
        return np.bincount(code[mask[which]], minlength=groups.many)

    many = np.maximum(1, groups.count(np.ones(len(calls), dtype=bool)))
    values: dict[str, Any] = {"attempts": np.bincount(code, minlength=groups.many)}
    for name, role in ROLES.items():
        values[name] = count((tried["role"] == role).to_numpy())
    for name, role in RATES.items():
        with_one = np.zeros(len(calls), dtype=bool)
        with_one[tried["at"].to_numpy()[(tried["role"] == role).to_numpy()]] = True
        values[name] = groups.count(with_one) / many
    values["rate_limited"] = count((tried["kind"] == "rate_limit").to_numpy())
    invalid = ((calls["valid"] == 0) | (calls["kind"] == "validation")).to_numpy()
    checked = groups.count(invalid | calls["valid"].notna().to_numpy())
    values["checked"] = checked
    with np.errstate(invalid="ignore", divide="ignore"):
        values["invalid"] = groups.count(invalid) / checked
    return values


def lost(calls: pd.DataFrame, tried: pd.DataFrame) -> np.ndarray:
    """What became of each attempt's money: 0 `answer`, else the place in `LOST`, from 1."""
    ok = (calls["status"] == "ok").to_numpy()[tried["at"].to_numpy()]
    won = tried["won"].to_numpy() == 1
    repaired, failed = (tried["kind"] == "validation").to_numpy(), (tried["status"] == "failed").to_numpy()
    return np.select([won, ~ok, repaired, failed], [0, 4, 3, 2], default=1)


def _costs(book: Ledger, calls: pd.DataFrame, tried: pd.DataFrame, groups: Groups) -> dict[str, Any]:
    which, code = groups.of_attempts(tried["at"].to_numpy())
    ended = (tried["status"] != "running").to_numpy()
    cost = np.where(ended, tried["cost"].to_numpy(), 0.0)
    where = lost(calls, tried)

    def total(mask: np.ndarray) -> np.ndarray:
        taken = mask[which]
        return np.bincount(code[taken], weights=cost[which][taken], minlength=groups.many)

    values: dict[str, Any] = {
        "cost": total(np.ones(len(tried), dtype=bool)),
        "cost_known": total(~np.isnan(cost)),
        "cost_unknown": np.bincount(code[np.isnan(cost)[which]], minlength=groups.many),
        "cost_extra": total(where > 0),
        **{f"cost_{name}": total(where == place) for place, name in enumerate(LOST, 1)},
    }
    good = groups.count(good_calls(book, calls))
    with np.errstate(invalid="ignore", divide="ignore"):
        return {**values, "good": good, "cost_per_good": np.where(good > 0, values["cost"] / good, np.nan)}


def good_calls(book: Ledger, calls: pd.DataFrame) -> np.ndarray:
    """Which calls brought a good answer: ok, no check failed, and no score below 1. Needs `id`, `status`, `valid`."""
    good = ((calls["status"] == "ok") & (calls["valid"] != 0)).to_numpy()
    poor = book.rows(
        "SELECT calls.id FROM scores CROSS JOIN calls ON calls.call_id = scores.call_id WHERE score < 1 - 1e-9"
    )
    return good & ~np.isin(calls["id"].to_numpy(), [row[0] for row in poor]) if poor else good
