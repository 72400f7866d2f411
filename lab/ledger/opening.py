"""Making, upgrading and opening the file, and refusing what is no ledger."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lab import errors
from lab.lazy import settled
from lab.ledger import forks
from lab.ledger.migrations import APPLICATION_ID, NAME, STEPS

if TYPE_CHECKING:
    from sqlite_utils import Migrations

_NOTED = "_sqlite_migrations"
"""Where sqlite-utils keeps what was applied."""

WAL = 16 * 2**20
"""Bytes that the write-ahead log keeps once all of it is in the file: a long reader may have let it grow."""

BUSY = 30.0
"""Seconds a write waits for another process to finish its own."""


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection that waits its turn; `readonly` refuses to change anything."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY, check_same_thread=False)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {WAL}")
    if readonly:
        connection.execute("PRAGMA query_only = ON")
    return connection


@contextmanager
def connected(path: Path, *, readonly: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection for as long as the block lasts."""
    with forks.for_a_moment(), closing(connect(path, readonly=readonly)) as connection:
        yield connection


def prepare(path: Path) -> None:
    """Make or upgrade the ledger at `path`. Raises `LedgerError`, and changes nothing, where that can't be done."""
    with forks.for_a_moment():
        _prepare(path)


def _prepare(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(path)
        connection = sqlite3.connect(path, timeout=BUSY)
    except (OSError, sqlite3.Error) as failed:
        reason = getattr(failed, "strerror", None) or failed
        raise errors.LedgerError(f"no ledger can be opened at {path}: {reason}. Choose another: Lab(path)") from failed
    try:
        connection.isolation_level = None
        if _applied(connection, path) != {step.__name__ for step in STEPS}:
            _upgrade(connection, path)
        _use_wal(connection)
    except sqlite3.DatabaseError as failed:
        raise errors.LedgerError(
            f"{path} can't be used as a ledger: {failed}. It was left as it is; choose another: Lab(path)"
        ) from failed
    finally:
        connection.close()


def _create(path: Path) -> None:
    """A new file is its owner's alone, for what is said in it; the files that SQLite puts beside it take after it."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _applied(connection: sqlite3.Connection, path: Path) -> set[str]:
    """The migrations that the file has had. Raises `LedgerError` where it is no ledger, or one of a newer lab."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if application_id != APPLICATION_ID:
        if tables:
            raise errors.LedgerError(
                f"{path} is a SQLite file of something else, left as it is: choose another: Lab(path)"
            )
        return set()
    if _NOTED not in tables:
        return set()
    noted = connection.execute(f"SELECT name FROM {_NOTED} WHERE migration_set = ?", (NAME,))
    applied = {name for (name,) in noted}
    newer = applied - {step.__name__ for step in STEPS}
    if newer:
        raise errors.LedgerError(
            f"{path} was written by a newer lab ({', '.join(sorted(newer))}): upgrade, or choose another"
        )
    return applied


def migrations() -> Migrations:
    """The steps, as sqlite-utils applies them."""
    from sqlite_utils import Migrations  # slow to import: see `_upgrade`

    steps = Migrations(NAME)
    for step in STEPS:
        steps()(step)
    return steps


def _upgrade(connection: sqlite3.Connection, path: Path) -> None:
    settled("sqlite_utils")  # imports pandas: half a second that an up-to-date file is spared
    from sqlite_utils import Database

    connection.execute("BEGIN IMMEDIATE")  # several processes may open a new ledger at once
    try:
        _applied(connection, path)  # another one may have just done so
        migrations().apply(Database(connection))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


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
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
