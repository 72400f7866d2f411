"""Constraints on an answer, or on a part of it (`at="items.*.quantity"`); their messages say what would be right."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

import regex

from lab.checks.kernel import Check, Output, shown
from lab.values import Checked

PATIENCE = 1.0
"""Seconds that a pattern may take on one text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint(Check):
    """One rule for the value, or for each part of it at the path `at`. A part that is None passes where `optional`."""

    at: str | None = None
    optional: bool = False

    @abstractmethod
    def wrong(self, value: Any) -> str | None:
        """What `value` should be, where it isn't; None where it is."""

    def examine(self, output: Output) -> Checked:
        """Every part at the path is looked at; the message names up to five that are wrong."""
        problems = []
        for path, value in output.at(self.at):
            if value is None and self.optional:
                continue
            problem = self.wrong(value)
            if problem is not None:
                problems.append(f"{path or 'the answer'} is {shown(value)}: it must {problem}")
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        return Checked(name=self.name, passed=not problems, message="; ".join(problems[:5]) + more)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf(Constraint):
    """One of these labels."""

    labels: tuple[Any, ...]
    case: bool = True

    def wrong(self, value: Any) -> str | None:
        """Compared whole; a text's blanks at its ends do not count."""
        given, labels = _plain(value, self.case), [_plain(label, self.case) for label in self.labels]
        right = any(given == label and type(given) is type(label) for label in labels)
        return None if right else f"be one of {', '.join(shown(label) for label in self.labels)}, and nothing else"


def _plain(value: Any, case: bool) -> Any:
    value = value.value if isinstance(value, Enum) else value
    return (value.strip() if case else value.strip().casefold()) if isinstance(value, str) else value


def one_of(*labels: Any, at: str | None = None, case: bool = True, optional: bool = False) -> OneOf:
    """One of these labels; `case=False` takes capitals for small letters."""
    if not labels:
        raise ValueError("one_of(): name the labels")
    return OneOf(labels=labels, at=at, case=case, optional=optional)


@dataclass(frozen=True, slots=True, kw_only=True)
class Between(Constraint):
    """A number in a range."""

    low: float | None = None
    high: float | None = None
    above: bool = False

    def wrong(self, value: Any) -> str | None:
        """Both bounds belong to the range, but for the lower one where it is to be `above`."""
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or value != value:
            return "be a number"
        if self.low is not None and (value < self.low or (self.above and value == self.low)):
            return f"be {'more than' if self.above else 'at least'} {self.low:g}"
        return f"be at most {self.high:g}" if self.high is not None and value > self.high else None


def between(
    low: float | None = None, high: float | None = None, *, at: str | None = None, optional: bool = False
) -> Between:
    """A number from `low` to `high`, both included; None is no bound."""
    if low is not None and high is not None and low > high:
        raise ValueError(f"between({low!r}, {high!r}): the lower bound first")
    return Between(low=low, high=high, at=at, optional=optional)


def positive(*, at: str | None = None, optional: bool = False) -> Between:
    """A number above 0."""
    return Between(low=0.0, above=True, at=at, optional=optional)


@dataclass(frozen=True, slots=True, kw_only=True)
class Length(Constraint):
    """How many characters, words or entries there are."""

    least: int = 0
    most: int | None = None
    unit: str = "characters"

    def wrong(self, value: Any) -> str | None:
        """Of a list its entries are counted, whatever the unit."""
        if not isinstance(value, str | list | tuple | dict | set | frozenset):
            return "be a text or a list"
        unit = self.unit if isinstance(value, str) else "entries"
        many = len(value.split()) if isinstance(value, str) and unit == "words" else len(value)
        if many < self.least:
            return f"have at least {self.least} {unit}, not {many}"
        return f"have at most {self.most} {unit}, not {many}" if self.most is not None and many > self.most else None


def length(least: int = 0, most: int | None = None, *, unit: str = "characters", at: str | None = None) -> Length:
    """From `least` to `most` characters or words (`unit`) of a text, or entries of a list."""
    if unit not in ("characters", "words"):
        raise ValueError(f"length(unit={unit!r}): characters or words")
    return Length(least=least, most=most, unit=unit, at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches(Constraint):
    """A text that a pattern matches whole."""

    pattern: str
    meaning: str = ""

    def wrong(self, value: Any) -> str | None:
        """Texts beyond 10,000 characters don't. Raises `TimeoutError` where nobody knows after `PATIENCE` seconds;
        other threads run meanwhile."""
        right = isinstance(value, str) and len(value) <= 10_000 and self._whole(value.strip())
        return None if right else self.meaning or f"match the pattern {self.pattern}"

    def _whole(self, text: str) -> bool:
        try:
            return regex.fullmatch(self.pattern, text, timeout=PATIENCE, concurrent=True) is not None
        except TimeoutError:
            raise TimeoutError(f"{shown(self.pattern)} takes more than {PATIENCE:g} s on it") from None


def matches(pattern: str, *, meaning: str = "", at: str | None = None, optional: bool = False) -> Matches:
    """A text that the regular expression matches whole; `meaning` says it to the model in words ("be a date such as
    2026-03-01"). Raises `ValueError` for what is no pattern."""
    try:
        regex.compile(pattern)
    except regex.error as odd:
        raise ValueError(f"matches({pattern!r}): not a regular expression: {odd}") from odd
    return Matches(pattern=pattern, meaning=meaning, at=at, optional=optional)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contains(Constraint):
    """A text with certain words in it, or without them."""

    texts: tuple[str, ...]
    wanted: bool = True
    case: bool = False

    @property
    def name(self) -> str:
        """`contains` or `excludes`."""
        return "contains" if self.wanted else "excludes"

    def wrong(self, value: Any) -> str | None:
        """Of what is no text, its JSON-like form is searched."""
        answer = value if isinstance(value, str) else str(value)
        answer = answer if self.case else answer.casefold()
        odd = [text for text in self.texts if ((text if self.case else text.casefold()) in answer) != self.wanted]
        return f"{'' if self.wanted else 'not '}contain {', '.join(shown(text) for text in odd)}" if odd else None


def contains(*texts: str, at: str | None = None, case: bool = False) -> Contains:
    """All of these texts are in it; capitals do not count unless `case`."""
    return Contains(texts=texts, at=at, case=case)


def excludes(*texts: str, at: str | None = None, case: bool = False) -> Contains:
    """None of these texts is in it; capitals do not count unless `case`."""
    return Contains(texts=texts, at=at, case=case, wanted=False)
