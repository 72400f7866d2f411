"""Calls that LiteLLM makes itself, its retries off: what it hides stays unknown."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpx

from lab import errors, failures, redact
from lab.model import Call, Event
from lab.provider.dialect import Request, falls_back_to_openai, load
from lab.provider.prices import pricer
from lab.provider.reading import done


async def carried(call: Call, name: str, params: Mapping[str, Any], connect: float | None) -> AsyncGenerator[Event]:
    """One attempt made by `litellm.acompletion`; its times are those of LiteLLM's answer, not of the wire's."""
    litellm, loop = load(), asyncio.get_running_loop()
    yield Event("sent", loop.time(), way="carried")
    messages = copy.deepcopy([dict(message) for message in call.messages])
    options: dict[str, Any] = {
        "num_retries": 0,
        "max_retries": 0,
        "timeout": httpx.Timeout(None, connect=connect),
        **params,
    }
    if call.streamed:
        options |= {"stream": True, "stream_options": {"include_usage": True}}
    _, provider, key, _ = litellm.get_llm_provider(name, api_base=params.get("api_base"), api_key=params.get("api_key"))
    if not key and "api_key" not in params and falls_back_to_openai(litellm, provider) and provider != "openai":
        options["api_key"] = "none"  # or LiteLLM would send OpenAI's
    source = answer = problem = None
    try:
        source = answer = await litellm.acompletion(model=name, messages=messages, **options)
        if call.streamed:
            chunks = []
            async for chunk in source:
                chunks.append(chunk)
                delta = chunk.choices[0].delta if chunk.choices else None
                text = (delta.content if delta else None) or ""
                yield Event("piece" if text else "alive", loop.time(), text=text)
            if source.received_finish_reason is None:
                problem = errors.TransportError(f"{call.model}: the stream ended before its finish")
            answer = litellm.stream_chunk_builder(chunks, messages=messages)
    except errors.LabError:
        raise
    except Exception as failed:  # LiteLLM's own exceptions, each mapped to a kind
        problem = meaning(failed, call)
    finally:
        if call.streamed and source is not None:
            await source.aclose()
    if problem is not None:
        raise problem  # here, so that nothing of LiteLLM's, unredacted, hangs on it
    if answer is None or not answer.choices:
        raise errors.MalformedError(f"{call.model}: the answer has no choices")
    choice, usage = answer.choices[0], getattr(answer, "usage", None)
    text, at = choice.message.content or "", loop.time()
    if not call.streamed and text:
        yield Event("piece", at, text=text)
    request = Request(provider, name, "", {}, {}, None, {})
    yield done(
        call,
        request,
        pricer(request),
        at,
        text=text,
        finish=choice.finish_reason,
        usage=usage.model_dump() if usage else None,
        tool_calls=[one.model_dump() for one in choice.message.tool_calls or ()],
        answered_by=answer.model,
        request_id=answer.id,
        refusal=None,
    )


def meaning(failed: Exception, call: Call) -> errors.LabError:
    """The kind of failure behind one of LiteLLM's exceptions, without secrets."""
    litellm, model, hidden = load(), call.model, redact.secrets(call.params)
    known = litellm.exceptions
    said = failures.message_of(redact.text(str(getattr(failed, "message", failed)), hidden))
    broken = _broken(failed)
    if isinstance(broken, httpx.TimeoutException):
        return errors.TimeoutError(f"{model}: {said}", phase="connect")
    if broken is not None:
        return errors.TransportError(f"{model}: no whole answer: {redact.text(str(broken), hidden)}")
    status = getattr(failed, "status_code", None)
    headers = dict(getattr(getattr(failed, "response", None), "headers", None) or {})
    body = redact.text(str(getattr(failed, "body", None) or said), hidden)
    if isinstance(failed, known.ContextWindowExceededError):
        return errors.UnsupportedError(f"{model}: more than the context window holds: {said}", status=status, body=body)
    if isinstance(failed, known.ContentPolicyViolationError):
        return errors.ContentError(f"{model}: refused by a filter: {said}", status=status, body=body, reason="filtered")
    if isinstance(failed, known.UnsupportedParamsError):
        return errors.InvalidRequestError(f"{model}: {said}", status=status, body=body)
    if isinstance(failed, known.Timeout):
        return errors.TimeoutError(f"{model}: {said}", status=status, body=body, phase="attempt")
    if isinstance(failed, known.APIConnectionError | known.MidStreamFallbackError):
        return errors.TransportError(f"{model}: {said}", body=body)
    if isinstance(failed, known.APIResponseValidationError):
        return errors.MalformedError(f"{model}: {said}", status=status, body=body)
    if isinstance(failed, known.BudgetExceededError):
        return errors.BudgetError(f"{model}: {said}")
    if isinstance(status, int) and status >= 300:
        return failures.from_status(status, headers, f"{said}\n{body}", model=model, now=time.time())
    return errors.ProviderError(f"{model}: {said}", body=body)


def _broken(failed: BaseException) -> httpx.TransportError | None:
    """The broken connection at the bottom of it, if that is what it was."""
    seen: BaseException | None = failed
    for _ in range(12):
        if seen is None or isinstance(seen, httpx.TransportError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None
