"""Names that are fetched when they are first used, so that importing a room loads nothing slow."""

from __future__ import annotations

import importlib
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
