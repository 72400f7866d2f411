"""Model names and parameters -> requests, as LiteLLM's provider configurations write them."""

from __future__ import annotations

import copy
import importlib
import json
import os
import re
import sys
import threading
import warnings
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

from lab import errors

ADMITTED = frozenset(
    """
    ai21_chat assemblyai baseten cerebras charity_engine chutes codestral cognition cometapi cortecs darkbloom
    dashscope deepinfra deepseek edenai empower featherless_ai fireworks_ai friendliai galadriel github groq
    helicone hosted_vllm hyperbolic inception libertai llamafile meta modelscope moonshot nebius neosantara
    novita nscale nvidia_nim openai parasail perplexity pinstripes poe prism publicai qwen_ai_platform
    qwencloud reka sail sambanova synthetic tencent together_ai vercel_ai_gateway volcengine wandb xai
    xiaomi_mimo zai
""".split()
)
"""Providers on the lab's own wire: OpenAI-shaped, and shown by tests/test_conformance.py to be equal."""

_OWNED = {
    "timeout": "policy=Policy(timeout=Timeout(...))",
    "request_timeout": "policy=Policy(timeout=Timeout(...))",
    "stream": "lab.stream(...)",
    "num_retries": "policy=...",
    "max_retries": "policy=...",
    "fallbacks": "policy=...",
}
_CONNECTION = ("api_base", "base_url", "api_key", "extra_headers")
_KEYLESS = {
    "llamafile",
    "lm_studio",
    "hosted_vllm",
    "docker_model_runner",
    "xinference",
    "litellm_proxy",
    "github_copilot",
}
_AMBIENT = {"bedrock", "sagemaker", "vertex", "azure", "watsonx", "oci", "databricks", "snowflake", "sap"}
"""Providers (by the first word of their names) whose credentials may come from elsewhere than a key."""
_LIKE_OPENAI = {"custom_openai", "aiohttp_openai", "text-completion-openai", "text-completion-inception"}
_loading = threading.Lock()
_ready: list[ModuleType] = []
_warming = threading.Lock()
_warmed: list[Future[ModuleType]] = []


def load() -> ModuleType:
    """LiteLLM, set up to be quiet and offline. Takes seconds the first time."""
    if _ready:
        return _ready[0]
    with _loading:
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # otherwise it reads a .env of its own choosing
        # pydantic warns of LiteLLM's own types, a line each, when they are built: nothing a user can mend
        warnings.filterwarnings("ignore", message=".*using the `ReadOnly` qualifier", category=UserWarning)
        litellm = importlib.import_module("litellm")
        litellm.suppress_debug_info = True
        litellm.telemetry = False
        if not _ready:
            choice = {"index": 0, "delta": {"content": "x"}, "finish_reason": None}
            litellm.ModelResponseStream(choices=[choice])  # built on first use: not while an answer waits
            litellm.ModelResponse()
            # its handler sends a request again by itself when the connection broke: one attempt is one request
            handler = importlib.import_module("litellm.llms.custom_httpx.http_handler").AsyncHTTPHandler
            handler.single_connection_post_request = _no_second_request
            _ready.append(litellm)
        return litellm


async def _no_second_request(*_args: object, **_more: object) -> None:
    """Called while the first request's failure is being handled: that failure stands."""
    broken = sys.exc_info()[1]
    assert broken is not None
    raise broken


def warm() -> Future[ModuleType]:
    """LiteLLM, being imported in a thread that holds up nobody's exit; started once, done once."""
    with _warming:
        if not _warmed:
            _warmed.append(Future())
            _warmed[0].set_running_or_notify_cancel()  # shared by all who wait: none of them may cancel it
            threading.Thread(target=_warm, name="lab-warm", daemon=True).start()
        return _warmed[0]


def _warm() -> None:
    try:
        _warmed[0].set_result(load())
    except BaseException as broken:
        _warmed[0].set_exception(broken)  # whoever waits must hear of it
        raise


@dataclass(frozen=True, slots=True)
class Request:
    """One translated request: where it goes, what it says, and the configuration that reads the answer."""

    provider: str
    model: str
    url: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    config: Any
    optional: Mapping[str, Any]


