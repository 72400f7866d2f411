"""How much better a dearer model will do than a cheaper one, predicted from the request: learnt from scored cases.

The gain is predicted, not the cheaper model's failure: hard cases are failed by both. Three plain predictors are
averaged: a kernel ridge and a ridge of the gain, and the difference of one logistic regression a model; what they don't
explain is left to the mean of the case's category, where it has one, drawn towards that of all. Settings are fixed:
there are too few cases to choose them by. What is fitted is plain arrays.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

AXES = 48
"""Directions of the embedding that are looked at."""
PLAIN = 0.08
"""Weight of the plain features of a text beside its embedding."""
SHRINK = 15.0
"""Cases that a category's mean is drawn towards that of all by."""
REACH, RIDGE, STIFF = 2.0, 6.0, 1.0
"""The kernel's sharpness, the penalty of the ridges, and that of the logistic regressions."""
SUPPORT = 4000
"""Cases that the kernel is made of, at most."""
FOLDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Requests as they are looked at: embeddings (a row each), plain features, and the category of each, or None."""

    vectors: np.ndarray
    plain: np.ndarray
    groups: Sequence[str | None]

    def of(self, places: np.ndarray) -> Requests:
        """Some of them."""
        groups = [self.groups[place] for place in places]
        return Requests(vectors=self.vectors[places], plain=self.plain[places], groups=groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class GainModel:
    """What has been learnt, for `predict`. Written as bytes and read back."""

    centre: np.ndarray
    axes: np.ndarray
    plain_mean: np.ndarray
    plain_scale: np.ndarray
    scale: float
    groups: Mapping[str, int]
    means: np.ndarray
    """The gain of each category, a row each, and last that of all."""
    support: np.ndarray
    dual: np.ndarray
    linear: np.ndarray
    logits: np.ndarray

    def predict(self, requests: Requests) -> np.ndarray:
        """The gain of the dearest model over each cheaper one: a row a request, a column a cheaper model."""
        import numpy as np

        where = self._where(requests)
        mean = self.means[[self.groups.get(str(group), -1) for group in requests.groups]]
        curved = mean + _kernel(where, self.support) @ self.dual
        straight = mean + _with_one(where) @ self.linear
        shares = 1 / (1 + np.exp(-(_with_one(np.hstack([where, mean])) @ self.logits)))
        drawn: np.ndarray = (curved + straight + shares[:, -1:] - shares[:, :-1]) / 3
        return drawn

    def _where(self, requests: Requests) -> np.ndarray:
        return _placed(requests, self.centre, self.axes, self.plain_mean, self.plain_scale, self.scale)

    def written(self) -> bytes:
        """As bytes, for `read`."""
        import numpy as np

        file = io.BytesIO()
        plain = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "groups"}
        small = {"support", "axes", "dual"}
        arrays = {name: np.asarray(value, dtype="f4" if name in small else "f8") for name, value in plain.items()}
        np.savez_compressed(file, allow_pickle=False, names=np.array(json.dumps(dict(self.groups))), **arrays)
        return file.getvalue()

    @classmethod
    def read(cls, data: bytes) -> GainModel:
        """What `written` has written. Raises `ValueError` for anything else."""
        import numpy as np

        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays: dict[str, Any] = {name: file[name] for name in file.files}
        groups = json.loads(str(arrays.pop("names")))
        return cls(groups=groups, scale=float(arrays.pop("scale")), **arrays)


def _placed(requests: Requests, centre: Any, axes: Any, plain_mean: Any, plain_scale: Any, scale: float) -> np.ndarray:
    import numpy as np

    plain = np.clip((requests.plain - plain_mean) / plain_scale, -4, 4)
    return np.hstack([(requests.vectors - centre) @ axes / scale, PLAIN * plain])


def _with_one(where: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.hstack([where, np.ones((len(where), 1))])


def _kernel(where: np.ndarray, support: np.ndarray) -> np.ndarray:
    import numpy as np

    apart = (where**2).sum(axis=1)[:, None] + (support**2).sum(axis=1) - 2 * where @ support.T
    near: np.ndarray = np.exp(-REACH * np.maximum(apart, 0.0))
    return near


def turned(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle of embeddings, and the directions in which they differ most, a column each."""
    import numpy as np

    centre = vectors.mean(axis=0)
    around = vectors - centre
    strength, axes = np.linalg.eigh(around.T @ around)
    kept = [place for place in range(len(strength))[::-1][:AXES] if strength[place] > 1e-9 * max(strength[-1], 1e-30)]
    return centre, axes[:, kept]


