"""The simulation's answers: as often right, and as often in form, as its catalogue states."""

from __future__ import annotations

import json
import math
from random import Random

import pytest

from lab import EvalSet, Lab
from lab.evals import scorers
from lab.sim.answers import DIFFICULTIES, EVALS, Skill, answered, book, instance
from lab.sim.catalogue import MODELS
from lab.sim.server import plan

BOOK = book(EVALS)
SKILLED = [name for name, model in MODELS.items() if model.skill]


def _prompt(case: object) -> str:
    return "\n".join(case.needles)


def test_every_case_is_known_by_its_input() -> None:
    for case in BOOK.cases:
        assert BOOK.find(f"Before.\n{_prompt(case)}\nAfter.") is case
    assert BOOK.find("nothing of the kind") is None


@pytest.mark.parametrize("name", SKILLED)
@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_it_is_right_as_often_as_it_states(name: str, difficulty: str) -> None:
    """Within what chance allows (four standard errors); an example in the prompt helps by as much as is stated."""
    skill = MODELS[name].skill
    cases = [case for case in BOOK.cases if case.difficulty == difficulty and case.eval_set == "triage"]
    for around, truth in (("Sort it.", skill.right(difficulty)), ("Example: x", skill.right(difficulty, True))):
        random, right, n = Random(f"{name}{difficulty}"), 0, 0
        for _ in range(60):
            for case in cases:
                text = answered(case, skill, BOOK, f"{around} {_prompt(case)}", {"properties": {"l": {}}}, random)
                if text is not None:
                    right, n = right + (json.loads(text) == {"l": case.expected}), n + 1
        assert abs(right / n - truth) < 4 * math.sqrt(truth * (1 - truth) / n) + 1e-9


def test_form_and_refusals_are_as_stated() -> None:
    skill = Skill(accuracy=dict.fromkeys(DIFFICULTIES, 1.0), faults=0.3, refusals=0.1)
    random = Random(1)
    case = next(case for case in BOOK.cases if case.eval_set == "triage")
    texts = [answered(case, skill, BOOK, _prompt(case), None, random) for _ in range(4000)]
    assert texts.count(None) / 4000 == pytest.approx(0.1, abs=0.02)
    assert texts.count(case.expected) / 4000 == pytest.approx(0.9 * 0.7, abs=0.03)


def test_a_refusal_is_one_on_the_wire_and_a_schema_is_kept_to(lab: Lab) -> None:
    """The careless model, over HTTP: kinds as a provider would have them."""
    cases = EvalSet.load(EVALS / "orders.jsonl").where("easy")
    shape = {"type": "object", "properties": {"items": {"type": "array"}}, "required": ["items"]}
    cells = lab.compare(
        "As JSON: {{message}}", "sim/careless", cases, schema=shape, scorers=["fields"], concurrency=36, progress=None
    ).df()
    assert set(cells["kind"].dropna()) <= {"content"}
    assert (cells["valid"].dropna() == 1).all()
    plain = [
        plan("careless", MODELS["careless"], {"messages": [{"content": f"JSON {case.input}"}]}, 0, nth, BOOK)
        for case in cases
        for nth in range(5)
    ]
    scores = [scorers.fields().score(script.text, None, {"x": 1}) for script in plain]
    assert 0 < sum(script.refusal is not None for script in plain) < len(plain) / 5
    assert len(scores) == 180


def test_requests_that_are_no_case_get_what_fits_their_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 5},
            "n": {"type": "integer", "minimum": 3, "maximum": 4},
            "kind": {"enum": ["a", "b"]},
            "inner": {"$ref": "#/$defs/inner"},
            "some": {"type": "array", "items": {"type": "number"}, "minItems": 1},
            "maybe": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        },
        "required": ["name", "n", "kind", "inner", "some", "maybe"],
        "$defs": {"inner": {"type": "object", "properties": {"x": {"const": 7}}, "required": ["x"]}},
    }
    from lab.checks import Schema

    for seed in range(50):
        text = json.dumps(instance(schema, Random(seed)))
        assert Schema.of(schema).read(text)[1].passed, text
