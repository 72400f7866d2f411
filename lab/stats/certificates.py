"""A share that may not be exceeded: certified from labels, then watched.

Both are about shares of mistakes. A certificate says "at most so many, at this level of confidence", and holds whatever
the labels came out as; watching says when it no longer does, and may look at every label as it comes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

ERROR = 0.05
"""The share of certificates that may be wrong."""


def upper(wrong: int, n: int, error: float = ERROR) -> float:
    """The exact one-sided upper bound of a share (Clopper and Pearson 1934): a true share above it brings so few wrong
    ones among `n` with a probability of at most `error`. 1 where nothing is known."""
    if not 0 <= wrong <= n:
        raise ValueError(f"upper({wrong!r}, {n!r}): 0 <= wrong <= n")
    if wrong == n:
        return 1.0
    from scipy.special import betaincinv  # slow to import, and only certificates need it

    return float(betaincinv(wrong + 1, n - wrong, 1 - error))


def needed(share: float, error: float = ERROR) -> int:
    """How many labels it takes at least, none of them wrong, to certify `share`: 59 for 5 %, 149 for 2 %."""
    return math.ceil(math.log(error) / math.log1p(-share))


def missing(share: float, first: int | None, looked_at: int, total: int, best: int) -> int:
    """How many labels the next look waits for, where there are `total`, and `best` of them of the most cautious kind.

    The first look waits for as many as were asked for (`first`), and for enough of the best kind to certify `share`, or
    three times as many of any kind; each further one for twice as many as the last had (`looked_at`).
    """
    if looked_at:
        return max(0, 2 * looked_at - total)
    least = needed(share)
    return max(0, (first or 0) - total, min(least - best, 3 * least - total))


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """What labels say about a share. `step` is how far down the sequence it holds, None for not at all; `n` labels lie
    within that step (else within the first that was tested), `wrong` of them, and `high` bounds their true share.
    `spent` is the probability with which this look, at worst, certifies what isn't so."""

    step: float | None
    n: int
    wrong: int
    high: float
    spent: float


def certify(
    scores: Sequence[float] | np.ndarray,
    wrong: Sequence[bool] | np.ndarray,
    steps: Sequence[float],
    share: float,
    error: float = ERROR,
) -> Certified:
    """How far down `steps` (scores, highest first) the labels with at least that score show a share of wrong ones of at
    most `share`: fixed-sequence testing, each step with the whole `error`, up to the first that fails.

    Steps with too few labels to pass even without a wrong one are left out: how many there are says nothing about how
    many are wrong. Raises `ValueError` where scores and labels are not as many.
    """
    import numpy as np  # slow to import, and only certificates need it

    score, bad = np.asarray(scores, dtype=float), np.asarray(wrong, dtype=bool)
    if score.shape != bad.shape or score.ndim != 1:
        raise ValueError(f"certify: {score.size} scores and {bad.size} labels")
    counts = [(step, int((score >= step).sum()), int(bad[score >= step].sum())) for step in steps]
    tested = [(step, n, mistakes) for step, n, mistakes in counts if n >= needed(share, error)]
    spent = max((_size(n, share, error) for _step, n, _mistakes in tested), default=0.0)
    best = Certified(
        step=None, n=score.size, wrong=int(bad.sum()), high=upper(int(bad.sum()), score.size, error), spent=spent
    )
    for step, n, mistakes in tested:
        high = upper(mistakes, n, error)
        if high > share:
            return best if best.step is not None else replace(best, n=n, wrong=mistakes, high=high)
        if best.step is None or n > best.n:  # where no label lies nothing was seen
            best = replace(best, step=step, n=n, wrong=mistakes, high=high)
    return best


def _size(n: int, share: float, error: float) -> float:
    """With which probability n labels of a true share of `share` pass: counts are whole, so it is at most `error`."""
    from scipy.special import bdtr

    passing = -1
    low, high = 0, n
    while low <= high:  # the most mistakes that pass
        middle = (low + high) // 2
        if upper(middle, n, error) <= share:
            passing, low = middle, middle + 1
        else:
            high = middle - 1
    return 0.0 if passing < 0 else float(bdtr(passing, n, share))


WORSE = 3.0
"""How many times the certified share the watch looks for."""
PATIENCE = 1000.0
"""A watch that is at most once wrong in so many labels, on average, where the share is exactly what was certified."""


def evidence(before: float, wrong: bool, share: float) -> float:
    """How much speaks for a share that is `WORSE` than `share` since some moment in the past, after one more label: a
    sum of likelihood ratios that starts anew from 1 whenever it falls below (a CUSUM; Page 1954). At `PATIENCE` it is
    time to stop: where the share is at most what was certified that takes at least so many labels on average, however
    often one looks (Shin, Ramdas and Rinaldo 2022, arXiv 2203.03532)."""
    worse = min(WORSE * share, (1 + share) / 2)
    ratio = worse / share if wrong else (1 - worse) / (1 - share)
    return max(1.0, before) * ratio
