"""An experiment as a grid: a row a case, a column a prompt and model, every answer beside what was expected."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.evals import results, store
from lab.ledger.file import Ledger

Column = tuple[str, int, str]
"""A prompt, its version, and a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one column said to one case. `score` is the mean over its `repeats`, None where there is none; the rest is
    of the first answer: `kind` why it failed, `error` in words, `seconds` (None where they are not the provider's),
    US dollars, tokens."""

    call_id: str | None
    text: str | None
    status: str
    kind: str | None = None
    error: str | None = None
    score: float | None = None
    seconds: float | None = None
    cost: float | None = None
    tokens: int | None = None
    repeats: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case: what was asked and what was expected (None where that is not known), and an answer a column."""

    case_id: str
    asked: str
    expected: Any = None
    tags: tuple[str, ...] = ()
    cluster: str = ""
    answers: tuple[Answer | None, ...] = ()
    place: int = 0
    given: Any = None
    """The case's input as its set has it, where that is known."""

    @property
    def spread(self) -> float:
        """How far the scores of its answers are apart."""
        scores = [answer.score for answer in self.answers if answer is not None and answer.score is not None]
        return max(scores) - min(scores) if scores else 0.0

    @property
    def different(self) -> int:
        """How many different answers there are, a failure being one."""
        return len({_said(answer) for answer in self.answers if answer is not None and answer.status != "unanswered"})

    @property
    def differs(self) -> bool:
        """Whether its answers are not worth the same or, where nothing is scored, do not say the same."""
        scored = any(answer is not None and answer.score is not None for answer in self.answers)
        return self.spread > 1e-9 if scored else self.different > 1


@dataclass(frozen=True, slots=True)
class Grid:
    """The rows of an experiment in the order of its cases, under its `columns`."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    scored: bool = False
    titles: tuple[str, ...] = ()
    """What each column is besides, where that needs to be said."""

    def ordered(self, by: str = "case", *, differing: bool = False, words: str = "") -> list[Row]:
        """The rows, `by` `case`, `disagreement` (the widest spread of scores first, then the most different answers) or
        `score` (the worst first); `differing` ones alone; those with these words in them."""
        rows = [row for row in self.rows if row.differs or not differing]
        if words.strip():
            rows = [row for row in rows if _has(row, words)]
        if by == "disagreement":
            return sorted(rows, key=lambda row: (-row.spread, -row.different, row.place))
        return sorted(rows, key=lambda row: (_worth(row), row.place)) if by == "score" else rows


def _said(answer: Answer) -> str:
    return " ".join((answer.text or "").split()).casefold() if answer.status == "ok" else f"\0{answer.kind}"


def _worth(row: Row) -> float:
    scores = [answer.score for answer in row.answers if answer is not None and answer.score is not None]
    return sum(scores) / len(scores) if scores else 2.0


def _has(row: Row, words: str) -> bool:
    texts = [answer.text or answer.error or "" for answer in row.answers if answer is not None]
    whole = "\n".join([row.case_id, row.asked, written(row.expected), *row.tags, *texts]).casefold()
    return all(word in whole for word in words.casefold().split())


def written(value: Any) -> str:
    """What was expected, as one reads it."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def of(book: Ledger, name: str) -> Grid:
    """The grid of an experiment. Raises `ValueError` where the ledger has none of this name."""
    from lab.evals.experiment import opened

    opened(book, name)
    frame = results.cells(book, name)
    records = frame.to_dict("records")
    columns = tuple(dict.fromkeys((row["prompt"], int(row["version"]), row["model"]) for row in records))
    places = {column: place for place, column in enumerate(columns)}
    cases = _cases(book, name)
    asked = _asked(book, name)
    by_case: dict[str, list[list[dict[Any, Any]]]] = {}
    for record in records:
        lists = by_case.setdefault(record["case_id"], [[] for _ in columns])
        lists[places[record["prompt"], int(record["version"]), record["model"]]].append(record)
    rows = []
    for place, (case_id, cells) in enumerate(by_case.items()):
        case = cases.get(case_id, {})
        first = next(record for several in cells for record in several)
        given = case.get("input")
        told = asked.get(case_id, "") if given is None else _input(given)
        answers = tuple(_answer(several) for several in cells)
        rows.append(
            Row(
                case_id=case_id,
                asked=told,
                expected=case.get("expected"),
                tags=tuple(first["tags"]),
                cluster=str(first["cluster"]),
                given=given,
                answers=answers,
                place=place,
            )
        )
    return Grid(name, columns, tuple(rows), bool(frame["score"].notna().any()))


def _input(given: Any) -> str:
    if isinstance(given, str):
        return given
    if isinstance(given, Mapping) and len(given) == 1:
        return written(next(iter(given.values())))
    return "\n".join(f"{name}: {written(value)}" for name, value in given.items()) if given else ""


def _answer(several: Sequence[Mapping[Any, Any]]) -> Answer | None:
    """What a column said to a case, repeats and all."""
    if not several:
        return None
    record = next((row for row in several if row["status"] != "unanswered"), several[0])
    scores = [row["score"] for row in several if row["score"] == row["score"] and row["score"] is not None]
    known = {name: _known(record[name]) for name in "call_id text kind error latency cost output_tokens".split()}
    return Answer(
        call_id=known["call_id"],
        text=known["text"],
        status=record["status"],
        kind=known["kind"],
        error=known["error"],
        score=sum(scores) / len(scores) if scores and record["status"] != "unanswered" else None,
        seconds=known["latency"],
        cost=known["cost"],
        tokens=None if known["output_tokens"] is None else int(known["output_tokens"]),
        repeats=len(several),
    )


def _known(value: Any) -> Any:
    return None if value is None or value != value else value


def _cases(book: Ledger, name: str) -> dict[str, dict[str, Any]]:
    """The cases as they were planned, by identifier; none where their words were not kept."""
    given = (store.content(book, name) or {}).get("eval_hash")
    rows = book.rows("SELECT case_id, content FROM cases WHERE eval_hash = ?", [given])
    return {case_id: json.loads(content) for case_id, content in rows}


def _asked(book: Ledger, name: str) -> dict[str, str]:
    """What was asked for each case, as one of its calls has it."""
    rows = book.rows(
        "SELECT cells.case_id, min(texts.prompt) FROM cells JOIN calls ON calls.cell = cells.cell"
        " AND +calls.experiment = cells.experiment JOIN texts ON texts.id = calls.id"
        " WHERE cells.experiment = ? AND cells.current = 1 GROUP BY cells.case_id",
        [name],
    )
    return {case_id: text or "" for case_id, text in rows}
