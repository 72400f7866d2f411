"""Spans of time: how people write them, and how a chart divides them."""

from __future__ import annotations

import re
import time

import numpy as np

SPANS = ("15 min", "1 h", "6 h", "24 h", "7 d", "30 d")
"""What a page offers."""
_UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_STEPS = (60, 300, 900, 3600, 3 * 3600, 6 * 3600, 86_400, 7 * 86_400, 28 * 86_400)


def parse_span(said: str | float) -> float:
    """Seconds of `90 s`, `15 min`, `24 h`, `7 d` or `2 w`. Raises `ValueError`."""
    if isinstance(said, int | float) and not isinstance(said, bool):
        number, unit = float(said), 1
    else:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)\s*", str(said))
        if match is None:
            raise ValueError(f"{said!r}: a span of time, such as 90 s, 15 min, 24 h, 7 d or 2 w")
        number, unit = float(match[1]), _UNITS[match[2]]
    if not 0 < number * unit < 1e10:
        raise ValueError(f"{said!r}: a span of time above 0")
    return number * unit


def since_of(span: str | None, now: float | None = None) -> float | None:
    """Unix seconds at which the last `span` began; None for all of it."""
    return None if span is None else (time.time() if now is None else now) - parse_span(span)


def binned(started: np.ndarray, bins: int = 48) -> tuple[np.ndarray, int]:
    """The beginning of each moment's bin (Unix seconds), and the bins' width (seconds): at most about so many bins, of
    a width that people know."""
    if not len(started):
        return started, _STEPS[0]
    length = float(started.max() - started.min())
    width = next((step for step in _STEPS if length / step <= bins), _STEPS[-1])
    return started // width * width, width
