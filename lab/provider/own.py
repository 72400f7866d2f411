"""Models of the lab's own servers: by which name LiteLLM knows them, where they are, and in whose words they are asked.

`sim/steady` is asked in OpenAI's words, `sim/anthropic/steady` in Anthropic's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SERVERS = {"local": "lab.provider.local", "sim": "lab.sim"}
"""Model prefixes served by a process of the lab's own, and the module that is run for it."""
PROTOCOLS = {
    "anthropic": ("anthropic/", ""),
    "azure": ("azure/", ""),
    "cohere": ("cohere_chat/", "/v2/chat"),
    "gemini": ("gemini/", "/v1beta"),
    "lm_studio": ("lm_studio/", "/lmstudio/v1"),
    "mistral": ("mistral/", "/mistral/v1"),
    "ollama": ("ollama_chat/", ""),
    "openrouter": ("openrouter/", "/openrouter/v1"),
    "responses": ("openai/responses/", "/v1"),
}
"""Words that the simulation speaks besides OpenAI's: how LiteLLM names who speaks them, and where they are spoken."""
EMBEDDING = {"": ("openai/", "/v1"), "gemini": ("gemini/", "/v1beta"), "ollama": ("ollama/", "")}
"""The same of those in whose words it embeds."""
_BUDGETS = {"minimal": 300, "low": 1024, "medium": 2048, "high": 4096}
"""Tokens that LiteLLM makes of an effort, for providers that take a budget."""


def spoken(own: str, base: str) -> tuple[str, str]:
    """The name by which LiteLLM knows a model of the lab's own servers, and its address."""
    protocol, _, rest = own.partition("/")
    if protocol in PROTOCOLS and rest:
        name, path = PROTOCOLS[protocol]
        return name + rest, base.removesuffix("/v1") + path
    return f"openai/{own}", base


def plain(own: str) -> str:
    """A simulated model's name without the protocol it is asked in and without its faults."""
    protocol, _, rest = own.partition("/")
    return (rest if protocol in PROTOCOLS else own).split("+")[0]


def thinking(own: str, params: dict[str, Any]) -> dict[str, Any]:
    """How much is to be thought, taken out of `params`, as fields of the request's body: LiteLLM writes that only for
    models it knows to think, and it knows none of the lab's own."""
    protocol = own.partition("/")[0] if "/" in own else ""
    if protocol in ("ollama", "openrouter"):
        return {}
    effort, given = params.pop("reasoning_effort", None), params.pop("thinking", None)
    if effort is None and given is None:
        return {}
    budget = given.get("budget_tokens") if isinstance(given, Mapping) else _BUDGETS.get(str(effort))
    if protocol == "anthropic":
        on = {"type": "enabled", "budget_tokens": budget} if budget else {"type": "disabled"}
        return {"thinking": on}
    if protocol == "gemini":
        return {"generationConfig": {"thinkingConfig": {"thinkingBudget": budget or 0, "includeThoughts": True}}}
    if protocol == "responses":
        return {"reasoning": {"effort": effort, "summary": "auto"}}
    return {"reasoning_effort": effort}


def merged(body: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """A body with more fields, those of objects inside it included."""
    both = {**body}
    for name, value in more.items():
        inner = both.get(name)
        both[name] = merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return both
