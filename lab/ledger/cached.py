"""Answers that are kept to be given again without a key, and what is known of how often that goes wrong.

All functions of a `db` run within one transaction.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.ledger import queries
from lab.ledger.file import Ledger

_EXPIRED_AT_ONCE = 20
FORGOTTEN = 60.0
"""Seconds after which the lease of a process that was killed while it asked is taken away."""
IN_ORDER = 1.0
"""From this closeness on the words come in the same order: the cosine has 1 added to it then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """By what an entry is found from other words: `rest` is all that must be equal, `words` and `order` what the rule
    on what differs compares, `vector` the embedding (16-bit floats of length 1) by `embedder`."""

    rest: str
    words: str
    order: str
    embedder: str
    vector: bytes


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may be kept: `seconds` an answer (None is for ever), `entries` and `bytes` of all."""

    seconds: float | None
    entries: int
    bytes: float


def found(db: sqlite3.Connection, request: str, since: float) -> str | None:
    """The call whose answer is kept for `request` since then (Unix time)."""
    row: tuple[str] | None = db.execute(
        "SELECT call_id FROM cache_entries WHERE request = ? AND kept_at >= ? AND coalesce(expires_at, ?) >= ?",
        (request, since, now := time.time(), now),
    ).fetchone()
    return None if row is None else row[0]


def put(
    db: sqlite3.Connection,
    request: str,
    call_id: str,
    size: int,
    likeness: Likeness | None,
    bounds: Bounds,
) -> None:
    """Keep the answer of a call for this request, in the place of an older one; the oldest of all make room."""
    now = time.time()
    near: tuple[Any, ...] = (None, None, None, None, None)
    if likeness is not None:
        near = (likeness.rest, likeness.words, likeness.order, likeness.embedder, likeness.vector)
        size += len(likeness.vector)
    if size > bounds.bytes:
        return
    db.execute("DELETE FROM cache_entries WHERE request = ?", (request,))
    db.execute(
        "DELETE FROM cache_entries WHERE id IN (SELECT id FROM cache_entries WHERE expires_at < ? LIMIT ?)",
        (now, _EXPIRED_AT_ONCE),
    )
    db.execute("DELETE FROM leases WHERE space = 'cache' AND expires_at < ?", (now - FORGOTTEN,))
    db.execute(
        "INSERT INTO cache_entries (request, call_id, kept_at, expires_at, size, rest, words, word_order, embedder,"
        " vector) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (request, call_id, now, None if bounds.seconds is None else now + bounds.seconds, size, *near),
    )
    while True:
        many, held = db.execute("SELECT entries, bytes FROM cache_size").fetchone()
        if many <= bounds.entries and held <= bounds.bytes:
            return
        excess = max(1, many - bounds.entries, many // 100 if held > bounds.bytes else 0)
        db.execute(
            "DELETE FROM cache_entries WHERE id IN (SELECT id FROM cache_entries ORDER BY id LIMIT ?)", (excess,)
        )


def alike(
    db: sqlite3.Connection, rest: str, words: str, embedder: str, since: float, most: int = 32
) -> list[tuple[str, str, bytes]]:
    """The newest entries that pass the rule: the call, the signature of the words' order, the vector."""
    return db.execute(
        "SELECT call_id, word_order, vector FROM cache_entries WHERE rest = ? AND words = ? AND embedder = ?"
        " AND kept_at >= ? AND coalesce(expires_at, ?) >= ? ORDER BY id DESC LIMIT ?",
        (rest, words, embedder, since, now := time.time(), now, most),
    ).fetchall()


def forget(book: Ledger, before: float | None = None, *, dry_run: bool = False, **filters: Any) -> int:
    """Remove what is kept of the calls that match (filters as in `calls`), before then (Unix time); how many."""
    where, values = queries.filtered(**filters)
    terms = [f"call_id IN (SELECT calls.call_id FROM calls{where})"] if where else []
    terms += [] if before is None else ["kept_at < ?"]
    values = [*values, *([] if before is None else [before])]
    clause = f" WHERE {' AND '.join(terms)}" if terms else ""
    if dry_run:
        ((many,),) = book.rows(f"SELECT count(*) FROM cache_entries{clause}", values)
        return int(many)
    return book.transact(lambda db: db.execute(f"DELETE FROM cache_entries{clause}", values).rowcount).result()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """What near hits are certified together: the requests of one prompt version (or those without a prompt), whichever
    model answers, by one embedder and one rule, for one share that may be wrong."""

    name: str
    embedder: str
    rule: int
    share: float

    def columns(self) -> Mapping[str, Any]:
        """As the ledger has it."""
        return {"lane": self.name, "embedder": self.embedder, "rule": self.rule, "share": self.share}


_OF_LABELS = "lane = :lane AND embedder = :embedder AND rule = :rule"
_OF_LANE = f"{_OF_LABELS} AND share = :share"


