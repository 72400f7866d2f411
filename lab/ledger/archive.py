"""What has grown old: out of the ledger, and into files that other tools read."""

from __future__ import annotations

import csv
import json
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lab import errors
from lab.ledger import queries
from lab.ledger.fields import ATTEMPTS, CALLS, FLAGS, shown, sql
from lab.ledger.file import Ledger
from lab.ledger.opening import connected
from lab.ledger.outcomes import ABANDONED
from lab.show.spreadsheet import safe_cell

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["parquet", "csv", "jsonl"]
FORMATS: tuple[Format, ...] = ("parquet", "csv", "jsonl")
_BATCH = 2000
_FLAGS = FLAGS | {"passed", "broken"}
_OF = {  # what can be exported: its columns, and where they come from
    "calls": (
        [*shown(CALLS), "prompt", "answer"],
        "FROM calls LEFT JOIN texts ON texts.id = calls.id{where} ORDER BY calls.id",
    ),
    "attempts": (
        shown(ATTEMPTS),
        "FROM calls JOIN attempts ON attempts.call_id = calls.call_id{where} ORDER BY calls.id, number",
    ),
    "checks": (
        "call_id attempt name passed score threshold step broken message".split(),
        "FROM calls JOIN checks ON checks.call_id = calls.call_id{where} ORDER BY calls.id, attempt, place",
    ),
    "scores": (
        "call_id scorer score message".split(),
        "FROM calls JOIN scores ON scores.call_id = calls.call_id{where} ORDER BY calls.id, scorer",
    ),
}
WHAT = tuple(_OF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was removed, or would be: `calls`, or only the words of them; `kept` calls of experiments stayed."""

    calls: int
    kept: int
    words_only: bool
    done: bool

    def __str__(self) -> str:
        what = f"the words of {self.calls:,} calls" if self.words_only else f"{self.calls:,} calls"
        kept = f"; {self.kept:,} of experiments stay" if self.kept else ""
        return f"{what} {'removed' if self.done else 'would be removed'}{kept}"


def prune(
    book: Ledger,
    before: float,
    *,
    words_only: bool = False,
    experiments: bool = False,
    dry_run: bool = False,
    vacuum: bool = False,
) -> Pruned:
    """Remove calls that began before `before` (Unix seconds), with their attempts, words, checks and scores; or, with
    `words_only`, what was asked and answered alone.

    Calls of experiments are the evidence of a decision: they stay unless `experiments`. What still runs stays, and
    what a killed process left running goes. Keys go with the replies that were stored under them. In small lots, so
    that those who write don't wait. `vacuum` gives the space back to the disk: it needs as much again, and
    nobody may be writing. What was asked on the Compare page before then goes as well, but for what is pinned; so do
    the cases of older experiments, with `experiments`.
    """
    mine = f"started_at < ? AND (status <> 'running' OR started_at < unixepoch() - {ABANDONED})"
    mine += "" if experiments else " AND experiment IS NULL"
    mine += f" AND {_WORDS}" if words_only else ""
    (matching,) = book.rows(f"SELECT count(*) FROM calls WHERE {mine}", [before])
    (old,) = book.rows("SELECT count(*) FROM calls WHERE started_at < ? AND experiment IS NOT NULL", [before])
    shared: dict[str, Any] = {"kept": 0 if experiments else old[0], "words_only": words_only}
    if dry_run:
        return Pruned(calls=matching[0], done=False, **shared)
    gone, last = 0, 0
    while True:
        after = last
        lot, last = book.transact(lambda db: _lot(db, mine, before, words_only, after)).result()  # noqa: B023
        gone += lot
        if lot < _BATCH:
            break
    book.submit((_OLD_ASKS, (before,)), *([(_OLD_CASES, (before,))] if experiments else []))
    if not words_only:
        book.submit(("DELETE FROM configs WHERE config NOT IN (SELECT config FROM calls WHERE config IS NOT NULL)", ()))
    if vacuum:
        _vacuum(book)
    return Pruned(calls=gone, done=True, **shared)


_OLD_ASKS = "DELETE FROM asks WHERE asked_at < ? AND NOT pinned"
_OLD_CASES = (
    "DELETE FROM cases WHERE eval_hash NOT IN (SELECT eval_hash FROM experiments WHERE created_at >= ? AND eval_hash"
    " IS NOT NULL)"
)
_WORDS = """EXISTS (SELECT 1 FROM texts WHERE texts.id = calls.id
    AND (kept OR answer IS NOT NULL OR tool_calls IS NOT NULL OR reasoning IS NOT NULL OR messages <> '[]'))"""


def _lot(db: sqlite3.Connection, mine: str, before: float, words_only: bool, after: int) -> tuple[int, int]:
    """Remove one lot of calls whose ids come after `after`; how many, and the last id."""
    rows = db.execute(
        f"SELECT id, call_id FROM calls WHERE {mine} AND id > ? ORDER BY id LIMIT {_BATCH}", (before, after)
    ).fetchall()
    ids, calls = [(row[0],) for row in rows], [(row[1],) for row in rows]
    last = ids[-1][0] if ids else after
    db.executemany("DELETE FROM keys WHERE call_id = ?", calls)  # a reply without its words is none
    db.executemany("DELETE FROM embeddings WHERE call_id = ?", calls)  # of which words may be guessed
    if words_only:
        db.executemany(
            "INSERT INTO texts_fts (texts_fts, rowid, prompt, answer) SELECT 'delete', id, prompt, answer FROM texts"
            " WHERE id = ? AND done",
            ids,
        )
        db.executemany(
            "INSERT INTO thoughts_fts (thoughts_fts, rowid, reasoning) SELECT 'delete', id, reasoning FROM texts"
            " WHERE id = ? AND done AND reasoning IS NOT NULL",
            ids,
        )
        db.executemany(
            "UPDATE texts SET messages = '[]', prompt = '', answer = NULL, tool_calls = NULL, left_out = NULL,"
            " reasoning = NULL, extra = NULL, kept = 0, done = 0 WHERE id = ?",
            ids,
        )
        db.executemany("UPDATE calls SET error = NULL WHERE id = ?", ids)
        for change in ("attempts SET body = NULL, error = NULL", "checks SET message = NULL, parts = NULL"):
            db.executemany(f"UPDATE {change} WHERE call_id = ?", calls)
        db.executemany("UPDATE scores SET message = NULL WHERE call_id = ?", calls)
        return len(rows), last
    for table in ("attempts", "checks", "scores", "notes"):
        db.executemany(f"DELETE FROM {table} WHERE call_id = ?", calls)
    if db.execute("SELECT 1 FROM ratings LIMIT 1").fetchone():
        db.executemany("DELETE FROM ratings WHERE call_a = ?1 OR call_b = ?1", calls)
    db.executemany("DELETE FROM texts WHERE id = ?", ids)
    db.executemany("DELETE FROM calls WHERE id = ?", ids)
    return len(rows), last


def _vacuum(book: Ledger) -> None:
    book.flush()
    try:
        with connected(book.path) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as failed:
        raise errors.LedgerError(f"{book.path}: the space was not given back: {failed}") from failed


def export(book: Ledger, what: str, path: str | Path, *, format: Format | None = None, **filters: Any) -> int:
    """Write `calls`, `attempts`, `checks` or `scores` to a file, oldest first; how many rows. The format goes by the
    file's ending unless it is said; `filters` as in `lab.calls`.

    Read and written in lots, so size does not matter. A CSV is safe to open in a spreadsheet: a text that it would take
    for a formula has a `'` before it. The file appears when it is whole. Raises `ValueError` and `OSError`.
    """
    path = Path(path)
    chosen = format or path.suffix.lstrip(".").lower()
    if chosen not in FORMATS:
        raise ValueError(f"{path.name}: an ending or a format of {', '.join(FORMATS)}")
    if what not in _OF:
        raise ValueError(f"{what!r}: one of {', '.join(WHAT)}")
    names, source = _OF[what]
    where, values = queries.filtered(**filters)
    columns = ", ".join(_expression(what, name) for name in names)
    sql = f"SELECT {columns} {source.format(where=where)}"
    book.flush()
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with connected(book.path, readonly=True) as connection:
            part.touch(exist_ok=False)
            rows = _lots(connection.execute(sql, values))
            write = {"parquet": _parquet, "csv": _csv, "jsonl": _jsonl}[chosen]
            count = write(part, names, rows, _types(connection, what))
            os.replace(part, path)
    except sqlite3.Error as failed:
        raise errors.LedgerError(f"{book.path} can't be read: {failed}") from failed
    finally:
        part.unlink(missing_ok=True)
    return count


def _expression(what: str, name: str) -> str:
    if what == "calls" and name in CALLS:
        return sql("calls", name)
    return f"texts.{name}" if what == "calls" else f"{what}.{name}"


def _lots(cursor: sqlite3.Cursor) -> Iterator[list[tuple[Any, ...]]]:
    while lot := cursor.fetchmany(_BATCH):
        yield lot


def _types(connection: sqlite3.Connection, what: str) -> dict[str, str]:
    return dict(connection.execute("SELECT name, type FROM pragma_table_info(?)", (what,)).fetchall())


def _parquet(path: Path, names: Sequence[str], lots: Iterator[list[tuple[Any, ...]]], types: dict[str, str]) -> int:
    import pyarrow as pa  # slow to import, and only this needs it
    import pyarrow.parquet as pq

    arrow = {"INTEGER": pa.int64(), "REAL": pa.float64()}
    kinds = [pa.bool_() if name in _FLAGS else arrow.get(types.get(name, "TEXT"), pa.string()) for name in names]
    special = {"elapsed": pa.float64(), "tags": pa.list_(pa.string())}
    kinds = [special.get(name, kind) for name, kind in zip(names, kinds, strict=True)]
    schema, count = pa.schema(list(zip(names, kinds, strict=True))), 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for lot in lots:
            lists = zip(zip(*lot, strict=True), kinds, strict=True)
            columns = [pa.array([_arrow(value, kind) for value in values], kind) for values, kind in lists]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            count += len(lot)
    return count


def _arrow(value: Any, kind: Any) -> Any:
    if value is None:
        return None
    return bool(value) if kind == "bool" else queries.tags(value) if str(kind).startswith("list") else value


def _csv(path: Path, names: Sequence[str], lots: Iterator[list[tuple[Any, ...]]], _types: dict[str, str]) -> int:
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for lot in lots:
            writer.writerows([safe_cell(cell) for cell in row] for row in lot)
            count += len(lot)
    return count


def _jsonl(path: Path, names: Sequence[str], lots: Iterator[list[tuple[Any, ...]]], _types: dict[str, str]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for lot in lots:
            for row in lot:
                pairs = zip(names, row, strict=True)
                record: dict[str, Any] = {
                    name: bool(value) if name in _FLAGS and value is not None else value for name, value in pairs
                }
                if "tags" in record:
                    record["tags"] = queries.tags(record["tags"])
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += len(lot)
    return count


def to_csv(frame: pd.DataFrame) -> bytes:
    """A DataFrame as CSV that is safe to open in a spreadsheet."""
    safe = frame.rename(columns=lambda name: safe_cell(str(name)))
    for place, kind in enumerate(safe.dtypes):
        if kind.kind not in "biufM":
            column = safe.iloc[:, place].map(safe_cell, na_action="ignore")
            safe.isetitem(place, column)  # type: ignore[arg-type]  # pandas takes a column here, its stubs don't
    return safe.to_csv(index=False, lineterminator="\r\n").encode("utf-8", "replace")
