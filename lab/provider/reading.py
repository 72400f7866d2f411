"""Answers -> events and values, whole or streamed; and what is no answer -> a failure."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any, Protocol

from lab import errors, redact
from lab.aside import aside, bites, parsed
from lab.provider import failures
from lab.provider.prices import Pricer
from lab.provider.request import Part, Reading, Request, Told
from lab.provider.usage import counted, read
from lab.provider.wire import EventStream, Lines, Response
from lab.values import Answer, Call, Event


def _reading(call: Call, request: Request) -> Reading:
    return request.reading(request, [dict(message) for message in call.messages])


class Body(Protocol):
    """The body of an answer, to be read: its HTTP status, and when the last of it came, on the loop's clock."""

    status: int
    at: float

    async def body(self) -> bytearray:
        """All of it."""


async def read_whole(call: Call, request: Request, price: Pricer, response: Body) -> AsyncGenerator[Event]:
    """A plain answer: at most one `piece`, then `done`."""
    raw = await response.body()
    at = response.at
    reading = _reading(call, request)
    part = await aside(len(raw), _whole, call, reading, raw, response.status)
    if part.text:
        yield Event("piece", at, text=part.text)
    yield done(call, price, at, reading.told, part)


def _whole(call: Call, reading: Reading, raw: bytearray, status: int) -> Part:
    """What a plain answer brings."""
    body = _json(call, raw, status)
    _check_shape(call, reading, body, raw, status)
    try:
        part = reading.whole(body)
    except errors.LabError:
        raise
    except Exception as unread:  # whatever LiteLLM trips over, the answer could not be read
        problem = f"{call.model}: the answer can't be read: {_head(call, str(unread))[:300]}"
    else:
        return Part(whole_characters(part.text), whole_characters(part.reasoning), part.tools)
    raise errors.MalformedError(problem, status=status, body=_head(call, raw))  # here: nothing unredacted hangs on it


async def read_stream(call: Call, request: Request, price: Pricer, response: Response) -> AsyncGenerator[Event]:
    """A streamed answer, piece by piece. A stream that ends before its finish is cut, whatever it sent."""
    reading = _reading(call, request)
    stream = Lines() if request.lines else EventStream()
    came, text, thoughts = Part(), _Characters(), _Characters()
    ended, events, head = False, 0, b""
    async for chunk, last in _with_last(response, whole_lines=request.lines):
        at = response.at
        head += chunk[: 4000 - len(head)]
        for data in stream.feed(chunk, final=last):
            events += 1
            if data.strip() == "[DONE]":
                ended = True
                break
            event = await aside(len(data), _json, call, data, response.status, "a chunk of the stream")
            if event.get("error"):
                raise told_error(call, event["error"], response.status)
            part = _delta(call, reading, event, response.status)
            if reading.told.error:
                raise told_error(call, reading.told.error, response.status)
            ended = ended or reading.told.ended
            if part is None:
                yield Event("alive", at)
                continue
            came.tools += part.tools
            thought, piece = thoughts.add(part.reasoning), text.add(part.text)
            if thought:
                yield Event("thought", at, text=thought)
            if piece:
                yield Event("piece", at, text=piece)
            elif not thought:
                yield Event("token" if part.tools else "alive", at)
        if ended:
            break
        if not stream.news:  # a comment: nothing of the answer, but the provider lives
            yield Event("alive", at)
    at, rest = response.at, reading.rest()
    if thought := thoughts.add(rest.reasoning):
        yield Event("thought", at, text=thought)
    if piece := text.add(rest.text):
        yield Event("piece", at, text=piece)
    came.text, came.reasoning = text.whole(), thoughts.whole()
    if not events and head.strip():  # not a stream at all: an error page, or an error object with status 200
        body = _json(call, head, response.status)
        _check_shape(call, reading, body, head, response.status)
        _delta(call, reading, body, response.status)
        if reading.told.finish != "content_filter":  # Gemini says so at once, and streams nothing
            raise errors.MalformedError(
                f"{call.model}: the answer is no stream", status=response.status, body=_head(call, head)
            )
    if reading.told.finish is None:
        raise errors.TransportError(
            f"{call.model}: the stream ended before its finish", status=response.status, partial=came.text
        )
    came.tools = _joined(came.tools)
    yield done(call, price, at, reading.told, came)


async def _with_last(response: Response, *, whole_lines: bool) -> AsyncGenerator[tuple[bytes, bool]]:
    """The parts of a body, each with whether it is the last; where lines are read, one without an end is one, too."""
    async for chunk in response.chunks():
        yield chunk, False
    if whole_lines:
        yield b"\n", True


