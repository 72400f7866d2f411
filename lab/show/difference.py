"""Two texts, word by word: what both have, what was taken out, what was put in."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal

Sign = Literal["=", "-", "+"]
Piece = tuple[Sign, str]
LONGEST = 200_000
"""Characters of each text that are compared; what comes after them is not."""
_CLOSE = 1_200
"""Words, of both together, up to which a passage is compared word by word; a longer one first line by line."""
_WORDS = re.compile(r"\s+|\{\{[^{}]*\}\}|\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """A text in words, spaces and signs: joined, they are the text again."""
    return _WORDS.findall(text)


def pieces(before: str, after: str) -> list[Piece]:
    """What became of `before`: pieces that stayed (`=`), were taken out (`-`) or put in (`+`), in their order. Of each
    text the first `LONGEST` characters."""
    one, other = words(before[:LONGEST]), words(after[:LONGEST])
    start = _alike(one, other)
    end = _alike(one[start:][::-1], other[start:][::-1])
    middle = one[start : len(one) - end], other[start : len(other) - end]
    whole = [("=", "".join(one[:start])), *_compared(*middle), ("=", "".join(one[len(one) - end :]))]
    return list(_joined([(sign, text) for sign, text in whole if text]))


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """How many of the first words both have."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def _compared(before: Sequence[str], after: Sequence[str]) -> Iterator[Piece]:
    """Word by word; of a long passage line by line, and within changed lines word by word."""
    if len(before) + len(after) <= _CLOSE:
        yield from _matched(before, after)
        return
    lines, others = "".join(before).splitlines(keepends=True), "".join(after).splitlines(keepends=True)
    if len(lines) < 3 or len(others) < 3:  # one long line: sentences are its lines
        lines, others = _sentences("".join(before)), _sentences("".join(after))
    for what, start, end, begin, stop in _opcodes(lines, others):
        gone, come = "".join(lines[start:end]), "".join(others[begin:stop])
        if what == "replace" and len(gone) + len(come) < 6 * _CLOSE:
            yield from _matched(words(gone), words(come))
        elif what == "equal":
            yield "=", gone
        else:
            yield "-", gone
            yield "+", come


def _sentences(text: str) -> list[str]:
    return re.findall(r"[^.!?]+(?:[.!?]+\s*|\Z)|[.!?]+\s*", text)


def _matched(before: Sequence[str], after: Sequence[str]) -> Iterator[Piece]:
    for what, start, end, begin, stop in _opcodes(before, after):
        if what == "equal":
            yield "=", "".join(before[start:end])
        else:
            yield "-", "".join(before[start:end])
            yield "+", "".join(after[begin:stop])


def _opcodes(before: Sequence[str], after: Sequence[str]) -> Sequence[tuple[str, int, int, int, int]]:
    return SequenceMatcher(None, before, after, autojunk=len(before) + len(after) > 2 * _CLOSE).get_opcodes()


def _joined(changes: Sequence[Piece]) -> Iterator[Piece]:
    """Changes with nothing but a space between them are one; so are two pieces of one kind."""
    gone, come, same = "", "", ""
    for place, (sign, text) in enumerate(changes):
        between = (
            text.isspace() and bool(gone or come) and any(after[0] != "=" for after in changes[place + 1 : place + 2])
        )
        if sign == "=" and not between:
            yield from _changed(gone, come)
            gone = come = ""
            same += text
            continue
        if same:
            yield "=", same
            same = ""
        gone += text if sign in "=-" else ""
        come += text if sign in "=+" else ""
    yield from _changed(gone, come)
    if same:
        yield "=", same


def _changed(gone: str, come: str) -> Iterator[Piece]:
    if gone:
        yield "-", gone
    if come:
        yield "+", come


def to_html(changes: Sequence[Piece]) -> str:
    """The pieces as HTML, escaped: `del` and `ins` say without colour, too, what they are."""
    tags = {"-": "del", "+": "ins"}
    return "".join(
        html.escape(text) if sign == "=" else f"<{tags[sign]}>{html.escape(text)}</{tags[sign]}>"
        for sign, text in changes
    )
