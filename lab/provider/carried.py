"""Calls that LiteLLM makes itself, its retries off: what it hides stays unknown."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpx

from lab import errors, redact
from lab.provider import failures, tap
from lab.provider.credentials import falls_back_to_openai
from lab.provider.gemini import FINISHES, GeminiShape
from lab.provider.loading import load
from lab.provider.meaning import meaning
from lab.provider.prices import pricer
from lab.provider.reading import done, told_error
from lab.provider.redirects import refused
from lab.provider.request import Told
from lab.values import Call, Event, Usage


async def carried(
    call: Call,
    name: str,
    params: Mapping[str, Any],
    connect: float | None,
    client: Any,
    own: Mapping[str, Any] | None = None,
) -> AsyncGenerator[Event]:
    """One attempt made by `litellm.acompletion`. Where its handler takes `client` the wire is seen; elsewhere the
    times are those of LiteLLM's answer. `own` are prices that are not on LiteLLM's list."""
    litellm, loop = load(), asyncio.get_running_loop()
    messages = copy.deepcopy([dict(message) for message in call.messages])
    options: dict[str, Any] = {
        "num_retries": 0,
        "max_retries": 0,
        "_skip_mcp_handler": True,  # it wants a package that LiteLLM does not bring, for any call with tools
        "timeout": httpx.Timeout(None, connect=connect),
        **params,
    }
    if call.streamed:
        options |= {"stream": True, "stream_options": {"include_usage": True}}
    model, provider, key, _ = litellm.get_llm_provider(
        name, api_base=params.get("api_base"), api_key=params.get("api_key")
    )
    if falls_back_to_openai(litellm, provider):
        known = litellm.get_supported_openai_params(model, provider) or []
        if "max_retries" not in known:  # or it would be dropped on the way, and the SDK retry by itself
            options["allowed_openai_params"] = [*(params.get("allowed_openai_params") or ()), "max_retries"]
        if not key and "api_key" not in params and provider != "openai":
            options["api_key"] = "none"  # or LiteLLM would send OpenAI's
    seen = tap.Seen(SEEN[provider](), connect) if provider in SEEN else None
    if seen is not None:
        options["client"] = client
        tap.current.set(seen)
    price = pricer(provider, model, own)
    source: Any = None
    answer: Any = None
    problem: errors.LabError | None = None
    told, text = Told(), ""
    yield Event("sent", loop.time(), way="carried", price=price(Usage(), None))
    try:
        refused.set(True)
        source = answer = await litellm.acompletion(model=name, messages=messages, **options)
        if seen is not None and not call.streamed:
            yield _headers(seen, loop.time())
        if call.streamed:
            chunks: list[Any] = []
            async for chunk in source:
                if seen is not None and not chunks:
                    yield _headers(seen, loop.time())
                chunks.append(chunk)
                delta = chunk.choices[0].delta if chunk.choices else None
                piece = (delta.content if delta else None) or ""
                text += piece
                at = loop.time() if seen is None else seen.at or loop.time()
                thinks = delta and (delta.tool_calls or getattr(delta, "reasoning_content", None))
                yield Event("piece" if piece else "token" if thinks else "alive", at, text=piece)
            told.finish = source.received_finish_reason
            answer = litellm.stream_chunk_builder(chunks, messages=messages)
    except errors.LabError:
        raise
    except Exception as failed:  # LiteLLM's own exceptions, each mapped to a kind
        problem = meaning(failed, call)
    finally:
        refused.set(False)
        if call.streamed and source is not None:
            await source.aclose()
    if seen is not None:
        problem = _truth(call, seen, seen.shape, problem, told)
    elif problem is None and call.streamed and told.finish is None:
        problem = errors.TransportError(f"{call.model}: the stream ended before its finish")
    if problem is None and (answer is None or not answer.choices):
        problem = errors.MalformedError(f"{call.model}: the answer has no choices")
    if problem is not None:
        problem.partial = problem.partial or text
        raise problem  # here, so that nothing of LiteLLM's, unredacted, hangs on it
    choice, usage = answer.choices[0], getattr(answer, "usage", None)
    text, at = choice.message.content or "", (seen.at if seen else None) or loop.time()
    if not call.streamed and text:
        yield Event("piece", at, text=text)
    tools = [tool.model_dump() for tool in choice.message.tool_calls or ()]
    if seen is None or seen.shape.usage:
        told.usage = usage.model_dump() if usage else None
        told.raw = seen.shape.usage if seen else None
    told.finish = told.finish or choice.finish_reason
    told.answered_by, told.request_id = answer.model, answer.id
    yield done(call, price, at, told, text, tools)


SEEN = {"gemini": GeminiShape}
"""Providers whose handler takes the lab's client, and what to look for in their answers."""


def _headers(seen: tap.Seen, now: float) -> Event:
    marks = seen.marks
    if marks is None:
        return Event("headers", now, status=seen.status)
    connect = None if marks.connected is None else marks.connected - marks.start
    return Event("headers", now, status=seen.status, connect=connect, left=marks.start)


def _truth(
    call: Call, seen: tap.Seen, shape: tap.Shape, problem: errors.LabError | None, told: Told
) -> errors.LabError | None:
    """What really happened, from what went over the wire; `problem` is what LiteLLM made of it."""
    model, hidden = call.model, redact.secrets(call.params)
    body = redact.text(seen.body.decode("utf-8", "replace"), hidden)[:60_000]
    if seen.status is not None and seen.status >= 300:
        return failures.from_status(seen.status, seen.headers, body, model=model, now=time.time())
    if shape.error:
        return told_error(call, shape.error, seen.status or 200)
    if seen.unread:
        return errors.MalformedError(f"{model}: the answer is {seen.unread}", status=seen.status, body=body[:4000])
    if seen.failure is not None:
        return seen.failure
    if shape.finish is None and seen.status is not None:
        if not seen.streamed and not shape.candidates:
            return errors.MalformedError(f"{model}: the answer has no candidates", status=seen.status, body=body)
        return errors.TransportError(f"{model}: the answer ended before its finish", status=seen.status)
    told.finish = FINISHES.get(shape.finish, shape.finish) if shape.finish else None
    if told.finish == "content_filter":
        return errors.ContentError(f"{model}: the provider's filter stopped the answer", reason="filtered", body=body)
    return problem
