"""Score intervals for answers that go together or are right in part: Wilson's and Tango's, over as many independent
right-or-wrong answers as the data are worth.

The effective number of answers is the one whose binomial variance is the variance seen between clusters (Kish 1965;
Korn and Graubard 1998, Survey Methodology 24:193, who take it into an interval for shares), and Student's t over the
clusters takes the normal quantile's place. Where few clusters differ at all, that variance is itself hardly known: the
number is drawn towards one answer a cluster, which it also is where nothing differs. So these intervals keep a width
where the usual ones have none. From about 60 clusters on they hold as often as they say; with fewer, more often.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.stats.means import codes, t_quantile
from lab.stats.proportions import Interval, tango, wilson_share, z

PRIOR = 1.0
"""How many clusters with a difference weigh as much as the assumption that a cluster is one answer."""
_NONE = Interval(math.nan, math.nan, math.nan)


def share(
    values: ArrayLike, clusters: Sequence[Hashable] | NDArray[np.int64] | None = None, level: float = 0.95
) -> Interval:
    """The interval of the mean of scores between 0 and 1. Of zeros and ones without clusters it is Wilson's."""
    scores, groups = _checked(values, clusters, 0.0)
    if not len(scores):
        return _NONE
    p = float(scores.mean())
    rare = np.bincount(groups, weights=1 - scores if p > 0.5 else scores)
    n, quantile = _worth(scores, groups, p * (1 - p), int(np.count_nonzero(rare)), level)
    return wilson_share(p, n, quantile)


def paired(
    differences: ArrayLike, clusters: Sequence[Hashable] | NDArray[np.int64] | None = None, level: float = 0.95
) -> Interval:
    """The interval of the mean difference of two scores over the same cases, a value between -1 and 1 each. Of answers
    that are right or wrong, without clusters, it is Tango's."""
    gains, groups = _checked(differences, clusters, -1.0)
    if not len(gains):
        return _NONE
    up, down = float(gains[gains > 0].sum()) / len(gains), -float(gains[gains < 0].sum()) / len(gains)
    differ = int(np.count_nonzero(np.bincount(groups, weights=np.abs(gains))))
    n, quantile = _worth(gains, groups, up + down - (up - down) ** 2, differ, level)
    return tango(down * n, up * n, n, quantile)


def effective(differences: ArrayLike, clusters: Sequence[Hashable] | NDArray[np.int64] | None = None) -> float:
    """How many independent right-or-wrong answers the differences are worth: what `paired` counts with."""
    gains, groups = _checked(differences, clusters, -1.0)
    up, down = float(gains[gains > 0].sum()) / len(gains), -float(gains[gains < 0].sum()) / len(gains)
    differ = int(np.count_nonzero(np.bincount(groups, weights=np.abs(gains))))
    return _worth(gains, groups, up + down - (up - down) ** 2, differ, 0.95)[0]


def _worth(
    values: NDArray[np.float64], groups: NDArray[np.int64], binary: float, differ: int, level: float
) -> tuple[float, float]:
    """How many independent answers the data are worth, and the quantile to take. `binary` is the variance that a
    single right-or-wrong answer would have; `differ` is in how many clusters anything differs."""
    n, many = len(values), int(groups.max()) + 1
    plain = many == n and bool(np.isin(values, (-1.0, 0.0, 1.0)).all())
    if plain:
        return float(n), z(level)
    quantile = t_quantile(0.5 + level / 2, many - 1) if many > 1 else math.inf
    off = values - values.mean()
    sums = np.bincount(groups, weights=off)
    between = many / (many - 1) * float(sums @ sums) if many > 1 else 0.0
    variance = max(float(off @ off), between) / n / n
    if many < 2 or variance <= 0 or binary <= 0:
        return float(min(n, many)), min(quantile, 1e3)
    seen, least = n * variance / binary, max(1.0, n / many)
    trust = differ / (differ + PRIOR)
    return n / (trust * seen + (1 - trust) * max(seen, least)), quantile


def _checked(
    values: ArrayLike, clusters: Sequence[Hashable] | NDArray[np.int64] | None, low: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    numbers = np.asarray(values, dtype=float)
    if numbers.ndim != 1 or np.isnan(numbers).any() or (len(numbers) and (numbers.min() < low or numbers.max() > 1)):
        raise ValueError(f"a list of numbers from {low:g} to 1, none of them NaN")
    return numbers, np.arange(len(numbers)) if clusters is None else codes(clusters, len(numbers))
