"""Answers -> events and values, whole or streamed; and what is no answer -> a failure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpx

from lab import errors, failures, redact
from lab.display import plain_text
from lab.model import Answer, Call, Event, Usage
from lab.provider.dialect import Request, load
from lab.provider.prices import Pricer
from lab.provider.tokens import count
from lab.wire import EventStream, Response


async def read_whole(call: Call, request: Request, price: Pricer, response: Response) -> AsyncGenerator[Event]:
    """A plain answer: at most one `piece`, then `done`."""
    raw = await response.body()
    at = asyncio.get_running_loop().time()
    found = _json(call, raw.decode("utf-8", "replace"), response.status)
    _check_shape(call, found, response.status)
    litellm = load()
    try:
        answer = request.config.transform_response(
            model=request.model,
            raw_response=httpx.Response(response.status, content=raw, headers={"content-type": "application/json"}),
            model_response=litellm.ModelResponse(),
            logging_obj=_Silent(),
            request_data=dict(request.body),
            messages=list(call.messages),
            optional_params=dict(request.optional),
            litellm_params={},
            encoding=None,
        )
    except errors.LabError:
        raise
    except Exception as unread:  # whatever LiteLLM trips over, the answer could not be read
        problem = f"{call.model}: the answer can't be read: {_head(call, str(unread))[:300]}"
    else:
        problem = ""
    if problem:  # raised here, so that nothing unredacted hangs on it
        raise errors.MalformedError(problem, status=response.status, body=_head(call, raw))
    choice = answer.choices[0]
    message = choice.message
    text = whole_characters(message.content or "")
    if text:
        yield Event("piece", at, text=text)
    refusal = (found["choices"][0].get("message") or {}).get("refusal")
    yield done(
        call,
        request,
        price,
        at,
        text=text,
        finish=found["choices"][0].get("finish_reason"),
        tier=found.get("service_tier"),
        usage=found.get("usage"),
        tool_calls=[one.model_dump() for one in message.tool_calls or ()],
        answered_by=found.get("model"),
        request_id=found.get("id"),
        refusal=refusal,
    )


async def read_stream(call: Call, request: Request, price: Pricer, response: Response) -> AsyncGenerator[Event]:
    """A streamed answer, piece by piece. A stream that ends before its finish is cut, whatever it sent."""
    loop = asyncio.get_running_loop()
    parse = request.config.get_model_response_iterator(iter(()), sync_stream=False).chunk_parser
    stream, parts, tools = EventStream(), [], []
    finish = usage = answered_by = request_id = refusal = tier = None
    half = ""
    ended, events, head = False, 0, b""
    async for chunk in response.chunks():
        at = loop.time()
        head += chunk[: 4000 - len(head)]
        for data in stream.feed(chunk):
            events += 1
            if data.strip() == "[DONE]":
                ended = True
                break
            found = _json(call, data, response.status, "a chunk of the stream")
            if found.get("error"):
                raise failures.from_object(found["error"], model=call.model, status=response.status)
            usage = found.get("usage") or usage
            answered_by, request_id = found.get("model") or answered_by, found.get("id") or request_id
            choices = [one for one in found.get("choices") or () if isinstance(one, dict) and not one.get("index")]
            if not choices:
                yield Event("alive", at)
                continue
            finish = choices[0].get("finish_reason") or finish
            tier = found.get("service_tier") or tier
            delta = _parsed(call, parse, {**found, "choices": choices[:1]}, response.status).choices[0].delta
            refusal = getattr(delta, "refusal", None) or refusal
            tools += [one.model_dump() for one in delta.tool_calls or ()]
            text, half = joined_characters(half + (delta.content or ""))
            if text:
                parts.append(text)
                yield Event("piece", at, text=text)
            else:
                thinks = delta.tool_calls or getattr(delta, "reasoning_content", None)
                yield Event("token" if thinks else "alive", at)
        if ended:
            break
    text, at = "".join(parts), loop.time()
    if not events and head.strip():  # not a stream at all: an error page, or an error object with status 200
        found = _json(call, head.decode("utf-8", "replace"), response.status)
        _check_shape(call, found, response.status)
        raise errors.MalformedError(
            f"{call.model}: the answer is no stream", status=response.status, body=_head(call, head)
        )
    if finish is None:
        raise errors.TransportError(
            f"{call.model}: the stream ended before its finish", status=response.status, partial=text
        )
    yield done(
        call,
        request,
        price,
        at,
        text=text,
        finish=finish,
        tier=tier,
        usage=usage,
        tool_calls=_joined(tools),
        answered_by=answered_by,
        request_id=request_id,
        refusal=refusal,
    )


def _parsed(call: Call, parse: Any, found: dict, status: int) -> Any:
    try:
        return parse(found)
    except Exception as unread:  # whatever LiteLLM trips over, the chunk could not be read
        problem = f"{call.model}: a chunk of the stream can't be read: {_head(call, str(unread))[:300]}"
    raise errors.MalformedError(problem, status=status, body=_head(call, json.dumps(found)))


def done(
    call: Call,
    request: Request,
    price: Pricer,
    at: float,
    *,
    text: str,
    finish: Any,
    tier: str | None = None,
    usage: Mapping[str, Any] | None,
    tool_calls: list,
    answered_by: str | None,
    request_id: str | None,
    refusal: str | None,
) -> Event:
    """The end of an answer, once it is known to be one. A finish that no provider documents for a whole answer is a
    failure of the provider's: LiteLLM would call it "stop"."""
    if finish not in _FINISHES:
        raise errors.ProviderError(f"{call.model}: the provider broke off: finish_reason is {str(finish)[:60]!r}")
    counted = usage_of(usage) if isinstance(usage, Mapping) and usage else _counted(call, text)
    answer = Answer(
        text=text,
        finish_reason=_FINISHES[finish],
        usage=counted,
        price=price(counted, tier if isinstance(tier, str) else None),
        tool_calls=tuple(tool_calls),
        answered_by=None if answered_by is None else str(answered_by)[:200],
        request_id=None if request_id is None else str(request_id)[:200],
        refusal=None if not refusal else redact.text(str(refusal), redact.secrets(call.params)),
    )
    return Event("done", at, answer=answer)


