"""The rule on what differs: what may be said otherwise, and what may not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab import EvalSet
from lab.call.near.rule import signature

SETS = Path(__file__).resolve().parents[3] / "data" / "evals"


def how(one: str, other: str) -> str:
    """`order`, `words`, or nothing: how far the rule lets these two be the same."""
    marks = signature([one]), signature([other])
    if marks[0] is None or marks[1] is None or marks[0].words != marks[1].words:
        return ""
    return "order" if marks[0] == marks[1] else "words"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "how can I reset the password"),
        ("I can't log in to the app", "I cannot log in the app"),
        ("two tickets, please", "2 tickets"),
        ("U.S. visa cost", "US visa cost"),
        ("organise the colours", "organizing colors"),
        ("What is it's price today?", "what are the prices today"),
        ("1,000 apples cost", "1000 apples cost"),
        ("café au lait price", "cafe\u0301 au lait prices"),
    ],
)
def test_said_otherwise(one: str, other: str) -> None:
    assert how(one, other) == "order"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I cancel my order?", "Can I cancel my order?"),
        ("trains London Oxford", "trains Oxford London"),
        ("Is tea better than coffee?", "Is coffee better than tea?"),
        ("Should I take aspirin daily?", "May I take aspirin daily?"),
        ("Do you owe me a refund now?", "Do I owe you a refund now?"),
        ("When was the new model released?", "When will the new model be released?"),
        ("compute (2+3)*4", "compute 2+(3*4)"),
        ("Why can cats see color and dogs can't?", "Why can't cats see color and dogs can?"),
    ],
)
def test_of_the_same_words_and_not_the_same(one: str, other: str) -> None:
    """These count as hits only where labels have certified such ones."""
    assert how(one, other) == "words"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("flights from Rome to Paris", "flights from Paris to Rome"),
        ("flights from Rome to Paris", "flights to Rome from Paris"),
        ("Is aspirin safe for dogs?", "Is aspirin not safe for dogs?"),
        ("Is aspirin safe for dogs?", "Isn't aspirin safe for dogs?"),
        ("5 km run price", "3 km run price"),
        ("5 km run price", "5 miles run price"),
        ("version 1.5 release", "version 15 release"),
        ("-5 degrees outside", "5 degrees outside"),
        ("How do I learn C++ quickly?", "How do I learn C quickly?"),
        ("How do I learn C# quickly?", "How do I learn C quickly?"),
        ("pay $50 fee", "pay €50 fee"),
        ("How do people move to the US quickly?", "How do people move to us quickly?"),
        ("dose in adults daily", "dose in children daily"),
        ("cancel free plan today", "cancel plan today"),
        ("Wie geht es dir heute?", "How are you doing today?"),
        ("great parcel service 🙂", "great parcel service 😠"),
        ("Wo ist mein Paket?", "Wo ist sein Paket?"),
        ("solve x != 3", "solve x = 3"),
        ("solve x - 3 = 5", "solve x 3 = 5"),
        ("laser of 5 mW", "laser of 5 MW"),
        ("chmod -r file", "chmod -R file"),
        ("in Maßen trinken", "in Massen trinken"),
        ("cars price list", "caring price list"),
        ("आज दिन है", "आज दीन है"),
        ("密码 重置 方法", "密码 删除 方法"),
    ],
)
def test_what_carries_the_meaning_is_the_same(one: str, other: str) -> None:
    assert how(one, other) == ""


@pytest.mark.parametrize("text", ["", "?!", "what is it", "hello", "   ", "the of and"])
def test_too_little_to_go_by(text: str) -> None:
    assert signature([text]) is None


def test_texts_are_not_mixed_with_each_other() -> None:
    """What stands in one variable is another thing in the next."""
    assert signature(["red house", "blue car"]) != signature(["red car", "blue house"])
    assert signature(["red house", "blue car"]) != signature(["blue car", "red house"])


def test_what_is_odd_is_read_all_the_same() -> None:
    for text in ("\ud800 lone surrogate here", "x" * 200_000 + " word", "\x00 null byte here", "٣ أيام سفر"):
        signature([text])


def test_nothing_of_the_set_that_differs_comes_in_the_same_order() -> None:
    """480 pairs: 315 that want another answer."""
    pairs = EvalSet.load(SETS / "rewordings.jsonl").cases
    found = {(case.expected, how(case.input["a"], case.input["b"])) for case in pairs if isinstance(case.input, dict)}
    assert ("different", "order") not in found
    same = [case for case in pairs if case.expected == "same" and isinstance(case.input, dict)]
    hits = sum(how(case.input["a"], case.input["b"]) == "order" for case in same if isinstance(case.input, dict))
    assert hits > len(same) / 2


def test_the_set_is_what_it_says() -> None:
    requests = {case.input: case.expected for case in EvalSet.load(SETS / "requests.jsonl").cases}
    for case in EvalSet.load(SETS / "rewordings.jsonl").cases:
        assert isinstance(case.input, dict), json.dumps(case.input)
        alike = requests[case.input["a"]] == requests[case.input["b"]]
        assert case.expected == ("same" if alike else "different")
