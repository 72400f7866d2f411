"""Names that are fetched when they are first used, so that importing a room loads nothing slow."""

from __future__ import annotations

import atexit
import gc
import importlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


def names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A `__getattr__` for the module `package`: `homes` says of each name which module has it, or, where the two end
    alike (`charts`, `lab.show.charts`), that the module itself is meant."""

    def fetch(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(home)
        return module if home.rpartition(".")[2] == name else getattr(module, name)

    return fetch


def settled(name: str) -> None:
    """Import `name`, once, `for_good`."""
    if name not in sys.modules:
        with for_good():
            importlib.import_module(name)


def in_background(run: Callable[[], None], name: str) -> None:
    """Let `run`, which imports something large, run in a thread of this name that holds up nobody's exit. An
    interpreter that ends in the midst of an import may never end: what is taken down imports as it goes, and waits for
    a lock that no thread is left to give back. So at its end the import is broken off at its next module."""
    thread = threading.Thread(target=run, name=name, daemon=True)
    with _starting:
        if not _running:
            atexit.register(_break_off)
        _running.append(thread)
    thread.start()


_starting = threading.Lock()
_running: list[threading.Thread] = []
LONGEST = 20.0
"""Seconds that the end of the interpreter waits for one of those threads."""


class _NoMore:
    """A finder that lets those threads import nothing more."""

    @staticmethod
    def find_spec(_name: str, _path: object = None, _target: object = None) -> None:
        if threading.current_thread() in _running:
            raise SystemExit  # no `except Exception` on its way holds it, and the thread ends without a word


def _break_off() -> None:
    sys.meta_path.insert(0, _NoMore)
    for thread in _running:
        thread.join(LONGEST)


@contextmanager
def for_good() -> Iterator[None]:
    """What is imported within stays: the garbage collector doesn't look at it, neither meanwhile nor ever after. A
    large library brings up to 300,000 objects; to go through them took a fifth of its import, and then 20 to 160 ms
    every now and then, in which nothing would be measured right."""
    gc.collect()  # what is garbage by now must not stay for good, too
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
