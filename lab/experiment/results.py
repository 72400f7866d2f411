"""What came of an experiment, from the ledger alone: a row a cell, and a row a prompt and model with intervals.

A cell whose call failed counts: it is no success, not valid, and its score is 0. Times are those of the attempt that
answered; where the client was saturated they are left out, and `left_out` says how many. A percentile is missing where
too few answers stand behind its interval.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

from lab import stats
from lab.experiment import store
from lab.experiment.store import ANSWERED
from lab.ledger import Ledger

if TYPE_CHECKING:
    import pandas as pd

PERCENTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
_CELLS = f"""
    SELECT cells.prompt_name AS prompt, cells.prompt_version AS version, cells.model, case_id, cluster, repeat, place,
        calls.id AS row, calls.call_id, calls.status, calls.kind, calls.valid, calls.latency, calls.ttft, calls.cost,
        calls.input_tokens, calls.output_tokens, calls.n_attempts, calls.hedged, calls.fell_back, calls.answered_by,
        attempts.saturated {{more}}
    FROM cells
    LEFT JOIN calls ON calls.cell = cells.cell AND calls.experiment = cells.experiment AND {ANSWERED}
    LEFT JOIN attempts ON attempts.call_id = calls.call_id AND attempts.won = 1
    {{joins}}
    WHERE cells.experiment = ? AND cells.current = 1
