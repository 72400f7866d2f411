"""Names that are fetched when they are first used, so that importing a room loads nothing slow."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable, Mapping
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
    """Import `name`, once. A large library brings up to 300,000 objects, through which each full run of the garbage
    collector would go, and for 20 to 160 ms nothing would be measured right. They stay for good, so the collector
    need not look at them again."""
    if name not in sys.modules:
        importlib.import_module(name)
        settle()


def settle() -> None:
    """What is there now stays for good: the garbage collector looks at it no more."""
    gc.collect()
    gc.freeze()
