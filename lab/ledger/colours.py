"""The colour of each model: given when it is first asked for, and kept, so that it is the same wherever it is drawn."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from lab import errors
from lab.ledger import queries
from lab.ledger.file import Ledger
from lab.show import palette


def of(book: Ledger, names: Iterable[str] = ()) -> dict[str, str]:
    """The colours (`#rrggbb`) of the models that were called, and of other `names`. A ledger that can't be written to
    keeps none: what is new has the places after the others then, as long as nothing else is new."""
    places = dict(book.rows("SELECT name, place FROM colours"))
    wanted = [str(name) for name in dict.fromkeys([*queries.models(book), *names])]
    fresh = [name for name in wanted if name not in places]
    if fresh:
        try:
            places = book.transact(lambda db: _given(db, fresh)).result()
        except errors.LedgerError:
            places |= {name: len(places) + number for number, name in enumerate(fresh)}
    return {name: palette.of(place) for name, place in places.items()}


def _given(db: sqlite3.Connection, names: list[str]) -> dict[str, int]:
    (free,) = db.execute("SELECT coalesce(max(place) + 1, 0) FROM colours").fetchone()
    known = {name for (name,) in db.execute("SELECT name FROM colours")}
    fresh = [name for name in names if name not in known]
    db.executemany(
        "INSERT INTO colours (name, place) VALUES (?, ?)", zip(fresh, range(free, free + len(fresh)), strict=True)
    )
    return dict(db.execute("SELECT name, place FROM colours"))
