"""Two texts, word by word: what both have, what was taken out, what was put in."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal

Sign = Literal["=", "-", "+"]
Piece = tuple[Sign, str]
MOST = 2_000
"""Words of each text that are compared; what comes after them is not."""
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """A text in words, spaces and signs: joined, they are the text again."""
    return _WORDS.findall(text)


def pieces(before: str, after: str) -> list[Piece]:
    """What became of `before`: pieces that stayed (`=`), were taken out (`-`) or put in (`+`), in their order. Of very
    long texts the first `MOST` words."""
    return list(_joined(_compared(words(before)[:MOST], words(after)[:MOST])))


def _compared(before: Sequence[str], after: Sequence[str]) -> Iterator[Piece]:
    matcher = SequenceMatcher(None, before, after, autojunk=len(before) + len(after) > 800)
    for what, start, end, begin, stop in matcher.get_opcodes():
        if what == "equal":
            yield "=", "".join(before[start:end])
            continue
        if start < end:
            yield "-", "".join(before[start:end])
        if begin < stop:
            yield "+", "".join(after[begin:stop])


def _joined(found: Iterator[Piece]) -> Iterator[Piece]:
    """Without the single spaces that two changes have between them: a change is read as one."""
    gone, come = "", ""
    pending = list(found)
    for place, (sign, text) in enumerate(pending):
        last = place + 1 == len(pending)
        if sign == "=" and not (text.isspace() and (gone or come) and not last):
            yield from _flushed(gone, come)
            gone = come = ""
            yield sign, text
        elif sign == "=":
            gone, come = gone + text, come + text
        elif sign == "-":
            gone += text
        else:
            come += text
    yield from _flushed(gone, come)


def _flushed(gone: str, come: str) -> Iterator[Piece]:
    if gone and gone == come:
        yield "=", gone
        return
    if gone:
        yield "-", gone
    if come:
        yield "+", come


def to_html(found: Sequence[Piece]) -> str:
    """The pieces as HTML, escaped: `del` and `ins` say without colour, too, what they are."""
    tags = {"-": "del", "+": "ins"}
    return "".join(
        html.escape(text) if sign == "=" else f"<{tags[sign]}>{html.escape(text)}</{tags[sign]}>"
        for sign, text in found
    )