def fitted(
    requests: Requests, scores: Any, seed: int = 0, around: tuple[np.ndarray, np.ndarray] | None = None
) -> GainModel:
    """Learn from scores from 0 to 1: a row a request, a column a model, cheapest first, the dearest last. `around` is
    what `turned` says of these and other requests."""
    import numpy as np

    score = np.asarray(scores, dtype=float)
    gain = score[:, -1:] - score[:, :-1]
    centre, kept = around or turned(requests.vectors)
    scale = float(np.linalg.norm((requests.vectors - centre) @ kept, axis=1).mean()) or 1.0
    plain_mean, plain_scale = requests.plain.mean(axis=0), requests.plain.std(axis=0) + 1e-9
    where = _placed(requests, centre, kept, plain_mean, plain_scale, scale)
    groups, means, mean = _categories(requests.groups, gain)
    rest = gain - mean
    some = np.sort(np.random.default_rng(seed).permutation(len(where))[:SUPPORT])
    kernel = _kernel(where[some], where[some])
    dual = np.linalg.solve(kernel + RIDGE * np.eye(len(some)), rest[some])
    ones = _with_one(where)
    penalty = np.diag([RIDGE] * where.shape[1] + [1e-6])
    linear = np.linalg.solve(ones.T @ ones + penalty, ones.T @ rest)
    logits = np.column_stack([_logit(_with_one(np.hstack([where, mean])), column) for column in score.T])
    arrays: dict[str, Any] = {"centre": centre, "axes": kept, "plain_mean": plain_mean, "plain_scale": plain_scale}
    arrays |= {"support": where[some], "dual": dual, "linear": linear, "logits": logits}
    return GainModel(scale=scale, groups=groups, means=means, **arrays)


def _categories(names: Sequence[str | None], gain: np.ndarray) -> tuple[dict[str, int], np.ndarray, np.ndarray]:
    """The places of the categories, the mean gain of each and, last, of all, each drawn towards that of all; and for
    each case that mean without itself."""
    import numpy as np

    known = sorted({name for name in names if name is not None})
    groups = {name: place for place, name in enumerate(known)}
    place = np.array([groups[name] if name is not None else len(known) for name in names])
    count = np.bincount(place, minlength=len(known) + 1).astype(float)[:, None]
    sums = np.zeros((len(known) + 1, gain.shape[1]))
    np.add.at(sums, place, gain)
    whole, n = gain.sum(axis=0), len(gain)
    overall = whole / n
    means = (sums + SHRINK * overall) / (count + SHRINK)
    means[-1] = overall
    if not known:
        return groups, means, np.repeat(overall[None], n, axis=0)
    others = (whole - gain) / max(1, n - 1)
    around = (sums[place] - gain + SHRINK * others) / (count[place] - 1 + SHRINK)
    return groups, means, np.where((place == len(known))[:, None], overall, around)


def _logit(features: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The weights of a logistic regression of a share from 0 to 1; the last, of the constant, goes free."""
    import numpy as np
    from scipy.optimize import minimize  # slow to import, and only who fits needs it

    penalty = np.full(features.shape[1], STIFF)
    penalty[-1] = 1e-6

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        straight = features @ weights
        value = (np.logaddexp(0, straight) - share * straight).sum() + (penalty * weights**2).sum() / 2
        slope = features.T @ (1 / (1 + np.exp(-straight)) - share) + penalty * weights
        return float(value), slope

    start = np.zeros(features.shape[1])
    middle = min(max(float(share.mean()), 1e-3), 1 - 1e-3)
    start[-1] = math.log(middle / (1 - middle))
    weights: np.ndarray = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    return weights


def out_of_fold(requests: Requests, scores: Any, clusters: Sequence[Any], seed: int = 0) -> np.ndarray:
    """Each request's gains as predicted by what was learnt from the others, those of its own cluster left out."""
    import numpy as np

    score = np.asarray(scores, dtype=float)
    names, place = np.unique(np.asarray([str(cluster) for cluster in clusters]), return_inverse=True)
    around = turned(requests.vectors)
    folds = np.random.default_rng(seed).permutation(len(names)) % min(FOLDS, len(names))
    fold = folds[place]
    predicted = np.zeros((len(score), score.shape[1] - 1))
    for number in range(folds.max() + 1):
        mine, others = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        model = fitted(requests.of(others), score[others], seed, around)
        predicted[mine] = model.predict(requests.of(mine))
    return predicted


def recovered(predicted: Any, weak: Any, strong: Any) -> float:
    """The area under the share of the quality gap that is recovered as more requests go to the stronger model, those
    with the largest predicted gain first (APGR of RouteLLM, Ong et al. 2024, arXiv 2406.18665): 0.5 is chance."""
    import numpy as np

    order = np.argsort(-np.asarray(predicted, dtype=float), kind="stable")
    gain = (np.asarray(strong, dtype=float) - np.asarray(weak, dtype=float))[order]
    if not gain.sum():
        return math.nan
    share = np.concatenate([[0.0], np.cumsum(gain) / gain.sum()])
    return float(((share[1:] + share[:-1]) / 2).mean())
