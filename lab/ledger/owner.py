"""Which process holds something in the ledger, and whether it still lives."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_STAT = "/proc/{}/stat"
"""Where Linux says how a process is."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: its machine (by name and by what tells two of one name apart; in a container, its world of process
    numbers, too), since which start of it, its number, and when it began, as the system counts. Empty is unknown."""

    host: str
    boot: str
    pid: int
    began: str

    def is_dead(self) -> bool:
        """Whether it surely runs no more. False for a process on another machine, or where this can't be told."""
        here = me()
        if not self.host or self.host != here.host:
            return False
        if self.boot != here.boot:
            return True
        began = _began(self.pid)
        if began is None:
            return True
        return bool(self.began) and bool(began) and self.began != began


def me() -> Owner:
    """This process."""
    return _me(os.getpid())


@cache
def _me(pid: int) -> Owner:
    return Owner(_host(), _read("/proc/sys/kernel/random/boot_id"), pid, _began(pid) or "")


def _host() -> str:
    try:
        numbers = os.readlink("/proc/self/ns/pid")
    except OSError:
        numbers = ""
    return f"{platform.node()} {_read('/etc/machine-id')} {numbers}".strip()


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _began(pid: int) -> str | None:
    """When a process of this machine began, in the system's own ticks; empty where that can't be told, None where there
    is no such process, or only what is left of one until its parent looks."""
    try:
        status = Path(_STAT.format(pid)).read_text()
    except FileNotFoundError:
        return "" if not Path(_STAT.format("self")).exists() and _exists(pid) else None
    except OSError:
        return ""
    state, *rest = status.rpartition(")")[2].split()
    return None if state in "ZX" else rest[18]


def _exists(pid: int) -> bool:
    if os.name == "nt":  # no way to ask without sending it something
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
