"""Which of two answers is better, as a person says who does not know whose they are."""

from __future__ import annotations

import random
import sqlite3
import time
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, get_args

from lab import errors, stats
from lab.ledger.file import Ledger

if TYPE_CHECKING:
    import pandas as pd

Choice = Literal["a", "b", "both", "neither"]
CHOICES: tuple[Choice, ...] = get_args(Choice)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to the same question, in the order they are to be shown: their calls, what was asked, what each
    said."""

    first: str
    second: str
    question: str
    answers: tuple[str, str]


def put(
    book: Ledger, a: str, b: str, choice: Choice, *, shown_first: Literal["a", "b"] = "a", user: str | None = None
) -> None:
    """Keep a rating of the calls `a` and `b`. Raises `ValueError` for a choice that is none, or calls that are not
    there."""
    if choice not in CHOICES:
        raise ValueError(f"choice={choice!r}: one of {', '.join(CHOICES)}")
    if a == b or len(book.rows("SELECT 1 FROM calls WHERE call_id IN (?, ?)", [a, b])) != 2:
        raise ValueError(f"{a!r} and {b!r}: two calls of this ledger")
    sql = "INSERT INTO ratings (given_at, call_a, call_b, shown_first, choice, user) VALUES (?, ?, ?, ?, ?, ?)"
    try:
        book.submit((sql, (time.time(), a, b, shown_first, choice, user))).result()
    except errors.LedgerError as failed:
        raise errors.LedgerError(f"the rating was not kept: {failed}") from failed


def experiments(book: Ledger) -> list[str]:
    """Those that two prompts or models have answered, newest first."""
    rows = book.rows(
        "SELECT experiment FROM experiments WHERE (SELECT count(*) FROM (SELECT DISTINCT prompt_name, prompt_version,"
        " model FROM cells WHERE cells.experiment = experiments.experiment AND current LIMIT 2)) = 2"
        " AND EXISTS (SELECT 1 FROM calls WHERE calls.experiment = experiments.experiment) ORDER BY created_at DESC"
    )
    return [row[0] for row in rows]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How a rater stands: the next `pair` (None where none is left), how many pairs there are and how many this rater
    has `rated`; `alike` are those of two answers that say the same, which nobody is asked about."""

    pair: Pair | None
    pairs: int
    rated: int
    alike: int


def waiting(book: Ledger, experiment: str, *, seed: int = 0, user: str | None = None) -> Waiting:
    """The next pair of an experiment that this rater has not rated. A pair is two prompts or models that answered the
    same case in different words; which comes first, of the pairs and in a pair, is drawn by the seed."""
    rows = book.rows(
        "SELECT cells.case_id, cells.repeat, max(calls.call_id), texts.answer FROM cells"
        " JOIN calls ON +calls.experiment = cells.experiment AND calls.cell = cells.cell"
        " AND +calls.status = 'ok' JOIN texts ON texts.id = calls.id AND texts.answer IS NOT NULL"
        " WHERE cells.experiment = ? AND cells.current GROUP BY cells.cell ORDER BY cells.place",
        [experiment],
    )
    by_case: dict[tuple[str, int], list[tuple[str, str]]] = {}
    for case, repeat, call, answer in rows:
        by_case.setdefault((case, repeat), []).append((call, " ".join(answer.split())))
    every = [
        (first, second) for calls in by_case.values() for at, first in enumerate(calls) for second in calls[at + 1 :]
    ]
    pairs = [(first[0], second[0]) for first, second in every if first[1] != second[1]]
    rated = {frozenset(row) for row in book.rows("SELECT call_a, call_b FROM ratings WHERE user IS ?", [user])}
    left = [pair for pair in pairs if frozenset(pair) not in rated]
    done, alike = len(pairs) - len(left), len(every) - len(pairs)
    if not left:
        return Waiting(None, len(pairs), done, alike)
    lot = random.Random(f"{seed} {done} {experiment}")
    chosen = list(lot.choice(left))
    lot.shuffle(chosen)
    return Waiting(_pair(book, *chosen), len(pairs), done, alike)


def undo(book: Ledger, experiment: str, user: str | None = None) -> bool:
    """Take back this rater's last rating of an experiment's answers; whether there was one."""

    def decide(db: sqlite3.Connection) -> bool:
        row = db.execute(
            "SELECT max(ratings.id) FROM ratings JOIN calls ON calls.call_id = call_a WHERE ratings.user IS ?"
            " AND calls.experiment = ?",
            (user, experiment),
        ).fetchone()
        db.execute("DELETE FROM ratings WHERE id = ?", (row[0],))
        return row[0] is not None

    return book.transact(decide).result()


def agreement(book: Ledger, experiment: str) -> tuple[stats.Interval, int]:
    """How often two raters of the same pair said the same, with Wilson's interval, and over how many such pairs of
    raters."""
    rows = book.rows(
        "SELECT call_a, call_b, choice, coalesce(ratings.user, '') FROM ratings JOIN calls ON calls.call_id = call_a"
        " WHERE calls.experiment = ? ORDER BY ratings.id",
        [experiment],
    )
    votes: dict[tuple[str, str], dict[str, str]] = {}
    for a, b, choice, user in rows:  # of somebody who rated a pair twice the last word counts
        flipped = {"a": "b", "b": "a"}.get(choice, choice)
        votes.setdefault((min(a, b), max(a, b)), {})[user] = choice if a < b else flipped
    alike = [left == right for raters in votes.values() for left, right in combinations(raters.values(), 2)]
    return stats.wilson(sum(alike), len(alike)), len(alike)


