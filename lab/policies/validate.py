"""Settings checked when they are made: a message says the value, and what is valid."""

from __future__ import annotations

from typing import Any


def number(holder: Any, name: str, *, least: float = 0.0, above: bool = False, optional: bool = False) -> None:
    """Raise `ValueError` unless the field is a finite number of at least `least` (or `above` it)."""
    value = getattr(holder, name)
    if value is None and optional:
        return
    right = isinstance(value, int | float) and not isinstance(value, bool) and least <= value < float("inf")
    if not right or (above and value == least):
        bound = f"above {least:g}" if above else f"of at least {least:g}"
        _refuse(holder, name, f"a number {bound}{', or None for no limit' if optional else ''}")


def whole_number(holder: Any, name: str, *, least: int = 0, optional: bool = False) -> None:
    """Raise `ValueError` unless the field is a whole number of at least `least`."""
    value = getattr(holder, name)
    if value is None and optional:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        _refuse(holder, name, f"a whole number of at least {least}{', or None for no limit' if optional else ''}")


def among(holder: Any, name: str, valid: tuple[str, ...], *, several: bool = False) -> None:
    """Raise `ValueError` unless the field is one of `valid` (or, for `several`, a tuple of them)."""
    value = getattr(holder, name)
    if several and isinstance(value, list | set | frozenset):
        object.__setattr__(holder, name, value := tuple(value))
    right = all(choice in valid for choice in value) if several and isinstance(value, tuple) else value in valid
    if not right or (several and not isinstance(value, tuple)):
        _refuse(holder, name, f"{'a tuple of these' if several else 'one of these'}: {', '.join(valid)}")


def _refuse(holder: Any, name: str, valid: str) -> None:
    raise ValueError(f"{type(holder).__name__}({name}={getattr(holder, name)!r}): {valid}")