"""


def cells(book: Ledger, name: str, *, words: bool = True) -> pd.DataFrame:
    """A row a cell, in the grid's order: columns `prompt`, `version`, `model`, `case_id`, `cluster`, `repeat`,
    `status` (ok, failed, or unanswered), `kind`, `valid`, `score` (the mean of the scorers'), one column a scorer,
    `latency`, `ttft` (seconds), `cost` (US dollars), `input_tokens`, `output_tokens`, `attempts`, `hedged`,
    `fell_back`, `saturated`, `call_id`; with `words` also `tags`, `text` and `error`."""
    more, joins = "", ""
    if words:
        more, joins = ", cells.tags, texts.answer AS text, calls.error", "LEFT JOIN texts ON texts.id = calls.id"
    frame = book.frame(_CELLS.format(more=more, joins=joins), [name])
    frame = frame.sort_values(["place", "row"], kind="stable")
    frame = frame[~frame["place"].duplicated(keep="last")].drop(columns="row")
    frame = frame.rename(columns={"n_attempts": "attempts"})
    frame["status"] = frame["status"].fillna("unanswered")
    if words:
        frame["tags"] = frame["tags"].map(json.loads)
    return _scored(book, name, frame).drop(columns="place").reset_index(drop=True)


def _scored(book: Ledger, name: str, frame: pd.DataFrame) -> pd.DataFrame:
    scores = book.frame(
        "SELECT scores.call_id, scorer, score FROM scores JOIN calls ON calls.call_id = scores.call_id"
        " WHERE calls.experiment = ?",
        [name],
    )
    failed = (frame["status"] == "failed").to_numpy()
    names = list((store.content(book, name) or {}).get("scorers") or {})
    for one in names:
        found = scores[scores["scorer"] == one].set_index("call_id")["score"]
        values = frame["call_id"].map(found).to_numpy(dtype=float, copy=True)
        values[failed] = 0.0
        frame[one] = values
    frame.insert(frame.columns.get_loc("valid") + 1, "score", frame[names].mean(axis=1) if names else math.nan)
    return frame


def summary(book: Ledger, name: str, level: float = 0.95) -> pd.DataFrame:
    """A row a prompt and model: columns `prompt`, `version`, `model`, `cells`, `done`; `success`, `valid` and `score`
    (shares), `latency_p50`, `_p95`, `_p99`, `ttft_p50`, `_p95`, `_p99` (seconds), each with `_low` and `_high`; `cost`,
    `cost_per_call`, `cost_per_good` (US dollars a success that is valid and scores at least 1; where there is no
    scorer, a valid one), `retries`, `hedges`, `fallbacks`, `repairs` (requests), `left_out`.

    Scores have Wilson's interval where they are right or wrong and each case is asked once, else Student's t over the
    clusters of cases.
    """
    import pandas as pd  # slow to import, and only readers need it

    frame = cells(book, name, words=False)
    roles = _roles(book, name)
    checked = book.query(
        "SELECT EXISTS (SELECT 1 FROM checks JOIN calls USING (call_id) WHERE calls.experiment = ?) AS any", [name]
    )[0]["any"]
    rows = []
    for (prompt, version, model), group in frame.groupby(["prompt", "version", "model"], dropna=False, sort=False):
        extra = roles.get((prompt, version, model), {})
        rows.append(
            {"prompt": prompt, "version": version, "model": model, **_row(group, bool(checked), level), **extra}
        )
    columns = list(rows[0]) if rows else ["prompt", "version", "model"]
    return pd.DataFrame(rows, columns=columns)


def _roles(book: Ledger, name: str) -> dict[Any, dict[str, int]]:
    rows = book.query(
        "SELECT cells.prompt_name, cells.prompt_version, cells.model, role, count(*) AS n FROM calls"
        " JOIN cells ON cells.experiment = calls.experiment AND cells.cell = calls.cell AND cells.current = 1"
        " JOIN attempts ON attempts.call_id = calls.call_id AND attempts.role <> 'first'"
        " WHERE calls.experiment = ? GROUP BY 1, 2, 3, 4",
        [name],
    )
    names = {"retry": "retries", "hedge": "hedges", "fallback": "fallbacks", "repair": "repairs"}
    found: dict[Any, dict[str, int]] = {}
    for row in rows:
        of = found.setdefault((row["prompt_name"], row["prompt_version"], row["model"]), {})
        of[names[row["role"]]] = row["n"]
    return found


def _row(group: pd.DataFrame, checked: bool, level: float) -> dict[str, Any]:
    ended = group[group["status"] != "unanswered"]
    good = ended[ended["status"] == "ok"]
    came = ended[(ended["status"] == "ok") | (ended["kind"] == "validation")]
    valid = int((came["valid"] == 1).sum())
    found: dict[str, Any] = {"cells": len(group), "done": len(ended)}
    found |= _spread("success", stats.wilson(len(good), len(ended), level))
    found |= _spread("valid", stats.wilson(valid, len(came), level) if checked else _NOTHING)
    found |= _spread("score", _score(ended, level))
    timed = good[good["saturated"] == 0]
    for name in ("latency", "ttft"):
        values = timed[name].dropna().to_numpy()
        for said, share in PERCENTILES:
            found |= _spread(f"{name}_{said}", stats.percentile(values, share, level))
    spent = float(ended["cost"].sum(skipna=False)) if len(ended) else 0.0
    right = good[(good["valid"] != 0) & ((good["score"] >= 1 - 1e-9) | good["score"].isna())]
    found |= {
        "cost": spent,
        "cost_per_call": spent / len(ended) if len(ended) else math.nan,
        "cost_per_good": spent / len(right) if len(right) else math.nan,
        **dict.fromkeys(("retries", "hedges", "fallbacks", "repairs"), 0),
        "left_out": len(good) - len(timed),
    }
    return found


_NOTHING = stats.Interval(math.nan, math.nan, math.nan)


def _spread(name: str, found: stats.Interval) -> dict[str, float]:
    return {name: found.estimate, f"{name}_low": found.low, f"{name}_high": found.high}


def _score(ended: pd.DataFrame, level: float) -> stats.Interval:
    known = ended[ended["score"].notna()]
    if known.empty:
        return _NOTHING
    scores, clusters = known["score"].to_numpy(), known["cluster"].to_numpy()
    if np.isin(scores, (0.0, 1.0)).all() and len(set(clusters)) == len(scores):
        return stats.wilson(int(scores.sum()), len(scores), level)
    found = stats.mean(scores, list(clusters), level)
    return stats.Interval(found.estimate, max(0.0, found.low), min(1.0, found.high))


def by_case(frame: pd.DataFrame) -> dict[str, tuple[float, Hashable]]:
    """The mean score of each case that was answered, and its cluster."""
    known = frame[(frame["status"] != "unanswered") & frame["score"].notna()]
    grouped = known.groupby("case_id", sort=False).agg(score=("score", "mean"), cluster=("cluster", "first"))
    return {case: (float(score), cluster) for case, score, cluster in grouped.itertuples()}
