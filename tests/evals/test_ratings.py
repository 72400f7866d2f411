"""Blind ratings: pairs of one case, drawn, kept once, and tallied by who they were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab
from lab.evals import ratings


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Two models over 20 cases."""
    with Lab(tmp_path / "lab.db", provider=lambda call: f"{call.model}") as lab:
        lab.compare(
            "say {{n}}", ["good", "bad"], [{"id": str(n), "input": str(n)} for n in range(20)], name="e", progress=None
        )
        yield lab


def test_every_pair_comes_once_and_the_order_is_drawn(lab: Lab) -> None:
    lefts = []
    for done in range(20):
        waiting = ratings.waiting(lab.ledger, "e")
        assert (waiting.pairs, waiting.rated, waiting.alike) == (20, done, 0)
        pair = waiting.pair
        assert pair is not None
        assert sorted(pair.answers) == ["bad", "good"]
        lefts.append(pair.answers[0])
        a, b = sorted((pair.first, pair.second))
        better = pair.first if pair.answers[0] == "good" else pair.second
        ratings.put(lab.ledger, a, b, "a" if better == a else "b", shown_first="a" if pair.first == a else "b")
    assert 4 <= lefts.count("good") <= 16, "which stands left is drawn"
    assert ratings.waiting(lab.ledger, "e") == ratings.Waiting(None, 20, 20, 0)
    (row,) = lab.ratings("e").to_dict("records")
    winner = "one_won" if "good" in row["one"] else "other_won"
    assert (row["n"], row[winner]) == (20, 20)
    assert row["first_won"] == pytest.approx(lefts.count("good") / 20)


def test_both_neither_and_what_can_not_be_rated(lab: Lab) -> None:
    first, second, third, fourth = lab.calls()["call_id"][:4]
    lab.rate(first, second, "both", user="ann")
    lab.rate(third, fourth, "neither")
    assert lab.ratings()[["both", "neither"]].sum().tolist() == [1, 1]
    assert lab.ratings("another").empty
    for bad in ((first, first, "a"), (first, "unknown", "a"), (first, second, "left")):
        with pytest.raises(ValueError, match=r"two calls of this ledger|one of a, b, both, neither"):
            lab.rate(*bad)


def test_of_a_rater_the_last_word_counts_and_raters_of_a_pair_go_together(lab: Lab) -> None:
    frame = lab.experiment("e").df().set_index(["case_id", "model"])["call_id"]
    for _ in range(5):
        lab.rate(frame["0", "good"], frame["0", "bad"], "a", user="ann")
    (row,) = lab.ratings("e").to_dict("records")
    assert row["n"] == 1
    narrow = row["high"] - row["low"]
    for user in ("bob", "eve", "dan"):
        lab.rate(frame["0", "good"], frame["0", "bad"], "a", user=user)
    (row,) = lab.ratings("e").to_dict("records")
    assert row["n"] == 4
    assert row["high"] - row["low"] >= narrow - 1e-9, "four raters of one pair are one pair"


def test_each_rater_has_every_pair_and_may_take_the_last_one_back(lab: Lab) -> None:
    for user in ("ann", "bob"):
        for _ in range(20):
            pair = ratings.waiting(lab.ledger, "e", user=user).pair
            assert pair is not None
            good = pair.first if pair.answers[0] == "good" else pair.second
            other = pair.second if good == pair.first else pair.first
            lab.rate(good, other, "a", user=user)
    assert ratings.waiting(lab.ledger, "e", user="ann").pair is None
    assert ratings.waiting(lab.ledger, "e").rated == 0, "who has no name is another rater"
    share, pairs = ratings.agreement(lab.ledger, "e")
    assert (share.estimate, pairs) == (1.0, 20)
    assert ratings.undo(lab.ledger, "e", "bob") is True
    assert ratings.undo(lab.ledger, "e", "eve") is False
    left = ratings.waiting(lab.ledger, "e", user="bob")
    assert left.rated == 19
    assert left.pair is not None
    worse = left.pair.first if left.pair.answers[0] == "bad" else left.pair.second
    better = left.pair.second if worse == left.pair.first else left.pair.first
    lab.rate(worse, better, "a", user="bob")
    share, pairs = ratings.agreement(lab.ledger, "e")
    assert (share.estimate, pairs) == (0.95, 20)


def test_answers_that_say_the_same_are_counted_and_not_asked_about(tmp_path: Path) -> None:
    def says(call: object) -> str:
        return "same  words" if call.model == "one" and "1" in call.messages[-1]["content"] else "same words"

    with Lab(tmp_path / "lab.db", provider=says) as lab:
        lab.compare("say {{n}}", ["one", "other"], [{"id": n, "input": n} for n in "012"], name="e", progress=None)
        assert ratings.waiting(lab.ledger, "e") == ratings.Waiting(None, 0, 0, 3)


def test_what_people_say_is_held_against_what_a_scorer_says(tmp_path: Path) -> None:
    """A scorer that prefers the other one in every fourth pair agrees in three quarters of them."""
    with Lab(tmp_path / "lab.db", provider=lambda call: f"{call.model} {call.messages[-1]['content'][-2:]}") as lab:

        def judge(value: str, expected: object) -> float:
            wrong = value.endswith(("0", "4", "8"))
            return float(value.startswith("good") != wrong)

        cases = [{"id": f"{n:02}", "input": f"{n:02}", "expected": "x"} for n in range(12)]
        lab.compare("say {{n}}", ["good", "bad"], cases, scorers=[judge], name="e", progress=None)
        frame = lab.experiment("e").df().set_index(["case_id", "model"])["call_id"]
        for n in range(12):
            lab.rate(frame[f"{n:02}", "good"], frame[f"{n:02}", "bad"], "a")
        (row,) = ratings.judged(lab.ledger, "e").to_dict("records")
        wrong = sum(f"{n:02}".endswith(("0", "4", "8")) for n in range(12))
        assert (row["scorer"], row["pairs"], row["agree"]) == ("judge", 12, 12 - wrong)
        assert row["low"] < row["share"] < row["high"]


def test_only_experiments_with_two_columns_are_offered(lab: Lab) -> None:
    lab.compare("say {{n}}", ["alone"], [{"id": "1", "input": "1"}], name="alone", progress=None)
    assert ratings.experiments(lab.ledger) == ["e"]
