"""What a text holds that can be looked up elsewhere: sentences, quotes, numbers, dates, names, content words."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_SENTENCE = re.compile(r"[^.!?。！？\n]*(?:[.!?](?=\d)[^.!?。！？\n]*)*(?:[.!?。！？]+[\"”’)\]]*|\n|$)")
_QUOTED = re.compile(r"\"([^\"\n]+)\"|“([^”\n]+)”|«([^»\n]+)»|„([^“”\n]+)[“”]")
_DIGITS = r"(?:\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?:[.,]\d+)?|\d+(?:[.,']\d+)*|[.,]\d+)"
_NUMBER = re.compile(rf"(?<![\w.,])[-−]?{_DIGITS}(?:(?![\w]|[.,]\d)|(?=[a-zA-Z%°€$£]))")
_SCALES = {
    **dict.fromkeys(("thousand", "tausend", "mille", "mil"), 1e3),
    **dict.fromkeys(("million", "millions", "millionen", "mio", "millones", "milioni", "miljoen"), 1e6),
    **dict.fromkeys(("billion", "billions", "milliarden", "mrd", "milliard", "milliards", "miliardi", "miljard"), 1e9),
}
_SCALE = re.compile(rf"\s+({'|'.join(sorted(_SCALES, key=len, reverse=True))})\b", re.I)
_ISO = re.compile(r"(?<!\d)(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)")
_SLASHED = re.compile(r"(?<!\d)(\d{1,2})[./](\d{1,2})[./](\d{4})(?!\d)")
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar janvier enero gennaio januari",
            "february feb februar février febrero febbraio februari",
            "march mar märz mars marzo maart",
            "april apr avril abril aprile",
            "may mai mayo maggio mei",
            "june jun juni juin junio giugno",
            "july jul juli juillet julio luglio",
            "august aug août agosto augustus",
            "september sep sept septembre septiembre settembre",
            "october oct oktober octobre octubre ottobre",
            "november nov novembre noviembre",
            "december dec dezember décembre diciembre dicembre",
        ),
        1,
    )
    for name in names.split()
}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DAY_FIRST = re.compile(
    rf"(?<!\d)(\d{{1,2}})(?:st|nd|rd|th|er|º|ª|\.)?(?:\s+(?:of|de|di))?\s+({_MONTH})\b\.?(?:,?\s+(?:de\s+)?(\d{{4}}))?",
    re.I,
)
_MONTH_FIRST = re.compile(rf"\b({_MONTH})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+(\d{{4}}))?", re.I)
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
PARTICLES = frozenset("de of van von der den la le the".split())
"""Small words within names."""
_BIG = "A-ZÀ-ÖØ-ÞĀĂĄĆČĎĐĒĖĘĚĞĢĪĮİĶĹĻĽŁŃŅŇŌŐŒŔŘŚŞŠŢŤŪŮŰŲŹŻŽ"
_CAPITAL = re.compile(rf"[{_BIG}][\w'’-]*(?:\s+(?:(?:{'|'.join(sorted(PARTICLES))})\s+)?[{_BIG}][\w'’-]*)*")
_STOP = frozenset(
    """a an and are as at be been but by can could did do does for from had has have he her his how i if in into is it
    its may no nor not of on or our she should so than that the their them then there these they this those to was we
    were what when where which who will with would you your""".split()
)
_UNITS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen""".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SPELT = {**{word: number for number, word in enumerate(_UNITS)}, **{word: 10 * n for n, word in enumerate(_TENS, 2)}}
_SPELT |= {"dozen": 12, "hundred": 100, "thousand": 1000, "million": 1_000_000, "once": 1, "twice": 2, "pair": 2}
NEGATIONS = frozenset(
    "no not never none neither nor without cannot kein keine nicht nie ohne pas jamais sin nunca non".split()
)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text."""

    start: int
    end: int
    text: str


def plain(text: str) -> str:
    """`text` in small letters, its blanks, quotation marks and dashes alike."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub('[“”„«»"‘’`´]', "'", text)
    return " ".join(re.sub("[‐‑‒–—−]", "-", text).split())


def sentences(text: str) -> list[Span]:
    """Its sentences, those without a letter or digit left out."""
    found = []
    for one in _SENTENCE.finditer(text):
        said = one[0].strip()
        if re.search(r"\w", said):
            start = one.start() + one[0].index(said[0])
            found.append(Span(start, start + len(said), said))
    return found


def quoted(text: str, words: int) -> list[Span]:
    """What stands in quotation marks, of at least so many words."""
    found = []
    for one in _QUOTED.finditer(text):
        group = next(number for number in range(1, 5) if one[number] is not None)
        if len(one[group].split()) >= words:
            found.append(Span(one.start(group), one.end(group), one[group]))
    return found


def numbers(text: str) -> list[tuple[Span, frozenset[float]]]:
    """Numbers written in digits, each with the values it may stand for: `1.200` is 1.2 here and 1,200 there. Dates
    are left out."""
    rest = list(text)
    for span, _ in dates(text):
        rest[span.start : span.end] = " " * (span.end - span.start)
    found, whole = [], "".join(rest)
    for one in _NUMBER.finditer(whole):
        scaled = _SCALE.match(whole, one.end())
        times = _SCALES[scaled[1].casefold()] if scaled else 1
        if values := frozenset(value * times for value in _values(one[0])):
            end = scaled.end() if scaled else one.end()
            found.append((Span(one.start(), end, whole[one.start() : end]), values))
    return found


def _values(said: str) -> frozenset[float]:
    said = re.sub("[' \u00a0\u202f]", "", said.replace("−", "-"))
    readings = {said.replace(",", ""), said.replace(".", "").replace(",", ".")}
    found = set()
    for one in readings:
        try:
            found.add(float(one))
        except ValueError:
            continue
    return frozenset(found)


def spelt(text: str) -> set[float]:
    """Numbers written in English words, and of a compound (`twenty-four`, `two hundred`) its value and its parts."""
    found: set[float] = set()
    run: list[int] = []
    for word in [*re.findall(r"[a-z]+", text.casefold()), ""]:
        if word in _SPELT:
            run.append(_SPELT[word])
        elif word != "and" and run:
            found |= {float(one) for one in run} | {_compound(run)}
            run = []
    return found


def _compound(run: list[int]) -> float:
    whole, part = 0, 0
    for one in run:
        if one >= 1000:
            whole, part = whole + max(1, part) * one, 0
        elif one in (12, 100) and part:
            part *= one
        else:
            part += one
    return float(whole + part)


Date = tuple[int | None, int, int]


def dates(text: str) -> list[tuple[Span, frozenset[Date]]]:
    """Dates with a day and a month, each with what it may stand for: year (None where none is given), month, day."""
    found: list[tuple[Span, frozenset[Date]]] = []
    taken = bytearray(len(text))

    def add(one: re.Match[str], *readings: tuple[str | None, int, int]) -> None:
        right = {(int(y) if y else None, m, d) for y, m, d in readings if 1 <= m <= 12 and 1 <= d <= 31}
        if right and not any(taken[one.start() : one.end()]):
            taken[one.start() : one.end()] = b"\1" * (one.end() - one.start())
            found.append((Span(one.start(), one.end(), one[0]), frozenset(right)))

    for one in _ISO.finditer(text):
        add(one, (one[1], int(one[2]), int(one[3])))
    for one in _SLASHED.finditer(text):
        add(one, (one[3], int(one[2]), int(one[1])), (one[3], int(one[1]), int(one[2])))
    for one in _DAY_FIRST.finditer(text):
        add(one, (one[3], _MONTHS[one[2].casefold()], int(one[1])))
    for one in _MONTH_FIRST.finditer(text):
        add(one, (one[3], _MONTHS[one[1].casefold()], int(one[2])))
    return sorted(found, key=lambda pair: pair[0].start)


def names(text: str) -> list[Span]:
    """Words with a capital that do not begin a sentence, joined where they stand together. A single capitalised word
    at a sentence's beginning is not counted: nobody can tell it from any other word there."""
    found = []
    for sentence in sentences(text):
        first = _WORD.search(sentence.text)
        for one in _CAPITAL.finditer(sentence.text):
            said, start = one[0], one.start()
            if first and start == first.start():
                head, _, rest = said.partition(" ")
                if not rest or head.casefold() not in _STOP:
                    if not rest:
                        continue
                else:
                    start, said = start + len(said) - len(rest.lstrip()), rest.lstrip()
            if said.casefold() in _STOP or said.casefold() in _MONTHS or len(said) < 2:
                continue
            found.append(Span(sentence.start + start, sentence.start + start + len(said), said))
    return found


def content(text: str) -> list[str]:
    """The words that carry it, cut to their first six letters, so that endings count for little."""
    return [word[:6] for word in re.findall(r"\w+", plain(text)) if word not in _STOP and len(word) > 1]


def negations(text: str) -> int:
    """How many words in it deny something."""
    return sum(word in NEGATIONS or word.endswith("n't") for word in re.findall(r"[\w']+", plain(text)))
