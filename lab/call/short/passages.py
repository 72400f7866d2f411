"""Which passages a question needs: by the words that they share (BM25) and by what they mean, both together.

Neither half is safe alone: a question may say nothing of a passage in its own words, and an embedding reads over names
and numbers. Word counts are those of this prompt alone (Robertson and Zaragoza 2009, BM25 with k1 = 1.5, b = 0.75).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from lab.call.near.rule import stemmed

_WORD = re.compile(r"\w+")
_GAP = re.compile(r"\n[ \t]*\n\s*")
K1, B = 1.5, 0.75
WINDOW = 150
"""Words of a passage that are embedded at once; the closest of its windows counts."""
WINDOWS = 12
LOOK = 5000
"""Characters of a passage that say which language it is in."""


def split(text: str) -> list[str]:
    """The passages of a text: what stands between blank lines."""
    return [part for part in _GAP.split(text.strip()) if part.strip()]


def windows(passage: str) -> list[str]:
    """The parts of a passage that are embedded, a window of words each."""
    words = passage.split()
    if len(words) <= WINDOW * 1.2:
        return [passage]
    step = max(WINDOW, -(-len(words) // WINDOWS))
    return [" ".join(words[start : start + step]) for start in range(0, len(words), step)]


def _words(text: str) -> list[str]:
    """The words of a text, without endings."""
    return [stemmed(word) for word in _WORD.findall(text.lower())]


_ENGLISH = frozenset(
    "the of and to in is it that for was on are with as at be by this from not or but which were has have its".split()
)
_OTHER = frozenset(
    """der die das und ist nicht von den dem ein eine mit auf für sich zu wird werden im le la les des du et est une pas
    pour dans qui sur au aux ne el los las y del que una por con para se es lo il di che e è non per della gli nel het
    een van en niet dat op te zijn o os da do não em um uma och att är som på av inte den det med til og ikke
    af""".split()
)
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")


def foreign(text: str) -> bool:
    """Whether a text is plainly in another language than English: it has more of other languages' small words, or is
    written in other letters."""
    text = text[:LOOK]
    letters = [letter for letter in text if letter.isalpha()]
    if not letters:
        return False
    if sum(_LATIN.match(letter) is not None for letter in letters) < len(letters) / 2:
        return True
    words = [word.lower() for word in _WORD.findall(text)]
    other, english = (sum(word in small for word in words) for small in (_OTHER, _ENGLISH))
    return other > english and other >= max(2, len(words) // 12)


def by_words(passages: Sequence[str], question: str) -> list[float]:
    """BM25 of each passage for the question."""
    counts = [Counter(_words(passage)) for passage in passages]
    lengths = [sum(count.values()) for count in counts]
    usual = sum(lengths) / max(1, len(lengths)) or 1.0
    scores = [0.0] * len(passages)
    for word in set(_words(question)):
        there = sum(word in count for count in counts)
        weight = math.log(1 + (len(counts) - there + 0.5) / (there + 0.5))
        for place, count in enumerate(counts):
            often = count[word]
            scores[place] += weight * often * (K1 + 1) / (often + K1 * (1 - B + B * lengths[place] / usual))
    return scores


def _standard(values: Sequence[float]) -> list[float]:
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    return [(value - mean) / spread if spread > 1e-12 else 0.0 for value in values]


def needed(words: Sequence[float], meaning: Sequence[float], sizes: Sequence[int], to: float) -> list[int]:
    """The places of the passages that stay, in their order: the best by the sum of both standard scores, until the
    share `to` of all `sizes`; and, however long, the best of each kind."""
    both = [first + second for first, second in zip(_standard(words), _standard(meaning), strict=True)]
    places = range(len(sizes))
    kept = {max(places, key=lambda place: score[place]) for score in (both, words, meaning)}
    left = to * sum(sizes) - sum(sizes[place] for place in kept)
    for place in sorted(places, key=lambda place: -both[place]):
        if place not in kept and sizes[place] <= left:
            kept.add(place)
            left -= sizes[place]
    return sorted(kept)
