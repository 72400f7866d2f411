"""Schemas: what is sent, how an answer is read, and what a schema is refused for."""

from __future__ import annotations

import asyncio
import enum
import json
import subprocess
import sys
import time
from datetime import date
from decimal import Decimal
from typing import Literal

import pytest
from pydantic import BaseModel, Field, RootModel

from lab import Lab, Policy, checks, errors
from lab.checks import Schema, examined
from lab.values import Checked
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


def _a(schema: object) -> dict:
    """An object whose `a` is held to `schema`."""
    return {"type": "object", "properties": {"a": schema}}


def _read(schema: dict, value: object) -> Checked:
    return Schema.of(schema).read(json.dumps(value))[1]


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
    read, check = Schema.of(schema).read(text)
    assert check.passed, check
    assert check.step == "strict"
    if value is not None:
        assert read == value
    if schema is Order:
        assert read.due == date(2026, 3, 1)
        assert read.items[0].quantity == 2


@pytest.mark.parametrize(
    ("schema", "text", "message"),
    [
        (Order, '{"items": [{"sku": "a", "quantity": 0}]}', "items.0.quantity: Input should be greater than or equal"),
        (Order, '{"customer": "x"}', "items: Field required"),
        (Order, '{"items": [], "due": "soon"}', "due: Input should be a valid date"),
        (Order, "I can't say", "there is no JSON in it"),
        ({"type": "object", "required": ["a"]}, "{}", 'the answer: "a" is a required property'),
        (_a({"type": "integer"}), '{"a": "1"}', "a: it is not of type \"integer\" (it is '1')"),
        (_a({"type": ["string", "null"]}), '{"a": {}}', 'a: it is not of types "null", "string"'),
        (_a({"minimum": 3}), '{"a": 1}', "a: it is less than the minimum of 3 (it is 1)"),
        (_a({"pattern": "^[A-Z]+$"}), '{"a": "b"}', "a: it does not match \"^[A-Z]+$\" (it is 'b')"),
        (_a({"not": {"type": "null"}}), '{"a": null}', 'a: it must not fit {"type": "null"} (it is None)'),
        (_a(False), '{"a": 1}', "a: it must not be there (it is 1)"),
        (_a({"contains": {"const": 1}, "minContains": 2}), '{"a": [1]}', "a: it must have at least 2 entries that fit"),
        (_a({"contains": {"const": 1}, "maxContains": 1}), '{"a": [1, 1]}', "a: it must have at most 1 entries that"),
        (_a({"contains": {"const": 1}}), '{"a": []}', 'a: it must have an entry that fits {"const": 1}'),
        (_a({"propertyNames": {"maxLength": 1}}), '{"a": {"bc": 1}}', "a: its key 'bc': it is longer than 1 character"),
        ({"additionalProperties": False}, '{"value": {"b": 1}}', "the answer: it must have no properties"),
        (_a({"additionalProperties": False, "properties": {}}), '{"a": {"b": 1}}', "not allowed ('b' was unexpected)"),
        (_a({"prefixItems": [{}], "items": False}), '{"a": [1, 2]}', "a.1: it must not be there (it is 2)"),
        ({"enum": ["a", "b"]}, '{"value": "c"}', 'the answer: it is not one of "a", "b" (it is \'c\')'),
        ({"enum": list(range(999))}, "-1", "it is not one of 0, 1, 2, 3, 4"),
        (
            _a({"anyOf": [{"type": "string"}, _a({"type": "string"})]}),
            '{"a": {"a": 1}}',
            'a: it fits none of 2 alternatives (1: it is not of type "string", 2: a: it is not of type "string")',
        ),
        (_a({"oneOf": [{}, False, {}]}), '{"a": 1}', "a: it fits the alternatives 1 and 3 of 3, and must fit one only"),
    ],
)
def test_what_does_not_fit_is_said_by_its_path(schema: object, text: str, message: str) -> None:
    value, check = Schema.of(schema).read(text)
    assert value is None
    assert not check.passed
    assert message in check.message


