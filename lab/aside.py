"""Work on long texts, out of the way: no call's clock stands still because another's answer is 30 MB.

A thread alone isn't enough, as one C function holds the interpreter for as long as it runs: what is here works in bites
of at most a few milliseconds, or with functions that are quick whatever they are given.
"""

from __future__ import annotations

import asyncio
import json
import json.scanner
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from pydantic_core import from_json

P = ParamSpec("P")
T = TypeVar("T")

LONG = 256 * 1024
"""Bytes or characters from which a text is long."""
BITE = 256 * 1024
"""Characters that are looked at in one go."""
MANY = 20_000
"""Objects and lists in a text from which building them takes longer than may be."""


async def aside(size: int, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """What `work` returns or raises: done here, or, where what it looks at is long, in a thread."""
    return await asyncio.to_thread(work, *given, **named) if size >= LONG else work(*given, **named)


def parsed(text: bytes) -> Any:
    """`json.loads`, of any size, with invalid UTF-8 replaced. Raises `ValueError`, and `RecursionError` for what is
    nested too deeply."""
    if len(text) >= LONG:
        if text.count(b"{") + text.count(b"[") > MANY:
            return _InTurns().decode(text.decode("utf-8", "replace"))
        try:
            return from_json(text)
        except ValueError:  # odd, or broken: the standard library says
            pass
    return json.loads(text.decode("utf-8", "replace"))


class _InTurns(json.JSONDecoder):
    """The standard library's decoder with its scanner in Python, in which other threads have their turns."""

    def __init__(self) -> None:
        super().__init__()
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]


def bites(text: str, holds: Callable[[str], bool]) -> list[str]:
    """`text` in parts of a `BITE`; one that ends in a character of which `holds` is true takes the next one, too."""
    parts, start = [], 0
    while start < len(text):
        end = start + BITE
        while end < len(text) and holds(text[end - 1]):
            end += 1
        parts.append(text[start:end])
        start = end
    return parts
