"""How well an output did against what was expected: a share from 0 to 1.

`exact`, `label`, `contains`, `number`, `fields` (JSON, field by field), `scorer` (any function), `judged` (a model).
A call that failed scores 0: no answer is no good answer.
"""

from __future__ import annotations

import inspect
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any

from lab.checks.fingerprint import fingerprint
from lab.checks.judging import Judge
from lab.checks.kernel import Output
from lab.checks.parsing import Unreadable, parsed
from lab.checks.words import numbers, plain

Score = float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer(ABC):
    """One way to score. `name` is what the ledger calls it; `at` is the part of value and expectation that counts."""

    name: str
    at: str | None = None

    @abstractmethod
    def of(self, value: Any, expected: Any) -> Score | Awaitable[Score]:
        """The score of `value`: a parsed value where there was a schema, else the text."""

    def score(self, text: str, value: Any, expected: Any) -> Score | Awaitable[Score]:
        """The score of one answer. Without a schema, a JSON object in the text is read where a part of it is asked
        for or the expectation is one; where there is none the score is 0."""
        value = _plain(text if value is None else value)
        if isinstance(value, str) and (self.at is not None or isinstance(expected, Mapping)):
            try:
                value = parsed(value, "{").value
            except Unreadable:
                return 0.0
        if self.at is not None:
            try:
                ((_, value),) = Output("", value).at(self.at)
                ((_, expected),) = (
                    Output("", expected).at(self.at) if isinstance(expected, Mapping) else ((0, expected),)
                )
            except (LookupError, ValueError):
                return 0.0
        return self.of(value, expected)

    def content(self) -> str:
        """What tells it from another one."""
        return repr(self)


def _plain(value: Any) -> Any:
    """Pydantic's models as dictionaries."""
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact(Scorer):
    """The same, but (unless `strict`) for capitals, blanks and marks at the ends of texts."""

    strict: bool = False

    def of(self, value: Any, expected: Any) -> Score:
        """1 or 0."""
        return value == expected if self.strict else _same(value, expected)


def _same(value: Any, expected: Any) -> bool:
    if isinstance(value, str) and isinstance(expected, str):
        return _bare(value) == _bare(expected)
    if (
        isinstance(value, int | float)
        and isinstance(expected, int | float)
        and bool not in (type(value), type(expected))
    ):
        return math.isclose(value, expected, rel_tol=1e-9, abs_tol=1e-9)
    return type(value) is type(expected) and value == expected


