"""The slow end: curves, percentiles, where the time went, which calls it was, and what hedges and timeouts did.

Of answered calls alone, as in the figures: replies out of the store and attempts of a saturated client are left out.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lab.ledger import columns
from lab.ledger.file import Ledger
from lab.metrics.figures import answers
from lab.metrics.groups import Groups, grouped, needed
from lab.show.moments import utc
from lab.stats.quantiles import of_sorted

if TYPE_CHECKING:
    import pandas as pd

Measure = Literal["elapsed", "latency", "ttft", "answer_ttft"]
LADDER = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
PARTS = ("queue", "earlier attempts", "connect", "first token", "thinking", "generation", "not streamed")
_CALLS = "started_at ended_at cached queue".split()
_ATTEMPTS = "connect ttft thinking latency won saturated".split()


def _timed(
    book: Ledger, by: str, filters: dict[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame, Groups, dict[str, np.ndarray]]:
    def make() -> Any:
        calls, tried = columns.both(book, [*_CALLS, *needed((by,))], _ATTEMPTS, **filters)
        each = answers(calls, tried)
        each["timed"] = each["answered"] & ~each["saturated"]
        return calls, tried, grouped(calls, (by,)), each

    return columns.of(book).once(("tails", by, *sorted(filters.items(), key=str)), make)


def left_out(book: Ledger, **filters: Any) -> dict[str, int]:
    """How many answers stand behind the times, `answers`, and how many do not: `saturated`, `batched` and `cached`."""
    calls, _tried, _groups, each = _timed(book, "model", filters)
    return {
        "answers": int(each["timed"].sum()),
        "saturated": int((each["answered"] & each["saturated"]).sum()),
        "batched": int(each["batched"].sum()),
        "cached": int((calls["cached"] == 1).sum()),
    }


def curves(
    book: Ledger, measure: Measure = "elapsed", by: str = "model", *, points: int = 120, top: int = 8, **filters: Any
) -> pd.DataFrame:
    """The distribution of a time: columns `group`, `seconds`, `share` of the answers that took at most so long, and
    `n` answers. At most `points` a group, closer together towards the slow end; the `top` groups by answers."""
    import pandas as pd  # slow to import, and only readers need it

    _calls, _tried, groups, each = _timed(book, by, filters)
    parts = groups.spread(each[measure], each["timed"])
    frames = []
    for place in _largest(parts, top):
        values = parts[place]
        ranks = np.unique(_spread_ranks(len(values), points))
        share = (ranks + 1) / len(values)
        frames.append(pd.DataFrame({"group": _name(groups, place), "seconds": values[ranks], "share": share}))
        frames[-1]["n"] = len(values)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["group", "seconds", "share", "n"])


def _spread_ranks(n: int, points: int) -> np.ndarray:
    """Places among n sorted values: half of them even, half of them nearer and nearer to the last."""
    even = np.linspace(0, n - 1, points // 2)
    late = n - np.geomspace(1, max(1, n), points // 2)
    return np.clip(np.concatenate([even, late]).round(), 0, n - 1).astype(np.int64)


def _largest(parts: list[np.ndarray], top: int) -> list[int]:
    ranked = sorted((place for place, part in enumerate(parts) if len(part)), key=lambda place: -len(parts[place]))
    return sorted(ranked[:top])


def _name(groups: Groups, place: int) -> str:
    value: Any = groups.keys.iloc[place, 0]
    return "none" if value is None or value != value else str(value)


def percentiles(
    book: Ledger, measure: Measure = "elapsed", by: str = "model", *, shares: tuple[float, ...] = LADDER, **filters: Any
) -> pd.DataFrame:
    """The ladder: columns `group`, `percentile` (p50, p99.9 ...), `share`, `seconds`, `low`, `high` (95 %), `n`.
    A rung that too few answers stand behind is missing."""
    import pandas as pd  # slow to import, and only readers need it

    _calls, _tried, groups, each = _timed(book, by, filters)
    rows = []
    for place, part in enumerate(groups.spread(each[measure], each["timed"])):
        for share in shares:
            interval = of_sorted(part, share)
            if interval.estimate == interval.estimate:
                times = {"seconds": interval.estimate, "low": interval.low, "high": interval.high, "n": len(part)}
                rows.append({"group": _name(groups, place), "percentile": f"p{share * 100:g}", "share": share, **times})
    return pd.DataFrame(rows, columns=["group", "percentile", "share", "seconds", "low", "high", "n"])


def phases(book: Ledger, by: str = "model", *, slowest: float = 0.05, **filters: Any) -> pd.DataFrame:
    """Where the time went, on average: columns `group`, `calls` (`all`, or the `slowest` share of the group), `part`
    (of `PARTS`), `seconds`. `thinking` is from the first token of a thought to the first of the answer; where a
    provider keeps its thoughts to itself, they are in `first token`. `not streamed` is the whole of an answer whose
    first token nobody saw; `earlier attempts` are those that failed or lost, with the waits between. Parts that nothing
    has are left out."""
    import pandas as pd  # slow to import, and only readers need it

    calls, tried, groups, each = _timed(book, by, filters)
    connect = np.zeros(len(calls))
    won = tried["won"].to_numpy() == 1
    connect[tried["at"].to_numpy()[won]] = np.nan_to_num(tried["connect"].to_numpy()[won])
    queue = np.nan_to_num(calls["queue"].to_numpy())
    connect = np.minimum(connect, np.fmin(each["ttft"], each["latency"]))
    first = np.nan_to_num(each["ttft"] - connect)
    thinking, streamed = np.nan_to_num(each["answer_ttft"] - each["ttft"]), ~np.isnan(each["ttft"])
    rest = each["latency"] - connect - first - thinking
    times = {
        "queue": queue,
        "earlier attempts": np.maximum(0.0, each["elapsed"] - queue - each["latency"]),
        "connect": connect,
        "first token": first,
        "thinking": thinking,
        "generation": np.where(streamed, rest, 0.0),
        "not streamed": np.where(streamed, 0.0, rest),
    }
    rows = []
    for kind, mask in (("all", each["timed"]), (f"slowest {slowest:.0%}", _slow(groups, each, slowest))):
        many = groups.count(mask)
        for part in PARTS:
            sums = groups.total(np.where(mask, np.nan_to_num(times[part]), 0.0))
            for place in np.flatnonzero(many).tolist():
                value = sums[place] / many[place]
                rows.append({"group": _name(groups, place), "calls": kind, "part": part, "seconds": float(value)})
    frame = pd.DataFrame(rows, columns=["group", "calls", "part", "seconds"])
    return frame[frame.groupby("part")["seconds"].transform("max") > 0].reset_index(drop=True)


def _slow(groups: Groups, each: dict[str, np.ndarray], share: float) -> np.ndarray:
    """The slowest calls of each group; of a group of fewer than 1 / share calls, its slowest one."""
    parts = groups.spread(each["elapsed"], each["timed"])
    first = [part[len(part) - max(1, int(len(part) * share))] if len(part) else np.inf for part in parts]
    least = np.array(first)
    slow = np.zeros(len(each["timed"]), dtype=bool)
    slow[groups.at[each["elapsed"][groups.at] >= least[groups.code]]] = True
    return slow & each["timed"]


def stragglers(book: Ledger, measure: Measure = "elapsed", *, limit: int = 20, **filters: Any) -> pd.DataFrame:
    """The slowest answers, slowest first: columns `call_id`, `started_at`, `model`, `seconds`, `times` (the median of
    its model), `queue`, `n_attempts`, `hedged`, `fell_back`, `prompt`."""

    calls, _tried, groups, each = _timed(book, "model", filters)
    value = np.where(each["timed"], np.nan_to_num(each[measure], nan=-1.0), -1.0)
    some = min(limit, len(value))
    worst = np.argpartition(-value, some - 1)[:some] if some else np.empty(0, np.int64)
    worst = worst[value[worst] >= 0]
    parts = groups.spread(each[measure], each["timed"])
    medians = [part[(len(part) - 1) // 2] if len(part) else np.nan for part in parts]
    ids = [int(number) for number in calls["id"].to_numpy()[worst]]
    rows = book.frame(
        "SELECT calls.id, call_id, started_at, model, queue, n_attempts, hedged, fell_back, prompt FROM calls"
        " LEFT JOIN texts ON texts.id = calls.id WHERE calls.id IN (SELECT value FROM json_each(?))",
        [json.dumps(ids)],
    )
    seconds = dict(zip(ids, value[worst], strict=True))
    typical = dict(zip(groups.keys["model"], medians, strict=True))
    rows["seconds"] = rows["id"].map(seconds).astype(float)
    rows["times"] = rows["seconds"] / rows["model"].map(typical).astype(float)
    rows["started_at"] = utc(rows["started_at"])
    rows = rows.astype({"hedged": bool, "fell_back": bool}).sort_values("seconds", ascending=False, ignore_index=True)
    return rows["call_id started_at model seconds times queue n_attempts hedged fell_back prompt".split()]


def rescues(book: Ledger, **filters: Any) -> pd.DataFrame:
    """What hedges, timeouts and fallbacks did: columns `model`, `what`, `requests`, `calls` with one, of these `ok` in
    the end, `won` (requests that answered), `cost` (US dollars of those that did not; None where one is unknown)."""
    import pandas as pd  # slow to import, and only readers need it

    names = "role kind phase won cost".split()
    calls, tried = columns.both(book, ["status", "model"], names, **filters)
    role = {name: (tried["role"] == name).to_numpy() for name in ("hedge", "fallback")}
    mine = np.flatnonzero((tried["kind"] == "timeout").to_numpy() | role["hedge"] | role["fallback"])
    phases = tried["phase"].iloc[mine].astype(object).fillna("attempt")
    what = np.where(role["hedge"][mine], "hedge", "timeout: " + phases)
    at = tried["at"].to_numpy()[mine]
    won = tried["won"].to_numpy()[mine] == 1
    frame = pd.DataFrame(
        {
            "model": calls["model"].iloc[at].astype(object).to_numpy(),
            "what": np.where(role["fallback"][mine], "fallback", what),
            "at": at,
            "ok": (calls["status"] == "ok").to_numpy()[at],
            "won": won,
            "cost": np.where(won, 0.0, tried["cost"].to_numpy()[mine]),
        }
    )
    rows = [
        {
            "model": model,
            "what": label,
            "requests": len(requests),
            "calls": requests["at"].nunique(),
            "ok": int(requests.drop_duplicates("at")["ok"].sum()),
            "won": int(requests["won"].sum()),
            "cost": requests["cost"].sum(skipna=False),
        }
        for (model, label), requests in frame.groupby(["model", "what"])
    ]
    return pd.DataFrame(rows, columns=["model", "what", "requests", "calls", "ok", "won", "cost"])
