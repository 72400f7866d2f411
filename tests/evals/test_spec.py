"""A specification: one value from the caller to the experiment, the page, the file and back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from lab import Lab, Policy, Prompt, Timeout, checks, errors, scorers
from lab.checks.portable import KINDS
from lab.evals import code
from lab.evals.spec import Spec
from lab.policies import Budget, Fallback, Hedge, Limit, Retry

POLICY = Policy(
    timeout=Timeout(total=20),
    retry=Retry(on=("transport",)),
    fallback=Fallback("m2", gate="set"),
    hedge=Hedge(),
    repair=None,
)
CHECKS = (
    checks.one_of("a", "b", at="label"),
    checks.between(1, 100, at="quantity"),
    checks.positive(optional=True),
    checks.length(1, 20, unit="words"),
    checks.matches(r"[A-Z]-\\d", meaning="a sku"),
    checks.contains("x", "y"),
    checks.excludes("z"),
    checks.quotes(checks.variable("passage")),
    checks.figures("a source", kinds=("numbers",)),
    checks.overlap("a source"),
    checks.grounded("a source", threshold=0.5),
    checks.citations({"$variable": "is a source's name here", "2": "b"}),
    checks.files("folder", suffixes=(".csv",)),
)


class Order(BaseModel):
    sku: str
    quantity: int


def whole(**more: object) -> Spec:
    return Spec.of(
        [
            Prompt("read", "Read {{passage}} {{note}}", blank=["note"]),
            Prompt("two", [{"role": "system", "content": "{{passage}}"}]),
        ],
        ["m1", "m2"],
        [
            {
                "id": "a",
                "input": {"passage": "p", "note": ""},
                "expected": {"sku": "A"},
                "cluster": "c",
                "tags": ["hard"],
            }
        ],
        **{
            "schema": Order,
            "checks": CHECKS,
            "scorers": ["label", "exact:sku", scorers.number(tolerance=0.5), scorers.exact(strict=True)],
            "repeats": 2,
            "concurrency": 100,
            "name": "nightly",
            "budget": 2.5,
            "seed": 7,
            "policy": POLICY,
            "params": {"temperature": 0.5},
            **more,
        },
    )


def test_it_is_written_and_read_back_the_same() -> None:
    spec = whole()
    text = json.dumps(spec.written(), allow_nan=False)
    again = Spec.read(text)
    assert again.written() == spec.written()
    assert again.policy == POLICY
    assert again.checks == CHECKS
    assert again.scorers == spec.scorers
    assert [(prompt.hash, prompt.blank) for prompt in again.prompts] == [
        (prompt.hash, prompt.blank) for prompt in spec.prompts
    ]
    assert [case.content() for case in again.cases] == [case.content() for case in spec.cases]
    assert again.schema.content() == spec.schema.content()


def test_what_is_read_back_asks_the_same_cells(tmp_path: Path) -> None:
    """In another process too: checks, schema and prompts are known by what they are."""
    with Lab(tmp_path / "lab.db", provider=lambda call: '{"sku": "A-7", "quantity": 3}') as lab:
        some = {"checks": CHECKS[1:2], "scorers": ["exact:sku"], "budget": None, "policy": None}
        first = lab.planned(whole(**some)).run(None)
        assert first.progress.done == 8
        assert lab.planned(Spec.read(first.spec.written())).plan.left == 0


def test_every_check_that_is_data_can_be_written() -> None:
    assert {checks.written(check)["check"] for check in CHECKS} == set(KINDS)
    for check in CHECKS:
        again = checks.read(json.loads(json.dumps(checks.written(check))))
        assert again == check
        assert again.content() == check.content()


def test_the_code_of_it_is_the_same_specification(tmp_path: Path) -> None:
    """What the page hands out makes the same value, with every setting in it."""
    (setup, planning, _) = code.comparing(whole(), str(tmp_path / "lab.db"))
    names: dict = {}
    exec(setup, names)
    with names["lab"] as lab:
        lab.compare = lambda prompts, models, cases, run, **more: names.update(
            spec=_as_spec(prompts, models, cases, more)
        )
        exec(planning.replace("print(experiment.plan)", ""), names)
    assert names["spec"].written() == whole().written()


def _as_spec(prompts: list, models: list, cases: object, more: dict) -> Spec:
    known = {field.name for field in dataclasses.fields(Spec)}
    params = {name: value for name, value in more.items() if name not in known}
    return Spec.of(
        prompts, models, cases, params=params, **{name: value for name, value in more.items() if name in known}
    )


def test_a_key_or_a_function_is_never_written_down() -> None:
    with pytest.raises(errors.InvalidRequestError, match="api_key: what runs in the background is written down"):
        whole(params={"api_key": "planted"}).written()
    with pytest.raises(errors.InvalidRequestError, match=r"the check 'lambda' is no data, and can't be written down"):
        whole(checks=[lambda value: True]).written()
    with pytest.raises(errors.InvalidRequestError, match="the scorer 'lambda' is no data"):
        whole(scorers=[lambda value, expected: 1.0]).written()
    with pytest.raises(errors.InvalidRequestError, match="the check 'files' holds a function"):
        whole(checks=[checks.files("x", also=lambda path: True)]).written()


PLAIN = {"prompts": [["p", "Say {{n}}"]], "models": ["m"], "rows": [{"id": "a", "input": "1"}]}


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ({"colour": 1}, "colour: one of prompts, models, set, rows"),
        ({"prompts": [["bad name!", "x"]]}, "Prompt\\(name='bad name!'\\)"),
        ({"prompts": [["p"]]}, "missing 1 required"),
        ({"prompts": "p"}, "prompts: Input should be a valid list"),
        ({"models": "m"}, "models: Input should be a valid list"),
        ({"models": []}, r"models=\[\]: one or more, each once"),
        ({"models": ["m", "m"]}, "one or more, each once"),
        ({"rows": None, "set": "nowhere.jsonl"}, "no eval set can be read from it"),
        ({"rows": [{"id": "a"}]}, "'input' must be a text"),
        ({"repeats": 0}, "repeats=0: a whole number of at least 1"),
        ({"repeats": "2"}, "repeats: Input should be a valid integer"),
        ({"budget": "much"}, "budget: Input should be a valid number"),
        ({"name": " "}, "name=' ': a line of text"),
        ({"scorers": ["colour"]}, "scorer 'colour': one of exact, label"),
        ({"scorers": [{"scorer": "exact", "colour": 1}]}, "scorer exact: "),
        ({"checks": [{"check": "colour"}]}, "check 'colour': one of between"),
        ({"checks": [{"check": "between", "colour": 1}]}, "check between: no setting 'colour': one of above, at"),
        ({"policy": {"colour": None}}, "policy: no part 'colour': one of budget, timeout"),
        ({"policy": {"retry": {"attempts": 0}}}, r"Retry\(attempts=0\)"),
        ({"schema": {"type": "colour"}}, "colour"),
        ({"params": {"api_key": "x"}}, "put keys into the environment"),
    ],
)
def test_what_is_wrong_is_said(odd: dict, message: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match=message):
        Spec.read({**PLAIN, **odd})


@pytest.mark.parametrize("text", ["", "[1]", "{broken", "null"])
def test_a_text_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match="a specification is a JSON object"):
        Spec.read(text)


def test_it_bounds_its_calls() -> None:
    """As wide as it asks, where nobody has chosen a limit; within its budget."""
    spec = whole(policy=None, concurrency=100)
    assert spec.bounded(Policy()).limit == Limit(concurrency=100)
    assert spec.bounded(Policy(limit=Limit(concurrency=2))).limit == Limit(concurrency=2)
    assert spec.bounded(Policy(limit=None)).limit is None
    assert spec.bounded(Policy()).budget == Budget(usd=2.5, per="experiment")
    assert whole(policy=POLICY).bounded(Policy()).limit == POLICY.limit
