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
from lab.evals import store
from lab.ledger.file import Ledger
from lab.ledger.outcomes import ANSWERED

if TYPE_CHECKING:
    import pandas as pd

PERCENTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
# The + keeps SQLite from looking a cell's call up among all calls of the experiment.
_FROM = f"""
    FROM cells
    LEFT JOIN calls ON calls.cell = cells.cell AND +calls.experiment = cells.experiment AND {ANSWERED}
    LEFT JOIN attempts ON attempts.call_id = calls.call_id AND attempts.won = 1
    LEFT JOIN texts ON texts.id = calls.id
    WHERE cells.experiment = ? AND cells.current = 1
"""
_CELLS = f"""
    SELECT cells.prompt_name AS prompt, cells.prompt_version AS version, cells.model, case_id, cluster, repeat, place,
        calls.id AS row, calls.call_id, calls.status, calls.kind, calls.valid, calls.latency, calls.ttft,
        calls.thinking, calls.cost, calls.input_tokens, calls.output_tokens, calls.reasoning_tokens, calls.n_attempts,
        calls.hedged, calls.fell_back, calls.answered_by,
        attempts.saturated, cells.tags, texts.answer AS text, calls.error {_FROM}
"""
_FIGURES = f"""
    SELECT place, coalesce(calls.id, 0), calls.status = 'ok', calls.status = 'failed', calls.kind = 'validation',
        calls.valid, calls.latency, calls.ttft, calls.cost, attempts.saturated,
        (SELECT avg(score) FROM scores WHERE scores.call_id = calls.call_id
            AND scorer IN (SELECT value FROM json_each(?))),
        cells.prompt_name, cells.prompt_version, cells.model, cluster
    {_FROM.replace("LEFT JOIN texts ON texts.id = calls.id", "")}
"""
_NUMBERS = 11
"""How many of these columns are numbers; the first ones."""


def cells(book: Ledger, name: str) -> pd.DataFrame:
    """A row a cell, in the grid's order: columns `prompt`, `version`, `model`, `case_id`, `cluster`, `repeat`,
    `status` (ok, failed, or unanswered), `kind`, `valid`, `score` (the mean of the scorers'), one column a scorer,
    `latency`, `ttft`, `thinking` (seconds), `cost` (US dollars), `input_tokens`, `output_tokens`, of these
    `reasoning_tokens`, `attempts`, `hedged`,
    `fell_back`, `saturated`, `call_id`, `tags`, `text`, `error`."""
    frame = book.frame(_CELLS, [name])
    frame = frame.sort_values(["place", "row"], kind="stable")
    frame = frame[~frame["place"].duplicated(keep="last")].drop(columns="row")
    frame = frame.rename(columns={"n_attempts": "attempts"})
    frame["status"] = frame["status"].fillna("unanswered")
    frame["tags"] = frame["tags"].map(json.loads)
    return _scored(book, name, frame).drop(columns="place").reset_index(drop=True)


def _scored(book: Ledger, name: str, frame: pd.DataFrame) -> pd.DataFrame:
    scores = book.frame(
        "SELECT scores.call_id, scorer, score FROM scores JOIN calls ON calls.call_id = scores.call_id"
        " WHERE calls.experiment = ?",
        [name],
    )
    failed = (frame["status"] == "failed").to_numpy()
    names = _scorers(book, name)
    for scorer in names:
        by_call = scores[scores["scorer"] == scorer].set_index("call_id")["score"]
        values = frame["call_id"].map(by_call).to_numpy(dtype=float, copy=True)
        values[failed] = 0.0
        frame[scorer] = values
    frame.insert(list(frame.columns).index("valid") + 1, "score", frame[names].mean(axis=1) if names else math.nan)
    return frame


def _scorers(book: Ledger, name: str) -> list[str]:
    return list((store.content(book, name) or {}).get("scorers") or {})


def summary(book: Ledger, name: str, level: float = 0.95) -> pd.DataFrame:
    """A row a prompt and model: columns `prompt`, `version`, `model`, `cells`, `done`; `success`, `valid` and `score`
    (shares), `latency_p50`, `_p95`, `_p99`, `ttft_p50`, `_p95`, `_p99` (seconds), each with `_low` and `_high`; `cost`,
    `cost_per_call`, `cost_per_good` (US dollars a success that is valid and scores at least 1; where there is no
    scorer, a valid one), `retries`, `hedges`, `fallbacks`, `repairs` (requests), `left_out`, `cached`, `unscored`.

    Scores have Wilson's interval, over the effective number of answers where cases go together in clusters or are asked
    several times (`stats.share`). `unscored` answers have no score, because a scorer failed.
    """
    import pandas as pd  # slow to import, and only readers need it

    figures = _figures(book, name)
    roles, scored = _roles(book, name), bool(_scorers(book, name))
    rows = []
    for (prompt, version, model), group in figures.items():
        extra = roles.get((prompt, version, model), {})
        rows.append({"prompt": prompt, "version": version, "model": model, **_row(group, level, scored), **extra})
    columns = list(rows[0]) if rows else ["prompt", "version", "model"]
    return pd.DataFrame(rows, columns=columns)


