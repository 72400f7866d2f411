"""Model names and parameters -> requests, as LiteLLM's provider configurations write them."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from functools import cache, lru_cache
from types import ModuleType
from typing import Any

from lab import errors
from lab.provider.credentials import falls_back_to_openai, named_key, need_address, need_key
from lab.provider.dialects import anthropic, azure, cohere, gemini, ollama, openai, openrouter, responses
from lab.provider.here import ADDRESSES
from lab.provider.loading import load
from lab.provider.marking import marked, takes_marks
from lab.provider.request import Order, Request

ADMITTED = frozenset(
    """
    ai21_chat anthropic assemblyai azure baseten cerebras charity_engine chutes codestral cognition cohere_chat
    cometapi cortecs darkbloom dashscope deepinfra deepseek edenai empower featherless_ai fireworks_ai friendliai
    galadriel gemini github groq helicone hosted_vllm hyperbolic inception libertai litellm_proxy llamafile
    lm_studio meta minimax mistral modelscope moonshot nebius neosantara novita nscale nvidia_nim ollama_chat openai
    openrouter parasail perplexity pinstripes poe prism publicai qwen_ai_platform qwencloud reka sail sambanova
    synthetic tencent together_ai vercel_ai_gateway volcengine wandb xai xiaomi_mimo zai
""".split()
)
"""Providers on the lab's own wire, shown to be equal by tests/provider/test_conformance.py."""
_DIALECTS: dict[str, Any] = {
    "anthropic": anthropic,
    "azure": azure,
    "cohere_chat": cohere,
    "gemini": gemini,
    "ollama_chat": ollama,
    "openrouter": openrouter,
}
"""What they speak, where that isn't OpenAI's."""
_SIGNED = frozenset({"thinking_blocks", "provider_specific_fields"})
_WANTS_BACK = {
    "anthropic": _SIGNED,
    "gemini": _SIGNED,
    "openrouter": frozenset({"reasoning_details"}),
    "responses": frozenset({"reasoning_items"}),
    **dict.fromkeys(("deepseek", "moonshot", "ollama_chat"), frozenset({"reasoning_content"})),
}
"""What of its thoughts a provider wants to be handed back, as fields of an assistant's message."""
_THOUGHTS = frozenset[str]().union(*_WANTS_BACK.values())
"""Those fields: a provider that wants none of them may refuse a message that has one."""

_OWNED = {
    "timeout": "policy=Policy(timeout=Timeout(...))",
    "request_timeout": "policy=Policy(timeout=Timeout(...))",
    "stream": "lab.stream(...)",
    "num_retries": "policy=...",
    "max_retries": "policy=...",
    "fallbacks": "policy=...",
}
_CONNECTION = ("api_base", "base_url", "api_key", "extra_headers")


def translate(
    model: str,
    messages: Any,
    params: Mapping[str, Any],
    *,
    streamed: bool,
    as_written: str | None = None,
    stable: bool = False,
) -> Request | None:
    """The request that `litellm.acompletion` would send, or None where the provider must be carried.

    `stable`: the system's messages stay the same, and are marked to be cached where the provider takes marks.
    `as_written` is the model's name as the caller wrote it. Raises `UnsupportedError` for a model no provider is
    known for, `AuthError` where the key is missing, `InvalidRequestError` for parameters that can't be sent.
    """
    litellm, as_written = load(), as_written or model
    for name, instead in _OWNED.items():
        if name in params:
            raise errors.InvalidRequestError(f"`{name}` is the lab's to set: use {instead}")
    given = {key: value for key, value in params.items() if key not in _CONNECTION}
    base_given = params.get("api_base") or params.get("base_url")
    try:
        name, provider, key, base = litellm.get_llm_provider(model, api_base=base_given, api_key=params.get("api_key"))
    except litellm.exceptions.BadRequestError as unknown:
        raise errors.UnsupportedError(
            f"no provider is known for model {as_written!r}: write provider/model, such as openai/gpt-4o-mini, "
            "groq/llama-3.1-8b-instant, local/smollm2 or sim/steady"
        ) from unknown
    key = key or params.get("api_key") or named_key(provider)
    key = key or (os.environ.get("OPENAI_API_KEY") if provider == "openai" else None)
    key = key.strip() if isinstance(key, str) else key
    need_key(litellm, as_written, provider, anthropic.credential(key) if provider == "anthropic" else key, base_given)
    dialect = _DIALECTS.get(provider, openai)
    internal = _internal() & given.keys() - getattr(dialect, "TAKES", frozenset())
    bridged = _is_bridged(litellm, name, provider, base, given)
    if provider not in ADMITTED or internal:
        if base is None and falls_back_to_openai(litellm, provider):
            need_address(as_written, provider)
        return None
    if bridged:
        dialect, name = responses, name.replace("responses/", "")
    config = _config(name, provider)
    foreign = _THOUGHTS - _WANTS_BACK.get("responses" if bridged else provider, frozenset())
    messages = [_copied(message, foreign) for message in messages]
    if stable and takes_marks(provider, name):
        messages = marked(messages)
    mapped = {key: value for key, value in given.items() if key not in getattr(dialect, "TAKES", ())}
    optional, supported = _optional(config, name, provider, messages, mapped, streamed)
    order = Order(
        model=as_written,
        provider=provider,
        name=name,
        config=config,
        messages=messages,
        params=params,
        optional=optional,
        supported=frozenset(supported),
        base=base,
        key=key,
        streamed=streamed,
    )
    request: Request | None = dialect.written(order)
    return request