def judged(book: Ledger, experiment: str) -> pd.DataFrame:
    """What the ratings say of each scorer, a judge among them: columns `scorer`, `pairs` (decided by most
    of their raters, and scored differently), `agree` (of these the scorer's better one was theirs), `share` with `low`
    and `high` (Wilson, 95 %)."""
    import pandas as pd  # slow to import, and only readers need it

    rows = book.rows(
        "SELECT first.scorer, call_a, call_b, first.score > second.score, ratings.choice, coalesce(ratings.user, '')"
        " FROM ratings JOIN calls ON calls.call_id = call_a JOIN scores first ON first.call_id = call_a JOIN scores"
        " second ON second.call_id = call_b AND second.scorer = first.scorer WHERE calls.experiment = ? AND"
        " first.score <> second.score ORDER BY ratings.id",
        [experiment],
    )
    said: dict[str, dict[frozenset[str], dict[str, bool | None]]] = {}
    for scorer, a, b, higher, choice, user in rows:
        same = None if choice not in ("a", "b") else bool(higher) == (choice == "a")
        said.setdefault(scorer, {}).setdefault(frozenset((a, b)), {})[user] = same
    records = []
    for scorer, by_pair in sorted(said.items()):
        votes = [[same for same in raters.values() if same is not None] for raters in by_pair.values()]
        majorities = [sum(vote) * 2 - len(vote) for vote in votes if vote]
        agree, pairs = sum(lead > 0 for lead in majorities), sum(lead != 0 for lead in majorities)
        share = stats.wilson(agree, pairs)
        interval = {"share": share.estimate, "low": share.low, "high": share.high}
        records.append({"scorer": scorer, "pairs": pairs, "agree": agree, **interval})
    columns = "scorer pairs agree share low high".split()
    return pd.DataFrame([record for record in records if record["pairs"]], columns=columns)


def _pair(book: Ledger, first: str, second: str) -> Pair:
    by_id = {
        row["call_id"]: row
        for row in book.query(
            "SELECT call_id, prompt, answer FROM calls JOIN texts ON texts.id = calls.id WHERE call_id IN (?, ?)",
            [first, second],
        )
    }
    return Pair(first, second, by_id[first]["prompt"], (by_id[first]["answer"] or "", by_id[second]["answer"] or ""))


def tally(book: Ledger, experiment: str | None = None) -> pd.DataFrame:
    """Who won, a row a pair of prompts and models: columns `one`, `other`, `n` ratings, `one_won`, `other_won`, `both`,
    `neither`, `share` of the decided ones that the one won, with its interval `low` and `high` (95 %; several raters of
    a pair go together, and of a rater the last word on a pair counts), and
    `first_won`, the share of the decided ones in which the answer shown first won: far from a half, order decides."""
    import pandas as pd  # slow to import, and only readers need it

    where, values = ("WHERE a.experiment = ? AND b.experiment = ?", [experiment] * 2) if experiment else ("", [])
    rows = book.query(
        "SELECT ratings.choice, ratings.shown_first, call_a, call_b, coalesce(ratings.user, '') AS user,"
        " a.prompt_name AS prompt_a, a.prompt_version AS version_a,"
        " a.model AS model_a, b.prompt_name AS prompt_b, b.prompt_version AS version_b, b.model AS model_b FROM ratings"
        f" JOIN calls a ON a.call_id = ratings.call_a JOIN calls b ON b.call_id = ratings.call_b {where}"
        " ORDER BY ratings.id",
        values,
    )
    last = {(frozenset((row["call_a"], row["call_b"])), row["user"]): row for row in rows}  # of a rater, of a pair
    decided: dict[tuple[str, str], list[tuple[float, frozenset[str]]]] = {}
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for (pair, _user), row in last.items():
        left, right = (_who(row, side) for side in "ab")
        choice, swapped = row["choice"], left > right
        if swapped:
            left, right, choice = right, left, {"a": "b", "b": "a"}.get(choice, choice)
        kept = counts.setdefault((left, right), dict.fromkeys(("a", "b", "both", "neither", "first"), 0))
        kept[choice] += 1
        kept["first"] += row["choice"] == row["shown_first"]
        if choice in ("a", "b"):
            decided.setdefault((left, right), []).append((float(choice == "a"), pair))
    records = []
    for (left, right), kept in sorted(counts.items()):
        wins = decided.get((left, right), [])
        share = stats.share([won for won, _pair in wins], [pair for _won, pair in wins])
        records.append(
            {
                **{"one": left, "other": right, "n": len(wins) + kept["both"] + kept["neither"]},
                **{"one_won": kept["a"], "other_won": kept["b"], "both": kept["both"], "neither": kept["neither"]},
                **{"share": share.estimate, "low": share.low, "high": share.high},
                "first_won": kept["first"] / len(wins) if wins else float("nan"),
            }
        )
    columns = "one other n one_won other_won both neither share low high first_won".split()
    return pd.DataFrame(records, columns=columns)


def _who(row: dict[str, Any], side: str) -> str:
    name, version = row[f"prompt_{side}"], row[f"version_{side}"]
    return row[f"model_{side}"] if name is None else f"{name} v{version} · {row[f'model_{side}']}"