def translate(
    model: str, messages: Any, params: Mapping[str, Any], *, streamed: bool, said: str | None = None
) -> Request | None:
    """The request that `litellm.acompletion` would send, or None where the provider must be carried.

    `said` is the model's name as the caller wrote it. Raises `UnsupportedError` for a model no provider is
    known for, `AuthError` where the key is missing, `InvalidRequestError` for parameters that can't be sent.
    """
    litellm, said = load(), said or model
    for name, instead in _OWNED.items():
        if name in params:
            raise errors.InvalidRequestError(f"`{name}` is the lab's to set: use {instead}")
    given = {key: value for key, value in params.items() if key not in _CONNECTION}
    base_given = params.get("api_base") or params.get("base_url")
    try:
        name, provider, key, base = litellm.get_llm_provider(model, api_base=base_given, api_key=params.get("api_key"))
    except litellm.exceptions.BadRequestError as unknown:
        raise errors.UnsupportedError(
            f"no provider is known for model {said!r}: write provider/model, such as openai/gpt-4o-mini, "
            "groq/llama-3.1-8b-instant, local/smollm2 or sim/steady"
        ) from unknown
    key = key or params.get("api_key") or (os.environ.get("OPENAI_API_KEY") if provider == "openai" else None)
    key = key.strip() if isinstance(key, str) else key
    _need_key(litellm, said, provider, key, base_given)
    internal = set(given) & set(litellm.types.utils.all_litellm_params)
    if provider not in ADMITTED or internal or _is_bridged(litellm, name, provider, base, given):
        if base is None and falls_back_to_openai(litellm, provider):
            _need_address(said, provider)
        return None
    config = _config(name, provider)
    messages = copy.deepcopy([dict(message) for message in messages])
    optional, supported = _optional(config, name, provider, messages, given, streamed)
    if provider == "openai":
        base = config.get_api_base(base)
    base = base.rstrip("/") if base else base
    known = {"custom_llm_provider": provider, "api_base": base, "api_key": key}
    extra = optional.pop("extra_body", None) or {}
    for dropped in ("stream", "max_retries", "extra_headers"):
        optional.pop(dropped, None)
    if streamed and "stream_options" in supported and "stream_options" not in given:
        optional["stream_options"] = {"include_usage": True}  # or a streamed call would have no usage
    headers = config.validate_environment(
        dict(params.get("extra_headers") or {}), name, messages, optional, known, key, base
    )
    url = config.get_complete_url(base, key, name, optional, known, streamed)
    if "//api.openai.com" in url:
        _need_address(said, provider)
    body = {**config.transform_request(name, messages, optional, known, headers), **extra}
    if streamed:
        body["stream"] = True
    headers = {str(one): str(value) for one, value in headers.items()}
    return Request(provider, name, url, headers, body, config, optional)


def _need_key(litellm: ModuleType, said: str, provider: str, key: str | None, base_given: str | None) -> None:
    """Raise `AuthError` where no key is at hand.

    LiteLLM falls back to OpenAI's key for any OpenAI-compatible provider; that key would reach another's host.
    """
    if key or base_given or provider in _KEYLESS or re.split(r"[_/-]", provider)[0] in _AMBIENT:
        return
    json_listed = litellm.llms.openai_like.json_loader.JSONProviderRegistry
    if json_listed.exists(provider):
        missing = [json_listed.get(provider).api_key_env]
    else:
        missing = litellm.validate_environment(f"{provider}/any").get("missing_keys") or []
    compatible = {str(getattr(one, "value", one)) for one in litellm.openai_compatible_providers} | {"openai"}
    if not missing and provider in compatible:
        missing = [f"{provider.upper().replace('-', '_')}_API_KEY"]
    if missing:
        names = " or ".join(missing)
        raise errors.AuthError(f"no key for {said}: set {names} in the environment or in .env, or pass api_key=...")


def _need_address(said: str, provider: str) -> None:
    """Raise `InvalidRequestError` where LiteLLM would send another provider's prompt to OpenAI's own host."""
    if provider not in ("openai", "custom_openai"):
        raise errors.InvalidRequestError(f"no address is known for {said}: pass api_base=...")


def falls_back_to_openai(litellm: ModuleType, provider: str) -> bool:
    """Whether LiteLLM's handler for `provider` takes OpenAI's key and address where the provider's are missing."""
    compatible = {str(getattr(one, "value", one)) for one in litellm.openai_compatible_providers}
    listed = litellm.llms.openai_like.json_loader.JSONProviderRegistry.exists(provider)
    return listed or provider in compatible | _KEYLESS | _LIKE_OPENAI


def _is_bridged(litellm: ModuleType, name: str, provider: str, base: str | None, given: Mapping[str, Any]) -> bool:
    """Whether LiteLLM would send this chat call to OpenAI's other interface, `responses`."""
    if provider != "openai":
        return False
    listed = litellm.model_cost.get(name) or {}
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
    config: Any, name: str, provider: str, messages: list, given: Mapping[str, Any], streamed: bool
) -> tuple[dict[str, Any], list[str]]:
    """The parameters as the provider takes them, and the names of those it knows. Raises `InvalidRequestError`.

    Most calls of a program share theirs, so the last few are kept; only plain values can be.
    """
    try:
        said = json.dumps(given, sort_keys=True)
    except (TypeError, ValueError):
        return _mapped(config, name, provider, messages, given, streamed)
    optional, supported = _mapped_before(name, provider, said, streamed)
    return copy.deepcopy(optional), supported


@lru_cache(maxsize=512)
def _mapped_before(name: str, provider: str, given: str, streamed: bool) -> tuple[dict[str, Any], list[str]]:
    return _mapped(_config(name, provider), name, provider, [], json.loads(given), streamed)


def _mapped(
    config: Any, name: str, provider: str, messages: list, given: Mapping[str, Any], streamed: bool
) -> tuple[dict[str, Any], list[str]]:
    litellm = load()
    try:
        optional = litellm.utils.get_optional_params(
            model=name, custom_llm_provider=provider, messages=messages, stream=streamed or None, **given
        )
        return optional, config.get_supported_openai_params(name) or []
    except litellm.exceptions.UnsupportedParamsError as refused:
        raise errors.InvalidRequestError(
            f"{provider}/{name} does not take one of these parameters: {', '.join(sorted(given))}"
        ) from refused
    except (TypeError, ValueError) as bad:
        raise errors.InvalidRequestError(f"a parameter can't be sent: {bad}") from bad
