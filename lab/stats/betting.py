"""A mean that may not be exceeded: evidence by betting (Waudby-Smith and Ramdas 2023, arXiv 2010.09686), and how far
down a list of choices it reaches.

Whoever bets against "the mean is at least so much" wins nothing in the long run if it is; a capital that has grown
20-fold is evidence at 95 %, whatever the values' distribution. Normal intervals, which small samples of rare losses
break, are not used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

ERROR = 0.05
"""The probability with which a mean that is too high may pass."""
BOLDEST = 0.75
"""The part of its capital that a bet may lose at most."""
ORDER = 20240101
"""Draws the order in which values are bet on, which may not depend on them."""


def below(values: Any, most: float, error: float = ERROR) -> np.ndarray:
    """Whether the mean behind each column of `values` (a row an independent draw, from -1 to 1) is shown to be less
    than `most`, with a probability of at most `error` that it isn't.

    Raises `ValueError` for values beyond 1, or a `most` that is not between -1 and 1.
    """
    import numpy as np  # slow to import, and only who fits needs it

    losses = np.asarray(values, dtype=float)
    losses = losses[:, None] if losses.ndim == 1 else losses
    if not -1 < most < 1 or not np.isfinite(losses).all() or (losses.size and np.abs(losses).max() > 1 + 1e-9):
        raise ValueError(f"below(most={most!r}): values from -1 to 1, and a mean between")
    n = len(losses)
    if not n:
        return np.zeros(losses.shape[1], dtype=bool)
    drawn = (1 - losses[np.random.default_rng(ORDER).permutation(n)]) / 2
    least = (1 - most) / 2
    seen = np.arange(1, n + 1)[:, None]
    mean = (0.5 + np.cumsum(drawn, axis=0)) / (seen + 1)
    spread = (0.25 + np.cumsum((drawn - mean) ** 2, axis=0)) / (seen + 1)
    before = np.vstack([np.full((1, losses.shape[1]), 0.25), spread[:-1]])
    stake = np.minimum(np.sqrt(2 * math.log(1 / error) / (n * before)), BOLDEST / least)
    capital = np.cumsum(np.log1p(stake * (drawn - least)), axis=0)
    shown: np.ndarray = capital.max(axis=0) >= math.log(1 / error)
    return shown


def reached(values: Any, most: float, error: float = ERROR) -> int:
    """How many columns, from the first, are shown to have a mean below `most`, up to the first that is not: all of them
    together with a probability of at most `error` that one isn't (fixed-sequence testing)."""
    import numpy as np

    shown = below(values, most, error)
    return int(len(shown) if shown.all() else np.argmin(shown))


def by_cluster(values: Any, clusters: Sequence[Any], most: float) -> Any:
    """Values whose mean is 0 or less where that of `values` is `most` or less, one row a cluster: cases that go
    together are one draw. From -1 to 1."""
    import numpy as np

    losses = np.asarray(values, dtype=float) - most
    losses = losses[:, None] if losses.ndim == 1 else losses
    _names, place = np.unique(np.asarray([str(cluster) for cluster in clusters]), return_inverse=True)
    sums = np.zeros((place.max() + 1, losses.shape[1]))
    np.add.at(sums, place, losses)
    largest = np.bincount(place).max()
    return sums / (largest * (1 + abs(most)))
