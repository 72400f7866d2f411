"""What was asked once, as one value, and its history."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab, Policy, Prompt, Retry, errors
from lab.evals import asks, code
from lab.evals.asks import Ask

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path / "lab.db", provider=lambda call: "yes") as lab:
        yield lab


def _ask(**more: object) -> Ask:
    written = ({"role": "user", "content": [{"type": "text", "text": "look"}, PICTURE]},)
    filled = Prompt("triage", "Which? {{ticket}}", blank=["ticket"]).fill(ticket="")
    return Ask(prompts=(("", written), ("triage v1", filled)), models=("a", "b"), **more)


def test_it_is_written_and_read_back() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    ask = _ask(params={"temperature": 0.5, "stop": ["x"]}, schema=schema, policy={"retry": None})
    again = Ask.read(ask.written())
    assert again.written() == ask.written()
    assert again.prompts[1][1].messages == ask.prompts[1][1].messages
    assert again.prompts[0][1] == ask.prompts[0][1]


def test_keys_are_not_written(lab: Lab) -> None:
    keys = {"aws_secret_access_key": "planted-secret-88", "vertex_credentials": '{"private_key": "planted-secret-99"}'}
    params = {"api_key": "planted-secret-77", "extra_headers": {"X": "planted-secret-66"}, "seed": 1, **keys}
    said = ({"role": "user", "content": "my key is planted-secret-77, and planted-secret-88"},)
    ask = Ask(prompts=(("", said),), models=("m",), params=params)
    name = asks.put(lab.ledger, lab.payload, ask, [("c1", "")])
    asks.change(lab.ledger, lab.payload, name, note="sk-abcdefghijklmnopqrstuvwxyz123456")
    assert "planted-secret" not in str(lab.ledger.rows("SELECT * FROM asks"))
    assert "sk-abc" not in str(lab.ledger.rows("SELECT * FROM asks"))
    assert asks.get(lab.ledger, name).request.params == {"seed": 1}


def test_where_words_are_not_kept_neither_are_these(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab.db", provider=lambda call: "yes", keep="hashes") as lab:
        kept = asks.get(lab.ledger, asks.put(lab.ledger, lab.payload, _ask(), [("c1", "a"), ("c2", "b")]))
        assert kept.request is None
        assert kept.calls == (("c1", "a"), ("c2", "b"))
        assert kept.title == ""
        assert "look" not in str(lab.ledger.rows("SELECT * FROM asks"))


def test_what_was_masked_is_not_asked_again_nor_one_models_address_of_another(lab: Lab) -> None:
    lab.ask("a", model="m", api_key="planted-secret-77", api_base="http://127.0.0.1:1", temperature=0.3)
    row = lab.calls().iloc[0].to_dict()
    again = asks.of_call(row, lab.texts(row["call_id"]))
    assert again.params == {"api_base": "http://127.0.0.1:1", "temperature": 0.3}
    assert asks.elsewhere(again, "other").params == {"temperature": 0.3}


def test_the_history_has_what_is_pinned_first(lab: Lab) -> None:
    first, second, third = (asks.put(lab.ledger, lab.payload, _ask(), [(name, "")]) for name in ("1", "2", "3"))
    asks.change(lab.ledger, lab.payload, first, pinned=1, name="the good one", note="see 2")
    listed = asks.listing(lab.ledger)
    assert [kept.ask for kept in listed] == [first, third, second]
    assert (listed[0].name, listed[0].note, listed[0].pinned) == ("the good one", "see 2", True)
    asks.forget(lab.ledger, second)
    with pytest.raises(ValueError, match="nothing was asked under"):
        asks.get(lab.ledger, second)
    lab.prune(4e9)
    assert [kept.ask for kept in asks.listing(lab.ledger)] == [first], "what is pinned stays"


def test_its_policy_is_the_labs_with_what_it_changes(lab: Lab) -> None:
    assert _ask().bounded(lab.policy) is None
    bounded = _ask(policy={"retry": None}).bounded(Policy(retry=Retry(attempts=5)))
    assert bounded.retry is None
    assert bounded.timeout == lab.policy.timeout
    with pytest.raises(errors.InvalidRequestError):
        _ask(policy={"nonsense": {}}).bounded(lab.policy)


def test_as_code_it_asks_the_same(lab: Lab, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    ask = Ask(prompts=_ask().prompts[1:], models=("m",), params={"seed": 1}, schema=schema, policy={"retry": None})
    text = code.script(code.asking_again(ask, lab.policy, ledger=str(tmp_path / "lab.db")))
    compile(text, "script", "exec")
    assert "Policy.of(" in text
    assert "schema={'type': 'object'" in text
    assert "seed=1" in text


def test_a_call_is_asked_again_as_it_was(lab: Lab) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    with pytest.raises(errors.LabError):
        lab.ask("what?", model="m", schema=schema, temperature=0.3)
    row = lab.calls().iloc[0].to_dict()
    again = asks.of_call(row, lab.texts(row["call_id"]))
    assert again.models == ("m",)
    assert again.params == {"temperature": 0.3}
    assert again.schema == schema
    assert again.prompts[0][1][-1]["content"] == "what?"
