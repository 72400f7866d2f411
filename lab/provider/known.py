"""The models LiteLLM lists."""

from __future__ import annotations

from collections import defaultdict

from lab.provider.loading import load


def with_keys() -> list[str]:
    """Names of the chat models on LiteLLM's price list whose provider finds its key in the environment."""
    litellm = load()
    by_provider: dict[str, list[str]] = defaultdict(list)
    for name, entry in litellm.model_cost.items():
        if entry.get("mode") == "chat" and entry.get("litellm_provider"):
            provider = entry["litellm_provider"]
            whole = name if provider == "openai" or name.startswith(f"{provider}/") else f"{provider}/{name}"
            by_provider[provider].append(whole)
    found = []
    for names in by_provider.values():
        if litellm.validate_environment(names[0])["keys_in_environment"]:
            found += names
    return sorted(found)
