"""An experiment as a grid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import EvalSet, Lab, Prompt, errors
from lab.evals import grid, pairs

CASES = [
    {"id": f"{n}", "input": {"x": f"word{n}"}, "expected": "yes", "tags": ["odd" if n % 2 else "even"]}
    for n in range(6)
]


def _says(call: object) -> str:
    text = call.messages[-1]["content"]
    if call.model == "fails" and "word0" in text:
        raise errors.ProviderError("down")
    if call.model == "half":
        return "yes" if text.endswith(("0", "2", "4")) else "no"
    return "yes"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path / "lab.db", provider=_says) as lab:
        yield lab


def _run(lab: Lab, models: list[str], name: str = "e", **more: object) -> None:
    lab.compare([Prompt("p", "{{x}}")], models, CASES, scorers=["exact"], name=name, progress=None, **more)


def test_each_answer_stands_beside_what_was_asked_and_expected(lab: Lab) -> None:
    _run(lab, ["good", "half", "fails"])
    shown = grid.of(lab.ledger, "e")
    assert [column[2] for column in shown.columns] == ["good", "half", "fails"]
    first = shown.rows[0]
    assert (first.case_id, first.asked, first.expected, first.tags) == ("0", "word0", "yes", ("even",))
    good, half, fails = first.answers
    assert (good.text, good.score, good.status) == ("yes", 1.0, "ok")
    assert half.score == 1.0
    assert (fails.status, fails.kind, fails.score, fails.text) == ("failed", "provider", 0.0, None)
    assert "down" in fails.error
    assert len({answer.call_id for row in shown.rows for answer in row.answers}) == 18


def test_rows_that_differ_come_first_or_alone(lab: Lab) -> None:
    _run(lab, ["good", "half"])
    shown = grid.of(lab.ledger, "e")
    assert [row.case_id for row in shown.ordered()] == list("012345")
    assert [row.case_id for row in shown.ordered("disagreement")] == list("135024")
    assert [row.case_id for row in shown.ordered(differing=True)] == list("135")
    assert [row.case_id for row in shown.ordered("score")] == list("135024")
    assert [row.case_id for row in shown.ordered(words="WORD3")] == ["3"]


def test_without_scores_what_differs_is_what_is_said(lab: Lab) -> None:
    lab.compare([Prompt("p", "{{x}}")], ["good", "half"], CASES, name="plain", progress=None)
    shown = grid.of(lab.ledger, "plain")
    assert not shown.scored
    assert [row.case_id for row in shown.ordered(differing=True)] == list("135")


def test_repeats_are_one_answer_with_their_mean(lab: Lab) -> None:
    _run(lab, ["good"], repeats=3)
    (answer,) = grid.of(lab.ledger, "e").rows[0].answers
    assert (answer.repeats, answer.score) == (3, 1.0)


def test_what_has_no_answer_yet_is_none(lab: Lab) -> None:
    lab.compare([Prompt("p", "{{x}}")], ["good"], CASES, name="planned", progress=None, run=False)
    with pytest.raises(ValueError, match="no experiment 'planned'"):
        grid.of(lab.ledger, "planned")


def test_cases_are_cleaned_and_not_kept_where_words_are_not(tmp_path: Path) -> None:
    cases = [{"id": "1", "input": {"x": "my key is sk-abcdefghijklmnopqrstuvwxyz123456"}, "expected": "yes"}]
    with Lab(tmp_path / "lab.db", provider=_says) as lab:
        lab.compare([Prompt("p", "{{x}}")], ["good"], cases, name="e", progress=None)
        assert "sk-abc" not in json.dumps(lab.ledger.rows("SELECT content FROM cases"))
        assert "redacted" in grid.of(lab.ledger, "e").rows[0].asked
    with Lab(tmp_path / "hashes.db", provider=_says, keep="hashes") as lab:
        lab.compare([Prompt("p", "{{x}}")], ["good"], CASES, scorers=["exact"], name="e", progress=None)
        assert lab.ledger.rows("SELECT count(*) FROM cases") == [(0,)]
        row = grid.of(lab.ledger, "e").rows[0]
        assert (row.asked, row.expected, row.answers[0].text, row.answers[0].score) == ("", None, None, 1.0)


def test_two_evaluations_beside_each_other(lab: Lab) -> None:
    _run(lab, ["good", "half"])
    _run(lab, ["good"], name="again")
    lab.compare([Prompt("p", "{{x}}")], ["good"], CASES[:2], scorers=["exact"], name="few", progress=None)
    found = {evaluation.name: evaluation for evaluation in pairs.evaluations(lab.ledger)}
    before, after = found["e/p@1/good"], found["e/p@1/half"]
    assert before.comparable(after)
    assert before.comparable(found["again/p@1/good"])
    assert not before.comparable(before)
    assert not before.comparable(found["few/p@1/good"]), "another set"
    shown = pairs.pair(lab.ledger, before, after)
    assert [row.case_id for row in shown.ordered("disagreement")] == list("135024")
    tags = pairs.by_tag(shown).set_index("tag")
    assert tags.loc["odd", "difference"] == -1.0
    assert tags.loc["even", "difference"] == 0.0
    assert tags.loc[pairs.ALL, "cases"] == 6
    other = pairs.pair(lab.ledger, before, found["again/p@1/good"])
    assert [row.differs for row in other.rows] == [False] * 6


def test_what_was_said_where_which_label_was_expected(tmp_path: Path) -> None:
    said = {"a": "Billing.", "b": "The label is **bug**.", "c": "billing or bug", "d": "something"}
    cases = [
        {"id": f"{key}{n}", "input": {"x": key}, "expected": "billing" if key == "a" else "bug"}
        for key in "abcd"
        for n in range(3)
    ]
    with Lab(tmp_path / "lab.db", provider=lambda call: said[call.messages[-1]["content"]]) as lab:
        lab.compare([Prompt("p", "{{x}}")], ["m"], cases, scorers=["label"], name="e", progress=None)
        shown = grid.of(lab.ledger, "e")
        known = pairs.labels(shown)
        assert known == ["billing", "bug"]
        table = pairs.confusion(shown, 0, known).set_index(["expected", "said"])["cases"].to_dict()
        assert table == {("billing", "billing"): 3, ("bug", "bug"): 3, ("bug", pairs.NEITHER): 6}


def test_free_texts_are_no_labels(lab: Lab) -> None:
    cases = [{"id": f"{n}", "input": {"x": "w"}, "expected": f"text {n}"} for n in range(6)]
    lab.compare([Prompt("p", "{{x}}")], ["good"], cases, name="e", progress=None)
    assert pairs.labels(grid.of(lab.ledger, "e")) is None


def test_scores_over_time_say_what_is_new(lab: Lab) -> None:
    cases = EvalSet.of(CASES, "set")
    for name, text in (("one", "{{x}}"), ("two", "{{x}} again"), ("three", "{{x}} again")):
        lab.compare([Prompt("p", text)], ["good"], cases, scorers=["exact"], name=name, progress=None)
    frame = pairs.over_time(lab.ledger, "set")
    assert list(frame["experiment"]) == ["one", "two", "three"]
    assert list(frame["change"]) == ["v1", "v2", ""]
    assert frame["score"].tolist() == [1.0, 1.0, 1.0]
    assert (frame["low"] < 1).all()


def test_an_experiment_without_scores_is_in_no_line_of_them(lab: Lab) -> None:
    lab.compare([Prompt("p", "{{x}}")], ["fails"], EvalSet.of(CASES, "set"), name="plain", progress=None)
    assert pairs.over_time(lab.ledger, "set").empty


def test_cases_that_go_together_widen_what_is_said_of_a_tag(tmp_path: Path) -> None:
    """Eight clusters of ten alike cases say no more than eight cases."""

    def says(call: object) -> str:
        cluster = int(call.messages[-1]["content"])
        return "yes" if call.model == "good" or cluster % 2 else "no"

    cases = [
        {"id": f"{c}-{n}", "input": {"x": f"{c}"}, "expected": "yes", "cluster": f"c{c}", "tags": ["t", "t"]}
        for c in range(8)
        for n in range(10)
    ]
    with Lab(tmp_path / "lab.db", provider=says) as lab:
        lab.compare([Prompt("p", "{{x}}")], ["half", "good"], cases, scorers=["exact"], name="e", progress=None)
        found = {evaluation.model: evaluation for evaluation in pairs.evaluations(lab.ledger)}
        tags = pairs.by_tag(pairs.pair(lab.ledger, found["half"], found["good"])).set_index("tag")
        assert tags.loc["t", "cases"] == 80, "a tag that is there twice counts once"
        assert tags.loc["t", "difference"] == pytest.approx(0.5)
        assert tags.loc["t", "high"] - tags.loc["t", "low"] > 0.4
