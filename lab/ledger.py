"""The SQLite file where every call and attempt is a row: one batched writer, and readers beside it.

A write is durable against the end of the process (WAL, `synchronous=NORMAL`) once its future is done.
Any number of processes may write to one ledger.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlite_utils import Database

from lab import errors, packs
from lab.migrations import APPLICATION_ID, migrations
from lab.rows import Statement

if TYPE_CHECKING:
    import pandas as pd

BUSY = 30.0
"""Seconds a write waits for another process to finish its own."""
_BATCH = 500
_PACK_EVERY = 1000
"""Calls that end between two looks at whether a pack of columns can be made of older ones."""
_LINGER = 0.02
"""Seconds that rows nobody waits for (the start of a call, of an attempt) may wait for company in one commit."""

FORKED = "this Lab was made in another process, before a fork: make a new one here"

T = TypeVar("T")


@dataclass(slots=True)
class _Job:
    """What one commit is to hold: statements, and a function of the connection where there is something to decide."""

    statements: Sequence[Statement]
    done: Future[Any]
    decide: Callable[[sqlite3.Connection], Any] | None = None
    waited_for: bool = False

    def run(self, connection: sqlite3.Connection) -> Any:
        for sql, values in self.statements:
            connection.execute(sql, [_storable(value) for value in values])
        return self.decide(connection) if self.decide else None


class Ledger:
    """One ledger file, open for writing. `path` is created where nothing is; what is there is never overwritten."""

    def __init__(self, path: str | Path):
        self.path = Path(path).expanduser().absolute()
        prepare(self.path)
        self._pid = os.getpid()
        self._todo: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._write, name="lab-ledger", daemon=True)
        self._thread.start()

    def finish(
        self,
        begin: Sequence[Statement],
        end: Sequence[Statement],
        *others: Statement,
        before: Sequence[Statement] = (),
    ) -> Future[None]:
        """Queue the end of a call, after what else of it is to be written `before`: where its first row could not be
        written (a full disk), that is done now."""

        def decide(connection: sqlite3.Connection) -> None:
            (update, values), *rest = end
            stored = [_storable(value) for value in values]
            if not connection.execute(update, stored).rowcount:
                _Job(begin, Future()).run(connection)
                connection.execute(update, stored)
            _Job((*rest, *others), Future()).run(connection)

        return self._put(_Job(before, Future(), decide, waited_for=True))

    def submit(self, *statements: Statement) -> Future[None]:
        """Queue statements for one commit; the future is done when they are on disk, or fails with a LedgerError."""
        return self._put(_Job(statements, Future(), waited_for=not statements))

    def transact(self, decide: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Queue a function that reads and writes within one transaction; the future has what it returns."""
        return self._put(_Job((), Future(), decide, waited_for=True))

    def _put(self, job: _Job) -> Future[Any]:
        job.done.set_running_or_notify_cancel()  # from here on nobody can cancel it: what is queued is written
        if os.getpid() != self._pid:  # its lock and its thread stayed behind
            job.done.set_exception(errors.LedgerError(FORKED))
            return job.done
        with self._lock:
            if self._closed:
                job.done.set_exception(errors.LedgerError("this Lab is closed: make a new one"))
            else:
                self._todo.put(job)
        return job.done

    def is_current(self) -> bool:
        """Whether this is the writer's own thread."""
        return threading.current_thread() is self._thread

    def flush(self) -> None:
        """Wait until everything submitted so far is on disk."""
        self.submit().result()

    def close(self) -> None:
        """Write what is queued, then stop."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._todo.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def query(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[dict[str, Any]]:
        """Rows of a SELECT, as dictionaries. Reads only; sees what this process has submitted so far."""
        self.settle()
        db = Database(connect(self.path, readonly=True))
        try:
            return list(db.query(sql, values))
        except sqlite3.Error as failed:
            raise errors.LedgerError(f"{self.path} can't be read: {failed}") from failed
        finally:
            db.close()

    def rows(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a SELECT, as tuples: the quickest way to many of them."""
        self.settle()
        connection = connect(self.path, readonly=True)
        try:
            return connection.execute(sql, values).fetchall()
        except sqlite3.Error as failed:
            raise errors.LedgerError(f"{self.path} can't be read: {failed}") from failed
        finally:
            connection.close()

    def frame(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> pd.DataFrame:
        """Rows of a SELECT, as a DataFrame."""
        import pandas as pd  # slow to import, and only readers need it

        self.settle()
        connection = connect(self.path, readonly=True)
        try:
            return pd.read_sql_query(sql, connection, params=values or None)
        except (sqlite3.Error, pd.errors.DatabaseError) as failed:
            raise errors.LedgerError(f"{self.path} can't be read: {failed}") from failed
        finally:
            connection.close()

    def settle(self) -> None:
        """Let what this process has submitted be seen; a closed ledger, or one of another process, can be read too."""
        if not self._closed and os.getpid() == self._pid:
            self.flush()

    def _write(self) -> None:
        connection = connect(self.path)
        here = _identity(self.path)
        connection.isolation_level = None
        running, ended = True, 0
        while running:
            batch = [self._todo.get()]
            linger = time.monotonic() + _LINGER
            while len(batch) < _BATCH and batch[-1] is not None:
                waited_for = any(job is not None and job.waited_for for job in batch)
                try:
                    left = 0.0 if waited_for else linger - time.monotonic()
                    batch.append(self._todo.get(timeout=left) if left > 0 else self._todo.get_nowait())
                except queue.Empty:
                    break
            running = batch[-1] is not None
            jobs = [job for job in batch if job is not None]
            if jobs and _identity(self.path) != here:
                gone = errors.LedgerError(f"{self.path} was removed or replaced while it was open: make a new Lab")
                for job in jobs:
                    job.done.set_exception(gone)
            elif jobs and not _commit(connection, jobs, self.path):
                for job in jobs:  # one of them is at fault: the others must not pay for it
                    _commit(connection, [job], self.path, last=True)
            ended += sum(job.waited_for for job in jobs)
            if ended >= _PACK_EVERY and self._todo.empty():
                ended = 0
                _pack(connection)
        connection.close()


def _pack(connection: sqlite3.Connection) -> None:
    """Pack one lot of older calls. Derived, so what can't be written now (a full disk) or packed (a value that some
    other tool put there) is left to whoever reads, who will hear of it; the writer must go on."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        packs.pack(connection, most=1)
        connection.execute("COMMIT")
    except (sqlite3.Error, ValueError, TypeError, OverflowError):
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _commit(connection: sqlite3.Connection, jobs: list[_Job], path: Path, last: bool = False) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
        found = [job.run(connection) for job in jobs]
        connection.execute("COMMIT")
    except (sqlite3.Error, OverflowError, UnicodeError) as failed:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        waited = getattr(failed, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY  # none of them is at fault
        last = last or waited or len(jobs) == 1
        if last:
            for job in jobs:
                job.done.set_exception(errors.LedgerError(f"{path} can't be written: {failed}"))
        return last
    except Exception as bug:  # of a function that decides: it is its caller's to see, and the writer goes on
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if last or len(jobs) == 1:
            for job in jobs:
                job.done.set_exception(bug)
        return last or len(jobs) == 1
    for job, result in zip(jobs, found, strict=True):
        job.done.set_result(result)
    return True


def _storable(value: Any) -> Any:
    """Text that SQLite can hold: a lone surrogate, which no encoding has, becomes a question mark."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "replace").decode()
    return value


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


def _identity(path: Path) -> tuple[int, int] | None:
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


def spent(ledger: Ledger, per: str, scope: str) -> float:
    """US dollars of all calls of one experiment, user or day (a UTC date), as far as they are known."""
    if per == "day":
        start = datetime.fromisoformat(scope).replace(tzinfo=UTC).timestamp()
        where, values = "started_at >= ? AND started_at < ?", [start, start + 86_400]
    else:
        where, values = f"{'experiment' if per == 'experiment' else 'user'} = ?", [scope]
    (row,) = ledger.query(f"SELECT coalesce(sum(cost), 0.0) AS usd FROM calls WHERE {where}", values)
    return row["usd"]
