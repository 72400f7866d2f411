"""Intervals for shares, alone and in pairs, that hold for small numbers too."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the bounds that hold it at the given level; NaN where nothing can be said."""

    estimate: float
    low: float
    high: float

    def __repr__(self) -> str:
        return f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}]"


def z(level: float) -> float:
    """The two-sided normal quantile at a level such as 0.95."""
    if not 0 < level < 1:
        raise ValueError(f"level={level!r}: a share between 0 and 1, such as 0.95")
    return NormalDist().inv_cdf(0.5 + level / 2)


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """The score interval of a share (Wilson 1927). Holds from a handful of cases on, and at 0 and 1, where the textbook
    interval (the estimate plus or minus two standard errors) has no width. NaN for n = 0."""
    if not 0 <= successes <= n:
        raise ValueError(f"wilson({successes!r}, {n!r}): 0 <= successes <= n")
    if n == 0:
        return Interval(math.nan, math.nan, math.nan)
    return wilson_share(successes / n, n, z(level))


def wilson_share(share: float, n: float, quantile: float) -> Interval:
    """Wilson's interval of a share of `n` answers, which need not be a whole number."""
    square = quantile**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = quantile / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    low = 0.0 if share == 0 else max(0.0, middle - half)
    return Interval(share, low, 1.0 if share == 1 else min(1.0, middle + half))


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p-value of the exact test that two answers to the same cases are right equally often (McNemar 1947,
    with the binomial distribution), from the numbers of cases that only one of them got right."""
    if only_first < 0 or only_second < 0:
        raise ValueError(f"mcnemar({only_first!r}, {only_second!r}): counts of cases")
    n, least = only_first + only_second, min(only_first, only_second)
    if n == 0:
        return 1.0
    from scipy.special import bdtr  # slow to import, and only comparisons need it

    return min(1.0, 2 * float(bdtr(least, n, 0.5)))


def paired_shares(only_first: int, only_second: int, n: int, level: float = 0.95) -> Interval:
    """The score interval of the difference of two shares over the same n cases, second minus first (Tango 1998,
    Statistics in Medicine 17:891). `only_first` and `only_second` count the cases that only one of them got right.

    Holds for a few dozen cases, and where no case differs; the normal interval does neither.
    """
    b, c = only_second, only_first
    if min(b, c) < 0 or b + c > n:
        raise ValueError(f"paired_shares({only_first!r}, {only_second!r}, {n!r}): counts of n cases")
    if n == 0:
        return Interval(math.nan, math.nan, math.nan)
    return tango(only_first, only_second, n, z(level))


def tango(only_first: float, only_second: float, n: float, quantile: float) -> Interval:
    """Tango's interval; the counts need not be whole numbers."""
    score = partial(tango_score, only_first, only_second, n)
    estimate = (only_second - only_first) / n
    return Interval(
        estimate,
        _root(lambda delta: score(delta) - quantile, -1.0, estimate),
        _root(lambda delta: score(delta) + quantile, estimate, 1.0),
    )


def tango_score(only_first: float, only_second: float, n: float, delta: float) -> float:
    """How far the counts lie from a true difference of `delta`, in standard errors; it falls as `delta` rises. The
    interval holds every `delta` for which this is no further from 0 than the quantile."""
    b, c = only_second, only_first
    linear = -b - c + (2 * n - b + c) * delta
    constant = -c * delta * (1 - delta)
    root = math.sqrt(max(0.0, linear * linear - 8 * n * constant))
    share = (root - linear) / (4 * n)
    variance = n * (2 * share + delta * (1 - delta))
    difference = b - c - n * delta
    if abs(difference) < 1e-12:
        return 0.0
    return difference / math.sqrt(variance) if variance > 1e-12 else math.copysign(math.inf, difference)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that falls from `low` to `high` is 0; the bound that is nearest to it where it isn't."""
    if function(low) <= 0:
        return low
    if function(high) >= 0:
        return high
    while high - low > 1e-13:
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return (low + high) / 2
