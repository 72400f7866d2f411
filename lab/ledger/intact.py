"""Whether what a connection writes to is still what its path names, and whole.

SQLite doesn't look: a file that was removed, replaced or cut short under an open connection takes writes without an
error, and they are gone with the process.
"""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

from lab.ledger.opening import connect, identity

GONE = "was removed or replaced while it was open: make a new Lab"
CUT = "was cut short or overwritten while it was open: what was written to it before may be lost. Make a new Lab"

_HEADER = 32
_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
"""How a write-ahead log begins (https://sqlite.org/fileformat2.html#walformat)."""
_ENDED = "SELECT call_id, status FROM calls WHERE status != 'running' ORDER BY id DESC LIMIT 50"
_AGAIN = "SELECT call_id, status FROM calls WHERE call_id IN (SELECT value FROM json_each(?))"


class Files:
    """The database, its write-ahead log and the log's index, under one connection.

    The database and the index are never opened here: closing them would give up the locks that SQLite has on them.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, opened: tuple[int, int] | None):
        """`opened`: the identity that the database had when the ledger was opened."""
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()  # now all three are there
        self._path, self._connection = path, connection
        self._log = path.with_name(f"{path.name}-wal")
        self._paths = (path, self._log, path.with_name(f"{path.name}-shm"))
        self._identities = (opened, *self._identify()[1:])
        self._remember()

    def replaced(self) -> str | None:
        """What is wrong with what the path names; None where it is what the connection has open."""
        return None if self._identify() == self._identities else f"{self._path} {GONE}"

    def harmed(self) -> str | None:
        """What happened to the files since the last commit; None where nothing did. Called before the next one."""
        if wrong := self.replaced():
            return wrong
        header, size = self._log_now()
        cut = size < self._log_size and header == self._log_header
        emptied = not size and self._log_size and not self._checkpoints()  # another process may have emptied it
        shrunk = self._main_now()[0] < self._main[0] and not self._sound()  # by a VACUUM it may
        return f"{self._path} {CUT}" if cut or emptied or shrunk else None

    def kept(self) -> str | None:
        """What is wrong with where the commit that was just made went; None where it is on disk under the path."""
        if wrong := self.replaced():
            return wrong
        header, _size = self._log_now()
        odd = header[:4] not in _MAGIC or self._main_now() != self._main
        if odd and not self._reads_back():
            return f"{self._path} {CUT}"
        self._remember()
        return None

    def _remember(self) -> None:
        self._log_header, self._log_size = self._log_now()
        self._main = self._main_now()

    def _identify(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(identity(path) for path in self._paths)

    def _log_now(self) -> tuple[bytes, int]:
        """The log's header, and its size in bytes."""
        try:
            with self._log.open("rb", buffering=0) as log:
                return log.read(_HEADER) or b"", os.fstat(log.fileno()).st_size
        except OSError:
            return b"", 0

    def _main_now(self) -> tuple[int, int]:
        """The database's size in bytes, and when it was last changed, in nanoseconds."""
        try:
            stat = self._path.stat()
        except OSError:
            return 0, 0
        return stat.st_size, stat.st_mtime_ns

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