class _Characters:
    """A text that comes in pieces, of which one may end in the half of a character."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._half = ""

    def add(self, piece: str) -> str:
        """What of it can be handed on now."""
        text, self._half = joined_characters(self._half + piece)
        if text:
            self._parts.append(text)
        return text

    def whole(self) -> str:
        """All that was handed on."""
        return "".join(self._parts)


def _delta(call: Call, reading: Reading, event: dict[str, Any], status: int) -> Part | None:
    try:
        return reading.delta(event)
    except Exception as unread:  # whatever LiteLLM trips over, the chunk could not be read
        problem = f"{call.model}: a chunk of the stream can't be read: {_head(call, str(unread))[:300]}"
    raise errors.MalformedError(problem, status=status, body=_head(call, json.dumps(event, ensure_ascii=False)))


def done(call: Call, price: Pricer, at: float, told: Told, part: Part) -> Event:
    """The end of an answer, once it is known to be one. A finish that no provider documents for a whole answer is a
    failure of the provider's: LiteLLM would call it "stop"."""
    hidden = redact.secrets(call.params)
    for tool in part.tools:
        if not isinstance((tool.get("function") or {}).get("name"), str) or not tool["function"]["name"]:
            raise errors.MalformedError(f"{call.model}: a tool is called that has no name")

    def clean(said: Any) -> str:  # before any cut: half a key is a key's half
        return redact.text(str(said), hidden)

    if told.finish not in _FINISHES:
        raise errors.ProviderError(
            f"{call.model}: the provider broke off: finish_reason is {clean(told.finish)[:60]!r}"
        )
    used = read(told.usage, told.raw) or counted(call.messages, part.text, part.tools, told.raw, part.reasoning)
    if used.raw is not None:
        used = replace(used, raw=redact.deep(used.raw, clean))
    answer = Answer(
        text=part.text,
        reasoning=part.reasoning,
        finish_reason=_FINISHES[told.finish],
        usage=used,
        price=price(used, told.tier if isinstance(told.tier, str) else None),
        tool_calls=tuple(_whole_tool(tool) for tool in part.tools),
        charged=told.charged,
        extra=told.extra,
        filtered=None if not told.filtered else clean(told.filtered)[:200],
        answered_by=None if told.answered_by is None else clean(told.answered_by)[:200],
        request_id=None if told.request_id is None else clean(told.request_id)[:200],
        refusal=None if not told.refusal else clean(told.refusal),
    )
    return Event("done", at, answer=answer)


_FINISHES = {
    **dict.fromkeys(
        ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete", "COMPLETE", "finished"), "stop"
    ),
    **dict.fromkeys(("STOP_SEQUENCE", "completed"), "stop"),
    **dict.fromkeys(("tool_calls", "function_call", "tool_use", "TOOL_CALL"), "tool_calls"),
    **dict.fromkeys(("length", "max_tokens", "model_length", "model_context_window_exceeded", "pause_turn"), "length"),
    **dict.fromkeys(("MAX_TOKENS", "max_output_tokens"), "length"),
    **dict.fromkeys(
        ("content_filter", "safety", "content_filtered", "guardrail_intervened", "refusal"), "content_filter"
    ),
}
"""How providers say that an answer ended, in OpenAI's words."""


def whole_characters(text: str) -> str:
    """`text` with the halves of characters joined, and a lone half replaced."""
    if text.isascii():
        return text
    return "".join(part.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for part in bites(text, _first))


def _first(character: str) -> bool:
    """Whether it is the first half of a character."""
    return "\ud800" <= character <= "\udbff"


def joined_characters(text: str) -> tuple[str, str]:
    """`text` for handing on, and the half of a character at its end that must wait for its other half."""
    if text and _first(text[-1]):
        return whole_characters(text[:-1]), text[-1]
    return whole_characters(text), ""


def _json(call: Call, text: str | bytes | bytearray, status: int, what: str = "the answer") -> dict[str, Any]:
    try:
        value = parsed(text.encode() if isinstance(text, str) else text)
    except ValueError as broken:
        kind = "HTML" if text[:1000].lstrip()[:1] in ("<", b"<") else "broken JSON"
        raise errors.MalformedError(
            f"{call.model}: {what} is {kind}", status=status, body=_head(call, text)
        ) from broken
    if not isinstance(value, dict):
        raise errors.MalformedError(f"{call.model}: {what} is no JSON object", status=status, body=_head(call, text))
    return value


def told_error(call: Call, error: Any, status: int) -> errors.LabError:
    """The failure behind an error object, without secrets: before anything of it is cut."""
    hidden = redact.secrets(call.params)
    redacted = redact.deep(error, lambda text: redact.text(text, hidden))
    return failures.from_object(redacted, model=call.model, status=status)


def _check_shape(call: Call, reading: Reading, body: dict[str, Any], raw: bytes | bytearray, status: int) -> None:
    if body.get("error"):
        raise told_error(call, body["error"], status)
    if missing := reading.lacks(body):
        raise errors.MalformedError(f"{call.model}: the answer has no {missing}", status=status, body=_head(call, raw))


def _head(call: Call, text: str | bytes | bytearray) -> str:
    """The beginning of a body, for the record: without secrets, and only then cut."""
    whole = text[:240_000].decode("utf-8", "replace") if not isinstance(text, str) else text
    return redact.text(whole[:60_000], redact.secrets(call.params))[:4000]


def _joined(deltas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tool calls out of their pieces, which share an index; a new id under an old index is a new call."""
    calls: list[dict[str, Any]] = []
    places: dict[int, int] = {}
    for delta in deltas:
        function, index, identity = delta.get("function") or {}, delta.get("index") or 0, delta.get("id")
        place = places.get(index)
        if place is None or (identity and calls[place]["id"] and identity != calls[place]["id"]):
            places[index] = place = len(calls)
            calls.append({"id": None, "type": "function", "function": {"name": "", "arguments": ""}})
        known = calls[place]
        if delta.get("provider_specific_fields"):
            known["provider_specific_fields"] = delta["provider_specific_fields"]
        known["id"] = identity or known["id"]
        known["function"]["name"] += function.get("name") or ""
        known["function"]["arguments"] += function.get("arguments") or ""
    return calls


def _whole_tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A whole tool call, without its place and without what nobody said."""
    return {field: value for field, value in tool.items() if field != "index" and value is not None}
