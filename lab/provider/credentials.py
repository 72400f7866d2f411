"""Whose key goes where: a key reaches its own provider's host, and no other."""

from __future__ import annotations

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
}
_AMBIENT = {"bedrock", "sagemaker", "vertex", "azure", "watsonx", "oci", "databricks", "snowflake", "sap"}
"""Providers (by the first word of their names) whose credentials may come from elsewhere than a key."""
_LIKE_OPENAI = {"custom_openai", "aiohttp_openai", "text-completion-openai", "text-completion-inception"}


def need_key(litellm: ModuleType, said: str, provider: str, key: str | None, base_given: str | None) -> None:
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


def need_address(said: str, provider: str) -> None:
    """Raise `InvalidRequestError` where LiteLLM would send another provider's prompt to OpenAI's own host."""
    if provider not in ("openai", "custom_openai"):
        raise errors.InvalidRequestError(f"no address is known for {said}: pass api_base=...")


def falls_back_to_openai(litellm: ModuleType, provider: str) -> bool:
    """Whether LiteLLM's handler for `provider` takes OpenAI's key and address where the provider's are missing."""
    compatible = {str(getattr(one, "value", one)) for one in litellm.openai_compatible_providers}
    listed = litellm.llms.openai_like.json_loader.JSONProviderRegistry.exists(provider)
    return listed or provider in compatible | _KEYLESS | _LIKE_OPENAI
