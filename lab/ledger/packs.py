"""The columns that figures are made of, packed: 5,000 calls and their attempts in one row a column.

SQLite reads rows, and a million of them take seconds; figures want few columns of all of them. So what has settled is
kept a second time, column by column. It is derived: triggers forget a pack when a row in it changes or goes, and
whoever reads makes it again. All of it may be deleted at any time (`DELETE FROM packs`).
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lab.ledger.fields import ATTEMPTS, CALLS, Kind, packed
from lab.ledger.outcomes import ABANDONED

CHUNK = 5000
"""Calls in a pack."""
SETTLED = 60.0
"""Seconds after which a call that has ended is not expected to change."""

OF: dict[str, dict[str, Kind]] = {"calls": packed(CALLS), "attempts": packed(ATTEMPTS)}
"""The columns that are packed, and how."""


class Column(NamedTuple):
    """The values of one column: numbers, or for texts the places of `words` (-1 is NULL)."""

    values: np.ndarray
    words: list[str] | None = None


def select(connection: sqlite3.Connection, of: str, names: Sequence[str], first: int, last: int) -> dict[str, Column]:
    """Columns of the calls with `first` <= id <= `last`, or of their attempts, in the calls' order."""
    if of == "calls":
        expressions = ", ".join(names)
        sql = f"SELECT {expressions} FROM calls WHERE id BETWEEN ? AND ? ORDER BY id"
    else:
        expressions = ", ".join("calls.id" if name == "call" else f"attempts.{name}" for name in names)
        sql = (
            f"SELECT {expressions} FROM calls CROSS JOIN attempts ON attempts.call_id = calls.call_id"
            " WHERE calls.id BETWEEN ? AND ? ORDER BY calls.id, number"
        )
    rows = connection.execute(sql, (first, last)).fetchall()
    columns: Iterable[tuple[Any, ...]] = zip(*rows, strict=True) if rows else [()] * len(names)
    return {name: _column(OF[of][name], values) for name, values in zip(names, columns, strict=True)}


def _column(kind: str, values: Sequence[Any]) -> Column:
    if kind != "text":
        return Column(np.array(values, dtype=kind))
    places: dict[str | None, int] = {None: -1}
    codes = np.array([places.setdefault(word, len(places) - 1) for word in values], dtype="i4")
    return Column(codes, [word for word in places if word is not None])


def encode(column: Column) -> bytes:
    """A column as bytes: its type, the length of its words, the words as JSON, the values."""
    words = b"" if column.words is None else json.dumps(column.words, ensure_ascii=False).encode()
    small = column.words is not None and len(column.words) < 128
    kind = np.dtype("i1") if small else column.values.dtype.newbyteorder("<")
    return kind.str[1:].encode() + len(words).to_bytes(4, "little") + words + column.values.astype(kind).tobytes()


def decode(data: bytes) -> Column:
    """The column that `encode` wrote."""
    start = 6 + int.from_bytes(data[2:6], "little")
    values = np.frombuffer(data, dtype="<" + data[:2].decode(), offset=start)
    return Column(values, json.loads(data[6:start]) if start > 6 else None)


class Pack(NamedTuple):
    """One pack: the first and the last id of its calls, and when the earliest and the latest of them began (Unix
    seconds; None for a pack of nothing)."""

    pack: int
    first: int
    last: int
    earliest: float | None
    latest: float | None


def directory(connection: sqlite3.Connection) -> list[Pack]:
    """The packs there are, in order."""
    rows = connection.execute("SELECT pack, first, last, earliest, latest FROM packs ORDER BY first")
    return [Pack(*row) for row in rows]


def gaps(packs: Sequence[Pack], newest: int) -> list[tuple[int, int]]:
    """The ranges of ids that no pack covers, in order."""
    ranges, at = [], 1
    for pack in packs:
        if pack.first > at:
            ranges.append((at, pack.first - 1))
        at = pack.last + 1
    return [*ranges, (at, newest)] if newest >= at else ranges


def newest(connection: sqlite3.Connection) -> int:
    """The id of the newest call; 0 where there is none."""
    return int(connection.execute("SELECT coalesce(max(id), 0) FROM calls").fetchone()[0])


def pack(connection: sqlite3.Connection, most: int | None = None) -> int:
    """Pack what has settled, at most so many packs; returns how many were made. Within a transaction of its own."""
    count = 0
    while (most is None or count < most) and (span := _next(connection)):
        _put(connection, *span)
        count += 1
    return count


def due(connection: sqlite3.Connection) -> bool:
    """Whether a pack can be made."""
    return _next(connection) is not None


def _next(connection: sqlite3.Connection) -> tuple[int, int] | None:
    """The first and the last id of the next pack, if it is time for one."""
    packs = directory(connection)
    for first, last in gaps(packs, newest(connection)):
        between = bool(packs) and last < packs[-1].last  # one that was forgotten
        end = _settled(connection, first, last, between)
        if end is not None:
            return first, end
    return None


def _settled(connection: sqlite3.Connection, first: int, last: int, between: bool) -> int | None:
    """The last id of a pack that begins at `first`; None where it is too early for one."""
    now = time.time()
    rows = connection.execute(
        "SELECT id, status = 'running', started_at, ended_at FROM calls WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
        (first, last, CHUNK),
    ).fetchall()
    if len(rows) < CHUNK and not between:
        return None
    for _id, running, started_at, ended_at in rows:
        if now < (started_at + ABANDONED if running else (ended_at or started_at) + SETTLED):
            return None
    return last if len(rows) < CHUNK else rows[-1][0]


def _put(connection: sqlite3.Connection, first: int, last: int) -> None:
    cursor = connection.execute(
        "INSERT INTO packs (first, last, earliest, latest) SELECT ?1, ?2, min(started_at), max(started_at) FROM calls"
        " WHERE id BETWEEN ?1 AND ?2",
        (first, last),
    )
    connection.executemany(
        "INSERT INTO pack_columns (pack, name, data) VALUES (?, ?, ?)",
        [
            (cursor.lastrowid, f"{of}.{name}", encode(column))
            for of, names in OF.items()
            for name, column in select(connection, of, list(names), first, last).items()
        ],
    )
