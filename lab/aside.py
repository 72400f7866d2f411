"""Work on long texts, out of the way: no call's clock stands still because another's answer is 30 MB.

A thread alone isn't enough, as one C function holds the interpreter for as long as it runs: what is here works in bites
of at most a few milliseconds, or with functions that are quick whatever they are given.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import json.scanner
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LONG = 256 * 1024
"""Bytes or characters from which a text is long."""
BITE = 32 * 1024
"""Characters that are looked at in one go."""


async def aside(size: int, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """What `work` returns or raises: done here, or, where what it looks at is long, in a thread."""
    if size < LONG:
        return work(*given, **named)
    with short_turns():
        return await asyncio.to_thread(work, *given, **named)


TURN = 0.0005
"""Seconds after which a thread that has the interpreter gives it to one that waits, while something long is worked on.
Python's own 5 ms are waited for a dozen times in a call."""
_running, _usual, _counting = 0, 0.0, threading.Lock()


@contextmanager
def short_turns() -> Iterator[None]:
    """Threads give way sooner, as long as this is entered."""
    global _running, _usual
    with _counting:
        if not _running:
            _usual = sys.getswitchinterval()
            sys.setswitchinterval(min(TURN, _usual))
        _running += 1
    try:
        yield
    finally:
        with _counting:
            _running -= 1
            if not _running:
                sys.setswitchinterval(_usual)


def parsed(text: bytes | bytearray) -> Any:
    """`json.loads`, of any size, with invalid UTF-8 replaced. Raises `ValueError`, and `RecursionError` for what is
    nested too deeply."""
    if len(text) < LONG:
        return json.loads(text.decode("utf-8", "replace"))
    return _InTurns().decode("".join(_decoded(text)))


def _decoded(text: bytes | bytearray) -> Iterator[str]:
    decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
    for start in range(0, len(text), BITE):
        yield decode(text[start : start + BITE], final=start + BITE >= len(text))


class _InTurns(json.JSONDecoder):
    """The standard library's decoder with its scanner in Python, in which other threads have their turns."""

    def __init__(self) -> None:
        super().__init__()
        self.parse_string = _string
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]


_WHOLE = re.compile(r'(?:[^\\"]++|\\u[0-9a-fA-F]{4}|\\[^u])*+')
"""What of a JSON string is whole: no escape is cut."""
_FIRST_HALF = re.compile(r"(?<!\\)(?:\\\\)*(\\u[dD][89abAB][0-9a-fA-F]{2})\Z")
"""The first half of a character, as an escape, where its second may follow."""


def _string(text: str, begin: int, strict: bool = True) -> tuple[str, int]:
    """A JSON string from behind its quote, and where it is over."""
    quote = text.find('"', begin, begin + BITE)
    if quote >= 0 and (quote == begin or text[quote - 1] != "\\"):
        short: tuple[str, int] = scanstring(text, begin, strict)
        return short
    parts, at = [], begin
    while match := _WHOLE.match(text, at, at + BITE):
        end = match.end()
        if end - at > 6 and text[end - 6] == "\\" and (half := _FIRST_HALF.search(text[at:end])):
            end = at + half.start(1)
        if end == at:
            break
        parts.append(scanstring(text[at:end] + '"', 0, strict)[0])
        at = end
    last, end = scanstring(text, at, strict)  # its quote; or what is wrong with it
    return "".join([*parts, last]), end


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
