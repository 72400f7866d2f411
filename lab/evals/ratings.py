"""Which of two answers is better, as a person says who does not know whose they are."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
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


def waiting(book: Ledger, experiment: str, *, seed: int = 0) -> tuple[Pair | None, int, int]:
    """The next pair of an experiment that nobody has rated, how many there are, and how many are rated. A pair is two
    prompts or models that answered the same case; which comes first, of the pairs and in a pair, is drawn by the
    seed."""
    rows = book.rows(
        "SELECT cells.case_id, cells.repeat, cells.prompt_name, cells.prompt_version, cells.model, max(calls.call_id)"
        " FROM cells JOIN calls ON +calls.experiment = cells.experiment AND calls.cell = cells.cell"
        " AND +calls.status = 'ok' JOIN texts ON texts.id = calls.id AND texts.answer IS NOT NULL"
        " WHERE cells.experiment = ? AND cells.current GROUP BY cells.cell ORDER BY cells.place",
        [experiment],
    )
    by_case: dict[tuple[str, int], list[str]] = {}
    for case, repeat, *_who, call in rows:
        by_case.setdefault((case, repeat), []).append(call)
    pairs = [
        (first, second) for calls in by_case.values() for at, first in enumerate(calls) for second in calls[at + 1 :]
    ]
    rated = {frozenset(row) for row in book.rows("SELECT call_a, call_b FROM ratings")}
    left = [pair for pair in pairs if frozenset(pair) not in rated]
    if not left:
        return None, len(pairs), len(pairs)
    lot = random.Random(f"{seed} {len(pairs) - len(left)} {experiment}")
    chosen = list(lot.choice(left))
    lot.shuffle(chosen)
    return _pair(book, *chosen), len(pairs), len(pairs) - len(left)


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
    `neither`, `share` of the decided ones that the one won, with Wilson's interval `low` and `high`, and
    `first_won`, the share of the decided ones in which the answer shown first won: far from a half, order decides."""
    import pandas as pd  # slow to import, and only readers need it

    where, values = ("WHERE a.experiment = ? AND b.experiment = ?", [experiment] * 2) if experiment else ("", [])
    rows = book.query(
        "SELECT ratings.choice, ratings.shown_first, a.prompt_name AS prompt_a, a.prompt_version AS version_a,"
        " a.model AS model_a, b.prompt_name AS prompt_b, b.prompt_version AS version_b, b.model AS model_b FROM ratings"
        f" JOIN calls a ON a.call_id = ratings.call_a JOIN calls b ON b.call_id = ratings.call_b {where}",
        values,
    )
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        left, right = (_who(row, side) for side in "ab")
        choice, swapped = row["choice"], left > right
        if swapped:
            left, right, choice = right, left, {"a": "b", "b": "a"}.get(choice, choice)
        kept = counts.setdefault((left, right), dict.fromkeys(("a", "b", "both", "neither", "first"), 0))
        kept[choice] += 1
        kept["first"] += row["choice"] == row["shown_first"]
    records = []
    for (left, right), kept in sorted(counts.items()):
        decided = kept["a"] + kept["b"]
        share = stats.wilson(kept["a"], decided)
        records.append(
            {
                **{"one": left, "other": right, "n": decided + kept["both"] + kept["neither"]},
                **{"one_won": kept["a"], "other_won": kept["b"], "both": kept["both"], "neither": kept["neither"]},
                **{"share": share.estimate, "low": share.low, "high": share.high},
                "first_won": kept["first"] / decided if decided else float("nan"),
            }
        )
    columns = "one other n one_won other_won both neither share low high first_won".split()
    return pd.DataFrame(records, columns=columns)


def _who(row: dict[str, Any], side: str) -> str:
    name, version = row[f"prompt_{side}"], row[f"version_{side}"]
    return row[f"model_{side}"] if name is None else f"{name} v{version} · {row[f'model_{side}']}"
