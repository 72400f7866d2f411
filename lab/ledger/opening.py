"""Making, upgrading and opening the file, and refusing what is no ledger."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from sqlite_utils import Database

from lab import errors
from lab.ledger.migrations import APPLICATION_ID, migrations

BUSY = 30.0
"""Seconds a write waits for another process to finish its own."""


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection that waits its turn; `readonly` refuses to change anything."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY, check_same_thread=False)
    connection.execute("PRAGMA synchronous = NORMAL")
    if readonly:
        connection.execute("PRAGMA query_only = ON")
    return connection


def prepare(path: Path) -> None:
    """Make or upgrade the ledger at `path`. Raises `LedgerError`, and changes nothing, where that can't be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=BUSY)
    except (OSError, sqlite3.Error) as failed:
        reason = getattr(failed, "strerror", None) or failed
        raise errors.LedgerError(f"no ledger can be opened at {path}: {reason}. Choose another: Lab(path)") from failed
    db = Database(connection)
    try:
        connection.isolation_level = None
        connection.execute("BEGIN IMMEDIATE")  # several processes may open a new ledger at once
        _check_ours(db, path)
        migrations.apply(db)
        connection.execute("COMMIT")
        _use_wal(connection)
    except sqlite3.DatabaseError as failed:
        raise errors.LedgerError(
            f"{path} can't be used as a ledger: {failed}. It was left as it is; choose another: Lab(path)"
        ) from failed
    finally:
        db.close()


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging, once; SQLite's own waiting does not cover this statement."""
    until = time.monotonic() + BUSY
    while True:
        try:
            if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal":
                return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
        time.sleep(0.01)


def identity(path: Path) -> tuple[int, int] | None:
    """Which file the path names: device and inode; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _check_ours(db: Database, path: Path) -> None:
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    if application_id == APPLICATION_ID:
        known = {one.name for one in migrations.pending(db)} | {one.name for one in migrations.applied(db)}
        ours = {one.name for one in migrations._migrations}
        if known - ours:
            raise errors.LedgerError(
                f"{path} was written by a newer lab ({', '.join(sorted(known - ours))}): upgrade, or choose another"
            )
    elif db.table_names():
        raise errors.LedgerError(f"{path} is a SQLite file of something else, left as it is: choose another: Lab(path)")
