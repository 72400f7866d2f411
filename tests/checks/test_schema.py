"""Schemas: what is sent, how an answer is read, and what a schema is refused for."""

from __future__ import annotations

import enum
import json
from datetime import date
from typing import Literal

import pytest
from pydantic import BaseModel, Field, RootModel

from lab import Lab, Policy, checks, errors
from lab.checks import Schema
from tests.servers import RawServer, answer, completion


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    sku: str = Field(pattern="^[A-Z]+-[0-9]+$")
    quantity: int = Field(ge=1)


class Order(BaseModel):
    customer: str | None = None
    items: list[Item]
    due: date | None = None
    colour: Colour = Colour.RED


class Plain(BaseModel):
    customer: str | None = None
    items: list[Item]


class Node(BaseModel):
    name: str
    children: list["Node"] = []  # noqa: UP037 - defined by now, and read by pydantic


Labels = RootModel[list[str]]


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        (Order, '{"items": [{"sku": "A-1", "quantity": 2}], "due": "2026-03-01"}', None),
        (Node, '{"name": "a", "children": [{"name": "b", "children": []}]}', None),
        (list[int], "[1, 2]", [1, 2]),
        (list[int], '{"value": [1, 2]}', [1, 2]),
        (int, "42", 42),
        (int, '{"value": 42}', 42),
        (Literal["a", "b"], '"a"', "a"),
        (Labels, '["x"]', None),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, '{"a": 1}', {"a": 1}),
        ({"enum": ["a", "b"]}, '{"value": "b"}', "b"),
    ],
)
def test_what_fits_is_read(schema: object, text: str, value: object) -> None:
    found, check = Schema.of(schema).read(text)
    assert check.passed, check
    assert check.step == "strict"
    if value is not None:
        assert found == value
    if schema is Order:
        assert found.due == date(2026, 3, 1)
        assert found.items[0].quantity == 2


@pytest.mark.parametrize(
    ("schema", "text", "said"),
    [
        (Order, '{"items": [{"sku": "a", "quantity": 0}]}', "items.0.quantity: Input should be greater than or equal"),
        (Order, '{"customer": "x"}', "items: Field required"),
        (Order, '{"items": [], "due": "soon"}', "due: Input should be a valid date"),
        (Order, "I can't say", "there is no JSON in it"),
        ({"type": "object", "required": ["a"]}, "{}", "the answer: 'a' is a required property"),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, '{"a": "1"}', "a: '1' is not of type 'integer'"),
        ({"enum": ["a", "b"]}, '{"value": "c"}', "'c' is not one of ['a', 'b']"),
    ],
)
def test_what_does_not_fit_is_said_by_its_path(schema: object, text: str, said: str) -> None:
    value, check = Schema.of(schema).read(text)
    assert value is None
    assert not check.passed
    assert said in check.message


def test_the_step_it_took_is_told() -> None:
    read = Schema.of({"type": "object"}).read
    assert read('{"a": 1}')[1].step == "strict"
    assert read('```json\n{"a": 1}\n```')[1].step == "unfenced"
    assert read("{'a': True,}") == ({"a": True}, read("{'a': True,}")[1])
    assert read("{'a': True,}")[1].step == "repaired"


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "banana"}, "schema: type"),
        ({"$ref": "https://example.com/schema.json"}, "leads nowhere within the schema"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "schema.properties.a.$ref"),
        ({"properties": {"a": {"enum": []}}}, "schema.properties.a.enum: empty"),
        ("a text", "a pydantic model, a type, or a JSON schema"),
        (Item(sku="A-1", quantity=1), "a pydantic model, a type, or a JSON schema"),
        (object(), "pydantic can't make a JSON schema"),
    ],
)
def test_a_schema_nothing_can_be_held_to_is_refused_before_anything_is_sent(
    lab: Lab, schema: object, said: str
) -> None:
    with pytest.raises(errors.InvalidRequestError, match=said.replace("$", r"\$")):
        lab.ask("x", model="sim/instant", schema=schema)
    assert lab.count() == 0


def test_strict_mode_is_asked_for_where_it_can_be() -> None:
    """Pydantic's models are closed, their defaults required; a dictionary of anything can't be strict."""
    node = Schema.of(Plain)
    assert node.strict
    assert node.sent["required"] == ["customer", "items"]
    assert node.sent["additionalProperties"] is False
    assert "default" not in json.dumps(node.sent)
    order = Schema.of(Order)  # nobody but the type knows the colour that is meant where none is said
    assert (order.strict, order.sent["required"]) == (False, ["items"])
    assert not Schema.of(dict[str, int]).strict
    assert not Schema.of({"type": "object", "properties": {"a": {"type": "string"}}}).strict


