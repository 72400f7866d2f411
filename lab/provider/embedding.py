"""Embeddings: by the small model on this machine, or any embedding model that LiteLLM knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from lab import errors
from lab.provider import child, own, redirects
from lab.provider.credentials import falls_back_to_openai, need_address, need_key
from lab.provider.dialect import usual_address
from lab.provider.loading import apart, loaded
from lab.provider.meaning import meaning
from lab.provider.minilm import MINILM, minilm
from lab.provider.prices import listed_price, pricer, provider_of
from lab.provider.tokens import count
from lab.provider.usage import tokens
from lab.values import Answer, Call, Event, Price, Usage

EMBEDS = "embedding"
"""The form of a request that asks for vectors."""
SECONDS = 30.0
"""How long another model may take."""


class _Once(int):
    """No retries: a plain 0 LiteLLM takes for nothing said, and OpenAI's client then asks three times."""

    def __bool__(self) -> bool:
        return True


ONCE = _Once(0)


async def events(call: Call) -> AsyncGenerator[Event]:
    """One attempt of a call that embeds: `sent`, then `done`, whose value is a list of vectors, in the order of its
    texts. Raises a `LabError` of the failure's kind."""
    loop, texts = asyncio.get_running_loop(), [message["content"] for message in call.messages]
    if call.model == MINILM:
        free = Price(input=0.0, output=0.0, cache_read=0.0, cache_write=0.0, reasoning=0.0)
        yield Event("sent", loop.time(), way="local", price=free, form=EMBEDS)
        vectors = [(await embedded(MINILM, text))[0] for text in texts]
        used = Usage(input=sum(count(text) for text in texts), estimated=True)
        answer = Answer(text="", finish_reason="stop", usage=used, price=free, answered_by=MINILM)
        yield Event("done", loop.time(), answer=answer, value=vectors)
        return
    name, params, entry = await _addressed(call)
    provider, model = provider_of(name) or ("", name)
    price = pricer(provider, model, entry)
    yield Event("sent", loop.time(), way="carried", price=price(Usage(), None), form=EMBEDS)
    answer = await _asked(name, texts, call, params)
    rows = sorted(answer.data, key=lambda row: row.get("index") or 0)
    sent = tokens(answer.usage.model_dump() if answer.usage else None, "prompt_tokens")
    used = Usage(input=sent or sum(count(text) for text in texts), estimated=not sent)
    done = Answer(
        text="", finish_reason="stop", usage=used, price=price(used, None), answered_by=str(answer.model or name)[:200]
    )
    yield Event("done", loop.time(), answer=done, value=[row["embedding"] for row in rows])


async def _addressed(call: Call) -> tuple[str, dict[str, Any], Any]:
    """The name by which LiteLLM knows the model, its parameters, and its prices where they are on no list."""
    params = dict(call.params)
    owner, _, plainly = call.model.partition("/")
    if owner == "sim" and "api_base" not in params:
        protocol, _, rest = plainly.rpartition("/")
        endpoint = await child.reached(own.SERVERS[owner])
        if protocol not in own.EMBEDDING or rest not in endpoint.models:
            raise errors.UnsupportedError(f"no embedding model {call.model!r}: there is sim/embedder")
        name, path = own.EMBEDDING[protocol]
        params |= {"api_base": endpoint.url.removesuffix("/v1") + path, "api_key": "none-needed"}
        return name + rest, params, endpoint.models[rest]
    if owner in own.SERVERS:
        raise errors.UnsupportedError(f"no embedding model {call.model!r}: there is {MINILM}, or any LiteLLM knows")
    return call.model, params, None


async def _asked(name: str, texts: list[str], call: Call, params: dict[str, Any]) -> Any:
    """What LiteLLM's embedding returns, its retries off."""
    litellm, problem = await loaded(), None
    try:
        _, provider, key, base = litellm.get_llm_provider(
            name, api_base=params.get("api_base"), api_key=params.get("api_key")
        )
        key = key or params.get("api_key")
        if (address := usual_address(name, params)) is not None:
            params["api_base"] = address
        need_key(litellm, call.model, provider, key, params.get("api_base"))
        if falls_back_to_openai(litellm, provider) and provider != "openai":
            if not (params.get("api_base") or base):
                need_address(call.model, provider)
            if not key:
                params["api_key"] = "none"  # or LiteLLM would send OpenAI's
        redirects.refused.set(True)
        apart()
        return await litellm.aembedding(model=name, input=texts, num_retries=0, max_retries=ONCE, **params)
    except errors.LabError:
        raise
    except Exception as failed:  # LiteLLM's own exceptions, each mapped to a kind
        problem = meaning(failed, call)
    finally:
        redirects.refused.set(False)
    raise problem  # here, so that nothing of LiteLLM's, unredacted, hangs on it


async def embedded(model: str, text: str) -> tuple[Any, float | None]:
    """The embedding of a text by a model's name, and what it cost in US dollars (None where that isn't known). Raises
    `InvalidRequestError` where the model can't be used here, else a `LabError` of the failure's kind."""
    if model == MINILM:
        try:
            return await asyncio.to_thread(lambda: minilm().embed(text)), 0.0
        except errors.LabError:
            raise
        except Exception as odd:  # the runtime's own errors
            raise errors.InvalidRequestError(f"{MINILM}: {odd}") from odd
    if model.startswith(("local/", "sim/")):
        raise errors.InvalidRequestError(f"no embedding model {model!r}: there is {MINILM}, or any that LiteLLM knows")
    try:
        answer = await _asked(model, [text], Call(call_id="", model=model, messages=()), {"timeout": SECONDS})
    except errors.AuthError as refused:
        if refused.status is None:  # nobody was asked: there is no key
            raise errors.InvalidRequestError(str(refused)) from None
        raise
    vector, usd = answer.data[0]["embedding"], None
    if (price := listed_price(model)) is not None and answer.usage is not None:
        usd = price.input * (answer.usage.prompt_tokens or 0)
    return vector, usd
