"""Routers on the record: what each version promised, and what was seen of it since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lab import stats
from lab.ledger import routers
from lab.ledger.file import Ledger
from lab.show import units
from lab.show.moments import utc

if TYPE_CHECKING:
    import pandas as pd

_CALLS = """
    SELECT router, routed_to, routed_why, calls.status, valid, cost,
        (SELECT avg(score) FROM scores WHERE scores.call_id = calls.call_id) AS score
    FROM calls WHERE router IS NOT NULL AND calls.status IN ('ok', 'failed')
"""
WAYS = ("score", "other way")


def listing(book: Ledger, name: str | None = None) -> pd.DataFrame:
    """Versions of routers, newest first: columns `name`, `version`, `made_at` (UTC), `prompt`, `eval_set`, `cases`,
    `models` (cheapest first), `margin`, `share` of the requests that goes to cheaper ones, `saves` (a share; None where
    unknown), `wrong` (why it chooses no more), `calls` that went through it."""
    import pandas as pd

    counts = {
        row["router"]: row["n"]
        for row in book.query("SELECT router, count(*) AS n FROM calls WHERE router IS NOT NULL GROUP BY router")
    }
    rows = [
        {
            "name": version.name,
            "version": version.version,
            "made_at": version.made_at,
            "prompt": version.prompt_name,
            "eval_set": version.eval_set,
            "cases": version.cases,
            "models": list(version.models),
            "margin": version.margin,
            "share": sum(version.figures["shares"][:-1]),
            "saves": version.figures["saves"],
            "wrong": version.wrong,
            "calls": counts.get(version.label, 0),
        }
        for version in routers.versions(book, name)
    ]
    columns = "name version made_at prompt eval_set cases models margin share saves wrong calls".split()
    frame = pd.DataFrame(rows, columns=columns)
    frame["made_at"] = utc(frame["made_at"])
    return frame


def seen(book: Ledger, name: str | None = None) -> pd.DataFrame:
    """Promised and seen, a row a version and model, newest version first, cheapest model first.

    Columns: `router` (`name@version`), `model`; `promised`, the share of requests that was to go there, and `share`
    (`_low`, `_high`) of those that did, by their score; `calls` in all, `other_way` those that looked; `good` (`_low`,
    `_high`) the share that came and passed its checks, and `good_other` of those that went another way to this model;
    `score` and `score_other` the same of scores, where calls have some; `cost` in US dollars a call.
    """
    import pandas as pd

    versions = routers.versions(book, name)
    frame = book.frame(_CALLS + (" AND router LIKE ? || '@%'" if name else ""), [name] if name else [])
    good = (frame["status"] == "ok") & (frame["valid"].fillna(1) == 1)
    rows = []
    for version in versions:
        mine = frame["router"] == version.label
        chosen = mine & (frame["routed_why"] == "score")
        for model, promised in zip(version.models, version.figures["shares"], strict=True):
            there = mine & (frame["routed_to"] == model)
            ours, other = there & (frame["routed_why"] != "other way"), there & (frame["routed_why"] == "other way")
            by_score = int((chosen & there).sum())
            row: dict[str, Any] = {"router": version.label, "model": model, "promised": promised}
            row |= _spread("share", by_score, int(chosen.sum()))
            row |= {"calls": int(there.sum()), "other_way": int(other.sum())}
            row |= _spread("good", int(good[ours].sum()), int(ours.sum()))
            row |= {"good_other": float(good[other].mean()) if other.any() else np.nan}
            row |= {"score": frame.loc[ours, "score"].mean(), "score_other": frame.loc[other, "score"].mean()}
            row |= {"cost": frame.loc[there, "cost"].mean()}
            rows.append(row)
    return pd.DataFrame(rows, columns=_SEEN)


_SEEN = (
    "router model promised share share_low share_high calls other_way good good_low good_high good_other score"
    " score_other cost"
).split()


def _spread(name: str, hits: int, n: int) -> dict[str, float]:
    interval = stats.wilson(hits, n) if n else stats.Interval(np.nan, np.nan, np.nan)
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """Promised and seen as a person reads it."""
    import pandas as pd

    def spread(row: Any, name: str) -> str:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        return "–" if np.isnan(row[name]) else f"{row[name]:.0%} [{low * 100:.0f}–{high * 100:.0f}]"

    def number(value: float) -> str:
        return "–" if np.isnan(value) else f"{value:.0%}"

    return pd.DataFrame(
        {
            "router": frame["router"],
            "model": frame["model"],
            "promised": [number(value) for value in frame["promised"]],
            "sent": [spread(row, "share") for _, row in frame.iterrows()],
            "calls": [f"{value:,}" for value in frame["calls"]],
            "good": [spread(row, "good") for _, row in frame.iterrows()],
            "score": [number(value) for value in frame["score"]],
            "other way": [f"{value:,}" for value in frame["other_way"]],
            "their score": [number(value) for value in frame["score_other"]],
            "cost a call": ["–" if np.isnan(value) else units.dollars(value) for value in frame["cost"]],
        }
    )


def beneath(frame: pd.DataFrame) -> pd.DataFrame:
    """The numbers beneath `readable`, by its columns: what it is sorted by."""
    names = {"promised": "promised", "sent": "share", "calls": "calls", "good": "good", "score": "score"}
    names |= {"other way": "other_way", "their score": "score_other", "cost a call": "cost"}
    return frame[list(names.values())].set_axis(list(names), axis=1)
