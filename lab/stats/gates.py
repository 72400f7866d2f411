"""Candidate against baseline: pass, fail, or inconclusive with how many more cases would decide it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from lab.stats.means import bootstrap, cases_needed, mean
from lab.stats.proportions import Interval, mcnemar, paired_shares, z

Result = Literal["pass", "fail", "inconclusive"]
FEW = 30
"""Clusters below which the bootstrap is too narrow, and Student's t is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a gate said. `difference` is the candidate's mean score minus the baseline's over the cases that both have,
    `low` and `high` hold it at the `level`, `needed` is how many cases in all would probably decide it (None where it
    is decided). `method` says how the interval was made; `p` is that of the exact McNemar test where scores are right
    or wrong."""

    verdict: Result
    difference: float
    low: float
    high: float
    n: int
    clusters: int
    margin: float
    level: float
    baseline: float
    candidate: float
    needed: int | None = None
    method: str = ""
    p: float | None = None
    left_out: int = 0
    names: tuple[str, str] = ("baseline", "candidate")

    def __str__(self) -> str:
        said = {
            "pass": f"not worse by more than the margin of {self.margin:.1%}",
            "fail": f"worse by more than the margin of {self.margin:.1%}",
            "inconclusive": f"{self.n} cases can't tell; about {self.needed:,} would"
            if self.needed
            else "nothing to tell from",
        }
        return (
            f"{self.verdict}: {self.names[1]} {self.candidate:.1%} against {self.names[0]} {self.baseline:.1%}, "
            f"difference {self.difference:+.1%} [{self.low:+.1%}, {self.high:+.1%}] over {self.n} cases: "
            f"{said[self.verdict]}"
        )


@runtime_checkable
class Scored(Protocol):
    """What has scores by case: an evaluation, or an experiment of one prompt and model."""

    name: str

    def by_case(self) -> Mapping[str, tuple[float, Hashable]]:
        """The mean score of each case, and its cluster."""


def gate(
    baseline: Any,
    candidate: Any,
    margin: float = 0.02,
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Verdict:
    """Whether `candidate` is no worse than `baseline` by more than `margin` (a difference of mean scores, 0.02 being
    two points): a non-inferiority test of paired scores.

    `pass` where the whole interval of the difference lies above -margin, `fail` where it lies below, and `inconclusive`
    otherwise. So each of the two is wrong in at most (1 - level) / 2 of all cases: a candidate that is worse by exactly
    the margin passes in 2.5 % of them at the level 0.95. Both are evaluations, mappings from case to score, or lists of
    scores in the same order. Cases that only one of them has are left out and counted.

    The interval is Tango's score interval where scores are right or wrong and each case is its own cluster, the cluster
    bootstrap for at least 30 clusters, and Student's t over the clusters for fewer.
    """
    if not 0 <= margin < 1:
        raise ValueError(f"margin={margin!r}: a share of at least 0 and below 1, such as 0.02 for two points")
    first, second, groups, left_out = _paired(baseline, candidate, clusters)
    names = tuple(
        getattr(one, "name", None) or said for one, said in ((baseline, "baseline"), (candidate, "candidate"))
    )
    n, many = len(first), len(set(groups))
    differences = second - first
    found, method, p = _interval(first, second, groups, level)
    verdict: Result = "inconclusive"
    if found.low > -margin:
        verdict = "pass"
    elif found.high < -margin:
        verdict = "fail"
    return Verdict(
        verdict=verdict,
        difference=found.estimate,
        low=found.low,
        high=found.high,
        n=n,
        clusters=many,
        margin=margin,
        level=level,
        baseline=float(first.mean()) if n else math.nan,
        candidate=float(second.mean()) if n else math.nan,
        needed=None if verdict != "inconclusive" else _needed(differences, found, margin, level, n),
        method=method,
        p=p,
        left_out=left_out,
        names=names,
    )


def _interval(
    first: np.ndarray, second: np.ndarray, groups: Sequence[Hashable], level: float
) -> tuple[Interval, str, float | None]:
    n, many = len(first), len(set(groups))
    binary = bool(np.isin(first, (0.0, 1.0)).all() and np.isin(second, (0.0, 1.0)).all())
    lost, won = int(((first == 1) & (second == 0)).sum()), int(((first == 0) & (second == 1)).sum())
    p = mcnemar(lost, won) if binary and n else None
    if n == 0:
        return Interval(math.nan, math.nan, math.nan), "no case in common", None
    if binary and many == n:
        return paired_shares(lost, won, n, level), "Tango's score interval", p
    differences = second - first
    if many >= FEW and differences.any():
        return bootstrap(differences, groups, level), f"bootstrap over {many} clusters", p
    return mean(differences, groups, level), f"Student's t over {many} clusters", p


def _needed(differences: np.ndarray, found: Interval, margin: float, level: float, n: int) -> int | None:
    """Cases in all, for the difference seen so far: as if the interval shrank with the root of their number."""
    if n < 2:
        return None
    away = abs(found.estimate + margin)
    half = (found.high - found.low) / 2
    if not math.isfinite(half):
        return None
    if half == 0 or away < 1e-9:
        away = max(away, margin / 4, 0.0025)  # right on the margin: decided only once it moves a little
    sd = half / z(level) * math.sqrt(n)
    return max(n + 1, cases_needed(sd, away, level, 0.8)) if sd else n + 1


def _paired(
    baseline: Any, candidate: Any, clusters: Sequence[Hashable] | None
) -> tuple[np.ndarray, np.ndarray, list[Hashable], int]:
    one, other = _by_case(baseline), _by_case(candidate)
    if one is None or other is None:
        if one is not None or other is not None:
            raise TypeError("gate(...): two evaluations, two mappings, or two lists of scores")
        first, second = np.asarray(baseline, dtype=float), np.asarray(candidate, dtype=float)
        if first.shape != second.shape or first.ndim != 1:
            raise ValueError(f"gate(...): {first.shape} and {second.shape}: lists of scores of the same cases")
        groups = list(range(len(first))) if clusters is None else list(clusters)
        if len(groups) != len(first):
            raise ValueError(f"clusters: {len(groups)} for {len(first)} cases")
        known = ~(np.isnan(first) | np.isnan(second))
        kept = [group for group, there in zip(groups, known, strict=True) if there]
        return first[known], second[known], kept, int((~known).sum())
    shared = [case for case in one if case in other and not math.isnan(one[case][0] + other[case][0])]
    left_out = len(one.keys() | other.keys()) - len(shared)
    first = np.array([one[case][0] for case in shared], dtype=float)
    second = np.array([other[case][0] for case in shared], dtype=float)
    groups = [one[case][1] for case in shared] if clusters is None else list(clusters)
    if len(groups) != len(shared):
        raise ValueError(f"clusters: {len(groups)} for {len(shared)} cases")
    return first, second, groups, left_out


def _by_case(given: Any) -> dict[str, tuple[float, Hashable]] | None:
    if isinstance(given, Scored):
        return dict(given.by_case())
    if isinstance(given, Mapping):
        return {case: (float(score), case) for case, score in given.items()}
    if hasattr(given, "items") and hasattr(given, "index"):  # a pandas Series, by its index
        return {case: (float(score), case) for case, score in given.items()}
    return None
