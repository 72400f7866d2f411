"""How many requests may go to a cheaper model: the largest share for which scored cases show that at most so much of
the dearest one's quality is lost.

Whoever always asks the dearest model is the measure. Requests with the least predicted gain go first; share by share,
betting evidence has to show that the mean loss is below the margin, up to the first share for which it doesn't.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.stats.betting import ERROR, by_cluster, reached

if TYPE_CHECKING:
    import numpy as np

STEP = 0.05
"""Share of the requests by which the next step is larger."""
DRAWS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What may be sent where. `cut`: the predicted gain up to which a cheaper model is asked, None where nothing can be
    promised; `shares` of the requests by model, cheapest first, the dearest last; `loss` of score that was measured at
    that cut, on cases that the prediction had not seen."""

    cut: float | None
    shares: tuple[float, ...]
    loss: float

    @property
    def share(self) -> float:
        """Of the requests that don't go to the dearest model."""
        return sum(self.shares[:-1])


def places(predicted: Any, cut: float | None) -> np.ndarray:
    """The model of each request: the first over which the dearest is predicted to gain at most `cut`."""
    import numpy as np

    gains = np.asarray(predicted, dtype=float)
    dearest = gains.shape[1]
    if cut is None:
        return np.full(len(gains), dearest)
    fits = gains <= cut
    where: np.ndarray = np.where(fits.any(axis=1), fits.argmax(axis=1), dearest)
    return where


def _losses(gain: np.ndarray, where: np.ndarray, explore: float) -> np.ndarray:
    """The loss against the dearest of a request sent there, with the share that goes another way in it."""
    import numpy as np

    return mixed(np.hstack([gain, np.zeros((len(gain), 1))]), where, explore)


def mixed(each: np.ndarray, where: np.ndarray, explore: float) -> np.ndarray:
    """What comes of requests that are sent there, `each` a column a model, with the share that goes another way."""
    import numpy as np

    own = each[np.arange(len(each)), where]
    others = (each.sum(axis=1) - own) / max(1, each.shape[1] - 1)
    both: np.ndarray = (1 - explore) * own + explore * others
    return both


def promised(
    predicted: Any, scores: Any, clusters: Sequence[Any], margin: float, explore: float = 0.0, error: float = ERROR
) -> Promise:
    """What may be sent where so that less than `margin` is lost, with a probability of at most `error` that it is more.

    `predicted`: gains of the dearest model by what has not seen the case, a row a case and a column a cheaper model;
    `scores` from 0 to 1, a column a model; `clusters`: cases that go together.
    """
    import numpy as np

    gains, score = np.asarray(predicted, dtype=float), np.asarray(scores, dtype=float)
    gain = score[:, -1:] - score[:, :-1]
    cuts = _cuts(gains)
    losses = np.column_stack([_losses(gain, places(gains, cut), explore) for cut in cuts])
    number = reached(by_cluster(losses, clusters, margin), 0.0, error)
    cut = cuts[number - 1] if number else None
    where = places(gains, cut)
    shares = np.bincount(where, minlength=score.shape[1]) / len(where)
    loss = _losses(gain, where, explore if number else 0.0).mean()
    return Promise(cut=cut, shares=tuple(float(share) for share in shares), loss=float(loss))


def _cuts(gains: np.ndarray) -> list[float]:
    """The cuts that are looked at, smallest first: each lets go of 5 % more of the requests; then, where there are
    several cheaper models, each sends 5 % more to the cheapest."""
    import numpy as np

    steps = np.arange(STEP, 1 + STEP / 2, STEP)
    found = {
        float(np.quantile(column, min(step, 1.0))) for column in (gains.min(axis=1), gains[:, 0]) for step in steps
    }
    return sorted(found)


def projected(
    predicted: Any, scores: Any, margin: float, cases: int, explore: float = 0.0, error: float = ERROR
) -> float:
    """The share that could be promised with so many cases of the same kind, if they were predicted no better: the
    median of draws of that many from those at hand."""
    import numpy as np

    gains, score = np.asarray(predicted, dtype=float), np.asarray(scores, dtype=float)
    random = np.random.default_rng(0)
    shares = []
    for _ in range(DRAWS):
        drawn = random.integers(0, len(gains), cases)
        shares.append(promised(gains[drawn], score[drawn], range(cases), margin, explore, error).share)
    return float(np.median(shares))
