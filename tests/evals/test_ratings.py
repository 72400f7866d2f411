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
        pair, total, rated = ratings.waiting(lab.ledger, "e")
        assert (total, rated) == (20, done)
        assert sorted(pair.answers) == ["bad", "good"]
        lefts.append(pair.answers[0])
        a, b = sorted((pair.first, pair.second))
        better = pair.first if pair.answers[0] == "good" else pair.second
        ratings.put(lab.ledger, a, b, "a" if better == a else "b", shown_first="a" if pair.first == a else "b")
    assert 4 <= lefts.count("good") <= 16, "which stands left is drawn"
    assert ratings.waiting(lab.ledger, "e") == (None, 20, 20)
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
