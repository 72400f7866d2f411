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
    spans = []
    for match in _SENTENCE.finditer(text):
        sentence = match[0].strip()
        if re.search(r"\w", sentence):
            start = match.start() + match[0].index(sentence[0])
            spans.append(Span(start, start + len(sentence), sentence))
    return spans


def quoted(text: str, words: int) -> list[Span]:
    """What stands in quotation marks, of at least so many words."""
    spans = []
    for match in _QUOTED.finditer(text):
        group = next(number for number in range(1, 5) if match[number] is not None)
        if len(match[group].split()) >= words:
            spans.append(Span(match.start(group), match.end(group), match[group]))
    return spans


def numbers(text: str) -> list[tuple[Span, frozenset[float]]]:
    """Numbers written in digits, each with the values it may stand for: `1.200` is 1.2 here and 1,200 there. Dates
    are left out."""
    rest = list(text)
    for span, _ in dates(text):
        rest[span.start : span.end] = " " * (span.end - span.start)
    spans, whole = [], "".join(rest)
    for match in _NUMBER.finditer(whole):
        scaled = _SCALE.match(whole, match.end())
        times = _SCALES[scaled[1].casefold()] if scaled else 1
        if values := frozenset(value * times for value in _values(match[0])):
            end = scaled.end() if scaled else match.end()
            spans.append((Span(match.start(), end, whole[match.start() : end]), values))
    return spans


def _values(digits: str) -> frozenset[float]:
    digits = re.sub("[' \u00a0\u202f]", "", digits.replace("−", "-"))
    readings = {digits.replace(",", ""), digits.replace(".", "").replace(",", ".")}
    values = set()
    for reading in readings:
        try:
            values.add(float(reading))
        except ValueError:
            continue
    return frozenset(values)


def spelt(text: str) -> set[float]:
    """Numbers written in English words, and of a compound (`twenty-four`, `two hundred`) its value and its parts."""
    values: set[float] = set()
    run: list[int] = []
    for word in [*re.findall(r"[a-z]+", text.casefold()), ""]:
        if word in _SPELT:
            run.append(_SPELT[word])
        elif word != "and" and run:
            values |= {float(number) for number in run} | {_compound(run)}
            run = []
    return values


def _compound(run: list[int]) -> float:
    whole, part = 0, 0
    for number in run:
        if number >= 1000:
            whole, part = whole + max(1, part) * number, 0
        elif number in (12, 100) and part:
            part *= number
        else:
            part += number
    return float(whole + part)


Date = tuple[int | None, int, int]


def dates(text: str) -> list[tuple[Span, frozenset[Date]]]:
    """Dates with a day and a month, each with what it may stand for: year (None where none is given), month, day."""
    spans: list[tuple[Span, frozenset[Date]]] = []
    taken = bytearray(len(text))

    def add(match: re.Match[str], *readings: tuple[str | None, int, int]) -> None:
        right = {(int(y) if y else None, m, d) for y, m, d in readings if 1 <= m <= 12 and 1 <= d <= 31}
        if right and not any(taken[match.start() : match.end()]):
            taken[match.start() : match.end()] = b"\1" * (match.end() - match.start())
            spans.append((Span(match.start(), match.end(), match[0]), frozenset(right)))

    for match in _ISO.finditer(text):
        add(match, (match[1], int(match[2]), int(match[3])))
    for match in _SLASHED.finditer(text):
        add(match, (match[3], int(match[2]), int(match[1])), (match[3], int(match[1]), int(match[2])))
    for match in _DAY_FIRST.finditer(text):
        add(match, (match[3], _MONTHS[match[2].casefold()], int(match[1])))
    for match in _MONTH_FIRST.finditer(text):
        add(match, (match[3], _MONTHS[match[1].casefold()], int(match[2])))
    return sorted(spans, key=lambda pair: pair[0].start)


def names(text: str) -> list[Span]:
    """Words with a capital that do not begin a sentence, joined where they stand together. A single capitalised word
    at a sentence's beginning is not counted: nobody can tell it from any other word there."""
    spans = []
    for sentence in sentences(text):
        first = _WORD.search(sentence.text)
        for match in _CAPITAL.finditer(sentence.text):
            name, start = match[0], match.start()
            if first and start == first.start():
                head, _, rest = name.partition(" ")
                if not rest or head.casefold() not in _STOP:
                    if not rest:
                        continue
                else:
                    start, name = start + len(name) - len(rest.lstrip()), rest.lstrip()
            if name.casefold() in _STOP or name.casefold() in _MONTHS or len(name) < 2:
                continue
            spans.append(Span(sentence.start + start, sentence.start + start + len(name), name))
    return spans


def content(text: str) -> list[str]:
    """The words that carry it, cut to their first six letters, so that endings count for little."""
    return [word[:6] for word in re.findall(r"\w+", plain(text)) if word not in _STOP and len(word) > 1]


def negations(text: str) -> int:
    """How many words in it deny something."""
    return sum(word in NEGATIONS or word.endswith("n't") for word in re.findall(r"[\w']+", plain(text)))
