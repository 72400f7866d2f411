"""Whether what a connection writes to is still what its path names, and whole.

SQLite doesn't look: a file that was removed, replaced or cut short under an open connection takes writes without an
error, and they are gone with the process.
"""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

from lab.ledger.opening import connect

Identity = tuple[int, int] | None
"""Device and inode."""

GONE = "was removed or replaced while it was open: make a new Lab"
CUT = "was cut short or overwritten while it was open: what was written to it before may be lost. Make a new Lab"

_HEADER = 32
_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
"""How a write-ahead log begins (https://sqlite.org/fileformat2.html#walformat)."""
_ENDED = "SELECT call_id, status FROM calls WHERE status != 'running' ORDER BY id DESC LIMIT 50"
_AGAIN = "SELECT call_id, status FROM calls WHERE call_id IN (SELECT value FROM json_each(?))"


class Files:
    """The database, its write-ahead log and the log's index, under one connection.

    Only the log is opened here: closing one of the others would give up the locks that SQLite has on it.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, opened: Identity):
        """`opened`: the identity that the database had when the ledger was opened."""
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()  # now all three are there
        self._path, self._connection = path, connection
        self._names = [f"{path}{ending}" for ending in ("", "-wal", "-shm")]
        self._log = os.open(self._names[1], os.O_RDONLY | getattr(os, "O_BINARY", 0))
        _main, _log, index = self._identities()
        self._opened = [opened, _identity(os.fstat(self._log)), index]
        self._remember()

    def close(self) -> None:
        """With the connection."""
        os.close(self._log)

    def harmed(self) -> str | None:
        """What happened to the files since the last commit; None where nothing did. Called before the next one."""
        if self._identities() != self._opened:
            return f"{self._path} {GONE}"
        header, size = self._log_now()
        cut = size < self._log_size and header == self._log_header
        emptied = not size and self._log_size and not self._checkpoints()  # another process may have emptied it
        shrunk = self._main[0] < self._main_before[0] and not self._sound()  # by a VACUUM it may
        return f"{self._path} {CUT}" if cut or emptied or shrunk else None

    def kept(self) -> str | None:
        """What is wrong with where the commit that was just made went; None where it is on disk under the path."""
        if self._identities() != self._opened:
            return f"{self._path} {GONE}"
        header, _size = self._log_now()
        odd = header[:4] not in _MAGIC or self._main != self._main_before
        if odd and not any(self._reads_back() for _look in range(3)):  # another process may delete calls between two
            return f"{self._path} {CUT}"
        self._remember()
        return None

    def _remember(self) -> None:
        self._log_header, self._log_size = self._log_now()
        self._main_before = self._main

    def _identities(self) -> list[Identity]:
        """Which files the names are now; how large the database is, and when it was changed, is noted by the way."""
        try:
            main, *others = [os.stat(name) for name in self._names]
        except OSError:
            return []
        self._main = main.st_size, main.st_mtime_ns
        return [_identity(stat) for stat in (main, *others)]

    def _log_now(self) -> tuple[bytes, int]:
        """The log's header, and its size in bytes."""
        os.lseek(self._log, 0, os.SEEK_SET)
        return os.read(self._log, _HEADER), os.fstat(self._log).st_size

    def _checkpoints(self) -> bool:
        """Whether all that the log's index lists can be read."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            return False
        return True

    def _sound(self) -> bool:
        try:
            verdict: str = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.Error:
            return False
        return verdict == "ok"

    def _reads_back(self) -> bool:
        """Whether the newest calls that have ended, as this connection knows them, are there for one that knows
        nothing. Other processes may write meanwhile."""
        try:
            ended = self._connection.execute(_ENDED).fetchall()
            other = connect(self._path, readonly=True)
        except sqlite3.Error:
            return False
        try:
            again = other.execute(_AGAIN, [json.dumps([call_id for call_id, _status in ended])]).fetchall()
        except sqlite3.Error:
            return False
        finally:
            other.close()
        return set(ended) <= set(again)


def _identity(stat: os.stat_result) -> Identity:
    return stat.st_dev, stat.st_ino
