"""Seconds and dollars, as a person would say them."""

from __future__ import annotations

import math


def seconds(value: float | None) -> str:
    """A duration in the unit a person would say it in."""
    if value is None:
        return "–"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def duration(value: float) -> str:
    """A long time: seconds, minutes, hours or days, whichever says it shortest."""
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if value >= 2 * size:
            return f"{value / size:.1f} {name}"
    return seconds(value)


def span(value: float) -> str:
    """A length of time that somebody has chosen: `15 min`, `7 d`."""
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if value >= size and value % size == 0:
            return f"{value / size:.0f} {name}"
    return f"{value:g} s"


def dollars(value: float | None) -> str:
    """An amount in US dollars, with as many digits as it takes to be told from nothing."""
    if value is None:
        return "unknown"
    if value == 0:
        return "$0"
    digits = 2 if value >= 1 else 1 - math.floor(math.log10(value))
    return f"${value:.{max(2, digits)}f}"
