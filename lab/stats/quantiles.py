"""Percentiles with intervals that assume nothing of how the values are spread."""

from __future__ import annotations

import math
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
    first, pmf = _pmf(n, share)  # of how many of the values lie below the true percentile
    below = np.cumsum(pmf)
    low = max(0, int(np.searchsorted(below, each, side="right")) - 1)
    high = min(len(pmf) - 1, n - 1 - first, int(np.searchsorted(below, 1 - each, side="left")))
    while below[high] - below[low] - (least := min(pmf[low + 1], pmf[high])) >= level:  # no wider than it must be
        low, high = (low + 1, high) if pmf[low + 1] == least else (low, high - 1)
    return first + low, first + high


def _pmf(n: int, share: float) -> tuple[int, NDArray[np.float64]]:
    """The binomial distribution where it is not nothing: the first number, and the probabilities from there on."""
    spread = 12 * math.sqrt(n * share * (1 - share)) + 12
    first, last = max(0, math.floor(n * share - spread)), min(n, math.ceil(n * share + spread))
    k = np.arange(first, last + 1, dtype=float)
    steps = np.log((n - k[:-1]) / (k[:-1] + 1)) + math.log(share) - math.log1p(-share)
    start = math.lgamma(n + 1) - math.lgamma(first + 1) - math.lgamma(n - first + 1)
    start += first * math.log(share) + (n - first) * math.log1p(-share)
    return first, np.exp(start + np.concatenate([[0.0], np.cumsum(steps)]))
