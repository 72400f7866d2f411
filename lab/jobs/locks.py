"""A worker's lock: held for as long as its process lives, and free the moment it dies.

Beside a SQLite file it is a lock on a file; in Postgres a lock of a session of its own. Whoever can take the lock of a
worker knows that it is dead.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lab import errors
from lab.ledger.owner import Owner, me

if TYPE_CHECKING:
    import sqlalchemy as sa

PATIENCE = 2.0
"""Seconds for which a lock is waited for that somebody holds."""
SAID = "lab worker "
"""What a worker's session in Postgres is called, before its name."""


class Lock(Protocol):
    """A lock that is held."""

    def holds(self) -> bool:
        """Whether it surely still is."""

    def release(self) -> None:
        """Let go of it."""


class Locks(Protocol):
    """The workers' locks of one jobs' database."""

    def take(self, worker: str, about: Mapping[str, Any]) -> Lock | None:
        """The lock of this worker; None where somebody holds it. `about` is what others may know of it."""

    def alive(self) -> list[dict[str, Any]]:
        """Who holds one: `worker`, and what it said about itself."""

    def owner(self, worker: str) -> Owner | None:
        """Which process had the lock last, where that matters: it may hold something on the ledger, too."""


class FileLocks:
    """Files in a folder beside the jobs' database."""

    def __init__(self, folder: Path):
        self._folder = folder

    def owner(self, worker: str) -> Owner | None:
        """Which process had the lock last."""
        try:
            process = json.loads(self._path(worker).read_bytes())["owner"]
            return Owner(*process)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _path(self, worker: str) -> Path:
        return self._folder / f"{hashlib.sha256(worker.encode()).hexdigest()[:16]}.lock"

    def take(self, worker: str, about: Mapping[str, Any]) -> Lock | None:
        """The lock of this worker; None where somebody holds it."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(worker)
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            if not _locked(handle):
                os.close(handle)
                return None
            if _same(handle, path):
                break
            os.close(handle)  # whoever had it has taken the file away meanwhile
        if about:  # or it is only to be looked at: what stands there says whose it was
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps({"worker": worker, **about}).encode(), 0)
        return _FileLock(handle, path)

    def alive(self) -> list[dict[str, Any]]:
        """Who holds one."""
        found = []
        for path in sorted(self._folder.glob("*.lock")):
            try:
                handle = os.open(path, os.O_RDWR)
            except OSError:
                continue
            try:
                if not _locked(handle):
                    found.append(json.loads(os.pread(handle, 100_000, 0) or b"{}"))
            except ValueError:  # it is being written
                continue
            finally:
                os.close(handle)
        return [about for about in found if about.get("worker")]


class _FileLock:
    def __init__(self, handle: int, path: Path):
        self._handle, self._path = handle, path
        _HELD.add(self)

    def holds(self) -> bool:
        return self._handle >= 0 and _same(self._handle, self._path)

    def forget(self) -> None:
        """In a fork: the lock is its parent's, and must not outlive it."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def release(self) -> None:
        if self._handle < 0:
            return
        if _same(self._handle, self._path):
            self._path.unlink(missing_ok=True)
        os.close(self._handle)
        self._handle = -1


def _forked() -> None:
    for lock in list(_HELD):
        lock.forget()


_HELD: weakref.WeakSet[Any] = weakref.WeakSet()
_LEFT: list[Any] = []
"""Sessions of the parent: closing them would end them there."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _locked(handle: int) -> bool:
    import fcntl  # where there is none, there are no workers

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


class SessionLocks:
    """Sessions of Postgres, each with its lock. Needs a session of its own: no pooling by transaction in between."""

    def __init__(self, engine: sa.Engine):
        self._engine = engine

    def owner(self, _worker: str) -> Owner | None:
        """It has a ledger of its own: what it holds there is in nobody's way."""
        return None

    def take(self, worker: str, about: Mapping[str, Any]) -> Lock | None:
        """The lock of this worker; None where somebody holds it."""
        import sqlalchemy as sa  # slow to import, and only workers need it

        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            number = int.from_bytes(hashlib.sha256(worker.encode()).digest()[:8], "big", signed=True)
            held = connection.execute(sa.text("SELECT pg_try_advisory_lock(:number)"), {"number": number}).scalar()
            if held:
                said = f"{SAID}{worker}|{','.join(about.get('modules', ()))}"[:63]
                connection.execute(sa.text("SELECT set_config('application_name', :said, false)"), {"said": said})
                connection.detach()  # it is this lock's alone from now on
                return _SessionLock(connection)
        except BaseException:
            connection.close()
            raise
        connection.close()
        return None

    def alive(self) -> list[dict[str, Any]]:
        """Who holds one."""
        import sqlalchemy as sa  # slow to import, and only workers need it

        query = (
            "SELECT application_name, extract(epoch FROM backend_start) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE :said"
        )
        with self._engine.connect() as connection:
            rows = connection.execute(sa.text(query), {"said": f"{SAID}%"}).all()
        found = []
        for name, since in rows:
            worker, _, modules = str(name).removeprefix(SAID).partition("|")
            found.append({"worker": worker, "modules": [one for one in modules.split(",") if one], "since": since})
        return found


class _SessionLock:
    def __init__(self, connection: sa.Connection):
        self._connection: sa.Connection | None = connection
        _HELD.add(self)

    def forget(self) -> None:
        """In a fork: the session is its parent's, and must not outlive it. It is left without a word to the server."""
        if self._connection is not None:
            with suppress(OSError):
                os.close(self._connection.connection.driver_connection.fileno())  # type: ignore[union-attr]
            _LEFT.append(self._connection)
            self._connection = None

    def holds(self) -> bool:
        import sqlalchemy as sa  # slow to import, and only workers need it

        if self._connection is None:
            return False
        try:
            return self._connection.execute(sa.text("SELECT 1")).scalar() == 1
        except sa.exc.SQLAlchemyError:
            return False

    def release(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()  # detached: the session ends, and its lock with it


@contextmanager
def of_the_dead(locks: Locks, worker: str) -> Iterator[bool]:
    """Whether a worker is dead; its lock is held meanwhile, so that one alone takes its jobs over."""
    lock = locks.take(worker, {})
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def taken(locks: Locks, worker: str, modules: list[str]) -> Lock:
    """The lock of a worker that begins. Raises `InvalidRequestError` where one of its name lives."""
    mine = me()
    about: dict[str, Any] = {"modules": modules, "pid": os.getpid(), "since": time.time()}
    about["owner"] = [mine.host, mine.boot, mine.pid, mine.began]
    end = time.monotonic() + PATIENCE
    while (lock := locks.take(worker, about)) is None and time.monotonic() < end:
        time.sleep(0.1)  # somebody may just be looking whether it is held
    if lock is None:
        raise errors.InvalidRequestError(f"a worker named {worker!r} runs already: give this one another name")
    return lock
