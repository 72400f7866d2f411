"""Python functions are described to a model as they are, and a conversation with tools goes on whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from lab import Lab, errors
from lab.call.tools import of, offered
from lab.provider import own
from tests.servers import DONE, END, STREAM, RawServer, answer, chunk, completion

PROTOCOLS = ["", *(f"{protocol}/" for protocol in own.PROTOCOLS)]


def weather(
    city: str,
    days: Annotated[int, Field(description="how many, from today", ge=1, le=14)] = 3,
    *,
    unit: str | None = None,
) -> str:
    """The weather of a city.

    As it is forecast now.
    """
    return f"{city}: rain for {days} days"


class Colour(StrEnum):
    """One of two."""

    RED = "red"
    BLUE = "blue"


@dataclass
class Place:
    """A place."""

    name: str
    title: str = "none"


class Order(BaseModel):
    """An order."""

    item: str
    amount: float = 1.0


def test_a_function_is_described_by_its_signature_and_docstring() -> None:
    described = of(weather)
    assert (described["name"], described["description"]) == (
        "weather",
        "The weather of a city.\n\nAs it is forecast now.",
    )
    parameters = described["parameters"]
    assert parameters["required"] == ["city"]
    assert parameters["properties"]["city"] == {"type": "string"}
    days = parameters["properties"]["days"]
    assert days == {"type": "integer", "description": "how many, from today", "minimum": 1, "maximum": 14, "default": 3}
    assert parameters["properties"]["unit"] == {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}


def test_types_that_json_has_are_described() -> None:
    def book(order: Order, where: Place, colour: Colour, mode: Literal["fast", "slow"], titles: list[str]) -> None:
        pass

    described = of(book)
    assert "description" not in described
    properties, definitions = described["parameters"]["properties"], described["parameters"]["$defs"]
    assert properties["mode"] == {"type": "string", "enum": ["fast", "slow"]}
    assert definitions["Colour"]["enum"] == ["red", "blue"]
    assert set(definitions["Place"]["properties"]) == {"name", "title"}, "a property may be called title"
    assert definitions["Order"]["required"] == ["item"]


class Desk:
    """Has a method."""

    def look(self, at: str) -> str:
        """Look."""
        return at


def test_a_bound_method_and_what_is_described_already_are_tools() -> None:
    raw = {"type": "function", "function": {"name": "other", "parameters": {"type": "object", "properties": {}}}}
    method, same, own_kind = offered([Desk().look, raw, {"type": "web_search_preview"}])
    assert method["function"]["parameters"]["required"] == ["at"]
    assert (same, own_kind) == (raw, {"type": "web_search_preview"})


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        ("weather", "a list of functions"),
        ([print], "by place"),
        ([lambda at: at], "no name of a tool"),
        ([Order], "no function"),
        ([3], "no function"),
        ([weather, weather], "two tools are called 'weather'"),
    ],
    ids=["no list", "by place", "no name", "a class", "a number", "twice"],
)
def test_what_can_be_no_tool_is_named_before_anything_is_sent(lab: Lab, tools: Any, message: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match=message):
        lab.ask("hi", model="sim/instant", tools=tools)


def test_a_parameter_without_a_type_that_json_has_is_named(lab: Lab) -> None:
    def odd(at: Desk) -> None:
        pass

    with pytest.raises(errors.InvalidRequestError, match="odd can't be described"):
        lab.ask("hi", model="sim/instant", tools=[odd])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_parallel_calls_go_out_and_their_results_come_back(lab: Lab, protocol: str) -> None:
    """In everybody's words, whole and streamed, on the ledger as they were."""

    def stocks(name: str) -> str:
        """What a share costs."""

    tools = [weather, stocks]
    model = f"sim/{protocol}instant"
    whole = lab.ask("weather and stocks, please", model=model, tools=tools)
    stream = lab.stream("weather and stocks, please", model=model, tools=tools)
    assert "".join(stream) == ""
    for reply in (whole, stream.reply):
        assert [call["function"]["name"] for call in reply.tool_calls] == ["weather", "stocks"]
        assert len({call["id"] for call in reply.tool_calls}) == 2
        assert reply.finish_reason == "tool_calls"
        assert isinstance(json.loads(reply.tool_calls[0]["function"]["arguments"])["city"], str)
        assert lab.texts(reply.call_id)["tool_calls"] == [dict(call) for call in reply.tool_calls]
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": f"result {place}"}
            for place, call in enumerate(reply.tool_calls)
        ]
        last = lab.ask([*reply.messages, *results], model=model, tools=tools)
        assert "result 0" in last.text
        assert "result 1" in last.text
        kept = lab.texts(last.call_id)["messages"]
        assert [message["role"] for message in kept] == ["user", "assistant", "tool", "tool"]
        assert [message["role"] for message in last.messages][-1] == "assistant"


def test_a_conversation_may_change_its_model(lab: Lab) -> None:
    """What one provider signed goes to no other: they refuse what they don't know."""
    reply = lab.ask("weather?", model="sim/gemini/thinker", tools=[weather], reasoning_effort="minimal")
    result = {"role": "tool", "tool_call_id": reply.tool_calls[0]["id"], "content": "rain"}
    for protocol in PROTOCOLS:
        assert "rain" in lab.ask([*reply.messages, result], model=f"sim/{protocol}instant", tools=[weather]).text


def test_pieces_of_calls_are_put_together(lab: Lab, server: RawServer) -> None:
    def part(index: int, **more: object) -> bytes:
        delta = {"tool_calls": [{"index": index, **more}]}
        return chunk(choices=[{"index": 0, "delta": delta, "finish_reason": None}])

    server.plays(
        STREAM,
        part(0, id="a", type="function", function={"name": "weather", "arguments": '{"ci'}),
        part(0, function={"arguments": 'ty": "Bern"}'}),
        part(1, id="b", type="function", function={"name": "weather", "arguments": '{"city": "Ulm"}'}),
        chunk(finish="tool_calls"),
        DONE,
        END,
    )
    stream = lab.stream("hi", model="openai/m", api_base=server.url, api_key="k-123456789", tools=[weather])
    list(stream)
    calls = [(call["id"], json.loads(call["function"]["arguments"])) for call in stream.reply.tool_calls]
    assert calls == [("a", {"city": "Bern"}), ("b", {"city": "Ulm"})]
    sent = server.received[0].body["tools"][0]["function"]
    assert (sent["name"], sent["parameters"]["required"]) == ("weather", ["city"])


def test_images_stay_in_the_conversation(lab: Lab, server: RawServer) -> None:
    pixel = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    asked = [{"role": "user", "content": [{"type": "text", "text": "what is it?"}, pixel]}]
    server.plays(answer(completion("a dot")))
    where = {"model": "openai/m", "api_base": server.url, "api_key": "k-123456789"}
    reply = lab.ask(asked, **where)
    lab.ask([*reply.messages, {"role": "user", "content": "and its colour?"}], **where)
    assert server.received[1].body["messages"] == [
        *asked,
        {"role": "assistant", "content": "a dot"},
        {"role": "user", "content": "and its colour?"},
    ]


def test_messages_are_the_callers_own(lab: Lab) -> None:
    """Changing what one reply gave changes neither it nor what is asked next."""
    reply = lab.ask("hi", model="sim/instant")
    reply.messages[0]["content"] = "changed"
    assert reply.messages[0] == {"role": "user", "content": "hi"}


def test_functions_are_tools_in_a_comparison(lab: Lab) -> None:
    found = lab.compare("weather?", ["sim/instant"], tools=[weather], progress=None).df()
    assert list(found["status"]) == ["ok"]
