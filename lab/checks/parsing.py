"""JSON out of what a model wrote: strictly, then without what stands around it, then repaired.

A repair may change commas, quotation marks, the spelling of literals and comments, and nothing else: the brackets and
the values, in their order, must be the same before and after, or it is refused. What is not closed is not repaired:
nobody can tell a forgotten bracket from an answer that was cut.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import json_repair

Step = Literal["strict", "unfenced", "repaired"]
SEVERAL = 20
"""JSON values in one answer beyond which nobody asks whether they are all the same."""
REPAIRABLE = 200_000
"""Characters up to which a repair is tried."""
_STRUCTURE = re.compile(r"[{}\[\]]|[\"']\s*[:,]|,\s*[\"']")
"""What prose around a value does not have."""


class Unreadable(ValueError):
    """No JSON can be read from it; the message says why, in words a model can act on."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A JSON value, and the step that found it."""

    value: Any
    step: Step


def parsed(text: str, opens: str = "{[") -> Parsed:
    """The JSON value in `text`. `opens` are the brackets that the value may begin with; empty is a bare value.

    Raises `Unreadable`.
    """
    try:
        return Parsed(strict(text), "strict")
    except Unreadable as first:
        problem = first
    if not opens:
        raise problem
    inner = _without_fence(text)
    if inner is not text:
        try:
            return Parsed(strict(inner), "unfenced")
        except Unreadable:
            pass
    opens = "{"  # a list in prose may be a citation
    values = _values(inner, opens)
    if len(values) > 1 and any(_canonical(value) != _canonical(values[0]) for value in values[1:]):
        raise Unreadable(f"it holds {len(values)} JSON values: write one and nothing else")
    if values:
        return Parsed(values[0], "unfenced")
    try:
        return Parsed(_repaired(inner, opens), "repaired")
    except Unreadable as last:
        raise Unreadable(f"it is not valid JSON ({problem}); {last}") from None


def strict(text: str) -> Any:
    """`text` as JSON (RFC 8259), each key once. Raises `Unreadable`."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as odd:
        raise Unreadable(str(odd) if not isinstance(odd, RecursionError) else "it is nested too deeply") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice[:60]!r} appears twice")
    return named


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits} is more than a number can be")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _without_fence(text: str) -> str:
    """What stands between fences, where there is one pair of them."""
    parts = text.split("```")
    if len(parts) != 3 or not _is_prose(parts[0], parts[2]):
        return text
    word, line, rest = parts[1].partition("\n")
    return rest if line and _LANGUAGE.match(word) else parts[1].removeprefix("json")


def _values(text: str, opens: str) -> list[Any]:
    """The JSON values that stand whole in `text`, with nothing but prose around them: where what is left over looks
    like a part of one, there is none."""
    decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite)
    values, around, end, place = [], [], 0, _next(text, opens, 0)
    while place is not None:
        around.append(text[end:place])
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return []
        values.append(value)
        if len(values) > SEVERAL:
            return []
        place = _next(text, opens, end)
    before, *after = [*around, text[end:]]
    return values if _is_prose(before, *after) else []


def _is_prose(before: str, *after: str) -> bool:
    texts = (before, *after)
    odd = before.rstrip().endswith('"') or any(_STRUCTURE.search(text) or text.count('"') % 2 for text in texts)
    return not odd and not any(text.lstrip().startswith((",", ":")) for text in after)


def _next(text: str, opens: str, start: int) -> int | None:
    places = [place for place in (text.find(bracket, start) for bracket in opens) if place >= 0]
    return min(places, default=None)


def _repaired(text: str, opens: str) -> Any:
    start, end = _next(text, opens, 0), max(text.rfind("}"), text.rfind("]")) + 1
    if start is None or end <= start:
        raise Unreadable("there is no JSON in it")
    span = text[start:end]
    if not _is_prose(text[:start], text[end:]):
        raise Unreadable("a part of it stands outside of its brackets")
    if len(span) > REPAIRABLE:
        raise Unreadable("it is too long to be repaired")
    before = tokens(span)
    try:
        value = json_repair.loads(span)
        whole = json.loads(json.dumps(value, allow_nan=False))
        after: list[Token] = []
        _emit(whole, after)
    except (ValueError, TypeError, RecursionError, OverflowError) as odd:
        raise Unreadable(f"it can't be repaired: {str(odd)[:100]}") from None
    if before != after:
        raise Unreadable("a repair would change what it says")
    return whole


Token = tuple[str, Any]


def _emit(value: Any, out: list[Token]) -> None:
    """A value as the tokens it is written with, but for commas and colons."""
    if isinstance(value, dict):
        out.append(("{", None))
        for key, inner in value.items():
            out.append(("text", key))
            _emit(inner, out)
        out.append(("}", None))
    elif isinstance(value, list):
        out.append(("[", None))
        for inner in value:
            _emit(inner, out)
        out.append(("]", None))
    else:
        out.append(_scalar(value))


def _scalar(value: Any) -> Token:
    if isinstance(value, bool) or value is None:
        return ("literal", value)
    return ("number", repr(value)) if isinstance(value, int | float) else ("text", value)


_LITERALS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_LANGUAGE = re.compile(r"[\w+-]{0,20}[ \t\r]*\Z")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?\Z")
_SPACE = re.compile(r"(?:\s+|//[^\n\"'“”]*(?=\n)|/\*[^\"'“”*]*\*/)+")
"""Blanks, and comments with nothing quoted in them."""
_BARE = re.compile(r"[^\s,:{}\[\]\"'“”]+")
_CLOSING = {'"': '"', "'": "'", "“": "”"}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def tokens(text: str) -> list[Token]:
    """What is nearly JSON as brackets and values, in their order. Raises `Unreadable` where it could be read in two
    ways: a string that seems to end too early or never, values side by side on a line, marks out of their place."""
    read: list[Token] = []
    grammar, place = _Grammar(), 0
    while place < len(text):
        space = _SPACE.match(text, place)
        place = space.end() if space else place
        if place >= len(text):
            break
        sign = text[place]
        if sign in ",:":
            grammar.mark(sign)
            place += 1
        elif sign in "}]":
            grammar.close(sign)
            read.append((sign, None))
            place += 1
        elif sign in "{[":
            grammar.value()
            grammar.open(sign)
            read.append((sign, None))
            place += 1
        else:
            is_key = grammar.value()
            token, place = _quoted(text, place) if sign in _CLOSING else _bare(text, place, is_key)
            read.append(token)
    grammar.end()
    return read


class _Grammar:
    """Where a value, a comma or a colon may stand. A comma may follow the last value."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._due: list[str] = ["value"]
        """What comes next, a level a bracket: `key`, `colon`, `value`, or `comma` where a value has just been."""

    def value(self) -> bool:
        """A value, or a key (then True), begins here."""
        due = self._due[-1]
        if due not in ("key", "value"):
            raise Unreadable("a comma, a colon or a quotation mark is missing")
        self._due[-1] = "colon" if due == "key" else "comma"
        return due == "key"

    def mark(self, sign: str) -> None:
        """A comma or a colon."""
        if not self._open or self._due[-1] != ("colon" if sign == ":" else "comma"):
            raise Unreadable(f"{sign!r} stands where it can't")
        self._due[-1] = "value" if sign == ":" else self._first()

    def open(self, bracket: str) -> None:
        """One level down."""
        self._open.append(bracket)
        self._due.append(self._first())

    def close(self, bracket: str) -> None:
        """One level up, unless a key waits for its value."""
        if not self._open or self._open.pop() + bracket not in ("{}", "[]"):
            raise Unreadable("its brackets do not match")
        due = self._due.pop()
        if due == "colon" or (due == "value" and bracket == "}"):
            raise Unreadable("a key has no value")

    def end(self) -> None:
        """Everything must be closed."""
        if self._open:
            raise Unreadable("it is not closed: write it whole")

    def _first(self) -> str:
        return "key" if self._open[-1] == "{" else "value"