def test_the_step_it_took_is_told() -> None:
    read = Schema.of({"type": "object"}).read
    assert read('{"a": 1}')[1].step == "strict"
    assert read('```json\n{"a": 1}\n```')[1].step == "unfenced"
    assert read("{'a': True,}") == ({"a": True}, read("{'a': True,}")[1])
    assert read("{'a': True,}")[1].step == "repaired"


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "banana"}, "schema: type: it fits none of 2 alternatives"),
        ({"properties": {"a": {"minLength": -1}}}, "schema: properties.a.minLength: it is less than the minimum of 0"),
        ({"pattern": "("}, "schema: pattern: it is no regular expression"),
        ({"pattern": "(?:(?:a{1000}){1000}){1000}"}, "or too large a one"),
        ({"$ref": "https://example.com/schema.json"}, "leads nowhere within the schema"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "schema.properties.a.$ref"),
        ({"$dynamicRef": "https://example.com/schema.json"}, "is not in it, and nothing is fetched"),
        ({"$schema": "https://example.com/own"}, "schema.$schema: 'https://example.com/own' is none of the drafts"),
        ({"exclusiveMinimum": True}, "schema: exclusiveMinimum: it is not of type"),
        ({"minimum": float("nan")}, "schema: it is no JSON"),
        ({"minimum": Decimal("1.5")}, "schema: it is no JSON"),
        ({"const": "\ud800"}, "surrogates not allowed"),
        ({"$ref": "#"}, "schema: it leads back to itself without a step into the value"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}}, "leads back to itself"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "schema.properties.a.$ref"),
        ({"properties": {"a": {"enum": []}}}, "schema.properties.a.enum: empty"),
        ("a text", "a pydantic model, a type, or a JSON schema"),
        (Item(sku="A-1", quantity=1), "a pydantic model, a type, or a JSON schema"),
        (object(), "pydantic can't make a JSON schema"),
    ],
)
def test_a_schema_nothing_can_be_held_to_is_refused_before_anything_is_sent(
    lab: Lab, schema: object, message: str
) -> None:
    with pytest.raises(errors.InvalidRequestError, match=message.replace("$", r"\$")):
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
    reply = lab.ask("x", model="sim/instant", schema=list[Colour], policy=Policy(retry=None))
    assert set(reply.value) <= set(Colour)
    assert lab.attempts(reply.call_id)["form"].tolist() == ["native"]
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
    reply = lab.ask("Is Paris in France?", model="local/smollm2", schema=schema, max_tokens=40)
    assert reply.value["label"] in ("yes", "no")
    assert reply.checks[0].step == "strict"


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
    """A validator's bug, a pattern that takes for ever: the call fails in one sentence, and is not asked again."""
    from pydantic import field_validator

    class Buggy(BaseModel):
        a: int

        @field_validator("a")
        @classmethod
        def look(cls, value: int) -> int:
            return {1: 2}[value]

    with Lab(tmp_path / "b.db", provider=lambda _: f'{{"a": 5, "b": "{"a" * 40}!"}}') as lab:
        for schema in (Buggy, {"type": "object", "properties": {"b": {"pattern": SLOW}}}):
            with pytest.raises(errors.ValidationError, match="the schema itself failed with"):
                lab.ask("x", model="m", schema=schema)
        assert lab.attempts()["role"].unique().tolist() == ["first"]


def test_a_schema_is_read_by_the_draft_it_names() -> None:
    """The same keyword means one thing here and another there."""
    above = {"minimum": 3, "exclusiveMinimum": True}
    draft4 = {"$schema": "http://json-schema.org/draft-04/schema#", **above}
    assert [_read(draft4, value).passed for value in (3, 4)] == [False, True]
    pair = {"items": [{"type": "string"}], "additionalItems": False}
    draft7 = {"$schema": "http://json-schema.org/draft-07/schema#", **pair}
    assert [_read(draft7, value).passed for value in (["a"], [1], ["a", "b"])] == [True, False, False]
    draft2019 = {"$schema": "https://json-schema.org/draft/2019-09/schema", **pair, "dependentRequired": {"a": ["b"]}}
    assert [_read(draft2019, value).passed for value in (["a"], ["a", 1], {"a": 1})] == [True, False, False]
    newest = {"prefixItems": [{"type": "string"}], "items": False}
    for schema in (newest, {"$schema": "https://json-schema.org/draft/2020-12/schema", **newest}):
        assert [_read(schema, value).passed for value in (["a"], [1], ["a", "b"])] == [True, False, False]


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("email", "ann@example.com", "ann at example.com"),
        ("date-time", "2026-03-01T12:30:00Z", "2026-03-01"),
        ("date", "2026-02-28", "2026-02-30"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
        ("ipv4", "192.0.2.1", "192.0.2"),
        ("uri", "https://example.com/a", "not a uri"),
        ("a-format-of-ones-own", "x", None),
    ],
)
def test_a_format_is_asked_for(name: str, right: str, wrong: str | None) -> None:
    """The examples that the messages give are of their format."""
    schema = {"type": "string", "format": name}
    assert _read(schema, right).passed
    if wrong is not None:
        told = _read(schema, wrong)
        assert not told.passed
        assert f'it is not a "{name}", such as ' in told.message
        example = told.message.partition(", such as ")[2].removesuffix(f" (it is {wrong!r})")
        assert _read(schema, example).passed


SLOW = r"^(?:(?=a)a+)+$"
"""It tries every way to cut a text into pieces."""


