"""Answers -> events and values, whole or streamed; and what is no answer -> a failure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpx

from lab import errors, failures
from lab.model import Answer, Call, Event, Price, Usage
from lab.provider.dialect import Request, load
from lab.wire import EventStream, Response


async def read_whole(call: Call, request: Request, price: Price | None, response: Response) -> AsyncGenerator[Event]:
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
    except Exception as unread:  # whatever LiteLLM trips over, the answer could not be read
        raise errors.MalformedError(
            f"{call.model}: the answer can't be read: {unread}", status=response.status, body=_head(raw)
        ) from unread
    choice = answer.choices[0]
    message = choice.message
    text = message.content or ""
    if text:
        yield Event("piece", at, text=text)
    refusal = (found["choices"][0].get("message") or {}).get("refusal")
    yield done(
        call,
        request,
        price,
        at,
        text=text,
        finish=found["choices"][0].get("finish_reason") and choice.finish_reason,
        usage=found.get("usage"),
        tool_calls=[one.model_dump() for one in message.tool_calls or ()],
        answered_by=found.get("model"),
        request_id=found.get("id"),
        refusal=refusal,
    )


async def read_stream(call: Call, request: Request, price: Price | None, response: Response) -> AsyncGenerator[Event]:
    """A streamed answer, piece by piece. A stream that ends before its finish is cut, whatever it sent."""
    loop = asyncio.get_running_loop()
    parse = request.config.get_model_response_iterator(iter(()), sync_stream=False).chunk_parser
    stream, parts, tools = EventStream(), [], []
    finish = usage = answered_by = request_id = refusal = None
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
            if not found.get("choices"):
                yield Event("alive", at)
                continue
            piece = _parsed(call, parse, found, response.status).choices[0]
            delta = piece.delta
            finish = piece.finish_reason or finish
            refusal = getattr(delta, "refusal", None) or refusal
            tools += [one.model_dump() for one in delta.tool_calls or ()]
            if delta.content:
                parts.append(delta.content)
                yield Event("piece", at, text=delta.content)
            else:
                yield Event("alive", at)
        if ended:
            break
    text, at = "".join(parts), loop.time()
    if not events and head.strip():  # not a stream at all: an error page, or an error object with status 200
        found = _json(call, head.decode("utf-8", "replace"), response.status)
        _check_shape(call, found, response.status)
        raise errors.MalformedError(f"{call.model}: the answer is no stream", status=response.status, body=_head(head))
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
        raise errors.MalformedError(
            f"{call.model}: a chunk of the stream can't be read: {unread}", status=status, body=json.dumps(found)[:2000]
        ) from unread


def done(
    call: Call,
    request: Request,
    price: Price | None,
    at: float,
    *,
    text: str,
    finish: str | None,
    usage: Mapping[str, Any] | None,
    tool_calls: list,
    answered_by: str | None,
    request_id: str | None,
    refusal: str | None,
) -> Event:
    """The end of an answer, once it is known to be one."""
    counted = usage_of(usage) if usage else _counted(call, request.model, text)
    answer = Answer(
        text=text,
        finish_reason=finish or "",
        usage=counted,
        price=price,
        tool_calls=tuple(tool_calls),
        answered_by=answered_by,
        request_id=request_id,
        refusal=refusal,
    )
    return Event("done", at, answer=answer)


def _json(call: Call, text: str, status: int, what: str = "the answer") -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as broken:
        kind = "HTML" if text.lstrip()[:1] == "<" else "broken JSON"
        raise errors.MalformedError(f"{call.model}: {what} is {kind}", status=status, body=_head(text)) from broken
    if not isinstance(found, dict):
        raise errors.MalformedError(f"{call.model}: {what} is no JSON object", status=status, body=_head(text))
    return found


def _check_shape(call: Call, found: dict[str, Any], status: int) -> None:
    if found.get("error"):
        raise failures.from_object(found["error"], model=call.model, status=status)
    choices = found.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise errors.MalformedError(f"{call.model}: the answer has no choices", status=status, body=_head(str(found)))
    if not isinstance(choices[0].get("message"), dict):
        raise errors.MalformedError(f"{call.model}: the answer has no message", status=status, body=_head(str(found)))


def _head(text: str | bytes) -> str:
    return (text.decode("utf-8", "replace") if isinstance(text, bytes) else text)[:4000]


def _joined(deltas: list[dict]) -> list[dict]:
    """Tool calls out of their pieces, which share an index."""
    calls: dict[int, dict] = {}
    for delta in deltas:
        function = delta.get("function") or {}
        known = calls.setdefault(
            delta.get("index") or 0, {"id": None, "type": "function", "function": {"name": "", "arguments": ""}}
        )
        known["id"] = delta.get("id") or known["id"]
        known["function"]["name"] += function.get("name") or ""
        known["function"]["arguments"] += function.get("arguments") or ""
    return [calls[index] for index in sorted(calls)]


class _Silent:
    """Stands where LiteLLM wants a logging object."""

    def post_call(self, *_args: object, **_more: object) -> None:
        """Nothing is logged: the ledger has it."""


def usage_of(raw: Mapping[str, Any]) -> Usage:
    """Disjoint buckets out of an OpenAI-shaped usage object, whose totals include the parts."""

    def count(holder: Any, name: str) -> int:
        value = holder.get(name) if isinstance(holder, Mapping) else None
        return max(0, int(value)) if isinstance(value, int | float) else 0

    sent, made = raw.get("prompt_tokens_details"), raw.get("completion_tokens_details")
    total_in, total_out = count(raw, "prompt_tokens"), count(raw, "completion_tokens")
    read = min(total_in, count(sent, "cached_tokens") or count(raw, "cache_read_input_tokens"))
    written = min(total_in - read, count(sent, "cache_creation_tokens") or count(raw, "cache_creation_input_tokens"))
    reasoning = min(total_out, count(made, "reasoning_tokens"))
    return Usage(
        input=total_in - read - written,
        cache_read=read,
        cache_write=written,
        output=total_out - reasoning,
        reasoning=reasoning,
        raw=json.loads(json.dumps(raw, default=str)),
    )


def _counted(call: Call, model: str, text: str) -> Usage:
    litellm = load()
    messages = [dict(message) for message in call.messages]
    return Usage(
        input=litellm.token_counter(model=model, messages=messages),
        output=litellm.token_counter(model=model, text=text) if text else 0,
        estimated=True,
    )