def usual_address(model: str, params: Mapping[str, Any]) -> str | None:
    """Where a server of this machine is asked whose address nobody has said; None for any other model."""
    provider = model.partition("/")[0]
    known = params.get("api_base") or params.get("base_url") or os.environ.get(f"{provider.upper()}_API_BASE")
    return None if known else ADDRESSES.get(provider)


@cache
def _internal() -> frozenset[str]:
    """Parameters that are meant for LiteLLM itself, not for a provider."""
    return frozenset(load().types.utils.all_litellm_params)


def _copied(message: Mapping[str, Any], without: frozenset[str]) -> dict[str, Any]:
    """A message of one's own, without what is None and without some fields: LiteLLM changes what it is given."""
    own = {
        key: value if isinstance(value, str) else copy.deepcopy(value)
        for key, value in message.items()
        if value is not None and key not in without
    }
    calls: Any = own.get("tool_calls") or ()
    for call in calls:
        for field in without.intersection(call) if isinstance(call, dict) else ():
            del call[field]
    return own


def way(provider: str) -> str:
    """How a plain call to a provider's models goes: `wire` or `carried`."""
    return "wire" if provider in ADMITTED else "carried"


def _is_bridged(litellm: ModuleType, name: str, provider: str, base: str | None, given: Mapping[str, Any]) -> bool:
    """Whether LiteLLM would send this chat call to OpenAI's other interface, `responses`."""
    if provider not in ("openai", "azure"):
        return False
    listed = litellm.model_cost.get(name if provider == "openai" else f"azure/{name}") or {}
    if not given.keys() & {"tools", "reasoning_effort", "web_search_options"}:
        return listed.get("mode") == "responses" or name.startswith("responses/")
    info, _ = litellm.main.responses_api_bridge_check(
        model=name,
        custom_llm_provider=provider,
        web_search_options=given.get("web_search_options"),
        tools=given.get("tools"),
        reasoning_effort=given.get("reasoning_effort"),
        api_base=base,
    )
    return info.get("mode") == "responses"


@lru_cache(maxsize=512)
def _config(name: str, provider: str) -> Any:
    """LiteLLM's configuration of this model: it holds no state of a call's."""
    litellm = load()
    config = litellm.utils.ProviderConfigManager.get_provider_chat_config(name, litellm.LlmProviders(provider))
    return config or litellm.OpenAIConfig()


def _optional(
    config: Any, name: str, provider: str, messages: list[Any], given: Mapping[str, Any], streamed: bool
) -> tuple[dict[str, Any], list[str]]:
    """The parameters as the provider takes them, and the names of those it knows. Raises `InvalidRequestError`.

    Most calls of a program share theirs, so the last few are kept; only plain values can be.
    """
    try:
        encoded = json.dumps(given, sort_keys=True)
    except (TypeError, ValueError):
        return _mapped(config, name, provider, messages, given, streamed)
    optional, supported = _mapped_before(name, provider, encoded, streamed)
    return copy.deepcopy(optional), supported


@lru_cache(maxsize=512)
def _mapped_before(name: str, provider: str, given: str, streamed: bool) -> tuple[dict[str, Any], list[str]]:
    return _mapped(_config(name, provider), name, provider, [], json.loads(given), streamed)


def _mapped(
    config: Any, name: str, provider: str, messages: list[Any], given: Mapping[str, Any], streamed: bool
) -> tuple[dict[str, Any], list[str]]:
    litellm = load()
    try:
        optional = litellm.utils.get_optional_params(
            model=name, custom_llm_provider=provider, messages=messages, stream=streamed or None, **given
        )
        return optional, config.get_supported_openai_params(name) or []
    except litellm.exceptions.UnsupportedParamsError as refused:
        known = set(config.get_supported_openai_params(name) or ())
        odd = [
            param
            for param in given
            if param in litellm.constants.DEFAULT_CHAT_COMPLETION_PARAM_VALUES and param not in known
        ]
        raise errors.InvalidRequestError(
            f"{provider}/{name} does not take {', '.join(f'`{param}`' for param in odd or sorted(given))}: leave it out"
        ) from refused
    except (TypeError, ValueError) as bad:
        raise errors.InvalidRequestError(f"a parameter can't be sent: {bad}") from bad
