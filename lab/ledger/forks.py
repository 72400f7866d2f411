"""No connection lives through a fork.

SQLite keeps a file's locks by process: a child that opens a file which its parent had open takes the parent's locks
for its own, and what it writes can be lost. So a process lets go of all its connections before it forks, and takes
them up again after; a child begins with none.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Holder(Protocol):
    """Whoever keeps a connection open for longer than a moment."""

    def let_go(self) -> None:
        """Close it, when what is being done with it is done, and use none until `take_up`."""

    def take_up(self) -> None:
        """One may be used again."""


class _Gate:
    """Who has a connection for a moment is inside. It is shut while the process forks."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside: dict[int, int] = {}
        self._shut_by: int | None = None
        self.holders: weakref.WeakSet[Holder] = weakref.WeakSet()

    @contextmanager
    def entered(self) -> Iterator[None]:
        thread = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: thread in self._inside or self._shut_by in (None, thread))
            self._inside[thread] = self._inside.get(thread, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                self._inside[thread] -= 1
                if not self._inside[thread]:
                    del self._inside[thread]
                self._changed.notify_all()

    def shut(self) -> list[Holder]:
        """Wait until nobody else is inside, and let nobody in; whoever holds a connection."""
        thread = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: self._shut_by is None and not self._inside.keys() - {thread})
            self._shut_by = thread
            return list(self.holders)

    def open(self) -> None:
        with self._changed:
            self._shut_by = None
            self._changed.notify_all()


_gate = _Gate()
_waiting: list[Holder] = []
"""Those that have let go."""


def for_a_moment() -> AbstractContextManager[None]:
    """Around every use of a connection that is closed at its end."""
    return _gate.entered()


def hold(holder: Holder) -> None:
    """Before `holder` opens its connection: it is told of every fork for as long as it is there."""
    with _gate.entered():
        _gate.holders.add(holder)


def _before() -> None:
    for holder in _gate.shut():
        holder.let_go()
        _waiting.append(holder)


def _in_parent() -> None:
    while _waiting:
        _waiting.pop().take_up()
    _gate.open()


def _in_child() -> None:
    global _gate
    _waiting.clear()
    _gate = _Gate()  # whoever was inside stayed behind


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
