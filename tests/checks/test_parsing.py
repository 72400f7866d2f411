"""JSON out of what a model wrote: what a repair may change, and that nothing is lost or invented by one."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from lab.checks.parsing import Unreadable, parsed, tokens

WORDS = [
    *("Ann", "it's fine", "a, b", "x: y", "[1]", 'he said "hi"', "{no}", "tab\tend", "line\nbreak", "ü–ß", "", "null"),
    *("12", "true", "http://a.b/c", "C:\\dir", "#5", "// no", "don't, won't", "5'11", '"', "a\\", "—", "“so”", "“"),
]


def _document(random: Random, words: list[str], depth: int = 0) -> Any:
    lot = random.random()
    if depth < 3 and lot < 0.35:
        names = [random.choice("abcdefgh") + random.choice(["", "_x", "-y", " z"]) for _ in range(random.randint(0, 4))]
        return {name: _document(random, words, depth + 1) for name in names}
    if depth < 3 and lot < 0.55:
        return [_document(random, words, depth + 1) for _ in range(random.randint(0, 4))]
    number = random.choice([random.randint(-50, 5000), round(random.uniform(-9, 9), 3), 1e21, 0.1])
    return random.choice([random.choice(words), random.choice(words), number, True, False, None])


def _leaves(value: Any) -> list[Any]:
    """Keys and values in their order; brackets don't count."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in (key, *_leaves(inner))]
    return [leaf for inner in value for leaf in _leaves(inner)] if isinstance(value, list) else [repr(value)]


def _marks(text: str) -> list[int]:
    """Where the marks of the structure are: outside of strings, and the quotation marks around them."""
    marks, within, place = [], False, 0
    while place < len(text):
        if text[place] == '"':
            within = not within
            marks.append(place)
        elif within and text[place] == "\\":
            place += 1
        elif not within and text[place] in "{}[],:":
            marks.append(place)
        place += 1
    return marks


def _outside(text: str, change: Callable[[str], str]) -> str:
    """`text` with what is outside of its strings changed."""
    parts, last, within = [], 0, False
    for place in [mark for mark in _marks(text) if text[mark] == '"']:
        parts.append(text[last:place] if within else change(text[last:place]))
        parts.append('"')
        last, within = place + 1, not within
    return "".join([*parts, change(text[last:])])


def _drop(many: int) -> Callable[[str, Random], str]:
    def corrupt(text: str, random: Random) -> str:
        gone = set(random.sample(_marks(text), min(many, len(_marks(text)))))
        return "".join(letter for place, letter in enumerate(text) if place not in gone)

    return corrupt


def _twice(text: str, random: Random) -> str:
    place = random.choice(_marks(text))
    return text[:place] + text[place] + text[place:]


def _swap(text: str, random: Random) -> str:
    first, other = random.choice(_marks(text)), random.choice(_marks(text))
    letters = list(text)
    letters[first], letters[other] = letters[other], letters[first]
    return "".join(letters)


def _insert(text: str, random: Random) -> str:
    place = random.choice(_marks(text)) + random.randint(0, 1)
    return text[:place] + random.choice("{}[],:\"'") + text[place:]


def _quoted(opening: str, closing: str) -> Callable[[str, Random], str]:
    def corrupt(text: str, _random: Random) -> str:
        letters, opens = list(text), True
        for place in _marks(text):
            if text[place] == '"':
                letters[place], opens = opening if opens else closing, not opens
        return "".join(letters)

    return corrupt


def _unquoted(text: str, _random: Random) -> str:
    letters, marks = list(text), _marks(text)
    for number, place in enumerate(marks):
        if text[place] == ":" and text[marks[number - 2] + 1 : marks[number - 1]].isidentifier():
            letters[marks[number - 2]] = letters[marks[number - 1]] = ""
    return "".join(letters)


def _literals(text: str, _random: Random) -> str:
    words = (("true", "True"), ("false", "False"), ("null", "None"))

    def change(part: str) -> str:
        for ours, theirs in words:
            part = part.replace(ours, theirs)
        return part

    return _outside(text, change)


