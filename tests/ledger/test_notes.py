"""Stars, notes, and sets that are made on the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import Lab, Prompt
from lab.ledger import evalsets, notes


@pytest.fixture
def lab(tmp_path: Path):
    with Lab(tmp_path / "lab.db", provider=lambda call: f"says {call.messages[-1]['content']}") as lab:
        yield lab


def test_a_note_and_a_star_are_kept_apart_and_found(lab: Lab) -> None:
    call = lab.ask("a", model="m").call_id
    other = lab.ask("b", model="m").call_id
    lab.note(call, "odd")
    lab.note(call, starred=True)
    assert notes.of(lab.ledger, [call, other]) == {call: (True, "odd")}
    assert list(lab.calls(starred=True)["call_id"]) == [call]
    assert lab.count(starred=True, model="m") == 1
    lab.note(call, starred=False)
    lab.note(call, "")
    assert notes.of(lab.ledger, [call]) == {}


def test_what_can_not_be_noted_is_said(lab: Lab) -> None:
    with pytest.raises(ValueError, match="no call 'nothing'"):
        lab.note("nothing", "x")
    with pytest.raises(ValueError, match="at most 20,000"):
        lab.note(lab.ask("a", model="m").call_id, "x" * 20_001)


def test_a_pruned_call_takes_its_note_along(lab: Lab) -> None:
    call = lab.ask("a", model="m")
    lab.note(call.call_id, "odd")
    lab.prune(2e9 * 2)
    assert lab.ledger.rows("SELECT count(*) FROM notes") == [(0,)]


def test_a_set_is_made_of_cases_and_asked_like_any_other(lab: Lab) -> None:
    lab.add_case("mine", {"id": "1", "input": {"x": "one"}, "expected": "says one"}, call_id="c")
    lab.add_case("mine", {"id": "2", "input": {"x": "two"}, "expected": "no"})
    lab.add_case("mine", {"id": "2", "input": {"x": "two"}, "expected": "says two"})
    cases = lab.evalset("mine")
    assert [(case.id, case.expected) for case in cases] == [("1", "says one"), ("2", "says two")]
    found = lab.evaluate(Prompt("p", "{{x}}"), "m", cases, scorers=["exact"], progress=None)
    assert found.summary()["score"][0] == 1.0
    evalsets.remove_case(lab.ledger, "mine", "1")
    evalsets.remove_case(lab.ledger, "mine", "2")
    with pytest.raises(ValueError, match="no eval set 'mine' on this ledger: none yet"):
        lab.evalset("mine")
    with pytest.raises(ValueError, match="input"):
        lab.add_case("mine", {"id": "3"})
