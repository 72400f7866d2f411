"""Calls that LiteLLM makes itself, its retries off: what it hides stays unknown."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpx

from lab import errors
from lab.provider.credentials import falls_back_to_openai
from lab.provider.loading import apart, load
from lab.provider.marking import marked, stable, takes_marks
from lab.provider.meaning import meaning
from lab.provider.prices import pricer
from lab.provider.reading import done
from lab.provider.redirects import refused
from lab.provider.request import Part, Told, of_message
from lab.values import Call, Event, Usage


async def carried(
    call: Call,
    name: str,
    params: Mapping[str, Any],
    connect: float | None,
    own: Mapping[str, Any] | None = None,
) -> AsyncGenerator[Event]:
    """One attempt made by `litellm.acompletion`: the times are those of LiteLLM's answer. `own` are prices that are not
    on LiteLLM's list."""
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
    if stable(call) and takes_marks(provider, model):
        messages = marked(messages)
    if falls_back_to_openai(litellm, provider):
        known = litellm.get_supported_openai_params(model, provider) or []
        if "max_retries" not in known:  # or it would be dropped on the way, and the SDK retry by itself
            options["allowed_openai_params"] = [*(params.get("allowed_openai_params") or ()), "max_retries"]
        if not key and "api_key" not in params and provider != "openai":
            options["api_key"] = "none"  # or LiteLLM would send OpenAI's
    price = pricer(provider, model, own)
    source: Any = None
    answer: Any = None
    problem: errors.LabError | None = None
    told, text = Told(), ""
    yield Event("sent", loop.time(), way="carried", price=price(Usage(), None))
    try:
        refused.set(True)
        apart()
        source = answer = await litellm.acompletion(model=name, messages=messages, **options)
        if call.streamed:
            chunks: list[Any] = []
            async for chunk in source:
                chunks.append(chunk)
                part = of_message(chunk.choices[0].delta) if chunk.choices else Part()
                text += part.text
                at = loop.time()
                if part.reasoning:
                    yield Event("thought", at, text=part.reasoning)
                if part.text or not part.reasoning:
                    yield Event("piece" if part.text else "token" if part.tools else "alive", at, text=part.text)
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
    if problem is None and call.streamed and told.finish is None:
        problem = errors.TransportError(f"{call.model}: the stream ended before its finish")
    if problem is None and (answer is None or not answer.choices):
        problem = errors.MalformedError(f"{call.model}: the answer has no choices")
    if problem is not None:
        problem.partial = problem.partial or text
        raise problem  # here, so that nothing of LiteLLM's, unredacted, hangs on it
    choice, usage = answer.choices[0], getattr(answer, "usage", None)
    whole, at = of_message(choice.message), loop.time()
    if not call.streamed and whole.text:
        yield Event("piece", at, text=whole.text)
    told.usage = usage.model_dump() if usage else None
    told.extra = {
        field: value
        for field in ("thinking_blocks", "provider_specific_fields", "reasoning_items")
        if (value := getattr(choice.message, field, None))
    }
    told.finish = told.finish or choice.finish_reason
    told.answered_by, told.request_id = answer.model, answer.id
    yield done(call, price, at, told, whole)