def _bare(text: str) -> str:
    return plain(text).strip(" .,;:!?'*`\"()[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Scorer):
    """One label and nothing else; of an object with one field, that field. `expected` may be a list of right ones."""

    def of(self, value: Any, expected: Any) -> Score:
        """1 or 0."""
        if isinstance(value, str) and value.strip()[:1] == "{":
            try:
                value = parsed(value, "{").value
            except Unreadable:
                return 0.0
        if isinstance(value, Mapping) and len(value) == 1:
            (value,) = value.values()
        right = expected if isinstance(expected, list | tuple) else [expected]
        return any(_same(value, answer) for answer in right)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contains(Scorer):
    """The share of the expected texts (one, or a list) that are in the answer."""

    def of(self, value: Any, expected: Any) -> Score:
        """0 to 1."""
        text = plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        wanted = expected if isinstance(expected, list | tuple) else [expected]
        return sum(plain(str(part)) in text for part in wanted) / len(wanted) if wanted else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Scorer):
    """The expected number, the last one in a text, within a tolerance."""

    tolerance: float = 0.0
    relative: float = 0.0

    def of(self, value: Any, expected: Any) -> Score:
        """1 or 0."""
        options: Collection[float]
        if isinstance(value, str):
            mentions = numbers(value)
            options = mentions[-1][1] if mentions else ()
        else:
            options = () if isinstance(value, bool) or not isinstance(value, int | float) else (float(value),)
        allowed = self.tolerance + self.relative * abs(float(expected)) + 1e-9
        return any(abs(option - float(expected)) <= allowed for option in options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields(Scorer):
    """JSON field by field: the share of fields that are right, among all that either has. Entries of a list are
    compared in their order."""

    def of(self, value: Any, expected: Any) -> Score:
        """0 to 1."""
        mine, theirs = dict(_leaves(value)), dict(_leaves(expected))
        every = mine.keys() | theirs.keys()
        right = sum(path in mine and path in theirs and _same(mine[path], theirs[path]) for path in every)
        return right / len(every) if every else 1.0


def _leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        return [leaf for name, child in value.items() for leaf in _leaves(child, f"{path}.{name}")]
    if isinstance(value, list | tuple) and value:
        return [leaf for number, child in enumerate(value) for leaf in _leaves(child, f"{path}.{number}")]
    return [(path, list(value) if isinstance(value, tuple) else value)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Function(Scorer):
    """Any function of value and expectation."""

    function: Callable[[Any, Any], Any]

    def of(self, value: Any, expected: Any) -> Score | Awaitable[Score]:
        """What the function says."""
        score: Score | Awaitable[Score] = self.function(value, expected)
        return score

    def content(self) -> str:
        """Its name and what it does."""
        return f"{self.name}:{fingerprint(self.function)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged(Scorer):
    """A model's word: 1 for a label that passes. {expected} in its question is filled in."""

    judge: Judge

    async def of(self, value: Any, expected: Any) -> Score:
        """1 or 0."""
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        wanted = expected if isinstance(expected, str) else json.dumps(expected, ensure_ascii=False)
        return await self.judge.ask(text, expected=wanted) in self.judge.passing


def exact(*, at: str | None = None, strict: bool = False) -> Exact:
    """Right where the value equals what is expected; texts but for capitals, blanks and end marks unless `strict`."""
    return Exact(name=_named("exact", at), at=at, strict=strict)


def label(*, at: str | None = None) -> Label:
    """Right where the answer is the expected label (or one of several) and nothing else."""
    return Label(name=_named("label", at), at=at)


def contains(*, at: str | None = None) -> Contains:
    """The share of the expected texts that are in the answer."""
    return Contains(name=_named("contains", at), at=at)


def number(*, tolerance: float = 0.0, relative: float = 0.0, at: str | None = None) -> Number:
    """Right where the answer's last number is within `tolerance` plus the share `relative` of the expected one."""
    return Number(name=_named("number", at), at=at, tolerance=tolerance, relative=relative)


def fields(*, at: str | None = None) -> Fields:
    """The share of a JSON object's fields that are right."""
    return Fields(name=_named("fields", at), at=at)


def scorer(function: Callable[[Any, Any], Any], name: str | None = None) -> Function:
    """A scorer out of any function of value and expectation that returns a share from 0 to 1, or True or False."""
    return Function(name=name or getattr(function, "__name__", "function").strip("<>"), function=function)


def judged(judge: Judge, name: str = "judge") -> Judged:
    """A scorer out of a judge: `judged(checks.judge(lab, "local/smollm2", "Does it say {expected}?"))`."""
    return Judged(name=name, judge=judge)


NAMED: Mapping[str, Callable[..., Scorer]] = {
    "exact": exact,
    "label": label,
    "contains": contains,
    "number": number,
    "fields": fields,
}


def as_scorer(given: Any) -> Scorer:
    """A scorer, a name of one (`label`, `exact:answer` for a part), or a function as one. Raises `ValueError`."""
    if isinstance(given, Scorer):
        return given
    if isinstance(given, str):
        name, _, at = given.partition(":")
        if name in NAMED:
            return NAMED[name](at=at or None) if at else NAMED[name]()
        raise ValueError(f"scorer {given!r}: one of {', '.join(NAMED)}, or one with a part, such as exact:answer")
    if callable(given) and not isinstance(given, type):
        return scorer(given)
    raise ValueError(f"scorer {given!r}: a scorer such as label(), its name, or a function of value and expectation")


def written_scorer(scorer: Scorer) -> str | dict[str, Any]:
    """The scorer as JSON: its name, or an object of its settings. Raises `ValueError` for one that is a function or
    asks a model: nothing but data can be written down."""
    kind = next((name for name, make in NAMED.items() if type(make()) is type(scorer)), None)
    if kind is None:
        raise ValueError(
            f"the scorer {scorer.name!r} is no data, and can't be written down: run it where it is defined"
        )
    short = kind if scorer.at is None else f"{kind}:{scorer.at}"
    if as_scorer(short) == scorer:
        return short
    return {"scorer": kind} | {part.name: getattr(scorer, part.name) for part in dataclass_fields(scorer)}


def read_scorer(data: str | Mapping[str, Any]) -> Scorer:
    """The scorer that `written_scorer` has written. Raises `ValueError` for what is none."""
    if isinstance(data, str):
        return as_scorer(data)
    settings = dict(data)
    kind = settings.pop("scorer", None)
    if kind not in NAMED:
        raise ValueError(f"scorer {kind!r}: one of {', '.join(NAMED)}")
    try:
        return type(NAMED[kind]())(**settings)
    except TypeError as wrong:
        raise ValueError(f"scorer {kind}: {wrong}") from wrong


async def scored(scorer: Scorer, text: str, value: Any, expected: Any) -> tuple[float | None, str | None]:
    """A score between 0 and 1, or None and why there is none: a scorer that fails says nothing about the answer."""
    if expected is None and not isinstance(scorer, Function | Judged):
        return None, "the case says nothing of what is expected"
    try:
        score = scorer.score(text, value, expected)
        score = await score if inspect.isawaitable(score) else score
        share = float(score)
    except (Exception, SystemExit) as bug:  # a user's function, or a judge's call
        return None, f"{type(bug).__name__}: {bug}"[:500]
    if not 0 <= share <= 1:
        return None, f"it returned {share:g}: a share from 0 to 1 is wanted"
    return share, None


def _named(name: str, at: str | None) -> str:
    return name if at is None else f"{name}:{at}"