Figures = dict[str, np.ndarray]
"""Columns of one prompt and model: `cluster` (codes), `ok`, `ended`, `came` (an answer, valid or not), `valid` (1, 0,
or NaN where nothing was checked), `latency`, `ttft`, `cost`, `score`, `timed` (neither saturated nor out of the cache),
`saturated`, `cached`."""


def _figures(book: Ledger, name: str) -> dict[Any, Figures]:
    """The figures of each prompt and model, in the grid's order; without DataFrames, for there may be many."""
    scorers = _scorers(book, name)
    rows = book.rows(_FIGURES, [json.dumps(scorers), name])
    if not rows:
        return {}
    numbers = np.array([row[:_NUMBERS] for row in rows], dtype=float).T
    place, row, ok, failed, invalid, valid, latency, ttft, cost, saturated, score = numbers
    order = np.lexsort((row, place))
    order = order[np.append(np.diff(place[order]) != 0, True)]  # of a cell asked twice, the last answer
    whole = {
        "cluster": _codes([record[-1] for record in rows]),
        "ok": ok == 1,
        "ended": (ok == 1) | (failed == 1),
        "came": (ok == 1) | (invalid == 1),
        "valid": valid,
        "latency": latency,
        "ttft": ttft,
        "cost": cost,
        "score": np.where(failed == 1, 0.0, score) if scorers else score,
        "timed": (saturated == 0) & ~np.isnan(latency),
        "saturated": saturated == 1,
        "cached": np.isnan(saturated),
    }
    names = [record[_NUMBERS:-1] for record in rows]
    codes = _codes(names)[order]
    groups = {}
    for code in dict.fromkeys(codes.tolist()):
        mine = order[codes == code]
        groups[names[mine[0]]] = {key: values[mine] for key, values in whole.items()}
    return groups


def _codes(values: Any) -> np.ndarray:
    places: dict[Any, int] = {}
    return np.array([places.setdefault(value, len(places)) for value in values], dtype=np.int64)


def _roles(book: Ledger, name: str) -> dict[Any, dict[str, int]]:
    rows = book.query(
        "SELECT cells.prompt_name, cells.prompt_version, cells.model, role, count(*) AS n FROM calls"
        " JOIN cells ON cells.experiment = calls.experiment AND cells.cell = calls.cell AND cells.current = 1"
        " JOIN attempts ON attempts.call_id = calls.call_id AND attempts.role <> 'first'"
        " WHERE calls.experiment = ? AND calls.n_attempts > 1 GROUP BY 1, 2, 3, 4",
        [name],
    )
    names = {"retry": "retries", "hedge": "hedges", "fallback": "fallbacks", "repair": "repairs"}
    counts: dict[Any, dict[str, int]] = {}
    for row in rows:
        of = counts.setdefault((row["prompt_name"], row["prompt_version"], row["model"]), {})
        of[names[row["role"]]] = row["n"]
    return counts


def _row(group: Figures, level: float, scored: bool) -> dict[str, Any]:
    ended, ok = group["ended"], group["ok"]
    n, answered = int(ended.sum()), int(ok.sum())
    row: dict[str, Any] = {"cells": len(ok), "done": n}
    row |= _spread("success", stats.wilson(answered, n, level))
    checked = group["came"] & ~np.isnan(group["valid"])
    passed = int((group["valid"][checked] == 1).sum())
    valid = stats.wilson(passed, int(checked.sum()), level) if checked.any() else _NOTHING
    row |= _spread("valid", valid)
    row |= _spread("score", _score(group, level))
    timed = ok & group["timed"]
    for name in ("latency", "ttft"):
        values = group[name][timed]
        values = np.sort(values[~np.isnan(values)])
        for label, share in PERCENTILES:
            row |= _spread(f"{name}_{label}", stats.percentile(values, share, level))
    spent = float(group["cost"][ended].sum())
    score = group["score"]
    right = int((ok & (group["valid"] != 0) & ((score >= 1 - 1e-9) if scored else True)).sum())
    row |= {
        "cost": spent,
        "cost_per_call": spent / n if n else math.nan,
        "cost_per_good": spent / right if right else math.nan,
        **dict.fromkeys(("retries", "hedges", "fallbacks", "repairs"), 0),
        "left_out": int((ok & group["saturated"]).sum()),
        "cached": int((ok & group["cached"]).sum()),
        "unscored": int((ended & np.isnan(score)).sum()) if scored else 0,
    }
    return row


_NOTHING = stats.Interval(math.nan, math.nan, math.nan)


def _spread(name: str, interval: stats.Interval) -> dict[str, float]:
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _score(group: Figures, level: float) -> stats.Interval:
    known = group["ended"] & ~np.isnan(group["score"])
    if not known.any():
        return _NOTHING
    return stats.share(group["score"][known], group["cluster"][known], level)


def by_case(frame: pd.DataFrame) -> dict[str, tuple[float, Hashable]]:
    """The mean score of each case that was answered, and its cluster."""
    known = frame[(frame["status"] != "unanswered") & frame["score"].notna()]
    grouped = known.groupby("case_id", sort=False).agg(score=("score", "mean"), cluster=("cluster", "first"))
    return {case: (float(score), cluster) for case, score, cluster in grouped.itertuples()}
