"""Long texts are read as short ones are, and hold up nobody meanwhile."""

from __future__ import annotations

import json
import math

import pytest

from lab import aside

PAD = b" " * aside.LONG
MANY = b"[" + b"{}," * (aside.MANY + 1) + b"0]"
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


def test_many_objects_are_built_by_what_lets_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "from_json", None)
    assert aside.parsed(MANY + PAD) == json.loads(MANY)


def test_no_bite_parts_what_belongs_together() -> None:
    text = "a" * (aside.BITE - 1) + "\ud83d\ude00" + "b" * aside.BITE + "\ud83d"
    parts = aside.bites(text, lambda character: character == "\ud83d")
    assert "".join(parts) == text
    assert parts[0].endswith("\ude00")
    assert aside.bites("", bool) == []
