"""An experiment on the ledger: its cells, which of them are answered, and who is running it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any

from lab.evals.plan import Cell
from lab.evals.sets import EvalSet
from lab.evals.spec import SECRET, Spec
from lab.ledger.file import Ledger, Statement
from lab.ledger.outcomes import ANSWERED
from lab.ledger.privacy import Clean


def put(
    book: Ledger,
    spec: Spec,
    cells: Sequence[Cell],
    versions: Mapping[tuple[str, str], int],
    clean: Clean | None = None,
) -> None:
    """The experiment and its cells; `versions` are the numbers of its prompts, by name and hash. Cells of an earlier
    plan under the same name stay, but are not current. `clean`: the cases themselves are kept, too, cleaned by it."""
    name, cases = spec.name, spec.cases
    assert name is not None
    content = {
        "models": spec.models,
        "prompts": [[prompt.name, versions[prompt.name, prompt.hash]] for prompt in spec.prompts],
        "repeats": spec.repeats,
        "seed": spec.seed,
        "concurrency": spec.concurrency,
        "batch": spec.batch,
        "params": {key: value for key, value in spec.params.items() if key not in SECRET},
        "scorers": {scorer.name: scorer.content() for scorer in spec.scorers},
    }

    def decide(db: sqlite3.Connection) -> None:
        db.execute(
            "INSERT INTO experiments (experiment, created_at, eval_set, eval_hash, held_out, content)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (experiment) DO UPDATE SET eval_set = excluded.eval_set,"
            " eval_hash = excluded.eval_hash, held_out = excluded.held_out, content = excluded.content",
            (name, time.time(), cases.name or None, cases.hash, cases.held_out, json.dumps(content, default=str)),
        )
        db.execute("UPDATE cells SET current = 0 WHERE experiment = ?", (name,))
        before = dict(db.execute("SELECT cell, expected FROM cells WHERE experiment = ?", (name,)))
        other = [(name, cell.id) for cell in cells if before.get(cell.id, _expected(cell)) != _expected(cell)]
        db.executemany(
            "DELETE FROM scores WHERE call_id IN (SELECT call_id FROM calls WHERE experiment = ? AND cell = ?)", other
        )
        db.executemany(
            "INSERT INTO cells (experiment, cell, place, prompt_name, prompt_version, model, case_id, cluster, tags,"
            " repeat, expected) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (experiment, cell) DO UPDATE SET"
            " current = 1, place = excluded.place, cluster = excluded.cluster, tags = excluded.tags,"
            " expected = excluded.expected",
            [_row(name, cell, versions) for cell in cells],
        )

    book.transact(decide, _cases(cases, clean)).result()


def _cases(cases: EvalSet, clean: Clean | None) -> list[Statement]:
    if clean is None:
        return []
    sql = "INSERT OR IGNORE INTO cases (eval_hash, case_id, content) VALUES (?, ?, ?)"
    return [
        (sql, (cases.hash, case.id, json.dumps(clean.deep(case.content()), ensure_ascii=False, default=str)))
        for case in cases
    ]


def _row(name: str, cell: Cell, versions: Mapping[tuple[str, str], int]) -> tuple[Any, ...]:
    prompt = cell.prompt.prompt
    case = cell.case
    where = (
        prompt.name,
        versions[prompt.name, prompt.hash],
        cell.model,
        case.id,
        case.cluster,
        json.dumps(case.tags),
        cell.repeat,
    )
    return (name, cell.id, cell.place, *where, _expected(cell))


def _expected(cell: Cell) -> str:
    text = json.dumps(cell.case.expected, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def answered(book: Ledger, name: str, *, ok: bool = False) -> dict[str, str]:
    """The cells that are answered, well or badly (`ok`: well), each with the identifier of its call."""
    which = "calls.status = 'ok'" if ok else ANSWERED
    rows = book.query(
        f"SELECT cell, call_id FROM calls WHERE experiment = ? AND cell IS NOT NULL AND {which} ORDER BY id", [name]
    )
    return {row["cell"]: row["call_id"] for row in rows}


def unscored(book: Ledger, name: str, scorers: Sequence[str]) -> list[dict[str, Any]]:
    """Answers that one of these scorers has not seen: `call_id`, `case_id`, `text`, `scorer`. Where an answer's words
    were not kept there is nothing to be scored any more."""
    rows = []
    for scorer in scorers:
        rows += book.query(
            "SELECT calls.call_id, cells.case_id, texts.answer AS text, ? AS scorer FROM calls"
            " JOIN cells ON cells.experiment = calls.experiment AND cells.cell = calls.cell AND cells.current"
            " JOIN texts ON texts.id = calls.id LEFT JOIN scores ON scores.call_id = calls.call_id AND scorer = ?"
            " WHERE calls.experiment = ? AND +calls.status = 'ok' AND texts.answer IS NOT NULL"
            " AND scores.score IS NULL",
            [scorer, scorer, name],
        )
    return rows


def score(call_id: str, scorer: str, value: float | None, message: str | None) -> Statement:
    """One score, as a row."""
    sql = "INSERT OR REPLACE INTO scores (call_id, scorer, score, message) VALUES (?, ?, ?, ?)"
    return (sql, (call_id, scorer, value, message))


def forget_scores(book: Ledger, name: str, scorer: str) -> None:
    """A scorer of the same name has changed: its scores are made again."""
    book.submit(
        (
            "DELETE FROM scores WHERE scorer = ? AND call_id IN (SELECT call_id FROM calls WHERE experiment = ?)",
            (scorer, name),
        )
    )


def content(book: Ledger, name: str) -> dict[str, Any] | None:
    """What the experiment was planned with; None where there is none of this name."""
    rows = book.query("SELECT content, eval_set, eval_hash, held_out FROM experiments WHERE experiment = ?", [name])
    if not rows:
        return None
    more = {key: rows[0][key] for key in ("eval_set", "eval_hash", "held_out")}
    return {**json.loads(rows[0]["content"]), **more}


def looks(book: Ledger, cases: EvalSet, but: str) -> int:
    """How many other experiments have asked this very set."""
    (row,) = book.query(
        "SELECT count(*) AS n FROM experiments WHERE eval_hash = ? AND experiment <> ?", [cases.hash, but]
    )
    return int(row["n"])
