"""Candidate against baseline: pass, fail, or inconclusive with how many more cases would decide it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from lab.show.html import verdict_html
from lab.stats.effective import effective, paired
from lab.stats.proportions import Interval, mcnemar, tango_score, z

Result = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
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

    def __repr__(self) -> str:
        return f"<Verdict {self}>"

    def _repr_html_(self) -> str:
        return verdict_html(
            self.verdict, str(self).partition(": ")[2], self.difference, self.low, self.high, self.margin
        )

    def __str__(self) -> str:
        more = f"; about {self.needed:,} would" if self.needed else ""
        left = f" ({self.left_out} left out: only one has a score there)" if self.left_out else ""
        reasons = {
            "pass": f"not worse by more than the margin of {self.margin:.1%}",
            "fail": f"worse by more than the margin of {self.margin:.1%}",
            "inconclusive": f"{self.n} cases can't tell{more}",
        }
        return (
            f"{self.verdict}: {self.names[1]} {self.candidate:.1%} against {self.names[0]} {self.baseline:.1%}, "
            f"difference {self.difference:+.1%} [{self.low:+.1%}, {self.high:+.1%}] over {self.n} cases{left}: "
            f"{reasons[self.verdict]}"
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

    The interval is Tango's score interval, over as many independent answers as the scores are worth where cases go
    together in clusters or are right in part (`stats.paired`).
    """
    if not 0 <= margin < 1:
        raise ValueError(f"margin={margin!r}: a share of at least 0 and below 1, such as 0.02 for two points")
    first, second, groups, left_out = _paired(baseline, candidate, clusters)
    names = (
        str(getattr(baseline, "name", None) or "baseline"),
        str(getattr(candidate, "name", None) or "candidate"),
    )
    n, many = len(first), len(set(groups))
    differences = second - first
    interval, method, p = _interval(first, second, groups, level)
    verdict: Result = "inconclusive"
    if interval.low > -margin:
        verdict = "pass"
    elif interval.high < -margin:
        verdict = "fail"
    return Verdict(
        verdict=verdict,
        difference=interval.estimate,
        low=interval.low,
        high=interval.high,
        n=n,
        clusters=many,
        margin=margin,
        level=level,
        baseline=float(first.mean()) if n else math.nan,
        candidate=float(second.mean()) if n else math.nan,
        needed=None if verdict != "inconclusive" else _needed(differences, groups, margin, level),
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
    method = "Tango's score interval"
    if not binary or many < n:
        method += f", effective number of answers over {many} clusters"
    return paired(second - first, groups, level), method, p


MOST = 1_000_000
"""Cases beyond which nobody is told to ask so many."""


def _needed(differences: np.ndarray, groups: Sequence[Hashable], margin: float, level: float) -> int | None:
    """Cases in all that would decide it if they went on like those seen: None where none would, or more than `MOST`.

    As many as the interval needs to leave the margin, and twice as many where that depends on chance (a power of four
    in five takes the square of (1.96 + 0.84) / 1.96 times as many).
    """
    n = len(differences)
    if n < 2:
        return None
    up, down = float(differences[differences > 0].sum()) / n, -float(differences[differences < 0].sum()) / n
    worth = effective(differences, groups) / n

    def decided(cases: float) -> bool:
        answers = cases * worth
        return abs(tango_score(down * answers, up * answers, answers, -margin)) > z(level)

    low, high = float(n), float(n)
    while not decided(high):
        low, high = high, high * 2
        if high > MOST:
            return None
    while high - low > max(1.0, low * 0.001):
        middle = (low + high) / 2
        low, high = (low, middle) if decided(middle) else (middle, high)
    sure = 1.0 if up == down == 0 else ((z(level) + 0.8416) / z(level)) ** 2
    return max(n + 1, math.ceil(high * sure))


def _paired(
    baseline: Any, candidate: Any, clusters: Sequence[Hashable] | None
) -> tuple[np.ndarray, np.ndarray, list[Hashable], int]:
    old, new = _by_case(baseline), _by_case(candidate)
    if old is None or new is None:
        if old is not None or new is not None:
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
    shared = [case for case in old if case in new and not math.isnan(old[case][0] + new[case][0])]
    left_out = len(old.keys() | new.keys()) - len(shared)
    first = np.array([old[case][0] for case in shared], dtype=float)
    second = np.array([new[case][0] for case in shared], dtype=float)
    groups = [old[case][1] for case in shared] if clusters is None else list(clusters)
    if len(groups) != len(shared):
        raise ValueError(f"clusters: {len(groups)} for {len(shared)} cases")
    return first, second, groups, left_out


def _by_case(given: Any) -> dict[str, tuple[float, Hashable]] | None:
    if isinstance(given, Scored):
        return dict(given.by_case())
    if isinstance(given, Mapping):
        return {case: (float(score), case) for case, score in given.items()}
    if hasattr(given, "items") and hasattr(given, "index"):  # a pandas Series, by its index
        if not given.index.is_unique:
            raise ValueError("gate(...): a case stands twice in the index: take the mean of its scores first")
        return {case: (float(score), case) for case, score in given.items()}
    return None
