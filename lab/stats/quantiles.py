"""Percentiles with intervals that assume nothing of how the values are spread."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.stats.proportions import Interval


def percentile(values: ArrayLike, share: float, level: float = 0.95) -> Interval:
    """The smallest value that `share` of them does not exceed (nearest rank), and its interval between two of the
    values, by the binomial distribution (David and Nagaraja, Order Statistics, 2003, section 7.1).

    All NaN where there are too few values for an interval at this level: of a p50 fewer than 6, of a p95 fewer than 72,
    of a p99 fewer than 368 at 95 %.
    """
    return of_sorted(np.sort(np.asarray(values, dtype=float)), share, level)


def of_sorted(values: NDArray[np.float64], share: float, level: float = 0.95) -> Interval:
    """`percentile` of values that are sorted already."""
    bounds = ranks(len(values), share, level)
    if bounds is None:
        return Interval(math.nan, math.nan, math.nan)
    low, high = bounds
    middle = max(0, math.ceil(share * len(values) - 1e-9) - 1)
    return Interval(float(values[middle]), float(values[low]), float(values[high]))


@lru_cache(maxsize=4096)
def ranks(n: int, share: float, level: float = 0.95) -> tuple[int, int] | None:
    """The places (from 0) of the two sorted values that hold the percentile at this level; None where n has none."""
    if not 0 < share < 1:
        raise ValueError(f"share={share!r}: between 0 and 1, such as 0.99 for the p99")
    each = (1 - level) / 2
    if n == 0 or share**n > each or (1 - share) ** n > each:
        return None
    from scipy.special import bdtr  # slow to import, and only percentiles need it

    def below(place: int) -> float:
        """The chance that at most so many of the values lie below the true percentile."""
        return float(bdtr(place, n, share))

    def held(ends: tuple[int, int]) -> float:
        """The chance that it lies between; rounded, so that the first of two that are as likely is taken."""
        return round(below(ends[1]) - below(ends[0]), 12)

    low = max(0, bisect_right(range(n), each, key=below) - 1)
    high = min(n - 1, bisect_left(range(n), 1 - each, key=below))
    while held(narrower := max((low + 1, high), (low, high - 1), key=held)) >= level:  # no wider than it must be
        low, high = narrower
    return low, high