CORRUPTIONS: dict[str, Callable[[str, Random], str]] = {
    "drop a mark": _drop(1),
    "drop two": _drop(2),
    "drop three": _drop(3),
    "a mark twice": _twice,
    "swap two": _swap,
    "insert one": _insert,
    "cut": lambda text, random: text[: random.randint(1, len(text) - 1)],
    "trailing commas": lambda text, _: _outside(text, lambda part: re.sub(r"(?<![{\[,\s])(\s*[}\]])", r",\1", part)),
    "single quotes": _quoted("'", "'"),
    "typographic quotes": _quoted("“", "”"),
    "unquoted keys": _unquoted,
    "Python's literals": _literals,
    "comments": lambda text, _: _outside(text, lambda part: part.replace(",", ", // so, it {is}\n")),
    "fence": lambda text, _: f"```json\n{text}\n```",
    "prose": lambda text, _: f"Sure, here it is:\n\n{text}\n\nI hope that helps! (It's what you asked for.)",
}
SEVERAL = ("drop two", "drop three", "swap two")
"""Both brackets of a pair may be gone: what is left is another document with the same leaves."""
AMBIGUOUS = ("null", "true", "12", "“so”", "“", "a\\", "Ann", '"')
"""Words that are others, or other values, without the marks around them."""
MENDED = {
    "trailing commas": 0.8,
    "single quotes": 0.5,
    "typographic quotes": 0.6,
    "unquoted keys": 0.95,
    "Python's literals": 0.95,
    "comments": 0.9,
    "fence": 0.95,
    "prose": 0.95,
}
"""The least share that must come back whole, where that can be told."""


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_repair_neither_loses_nor_invents(name: str) -> None:
    """Hundreds of seeded documents a corruption: what comes back from more than a strict reading is what was there,
    leaf for leaf, or nothing comes back. (What is valid JSON still, nobody can tell.)"""
    random, seen = Random(name), Counter()
    for _ in range(400):
        words = WORDS if name not in SEVERAL else [word for word in WORDS if word not in AMBIGUOUS]
        document = {"a": _document(random, words), "b": _document(random, words), "c": _document(random, words)}
        text = json.dumps(document, ensure_ascii=random.random() < 0.5, indent=random.choice([None, None, 2]))
        broken = CORRUPTIONS[name](text, random)
        try:
            answer = parsed(broken, "{")
        except Unreadable:
            seen["refused"] += 1
            continue
        right = json.dumps(answer.value) == json.dumps(document)
        if answer.step != "strict":
            assert _leaves(answer.value) == _leaves(document), (answer.step, broken, answer.value)
            assert right or name in SEVERAL, (answer.step, broken, answer.value)
        seen["mended" if right else "odd"] += 1
    assert seen["mended"] >= MENDED.get(name, 0) * 400, seen


@pytest.mark.parametrize(
    ("text", "value", "step"),
    [
        ('{"a": 1}', {"a": 1}, "strict"),
        (' \n{"a": 1}\n', {"a": 1}, "strict"),
        ('```json\n{"a": 1}\n```', {"a": 1}, "unfenced"),
        ('Here you are: {"a": 1}. Anything else?', {"a": 1}, "unfenced"),
        ('{"a": 1} {"a": 1}', {"a": 1}, "unfenced"),
        ("{'a': 'it is', b: True,}", {"a": "it is", "b": True}, "repaired"),
        ('```\n{"a": 1,}\n```', {"a": 1}, "repaired"),
    ],
)
def test_each_step_says_its_name(text: str, value: Any, step: str) -> None:
    answer = parsed(text, "{")
    assert (answer.value, answer.step) == (value, step)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON"),
        ("I can't help with that.", "no JSON"),
        ('{"a": 1', "no JSON"),
        ('{"a": [1, 2}', "brackets do not match"),
        ('{"a": {"b": 1}', "not closed"),
        ('{"a": 1, "a": 2}', "appears twice"),
        ('{"a": NaN}', "NaN"),
        ('{"a": "he said "hi" to me"}', "quotation mark within a string"),
        ('{"a": 1} {"a": 2}', "2 JSON values"),
        ('{"a": 1\n "b": 2}', "a colon or a quotation mark is missing"),
        ('{"a": "one\ntwo", }', "line's end within a string"),
        ('{"a": 1 2}', "a colon or a quotation mark is missing"),
        ('{"a": 007}', "neither a number"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(text: str, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        parsed(text, "{")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 50_000,
        '{"a": "' + "x" * 2_000_000,
        "{" + "'" * 150_000 + "}",
        "{" + '"' * 150_000 + "}",
        '{"a": ' + "9" * 100_000 + ",}",
        "```" * 100_000,
        '{"a": ' + "/*" * 60_000 + "}",
        "{a" + "\\" * 150_000 + "}",
    ],
    ids=["brackets", "nested", "long", "apostrophes", "quotes", "digits", "fences", "comments", "backslashes"],
)
def test_hostile_text_is_refused_in_no_time(text: str) -> None:
    """No input makes it crash, or work for as long as an attacker likes (the bound is generous)."""
    began = time.process_time()
    with pytest.raises(Unreadable):
        parsed(text, "{[")
    assert time.process_time() - began < 20


def test_tokens_are_brackets_and_values_in_order() -> None:
    assert tokens("{'a': [1, true, None]}") == [
        ("{", None),
        ("text", "a"),
        ("[", None),
        ("number", "1"),
        ("literal", True),
        ("literal", None),
        ("]", None),
        ("}", None),
    ]
