"""`Pattern.sub` for long texts: looked at where a mark says that there may be something. It takes a hundredth of the
time, and other threads have their turns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from lab.aside import BITE


def masked(value: str, pattern: re.Pattern[str], mask: str, places: Iterable[int]) -> str:
    """`pattern.sub(mask, value)`, where it can only match at one of `places`."""
    parts, done = [], 0
    for place in sorted(places):
        if place >= done and (match := pattern.match(value, place)):
            parts += [value[done:place], match.expand(mask)]
            done = match.end()
    return "".join([*parts, value[done:]]) if parts else value


def after(value: str, *marks: str, back: bool = False) -> Iterator[int]:
    """Where each of the `marks` ends; where it begins if `back`."""
    for start in range(0, len(value), BITE):
        for mark in marks:
            end = start + BITE + len(mark) - 1
            place = value.find(mark, start, end)
            while place >= 0:
                yield place if back else place + len(mark)
                place = value.find(mark, place + 1, end)


def words(value: str, pattern: re.Pattern[str], *lowered: str) -> Iterator[int]:
    """Where `pattern` begins, which matches the `lowered` words in any case; a place may come twice."""
    longest = max(map(len, lowered))
    for start in range(0, len(value), BITE):
        bite = value[start : start + BITE + longest].lower()
        if any(word in bite for word in lowered):  # quicker by far than the pattern
            for match in pattern.finditer(value, start, start + BITE + longest):
                yield match.start()
