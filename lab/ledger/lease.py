"""Who may do what only one process at a time may do: answer under a key, run an experiment, send a batch.

A lease is a row with a token and its owner's process. It is renewed while the work goes on. It ends with its time, or
at once where its owner is known to be dead, so whoever finishes says so in a transaction that looks whether the token
is still there: one who was suspended and has lost it writes nothing.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from concurrent.futures import Future
from typing import Literal

from lab.ledger.file import Ledger
from lab.ledger.owner import Owner, me

SECONDS = 15.0
"""How long a lease holds that nobody renews, where it isn't known whether its owner lives."""

Space = Literal["key", "experiment", "cache", "batch"]
"""Names of different kinds don't meet."""

_PUT = """INSERT OR REPLACE INTO leases (space, name, token, host, boot, pid, began, expires_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_MINE = "space = ? AND name = ? AND token = ?"


class Lease:
    """The claim of this process on one name. `token` is drawn when it is made."""

    def __init__(self, book: Ledger, space: Space, name: str):
        self.space, self.name, self.token = space, name, secrets.token_hex(8)
        self._book = book
        self._renewed = 0.0

    def taken(self, db: sqlite3.Connection) -> float | None:
        """Within a transaction: take it. None where it is ours now, else the seconds until the other's runs out."""
        left = held_for(db, self.space, self.name)
        if left is not None:
            return left
        owner = me()
        process = (owner.host, owner.boot, owner.pid, owner.began)
        db.execute(_PUT, (self.space, self.name, self.token, *process, time.time() + SECONDS))
        return None

    def take(self) -> float | None:
        """`taken`, in a transaction of its own."""
        return self._book.transact(self.taken).result()

    def holds(self, db: sqlite3.Connection) -> bool:
        """Within a transaction: whether it is still ours."""
        return db.execute(f"SELECT 1 FROM leases WHERE {_MINE}", self._mine()).fetchone() is not None

    def renew(self) -> Future[bool]:
        """Say that the owner is alive; the future says whether the lease is still ours."""

        def decide(db: sqlite3.Connection) -> bool:
            until = (time.time() + SECONDS, *self._mine())
            return db.execute(f"UPDATE leases SET expires_at = ? WHERE {_MINE}", until).rowcount > 0

        self._renewed = time.monotonic()
        return self._book.transact(decide)

    def holder(self, db: sqlite3.Connection) -> str:
        """Within a transaction: the token under which somebody holds it; empty where nobody does."""
        row = db.execute("SELECT token FROM leases WHERE space = ? AND name = ?", (self.space, self.name)).fetchone()
        return "" if row is None else str(row[0])

    def due(self) -> bool:
        """Whether it is time to renew it."""
        return time.monotonic() >= self._renewed + SECONDS / 10

    def dropped(self, db: sqlite3.Connection) -> None:
        """Within a transaction: let go of it."""
        db.execute(f"DELETE FROM leases WHERE {_MINE}", self._mine())

    def drop(self) -> Future[None]:
        """`dropped`, in a transaction of its own."""
        return self._book.submit((f"DELETE FROM leases WHERE {_MINE}", self._mine()))

    def _mine(self) -> tuple[str, str, str]:
        return (self.space, self.name, self.token)


def void(book: Ledger, owner: Owner) -> None:
    """End what this process holds: whoever calls knows that it is dead, though this can't be told from here."""
    process = (owner.host, owner.boot, owner.pid, owner.began)
    book.submit(("DELETE FROM leases WHERE host = ? AND boot = ? AND pid = ? AND began = ?", process)).result()


def held_for(db: sqlite3.Connection, space: Space, name: str) -> float | None:
    """Seconds for which somebody's lease still holds; None where there is none, or its owner is dead."""
    row = db.execute(
        "SELECT expires_at, host, boot, pid, began FROM leases WHERE space = ? AND name = ?", (space, name)
    ).fetchone()
    if row is None:
        return None
    expires_at, *process = row
    left = expires_at - time.time()
    return None if left <= 0 or Owner(*process).is_dead() else left