def _quoted(text: str, start: int) -> tuple[Token, int]:
    closing, place = _CLOSING[text[start]], start + 1
    while place < len(text) and text[place] != closing:
        place += 2 if text[place] == "\\" else 1
    if place >= len(text):
        raise Unreadable("a string is not closed")
    space = _SPACE.match(text, place + 1)
    after = text[space.end() if space else place + 1 :][:1]
    if after and after not in ",:}]":
        raise Unreadable('a quotation mark within a string must be written as \\"')
    inner = text[start + 1 : place]
    if "\n" in inner:  # a text of two lines, or two quotation marks lost
        raise Unreadable("a line's end within a string must be written as \\n")
    return ("text", _unescaped(inner)), place + 1


def _unescaped(inner: str) -> str:
    """A string's content; escapes that JSON doesn't know stand for themselves."""
    if "\\" not in inner:
        return inner

    def known(escape: re.Match[str]) -> str:
        return escape[0] if escape[1] in '"\\/bfnrtu' else escape[1]

    kept = _ESCAPE.sub(known, inner)
    try:
        return str(json.loads(f'"{_bare_quotes(kept)}"', strict=False))
    except ValueError:
        raise Unreadable("a string has an escape that can't be read") from None


def _bare_quotes(inner: str) -> str:
    """Quotation marks that need no escape in a string quoted otherwise get one."""
    return re.sub(r'(?<!\\)((?:\\\\)*)"', r'\1\\"', inner)


def _bare(text: str, start: int, is_key: bool) -> tuple[Token, int]:
    match = _BARE.match(text, start)
    if match is None:
        raise Unreadable(f"{text[start]!r} stands where a value should")
    word = match[0]
    if is_key and word.isidentifier():
        return ("text", word), match.end()
    if word in _LITERALS:
        return ("literal", _LITERALS[word]), match.end()
    if _NUMBER.match(word):
        try:
            return ("number", repr(json.loads(word))), match.end()
        except ValueError:  # more digits than an integer may have
            raise Unreadable(f"{word[:40]!r}... is too long a number") from None
    raise Unreadable(f"{word[:40]!r} is neither a number nor a quoted string")