def certificate(db: sqlite3.Connection, lane: Lane) -> dict[str, Any] | None:
    """The certificate that holds now, as its row; None where nothing may be served."""
    return _row(
        db,
        f"SELECT * FROM cache_certificates WHERE {_OF_LANE} AND closeness IS NOT NULL AND stopped_at IS NULL"
        f" AND id > ({_BROKEN}) ORDER BY closeness, id LIMIT 1",
        lane.columns(),
    )


def last_look(db: sqlite3.Connection, lane: Lane) -> dict[str, Any] | None:
    """The last look since a certificate was broken, or ever."""
    return _row(
        db,
        f"SELECT * FROM cache_certificates WHERE {_OF_LANE} AND id > ({_BROKEN}) ORDER BY id DESC LIMIT 1",
        lane.columns(),
    )


def broken(db: sqlite3.Connection, lane: Lane) -> dict[str, Any] | None:
    """The last certificate that was broken."""
    return _row(db, f"SELECT * FROM cache_certificates WHERE {_OF_LANE} AND id = ({_BROKEN})", lane.columns())


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a lane stands: how many `labels` there are, since a certificate was broken, or ever, how many of them of
    words in the same order (`best`) and how many `wrong`; how many there were at the last look (`looked_at`, 0 for none
    yet), and the rows of what `holds`, of the last look, and of what was broken last."""

    labels: int
    best: int
    wrong: int
    looked_at: int
    holds: Mapping[str, Any] | None
    last: Mapping[str, Any] | None
    broken: Mapping[str, Any] | None


def standing(book: Ledger, lane: Lane) -> Standing:
    """How a lane stands now."""

    def read(db: sqlite3.Connection) -> Standing:
        rows, after = looks(db, lane)
        known = labels(db, lane, after)
        return Standing(
            labels=len(known),
            best=sum(closeness >= IN_ORDER for closeness, _wrong in known),
            wrong=sum(wrong for _closeness, wrong in known),
            looked_at=rows[-1][0] if rows else 0,
            holds=certificate(db, lane),
            last=last_look(db, lane),
            broken=broken(db, lane),
        )

    return book.transact(read).result()


def lanes(book: Ledger) -> list[Lane]:
    """All that near hits were compared or certified in, by name."""
    rows = book.rows(
        "SELECT DISTINCT lane, embedder, rule, share FROM cache_labels UNION"
        " SELECT lane, embedder, rule, share FROM cache_certificates ORDER BY 1, 2, 3, 4"
    )
    return [Lane(name=name, embedder=embedder, rule=rule, share=share) for name, embedder, rule, share in rows]


_BROKEN = f"SELECT coalesce(max(id), 0) FROM cache_certificates WHERE {_OF_LANE} AND stopped_at IS NOT NULL"


def looks(db: sqlite3.Connection, lane: Lane) -> tuple[list[tuple[int, float]], int]:
    """The looks since the last certificate was broken, or ever: how many labels there were and what each has spent;
    and the last label that doesn't count any more."""
    columns = lane.columns()
    (after,) = db.execute(
        f"SELECT coalesce(max(last_label), 0) FROM cache_certificates WHERE {_OF_LANE}", columns
    ).fetchone()
    rows = db.execute(
        f"SELECT labels, spent FROM cache_certificates WHERE {_OF_LANE} AND id > ({_BROKEN}) ORDER BY id", columns
    ).fetchall()
    return rows, after


def count(db: sqlite3.Connection, lane: Lane, after: int) -> tuple[int, int]:
    """How many answers were compared, after that label; and how many of them to words in the same order."""
    many, best = db.execute(
        "SELECT count(*), coalesce(sum(closeness >= :order), 0) FROM cache_labels"
        f" WHERE {_OF_LABELS} AND wrong IS NOT NULL AND id > :after",
        {**lane.columns(), "after": after, "order": IN_ORDER},
    ).fetchone()
    return int(many), int(best)


def labels(db: sqlite3.Connection, lane: Lane, after: int) -> list[tuple[float, int]]:
    """Their closeness, and whether each was wrong."""
    return db.execute(
        f"SELECT closeness, wrong FROM cache_labels WHERE {_OF_LABELS} AND wrong IS NOT NULL AND id > :after",
        {**lane.columns(), "after": after},
    ).fetchall()


def put_label(
    db: sqlite3.Connection,
    lane: Lane,
    closeness: float,
    wrong: bool | None,
    how: str,
    call_id: str | None = None,
    kept_from: str | None = None,
    pair: str | None = None,
) -> bool:
    """Keep what the comparison of two answers has shown. False where this `pair` (a hash of what was given) has been
    given before: it counts once."""
    columns = {**lane.columns(), "pair": pair}
    if (
        pair is not None
        and db.execute(f"SELECT 1 FROM cache_labels WHERE {_OF_LABELS} AND pair = :pair", columns).fetchone()
    ):
        return False
    db.execute(
        "INSERT INTO cache_labels (at, lane, embedder, rule, share, closeness, wrong, how, call_id, kept_from, pair)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (time.time(), *lane.columns().values(), closeness, wrong, how, call_id, kept_from, pair),
    )
    return True


