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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from lab import errors
from lab.lazy import settled
from lab.ledger import forks
from lab.ledger.intact import Files
from lab.ledger.opening import connect, connected, identity, prepare

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 500
_PACK_EVERY = 1000
"""Calls that end between two looks at whether a pack of columns can be made of older ones."""
_LINGER = 0.02
"""Seconds that rows nobody waits for (the start of a call, of an attempt) may wait for company in one commit."""

FORKED = "this Lab was made in another process, before a fork: make a new one here"

T = TypeVar("T")
Statement = tuple[str, Sequence[Any]]
"""SQL, and the values of its question marks."""


@dataclass(slots=True)
class _Job:
    """What one commit is to hold: statements, and a function of the connection where there is something to decide."""

    statements: Sequence[Statement]
    done: Future[Any]
    decide: Callable[[sqlite3.Connection], Any] | None = None
    waited_for: bool = False

    def run(self, connection: sqlite3.Connection) -> Any:
        for statement in self.statements:
            execute(connection, statement)
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
        self._connection: sqlite3.Connection | None = None
        self._files: Files | None = None
        self._identity = identity(self.path)
        self._lost: str | None = None
        self._writing = threading.Lock()
        forks.hold(self)
        self._thread = threading.Thread(target=self._write, name="lab-ledger", daemon=True)
        self._thread.start()

    def submit(self, *statements: Statement) -> Future[None]:
        """Queue statements for one commit; the future is done when they are on disk, or fails with a LedgerError."""
        return self._put(_Job(statements, Future(), waited_for=not statements))

    def transact(self, decide: Callable[[sqlite3.Connection], T], before: Sequence[Statement] = ()) -> Future[T]:
        """Queue a function that reads and writes within one transaction, after what is to be written `before`; the
        future has what it returns."""
        return self._put(_Job(before, Future(), decide, waited_for=True))

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
        with self._reading() as connection:
            cursor = connection.execute(sql, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def rows(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a SELECT, as tuples: the quickest way to many of them."""
        with self._reading() as connection:
            return connection.execute(sql, values).fetchall()

    def frame(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> pd.DataFrame:
        """Rows of a SELECT, as a DataFrame."""
        settled("pandas")  # slow to import, and only readers need it
        import pandas as pd

        with self._reading() as connection:
            try:
                return pd.read_sql_query(sql, connection, params=values or None)
            except pd.errors.DatabaseError as failed:
                raise sqlite3.Error(str(failed)) from failed

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        self.settle()
        try:
            with connected(self.path, readonly=True) as connection:
                yield connection
        except sqlite3.Error as failed:
            raise errors.LedgerError(f"{self.path} can't be read: {failed}") from failed

    def settle(self) -> None:
        """Let what this process has submitted be seen; a closed ledger, or one of another process, can be read too."""
        if not self._closed and os.getpid() == self._pid:
            self.flush()

    def let_go(self) -> None:
        """Before a fork: close the connection, and write nothing until `take_up`."""
        self._writing.acquire()
        self._disconnect()

    def take_up(self) -> None:
        """After a fork."""
        self._writing.release()

    def _write(self) -> None:
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
            ended += sum(job.waited_for for job in jobs)
            with self._writing:
                if jobs:
                    self._commit(jobs)
                if ended >= _PACK_EVERY and self._todo.empty() and self._connection is not None:
                    ended = 0
                    _pack(self._connection)
        with self._writing:
            self._disconnect()

    def _commit(self, jobs: list[_Job]) -> None:
        """Commit them together or, where that fails, one by one: one is at fault, and the others must not pay."""
        if not self._committed(jobs, last=len(jobs) == 1):
            for job in jobs:
                self._committed([job], last=True)

    def _committed(self, jobs: list[_Job], last: bool) -> bool:
        """Whether each of the jobs has its result, or its error; `last`: they are not tried again."""
        results: list[Any] = []
        try:
            if self._lost is None:
                results = self._results(jobs)
        except (sqlite3.Error, OSError, OverflowError, UnicodeError) as failed:
            waited = getattr(failed, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY  # none of them is at fault
            return (last or waited) and _failed(jobs, errors.LedgerError(f"{self.path} can't be written: {failed}"))
        except Exception as bug:  # of a function that decides: it is its caller's to see, and the writer goes on
            return last and _failed(jobs, bug)
        if self._lost is not None:
            self._disconnect()  # SQLite saves what it can into the file that it has open
            return _failed(jobs, errors.LedgerError(self._lost))
        for job, result in zip(jobs, results, strict=True):
            job.done.set_result(result)
        return True

    def _results(self, jobs: list[_Job]) -> list[Any]:
        """What the jobs return, committed; `_lost` says why that can't be trusted."""
        connection, files = self._connected()
        self._lost = files.harmed()
        if self._lost is not None:
            return []
        try:
            connection.execute("BEGIN IMMEDIATE")
            results = [job.run(connection) for job in jobs]
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        self._lost = files.kept()
        return results

    def _connected(self) -> tuple[sqlite3.Connection, Files]:
        if self._connection is None or self._files is None:
            connection = connect(self.path)
            connection.isolation_level = None
            try:
                files = Files(self.path, connection, self._identity)
            except BaseException:
                connection.close()
                raise
            self._connection, self._files = connection, files
        return self._connection, self._files

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        if self._files is not None:
            self._files.close()
        self._connection = self._files = None


def _pack(connection: sqlite3.Connection) -> None:
    """Pack one lot of older calls. Derived, so what can't be written now (a full disk) or packed (a value that some
    other tool put there) is left to whoever reads, who will hear of it; the writer must go on."""
    from lab.ledger import packs  # numpy is slow to import, and the first thousand calls need none of it

    try:
        connection.execute("BEGIN IMMEDIATE")
        packs.pack(connection, most=1)
        connection.execute("COMMIT")
    except (sqlite3.Error, ValueError, TypeError, OverflowError):
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _failed(jobs: list[_Job], failure: Exception) -> Literal[True]:
    for job in jobs:
        job.done.set_exception(failure)
    return True


def execute(connection: sqlite3.Connection, statement: Statement) -> sqlite3.Cursor:
    """Execute one statement, whatever its texts hold."""
    sql, values = statement
    return connection.execute(sql, [_storable(value) for value in values])


def _storable(value: Any) -> Any:
    """Text that SQLite can hold: a lone surrogate, which no encoding has, becomes a question mark."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "replace").decode()
    return value