def test_a_pattern_takes_no_more_than_its_bound() -> None:
    """Most are read in one pass, whatever they look like. One that looks ahead is cut off, and the check is broken."""
    text = "a" * 40 + "!"
    began = time.process_time()
    for pattern in ("^(a+)+$", r"^(a|a)*$", r"^(\w+\s?)*$"):
        assert not _read({"type": "string", "pattern": pattern}, text).passed
    for schema in (
        {"pattern": SLOW},
        {"not": {"pattern": SLOW}},
        {"oneOf": [{"type": "string"}, {"pattern": SLOW}]},
        {"properties": {"x": {"pattern": SLOW}}},
        {"patternProperties": {SLOW: False}},
    ):
        value = {"x": text, text: 1} if "properties" in str(schema).lower() else text
        looked = asyncio.run(examined(json.dumps(value), Schema.of(schema), []))
        assert looked.broken
        assert not looked.passed
        assert f"the pattern {SLOW!r} takes too long on it" in looked.wrong()[0]
    assert time.process_time() - began < 20


def test_numbers_are_as_large_and_as_exact_as_they_are_written() -> None:
    big = 2**70
    assert _read({"const": big}, big).passed
    assert not _read({"const": big}, big + 1).passed
    assert _read({"maximum": 10**30}, 10**30 + 1).message.endswith(f"(it is {10**30 + 1})")
    assert _read({"type": "integer", "multipleOf": 3}, 3 * 10**40).passed
    assert _read({"multipleOf": 0.01}, 19.99).passed
    assert _read({"type": "integer"}, 1.0).passed
    assert not _read({"enum": [1]}, True).passed
    for text in ("NaN", "1e999", "9" * 5000):
        assert not Schema.of({"type": "number"}).read(text)[1].passed


def test_half_a_character_is_the_answers_fault() -> None:
    """JSON can write what no text can hold."""
    told = Schema.of({"type": "string"}).read('"\\ud83d"')[1]
    assert (told.passed, told.broken) == (False, False)
    assert told.message == "the answer: half of a character ('\\ud83d') stands in it: write the character itself"


def _nested(levels: int, leaf: object) -> object:
    for _ in range(levels):
        leaf = {"a": leaf}
    return leaf


def test_hostile_schemas_are_refused_in_no_time() -> None:
    """Deep ones, ones that a few lines make huge, endless ones: a sentence, and not a crash."""
    chain = {f"a{number}": {"$ref": f"#/$defs/a{number + 1}"} for number in range(20_000)}
    bomb = {f"a{number}": {"allOf": [{"$ref": f"#/$defs/a{number + 1}"}] * 2} for number in range(40)}
    steps = {f"a{number}": {"$ref": f"#/$defs/a{number + 1}"} for number in range(200)}
    began = time.process_time()
    for schema, message in (
        ({"$ref": "#/$defs/a0", "$defs": {**chain, "a20000": {}}}, "it refers to 20,001 of its parts"),
        ({"$ref": "#/$defs/a0", "$defs": {**bomb, "a40": {}}}, "more than 10,000 schemas look at the same value"),
        ({"$ref": "#/$defs/a0", "$defs": {**steps, "a200": {}}}, "more than 100 schemas within each other"),
        ({"properties": _nested(300, {})}, "schema: it is nested too deeply"),
        ({"properties": _nested(100_000, {})}, "schema: it is nested too deeply"),
    ):
        with pytest.raises(ValueError, match=message):
            Schema.of(schema)
    assert time.process_time() - began < 20


def test_hostile_answers_are_refused_in_no_time() -> None:
    """Deep ones, and ones that a schema looks at again and again."""
    tree = {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}}}}
    began = time.process_time()
    assert _read(tree, _nested(200, {"b": 1})).message == "the answer: it is nested more than 200 levels deep"
    assert _read(tree, _nested(199, {})).passed
    assert _read(tree, _nested(199, 1)).message.endswith('it is not of type "object" (it is 1)')
    forked = {"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#/$defs/a"}] * 2}}}
    fork = {"$ref": "#/$defs/a", "$defs": {"a": forked}}
    assert _read(fork, _nested(150, {})).passed
    assert "a: it fits none of 2 alternatives" in _read(fork, _nested(3, 1)).message
    assert "in none of the many ways" in _read(fork, _nested(150, 1)).message
    told = _read({"type": "array", "items": {"type": "string"}}, list(range(20_000)))
    assert told.message.endswith("; and 19992 more")
    assert len(told.message) < 1000
    long = _read({"type": "array", "maxItems": 1}, ["x" * 1000] * 1000)
    assert long.message == "the answer: it has more than 1 item"
    assert time.process_time() - began < 30


def test_problems_are_told_by_their_places_and_the_same_in_every_process() -> None:
    schema = {"properties": {"b": {"type": "string", "minLength": 2}, "a": {"enum": [1]}}, "required": ["z", "y"]}
    code = f'from lab.checks import Schema; print(Schema.of({schema!r}).read(\'{{"b": "", "a": 2}}\')[1].message)'
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True) for _ in range(2)]
    expected = (
        'the answer: "z" is a required property; the answer: "y" is a required property; '
        "a: it is not one of 1 (it is 2); b: it is shorter than 2 characters (it is '')"
    )
    assert [run.stdout.strip() for run in runs] == [expected, expected]


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