_FINISHES = {
    **dict.fromkeys(
        ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete", "COMPLETE", "finished"), "stop"
    ),
    **dict.fromkeys(("tool_calls", "function_call", "tool_use"), "tool_calls"),
    **dict.fromkeys(("length", "max_tokens", "model_length"), "length"),
    **dict.fromkeys(("content_filter", "safety", "content_filtered", "guardrail_intervened"), "content_filter"),
}
"""How providers say that an answer ended, in OpenAI's words."""


def whole_characters(text: str) -> str:
    """`text` with the halves of characters joined, and a lone half replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def joined_characters(text: str) -> tuple[str, str]:
    """`text` for handing on, and the half of a character at its end that must wait for its other half."""
    if text and "\ud800" <= text[-1] <= "\udbff":
        return whole_characters(text[:-1]), text[-1]
    return whole_characters(text), ""


def _json(call: Call, text: str, status: int, what: str = "the answer") -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as broken:
        kind = "HTML" if text.lstrip()[:1] == "<" else "broken JSON"
        raise errors.MalformedError(
            f"{call.model}: {what} is {kind}", status=status, body=_head(call, text)
        ) from broken
    if not isinstance(found, dict):
        raise errors.MalformedError(f"{call.model}: {what} is no JSON object", status=status, body=_head(call, text))
    return found


def _check_shape(call: Call, found: dict[str, Any], status: int) -> None:
    if found.get("error"):
        raise failures.from_object(found["error"], model=call.model, status=status)
    choices = found.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise errors.MalformedError(
            f"{call.model}: the answer has no choices", status=status, body=_head(call, str(found))
        )
    if not isinstance(choices[0].get("message"), dict):
        raise errors.MalformedError(
            f"{call.model}: the answer has no message", status=status, body=_head(call, str(found))
        )


def _head(call: Call, text: str | bytes) -> str:
    """The beginning of a body, for the record: without secrets, and only then cut."""
    whole = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return redact.text(whole[:60_000], redact.secrets(call.params))[:4000]


def _joined(deltas: list[dict]) -> list[dict]:
    """Tool calls out of their pieces, which share an index; a new id under an old index is a new call."""
    calls: list[dict] = []
    places: dict[int, int] = {}
    for delta in deltas:
        function, index, identity = delta.get("function") or {}, delta.get("index") or 0, delta.get("id")
        place = places.get(index)
        if place is None or (identity and calls[place]["id"] and identity != calls[place]["id"]):
            places[index] = place = len(calls)
            calls.append({"id": None, "type": "function", "function": {"name": "", "arguments": ""}})
        known = calls[place]
        known["id"] = identity or known["id"]
        known["function"]["name"] += function.get("name") or ""
        known["function"]["arguments"] += function.get("arguments") or ""
    return calls


class _Silent:
    """Stands where LiteLLM wants a logging object."""

    def __init__(self) -> None:
        self.model_call_details: dict[str, Any] = {}

    def post_call(self, *_args: object, **_more: object) -> None:
        """Nothing is logged: the ledger has it."""


def usage_of(raw: Mapping[str, Any]) -> Usage:
    """Disjoint buckets out of an OpenAI-shaped usage object, whose totals include the parts.

    Some providers (xAI) leave reasoning out of `completion_tokens`; their `total_tokens` tells.
    """

    def number(holder: Any, name: str) -> int:
        value = holder.get(name) if isinstance(holder, Mapping) else None
        right = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
        return int(value) if right else 0

    sent, made = raw.get("prompt_tokens_details"), raw.get("completion_tokens_details")
    total_in, total_out = number(raw, "prompt_tokens"), number(raw, "completion_tokens")
    read = min(total_in, number(sent, "cached_tokens") or number(raw, "cache_read_input_tokens"))
    written = min(total_in - read, number(sent, "cache_creation_tokens") or number(raw, "cache_creation_input_tokens"))
    reasoning = number(made, "reasoning_tokens")
    if reasoning and number(raw, "total_tokens") == total_in + total_out + reasoning:
        total_out += reasoning
    reasoning = min(total_out, reasoning)
    return Usage(
        input=total_in - read - written,
        cache_read=read,
        cache_write=written,
        output=total_out - reasoning,
        reasoning=reasoning,
        raw=json.loads(json.dumps(raw, default=str)),
    )


def _counted(call: Call, text: str) -> Usage:
    asked = plain_text(call.messages)
    return Usage(input=count(asked) + 4 * len(call.messages), output=count(text) if text else 0, estimated=True)
