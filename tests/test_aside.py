"""Long texts are read as short ones are, and hold up nobody meanwhile."""

from __future__ import annotations

import json
import math
import random

import pytest

from lab import aside

PAD = b" " * aside.LONG
MANY = b"[" + b"{}," * 20_000 + b"0]"
ODD = [
    b'{"a": [1, 2.5, -0.0, 1e400, 123456789012345678901234567890, true, null, "\\u00e9\\ud83d\\ude00"]}',
    b'{"a": 1, "a": 2}',
    b'{"a": "\\ud800", "b": "\\udc00\\ud800"}',
    b'{"a": [-Infinity, Infinity]}',
    b'{"a": "\xff\xfe"}',
    b'"text"',
    b"",
    b"<html>",
    b'{"a": 1} x',
    b'{"a": 1',
    b'{"a": "\x01"}',
    b"\xef\xbb\xbf{}",
    b"[" * 100_000,
]


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_what_is_long_is_parsed_as_what_is_short(text: bytes, many: bool) -> None:
    """Whatever reads it: few objects and many go different ways."""

    def outcome(value: bytes) -> object:
        try:
            return aside.parsed(value)
        except (ValueError, RecursionError) as broken:
            return type(broken)

    short, long = (b"[%s,%s]" % (more, text) for more in (b"0", MANY if many else b"0" + PAD))
    assert len(short) < aside.LONG or text == ODD[-1]
    first, second = outcome(short), outcome(long)
    assert (first[1:] if isinstance(first, list) else first) == (second[1:] if isinstance(second, list) else second)


def test_a_number_that_is_none_is_read_as_the_standard_library_does() -> None:
    assert math.isnan(aside.parsed(b'{"a": NaN' + PAD + b"}")["a"])


@pytest.mark.parametrize("bite", [13, 20, 64])
def test_a_string_is_put_together_from_bites(bite: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever an escape, a pair or a quote falls; one that is broken is as broken as in one piece."""
    monkeypatch.setattr(aside, "BITE", bite)
    monkeypatch.setattr(aside, "LONG", 0)
    draw = random.Random(3)
    pieces = [
        "a",
        "é",
        "狐",
        r"\n",
        r"\"",
        r"\\",
        r"\/",
        r"\u0041",
        r"\ud83d\ude00",
        r"\ud83d",
        r"\ude00",
        "😀",
        "word ",
    ]
    broken = ["\\", r"\u12", r"\x", "\x01"]
    for number in range(3000):
        text = "".join(draw.choices(pieces, k=draw.randint(0, 40)))
        if number % 4 == 0:
            place = draw.randint(0, len(text))
            text = text[:place] + draw.choice(broken) + text[place:]
        for whole in (f'{{"{text}": ["{text}", 1]}}', f'"{text}'):
            try:
                expected: object = json.loads(whole)
            except ValueError:
                with pytest.raises(json.JSONDecodeError):
                    aside.parsed(whole.encode())
            else:
                assert aside.parsed(whole.encode()) == expected, whole


def test_no_bite_parts_what_belongs_together() -> None:
    text = "a" * (aside.BITE - 1) + "\ud83d\ude00" + "b" * aside.BITE + "\ud83d"
    parts = aside.bites(text, lambda character: character == "\ud83d")
    assert "".join(parts) == text
    assert parts[0].endswith("\ude00")
    assert aside.bites("", bool) == []
