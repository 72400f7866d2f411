"""Intervals for means: by Student's t over clusters, and by the bootstrap."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.stats.proportions import Interval, z

_NONE = Interval(math.nan, math.nan, math.nan)


def clustered_se(values: ArrayLike, clusters: Sequence[Hashable] | NDArray[np.int64] | None = None) -> float:
    """The standard error of the mean of `values` where those of one cluster may go together (Miller 2024, arXiv
    2411.00640, after Liang and Zeger 1986), with the small-sample factor G / (G - 1) for G clusters. Without clusters
    each value is its own. NaN for fewer than two clusters."""
    sums, n = _sums(_array(values), clusters)
    groups = len(sums)
    return math.nan if groups < 2 else float(math.sqrt(groups / (groups - 1) * float(sums @ sums)) / n)


def mean(
    values: ArrayLike, clusters: Sequence[Hashable] | NDArray[np.int64] | None = None, level: float = 0.95
) -> Interval:
    """The interval of a mean: `clustered_se` times Student's t with one degree of freedom fewer than clusters.

    Meant for values that are spread (scores, differences); of zeros and ones alone, without clusters, take `wilson`.
    NaN bounds for fewer than two clusters.
    """
    found = _array(values)
    if not len(found):
        return _NONE
    middle, groups = (
        float(found.mean()),
        len(found) if clusters is None else len(np.unique(codes(clusters, len(found)))),
    )
    if groups < 2:
        return Interval(middle, math.nan, math.nan)
    half = t_quantile(0.5 + level / 2, groups - 1) * clustered_se(found, clusters)
    return Interval(middle, middle - half, middle + half)


def bootstrap(
    values: ArrayLike,
    clusters: Sequence[Hashable] | NDArray[np.int64] | None = None,
    level: float = 0.95,
    *,
    resamples: int = 4000,
    seed: int = 0,
) -> Interval:
    """The percentile bootstrap interval of a mean (Efron 1979): whole clusters are drawn, where there are any (Field
    and Welsh 2007). The same seed gives the same interval. Too narrow for fewer than about 30 clusters: there take
    `mean`.

    For paired answers hand in the differences, one a case.
    """
    found = _array(values)
    if not len(found):
        return _NONE
    names = np.arange(len(found)) if clusters is None else codes(clusters, len(found))
    sums, counts = np.bincount(names, weights=found), np.bincount(names)
    random = np.random.default_rng(seed)
    drawn: list[NDArray[np.float64]] = []
    for many in _portions(resamples, len(sums)):
        picked = random.integers(0, len(sums), (many, len(sums)))
        drawn.append(sums[picked].sum(axis=1) / counts[picked].sum(axis=1))
    low, high = np.quantile(np.concatenate(drawn), [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(found.mean()), float(low), float(high))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of several comparisons, adjusted so that all of them together are wrong at most as often as one
    would be (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, worst = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = worst
    return adjusted


def detectable(sd: float, n: int, level: float = 0.95, power: float = 0.8) -> float:
    """The least difference of means that n cases show with this power, where the differences of the cases have this
    standard deviation (Miller 2024, section 5; normal approximation). For shares right in p and q of independent
    cases it is at most sqrt(p (1 - p) + q (1 - q))."""
    return math.inf if n < 1 else (z(level) + NormalDist().inv_cdf(power)) * sd / math.sqrt(n)


def cases_needed(sd: float, difference: float, level: float = 0.95, power: float = 0.8) -> int:
    """How many cases show this difference of means with this power: the other way round than `detectable`."""
    if difference == 0:
        raise ValueError("no number of cases shows a difference of 0")
    return math.ceil(((z(level) + NormalDist().inv_cdf(power)) * sd / difference) ** 2)


@lru_cache(maxsize=4096)
def t_quantile(share: float, df: int) -> float:
    """Student's t: the value that this share of the distribution with `df` degrees of freedom does not exceed."""
    if df < 1 or not 0 < share < 1:
        raise ValueError(f"t_quantile({share!r}, {df!r}): a share between 0 and 1, and at least one degree of freedom")
    if share < 0.5:
        return -t_quantile(1 - share, df)
    low, high = 0.0, 1.0
    while _t_tail(high, df) > 1 - share:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_tail(middle, df) > 1 - share else (low, middle)
    return (low + high) / 2


def _t_tail(value: float, df: int) -> float:
    return 0.5 * _beta(df / (df + value * value), df / 2, 0.5)


def _beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function (DLMF 8.17.22, the continued fraction by Lentz's method)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, 500):
        for top in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + top * d)
            c = 1 + top / c
            found *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return front * found / a


def _array(values: ArrayLike) -> NDArray[np.float64]:
    found = np.asarray(values, dtype=float)
    if found.ndim != 1:
        raise ValueError(f"a list of numbers, not an array of shape {found.shape}")
    if np.isnan(found).any():
        raise ValueError("one of the values is NaN: leave it out, or say what it counts as")
    return found


def codes(clusters: Sequence[Hashable] | NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Clusters as numbers from 0 on. Raises `ValueError` unless there is one for each of n values."""
    if len(clusters) != n:
        raise ValueError(f"{len(clusters)} clusters for {n} values: name one for each")
    if isinstance(clusters, np.ndarray) and clusters.dtype.kind == "i" and len(clusters):
        return np.unique(clusters, return_inverse=True)[1]
    places: dict[Hashable, int] = {}
    return np.array([places.setdefault(one, len(places)) for one in clusters], dtype=np.int64)


def _sums(
    found: NDArray[np.float64], clusters: Sequence[Hashable] | NDArray[np.int64] | None
) -> tuple[NDArray[np.float64], int]:
    """The deviations from the mean, summed by cluster."""
    off = found - found.mean() if len(found) else found
    sums: Any = off if clusters is None else np.bincount(codes(clusters, len(found)), weights=off)
    return sums, len(found)


def _portions(resamples: int, groups: int) -> list[int]:
    most = max(1, 4_000_000 // max(1, groups))
    return [min(most, resamples - start) for start in range(0, resamples, most)]
