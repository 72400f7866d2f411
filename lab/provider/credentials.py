"""Whose key goes where: a key reaches its own provider's host, and no other."""

from __future__ import annotations

import os
import re
from types import ModuleType

from lab import errors

_KEYLESS = {
    "llamafile",
    "lm_studio",
    "hosted_vllm",
    "docker_model_runner",
    "xinference",
    "litellm_proxy",
    "github_copilot",
    "ollama",
    "ollama_chat",
}
_AMBIENT = {"bedrock", "sagemaker", "vertex", "azure", "watsonx", "oci", "databricks", "snowflake", "sap"}
"""Providers (by the first word of their names) whose credentials may come from elsewhere than a key."""
_NAMED = {"cohere_chat": ["COHERE_API_KEY", "CO_API_KEY"], "minimax": ["MINIMAX_API_KEY"]}
"""Keys that LiteLLM takes and does not tell of."""
_KEYED = {"gemini": ("GOOGLE_API",), "huggingface": ("HF_",), "scaleway": ("SCW_",)}
"""How the names of keys begin that do not begin like their provider's."""
_LIKE_OPENAI = {"custom_openai", "aiohttp_openai", "text-completion-openai", "text-completion-inception"}


def need_key(litellm: ModuleType, model: str, provider: str, key: str | None, base_given: str | None) -> None:
    """Raise `AuthError` where no key is at hand.

    LiteLLM falls back to OpenAI's key for any OpenAI-compatible provider; that key would reach another's host.
    """
    if not key and not base_given and (missing := missing_keys(litellm, provider)):
        names = " or ".join(missing)
        raise errors.AuthError(f"no key for {model}: set {names} in the environment or in .env, or pass api_key=...")


def named_key(provider: str) -> str | None:
    """The key in the environment of a provider of whose key LiteLLM does not tell."""
    return next((key for name in _NAMED.get(provider, ()) if (key := os.environ.get(name))), None)


def missing_keys(litellm: ModuleType, provider: str) -> list[str]:
    """The environment variables that would hold this provider's key, where none of them does."""
    if provider in _KEYLESS or is_ambient(provider):
        return []
    if provider in _NAMED:
        return [] if any(os.environ.get(name) for name in _NAMED[provider]) else _NAMED[provider]
    json_listed = litellm.llms.openai_like.json_loader.JSONProviderRegistry
    if json_listed.exists(provider):
        missing = [json_listed.get(provider).api_key_env]
    else:
        missing = litellm.validate_environment(f"{provider}/any").get("missing_keys") or []
    compatible = {str(getattr(member, "value", member)) for member in litellm.openai_compatible_providers} | {"openai"}
    if not missing and provider in compatible:
        missing = [f"{provider.upper().replace('-', '_')}_API_KEY"]
    return [] if any(os.environ.get(name) for name in missing) else missing


def state(litellm: ModuleType, provider: str) -> str:
    """`there`, the name of what is missing, `not needed`, `ambient` (a cloud's own sign-in), or `unknown`.

    For providers it does not know LiteLLM says that nothing is missing; so a key is only there where one is seen.
    """
    if provider in _KEYLESS:
        return "not needed"
    if is_ambient(provider):
        return "ambient"
    if missing := missing_keys(litellm, provider):
        return " or ".join(missing)
    first = re.split(r"[_/-]", provider.upper())[0]
    seen = [name for name, value in os.environ.items() if value and re.search(r"(KEY|TOKEN)$", name)]
    return "there" if any(name.startswith((first, *_KEYED.get(provider, ()))) for name in seen) else "unknown"


def is_ambient(provider: str) -> bool:
    """Whether this provider's credentials may come from elsewhere than a key (a cloud's own sign-in)."""
    return re.split(r"[_/-]", provider)[0] in _AMBIENT


def need_address(model: str, provider: str) -> None:
    """Raise `InvalidRequestError` where LiteLLM would send another provider's prompt to OpenAI's own host."""
    if provider not in ("openai", "custom_openai"):
        raise errors.InvalidRequestError(f"no address is known for {model}: pass api_base=...")


def falls_back_to_openai(litellm: ModuleType, provider: str) -> bool:
    """Whether LiteLLM's handler for `provider` takes OpenAI's key and address where the provider's are missing."""
    compatible = {str(getattr(member, "value", member)) for member in litellm.openai_compatible_providers}
    listed = litellm.llms.openai_like.json_loader.JSONProviderRegistry.exists(provider)
    return listed or provider in compatible | _KEYLESS | _LIKE_OPENAI