def answer(db: sqlite3.Connection, number: int, wrong: bool) -> tuple[Lane, float] | None:
    """A person has said whether the answers of comparison `number` are the same: its lane and closeness; None where
    somebody has said so before."""
    changed = db.execute("UPDATE cache_labels SET wrong = ? WHERE id = ? AND wrong IS NULL", (wrong, number)).rowcount
    if not changed:
        return None
    name, embedder, rule, share, closeness = db.execute(
        "SELECT lane, embedder, rule, share, closeness FROM cache_labels WHERE id = ?", (number,)
    ).fetchone()
    return Lane(name=name, embedder=embedder, rule=rule, share=share), closeness


def put_certificate(db: sqlite3.Connection, lane: Lane, values: Mapping[str, Any]) -> None:
    """Keep what a look has shown."""
    row = {"given_at": time.time(), **lane.columns(), **values}
    names = ", ".join(row)
    db.execute(f"INSERT INTO cache_certificates ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))


def watched(db: sqlite3.Connection, lane: Lane, number: int, evidence: float, wrong: bool, *, broken: bool) -> None:
    """What one more label means for certificate `number`. Where it is `broken`, nothing that was known of the lane
    until now holds any longer."""
    db.execute(
        "UPDATE cache_certificates SET evidence = ?, checked = checked + 1, checked_wrong = checked_wrong + ?"
        " WHERE id = ?",
        (evidence, wrong, number),
    )
    if broken:
        columns = {**lane.columns(), "number": number, "now": time.time()}
        db.execute(f"UPDATE cache_certificates SET stopped_at = :now WHERE {_OF_LANE} AND stopped_at IS NULL", columns)
        last = f"(SELECT max(id) FROM cache_labels WHERE {_OF_LABELS})"
        db.execute(f"UPDATE cache_certificates SET last_label = {last} WHERE id = :number", columns)


def stopped(book: Ledger, since: float, until: float) -> list[dict[str, Any]]:
    """The certificates that were broken between these times (Unix seconds), as rows."""
    return book.query(
        "SELECT * FROM cache_certificates WHERE stopped_at >= ? AND stopped_at < ? AND last_label IS NOT NULL"
        " ORDER BY stopped_at",
        [since, until],
    )


def last_compared(book: Ledger, certificate: Mapping[str, Any], most: int = 20) -> tuple[int, int]:
    """How many of the last comparisons that a broken certificate was held against were wrong, and of how many."""
    ((wrong, many),) = book.rows(
        "SELECT coalesce(sum(wrong), 0), count(*) FROM (SELECT wrong FROM cache_labels WHERE"
        f" {_OF_LABELS} AND wrong IS NOT NULL AND closeness >= :closeness AND id <= :last_label ORDER BY id DESC LIMIT"
        " min(:most, :checked))",
        {**certificate, "most": most},
    )
    return int(wrong), int(many)


def open_labels(book: Ledger, limit: int = 50) -> list[dict[str, Any]]:
    """Answers that a person is to compare, oldest first: the label's number, lane and closeness, and of both calls what
    was asked and answered."""
    return book.query(f"{_SIDES} WHERE wrong IS NULL ORDER BY cache_labels.id LIMIT ?", [limit])


def waiting(book: Ledger) -> int:
    """How many of those there are."""
    ((many,),) = book.rows(f"SELECT count(*) FROM ({_SIDES} WHERE wrong IS NULL)")
    return int(many)


def wrong_hits(book: Ledger, limit: int = 20, since: float | None = None) -> list[dict[str, Any]]:
    """The last would-be hits that would not have done, newest first: as `open_labels`."""
    return book.query(f"{_SIDES} WHERE wrong AND at >= ? ORDER BY cache_labels.id DESC LIMIT ?", [since or 0.0, limit])


_SIDES = """
    SELECT cache_labels.id AS number, at, cache_labels.lane, closeness, how, cache_labels.call_id, kept_from,
        fresh.prompt AS asked, fresh.answer AS answer, old.prompt AS kept_asked, old.answer AS kept_answer
    FROM cache_labels
    JOIN calls AS new_call ON new_call.call_id = cache_labels.call_id JOIN texts AS fresh ON fresh.id = new_call.id
    JOIN calls AS old_call ON old_call.call_id = kept_from JOIN texts AS old ON old.id = old_call.id
"""


def _row(db: sqlite3.Connection, sql: str, values: Mapping[str, Any]) -> dict[str, Any] | None:
    cursor = db.execute(sql, values)
    row: Sequence[Any] | None = cursor.fetchone()
    return None if row is None else dict(zip([column[0] for column in cursor.description], row, strict=True))