def test_a_provider_that_has_it_is_asked_natively(lab: Lab, server: RawServer) -> None:
    """The local model and the simulation are, and say so; words are used elsewhere, and tell the schema."""
    found = lab.ask("x", model="sim/instant", schema=list[Colour], policy=Policy(retry=None))
    assert set(found.value) <= set(Colour)
    assert lab.attempts(found.call_id)["form"].tolist() == ["native"]
    server.plays(answer(completion('{"sku": "A-7", "quantity": 3}')))
    told = lab.ask("x", model="openai/unheard-of", api_base=server.url, api_key="k", schema=Item)
    assert told.value == Item(sku="A-7", quantity=3)
    body = server.received[-1].body
    assert lab.attempts(told.call_id)["form"].tolist() == ["json"]
    assert body["response_format"] == {"type": "json_object"}
    assert '"quantity"' in body["messages"][0]["content"]
    assert body["messages"][0]["role"] == "system"


def test_the_local_model_is_held_to_a_schema_by_its_grammar(lab: Lab) -> None:
    """135 million parameters answer in JSON that fits, whatever they make of the question."""
    schema = {"type": "object", "properties": {"label": {"enum": ["yes", "no"]}}, "required": ["label"]}
    found = lab.ask("Is Paris in France?", model="local/smollm2", schema=schema, max_tokens=40)
    assert found.value["label"] in ("yes", "no")
    assert found.checks[0].step == "strict"


def test_native_can_be_insisted_on(lab: Lab, server: RawServer) -> None:
    server.plays(answer(completion("{}")))
    with pytest.raises(errors.UnsupportedError, match="can't be held to a schema"):
        lab.ask("x", model="openai/unheard-of", api_base=server.url, api_key="k", schema=Schema(Item, native=True))
    assert server.received == []


def test_schema_does_not_go_with_response_format_or_tools(lab: Lab) -> None:
    for more in ({"response_format": {"type": "json_object"}}, {"tools": [{"type": "function"}]}):
        with pytest.raises(errors.InvalidRequestError, match="schema and"):
            lab.ask("x", model="sim/instant", schema=Item, **more)


def test_a_streamed_answer_is_checked_at_its_end(tmp_path) -> None:
    """What was handed out can't be taken back: it is not repaired, and the failure carries it."""
    with Lab(tmp_path / "s.db", provider=lambda _: '{"sku": "A-7", "quantity": 3}') as lab:
        stream = lab.stream("x", model="m", schema=Item)
        assert "".join(stream) == '{"sku": "A-7", "quantity": 3}'
        assert stream.reply.value == Item(sku="A-7", quantity=3)
        wrong = lab.stream("x", model="m", schema=Item, checks=[checks.between(5, 9, at="quantity")])
        with pytest.raises(errors.ValidationError, match="quantity is 3: it must be at least 5") as caught:
            list(wrong)
        assert caught.value.partial == '{"sku": "A-7", "quantity": 3}'
        assert lab.attempts(caught.value.call_id)["role"].tolist() == ["first"]


def test_a_stored_reply_has_its_value_and_its_checks_again(tmp_path) -> None:
    with Lab(tmp_path / "k.db", provider=lambda _: '```json\n{"sku": "A-7", "quantity": 3}\n```') as lab:
        first = lab.ask("x", model="m", schema=Item, key="k", checks=[checks.positive(at="quantity")])
        again = lab.ask("x", model="m", schema=Item, key="k", checks=[checks.positive(at="quantity")])
        assert again.cached
        assert (again.value, again.checks) == (first.value, first.checks)
        with pytest.raises(errors.InvalidRequestError, match="different request"):
            lab.ask("x", model="m", schema=Order, key="k")


def test_a_number_that_is_none_is_refused() -> None:
    assert not Schema.of({"type": "object"}).read('{"a": 1e999}')[1].passed


def test_a_schema_that_fails_by_itself_is_typed_and_not_repaired(tmp_path) -> None:
    """A validator's bug, a schema that leads to itself: the call fails in one sentence, and is not asked again."""
    from pydantic import field_validator

    class Buggy(BaseModel):
        a: int

        @field_validator("a")
        @classmethod
        def look(cls, value: int) -> int:
            return {1: 2}[value]

    with Lab(tmp_path / "b.db", provider=lambda _: '{"a": 5}') as lab:
        for schema in (Buggy, {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}):
            with pytest.raises(errors.ValidationError, match="the schema itself failed with"):
                lab.ask("x", model="m", schema=schema)
        assert lab.attempts()["role"].unique().tolist() == ["first"]


def test_what_is_sent_is_in_the_order_it_was_written() -> None:
    """A model that thinks first and answers then must be asked in that order."""
    given = {"type": "object", "properties": {"reasoning": {"type": "string"}, "answer": {"type": "string"}}}
    assert list(Schema.of(given).sent["properties"]) == ["reasoning", "answer"]
    assert Schema.of({"type": "object", "properties": {"a": {"const": {"$ref": "x"}}}}).sent


def test_a_stored_reply_that_was_wrong_is_not_given_again(tmp_path) -> None:
    from lab import Repair

    answers = iter(["wrong", "wrong", "right"])
    with Lab(tmp_path / "r.db", provider=lambda _: next(answers)) as lab:
        marked = Policy(repair=Repair(then="return"))
        assert not lab.ask("x", model="m", key="k", checks=[checks.one_of("right")], policy=marked).valid
        assert lab.ask("x", model="m", key="k", checks=[checks.one_of("right")]).text == "right"
