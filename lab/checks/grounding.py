"""Whether an answer stands on its source: quotes, citations, figures, and the words of each sentence.

These checks compare words. They see an invented number, a quote that was never written, a sentence about something
else. They do not see a true quote that proves nothing, a sentence that uses the source's words to say the opposite, a
fact left out, a right inference in other words (which they call unsupported), the digits of a code such as B12, a
number in the words of another language than English, or anything in a language without blanks between words. A good
score is no proof of truth; a bad one is a reason to look.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from lab.checks import words
from lab.checks.kernel import Check, Output
from lab.checks.words import Span
from lab.show.text import shortened
from lab.values import Checked, Part

LONGEST = 60
"""Words up to which a quote is looked for in other words than its own."""
NAMED = 5
"""Unsupported parts that one message names; all are in `parts`."""


@dataclass(frozen=True, slots=True)
class Variable:
    """Stands for a variable of the prompt, whose text is known when a call is made."""

    name: str


def variable(name: str) -> Variable:
    """The source is what the prompt's variable `name` was filled with."""
    return Variable(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounding(Check):
    """A check against a source: a text, or what a prompt's variable was filled with. `at` is the part of the value
    that is looked at. Passes where the share of supported units is at least `threshold`; with no unit at all it passes
    with no score."""

    source: str | Variable = field(repr=False)
    at: str | None = None
    threshold: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold={self.threshold!r}: a share from 0 to 1")

    @abstractmethod
    def units(self, text: str, source: str) -> Iterator[tuple[Span, str | None]]:
        """The parts of `text` that can be looked up, each with why it is not supported (None where it is)."""

    def examine(self, output: Output) -> Checked:
        """Every unit is looked up; the message names the unsupported ones."""
        source = _source(self.source, output)
        units = [
            (unit, why)
            for _, value in output.at(self.at)
            if value is not None
            for unit, why in self.units(value if isinstance(value, str) else str(value), source)
        ]
        bad = [Part(start=unit.start, end=unit.end, text=unit.text, why=why) for unit, why in units if why is not None]
        score = 1 - len(bad) / len(units) if units else None
        passed = score is None or score >= self.threshold
        told = "; ".join(f"{shortened(part.text, 80)!r} {part.why}" for part in bad[:NAMED])
        return Checked(
            name=self.name,
            passed=passed,
            message="" if passed else told,
            score=score,
            threshold=self.threshold,
            parts=tuple(bad),
        )


def _source(given: str | Variable, output: Output) -> str:
    if isinstance(given, str):
        return given
    if given.name not in output.variables:
        raise ValueError(f"the prompt has no variable {given.name!r} to check against")
    return str(output.variables[given.name])


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotes(Grounding):
    """Quotes are in the source."""

    fuzzy: float = 0.9
    least: int = 2

    def units(self, text: str, source: str) -> Iterator[tuple[Span, str | None]]:
        """What stands in quotation marks; at a path of a value, the whole text there."""
        spans = (
            words.quoted(text, self.least) if self.at is None else [Span(0, len(text), text)] if text.strip() else []
        )
        for span in spans:
            yield span, None if in_source(span.text, source, self.fuzzy) else "is not in the source, word for word"


def in_source(quote: str, source: str, fuzzy: float = 1.0) -> bool:
    """Whether `quote` is in `source`, but for blanks, capitals and the shape of quotation marks and dashes; or, with
    `fuzzy` below 1, whether a stretch of the source is at least so like it (difflib's ratio) and has the same numbers
    and as many negations."""
    wanted, there = words.plain(quote), words.plain(source)
    if not wanted or wanted in there:
        return True
    if fuzzy >= 1:
        return False
    mine, theirs = wanted.split(), there.split()
    if len(mine) > LONGEST:  # a quote that long is either there or it isn't
        return False
    block = SequenceMatcher(None, mine, theirs, autojunk=False).find_longest_match()
    if not block.size:
        return False
    start = max(0, block.b - block.a)
    for length in (len(mine), len(mine) - 1, len(mine) + 1):
        stretch = " ".join(theirs[start : start + max(1, length)])
        alike = SequenceMatcher(None, wanted, stretch, autojunk=False).ratio() >= fuzzy
        same = {v for _, v in words.numbers(wanted)} == {v for _, v in words.numbers(stretch)}
        if alike and same and words.negations(wanted) == words.negations(stretch):
            return True
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures(Grounding):
    """Numbers, dates and names of the answer are in the source."""

    kinds: tuple[str, ...] = ("numbers", "dates", "names")

    def units(self, text: str, source: str) -> Iterator[tuple[Span, str | None]]:
        """Numbers count by their value, in digits or (in the source) in English words; dates by day, month and, where
        both have one, year; names word by word."""
        if "numbers" in self.kinds:
            known = {value for _, values in words.numbers(source) for value in values} | words.spelt(source)
            known |= {
                float(part) for _, read in words.dates(source) for date in read for part in date if part is not None
            }
            for span, values in words.numbers(text):
                yield span, None if values & known else "is a number that the source does not have"
        if "dates" in self.kinds:
            there = {date for _, read in words.dates(source) for date in read}
            for span, read in words.dates(text):
                right = any(_same_day(mine, theirs) for mine in read for theirs in there)
                yield span, None if right else "is a date that the source does not have"
        if "names" in self.kinds:
            known_words = words.PARTICLES | set(re.findall(r"\w+", words.plain(source)))
            for name in words.names(text):
                missing = [word for word in re.findall(r"\w+", words.plain(name.text)) if word not in known_words]
                yield name, "is a name that the source does not have" if missing else None


def _same_day(mine: words.Date, theirs: words.Date) -> bool:
    return mine[1:] == theirs[1:] and (mine[0] is None or theirs[0] is None or mine[0] == theirs[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap(Grounding):
    """Each sentence shares its words with a place in the source."""

    each: float = 0.5

    def units(self, text: str, source: str) -> Iterator[tuple[Span, str | None]]:
        """A sentence is supported where two neighbouring sentences of the source have at least the share `each` of
        its content words."""
        there = [set(words.content(sentence.text)) for sentence in words.sentences(source)] or [set()]
        pairs = [words_here | words_next for words_here, words_next in zip(there, [*there[1:], set()], strict=True)]
        for sentence in words.sentences(text):
            mine = set(words.content(sentence.text))
            if mine:
                share = max(len(mine & pair) for pair in pairs) / len(mine)
                yield sentence, None if share >= self.each else f"shares {share:.0%} of its words with the source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounded(Grounding):
    """All of it: quotes, figures and the words of each sentence, each unit counting alike."""

    fuzzy: float = 0.9
    each: float = 0.5

    def units(self, text: str, source: str) -> Iterator[tuple[Span, str | None]]:
        """Those of `quotes`, `figures` and `overlap`."""
        same: dict[str, Any] = {"source": source, "threshold": self.threshold}
        yield from Quotes(**same, fuzzy=self.fuzzy).units(text, source)
        yield from Figures(**same).units(text, source)
        yield from Overlap(**same, each=self.each).units(text, source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Citations(Check):
    """Marks such as [2] or [report] name a source that is there, and the sentence they stand in shares its words."""

    sources: Mapping[str, str] = field(repr=False)
    least: int = 1
    each: float = 0.3
    threshold: float = 1.0
    at: str | None = None

    def examine(self, output: Output) -> Checked:
        """Every mark is looked up; fewer than `least` fail, too."""
        total, bad = 0, []
        for _, value in output.at(self.at):
            text = str(value)
            sentences = words.sentences(text)
            starts = [sentence.start for sentence in sentences]
            for mark in re.finditer(r"\[([\w.:-]{1,40})\]", text):
                total += 1
                place = bisect_right(starts, mark.start()) - 1
                why = self._why(sentences[place].text if place >= 0 else "", mark)
                if why:
                    bad.append(Part(start=mark.start(), end=mark.end(), text=mark[0], why=why))
        score = 1 - len(bad) / total if total else None
        few = total < self.least
        passed = not few and (score is None or score >= self.threshold)
        told = [f"{part.text} {part.why}" for part in bad[:NAMED]]
        told += [f"cite at least {self.least} of the sources, as [{next(iter(self.sources), '1')}]"] if few else []
        return Checked(
            name=self.name,
            passed=passed,
            message="" if passed else "; ".join(told),
            score=score,
            threshold=self.threshold,
            parts=tuple(bad),
        )

    def _why(self, sentence: str, mark: re.Match[str]) -> str | None:
        source = self.sources.get(mark[1])
        if source is None:
            return f"names no source: there is {', '.join(self.sources) or 'none'}"
        mine = set(words.content(sentence[:10_000].replace(mark[0], "")))
        share = len(mine & set(words.content(source))) / len(mine) if mine else 1.0
        return None if share >= self.each else f"cites a source that shares {share:.0%} of the sentence's words"


Source = str | Variable


def quotes(
    source: Source, *, at: str | None = None, threshold: float = 1.0, fuzzy: float = 0.9, least: int = 2
) -> Quotes:
    """What stands in quotation marks (of at least `least` words), or the text at the path `at`, is in the source:
    exactly, or at least `fuzzy` alike with the same numbers and negations. `threshold`: the share that must be."""
    return Quotes(source=source, at=at, threshold=threshold, fuzzy=fuzzy, least=least)


def figures(
    source: Source,
    *,
    at: str | None = None,
    threshold: float = 1.0,
    kinds: tuple[str, ...] = ("numbers", "dates", "names"),
) -> Figures:
    """Numbers, dates and names of the answer are in the source. `threshold`: the share of them that must be."""
    wrong = set(kinds) - {"numbers", "dates", "names"}
    if wrong:
        raise ValueError(f"kinds={kinds!r}: of numbers, dates, names")
    return Figures(source=source, at=at, threshold=threshold, kinds=tuple(kinds))


def overlap(source: Source, *, at: str | None = None, threshold: float = 1.0, each: float = 0.5) -> Overlap:
    """Each sentence shares at least `each` of its content words with two neighbouring sentences of the source.
    `threshold`: the share of sentences that must."""
    return Overlap(source=source, at=at, threshold=threshold, each=each)


def grounded(
    source: Source, *, threshold: float, at: str | None = None, fuzzy: float = 0.9, each: float = 0.5
) -> Grounded:
    """`quotes`, `figures` and `overlap` in one score: the share of all their units that the source supports."""
    return Grounded(source=source, at=at, threshold=threshold, fuzzy=fuzzy, each=each)


def citations(
    sources: Mapping[str, str],
    *,
    least: int = 1,
    each: float = 0.3,
    threshold: float = 1.0,
    at: str | None = None,
) -> Citations:
    """Marks such as [2] name one of `sources` (name -> text), and their sentence shares at least `each` of its content
    words with it; at least `least` marks."""
    return Citations(sources=dict(sources), least=least, each=each, threshold=threshold, at=at)
