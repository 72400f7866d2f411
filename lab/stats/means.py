"""Intervals for means: by Student's t over clusters, and by the bootstrap."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist

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
    numbers = _array(values)
    if not len(numbers):
        return _NONE
    middle, groups = (
        float(numbers.mean()),
        len(numbers) if clusters is None else len(np.unique(codes(clusters, len(numbers)))),
    )
    if groups < 2:
        return Interval(middle, math.nan, math.nan)
    half = t_quantile(0.5 + level / 2, groups - 1) * clustered_se(numbers, clusters)
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
    numbers = _array(values)
    if not len(numbers):
        return _NONE
    names = np.arange(len(numbers)) if clusters is None else codes(clusters, len(numbers))
    sums, counts = np.bincount(names, weights=numbers), np.bincount(names)
    random = np.random.default_rng(seed)
    drawn: list[NDArray[np.float64]] = []
    for many in _portions(resamples, len(sums)):
        picked = random.integers(0, len(sums), (many, len(sums)))
        drawn.append(sums[picked].sum(axis=1) / counts[picked].sum(axis=1))
    low, high = np.quantile(np.concatenate(drawn), [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(numbers.mean()), float(low), float(high))


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


def t_quantile(share: float, df: int) -> float:
    """Student's t: the value that this share of the distribution with `df` degrees of freedom does not exceed."""
    if df < 1 or not 0 < share < 1:
        raise ValueError(f"t_quantile({share!r}, {df!r}): a share between 0 and 1, and at least one degree of freedom")
    from scipy.special import stdtrit  # slow to import, and only clusters and means need it

    return float(stdtrit(df, share))


def _array(values: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=float)
    if numbers.ndim != 1:
        raise ValueError(f"a list of numbers, not an array of shape {numbers.shape}")
    if np.isnan(numbers).any():
        raise ValueError("one of the values is NaN: leave it out, or say what it counts as")
    return numbers


def codes(clusters: Sequence[Hashable] | NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Clusters as numbers from 0 on. Raises `ValueError` unless there is one for each of n values."""
    if len(clusters) != n:
        raise ValueError(f"{len(clusters)} clusters for {n} values: name one for each")
    if isinstance(clusters, np.ndarray) and clusters.dtype.kind == "i" and len(clusters):
        return np.unique(clusters, return_inverse=True)[1]
    places: dict[Hashable, int] = {}
    return np.array([places.setdefault(cluster, len(places)) for cluster in clusters], dtype=np.int64)


def _sums(
    values: NDArray[np.float64], clusters: Sequence[Hashable] | NDArray[np.int64] | None
) -> tuple[NDArray[np.float64], int]:
    """The deviations from the mean, summed by cluster."""
    off = values - values.mean() if len(values) else values
    if clusters is None:
        return off, len(values)
    return np.bincount(codes(clusters, len(values)), weights=off).astype(np.float64), len(values)


def _portions(resamples: int, groups: int) -> list[int]:
    most = max(1, 4_000_000 // max(1, groups))
    return [min(most, resamples - start) for start in range(0, resamples, most)]
