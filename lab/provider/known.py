"""The models LiteLLM lists, and what is known of one before it is called."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache

from lab import errors
from lab.provider.credentials import state
from lab.provider.dialect import way
from lab.provider.loading import load
from lab.provider.prices import called, listed, price_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One model. `way`: `wire` or `carried`. `input` and `output` are US dollars a token, `context` and `longest`
    (the answer) are tokens; None is unknown. `key` is `there`, the name of the variable that is missing, `not needed`,
    `ambient` (a cloud's own sign-in), or `unknown`."""

    model: str
    way: str
    input: float | None = None
    output: float | None = None
    context: int | None = None
    longest: int | None = None
    key: str = "not needed"


def about(model: str) -> Known:
    """What is known of a model that is on no list. Raises `UnsupportedError` where its provider isn't either."""
    litellm = load()
    provider, _, name = model.partition("/")
    if provider not in litellm.provider_list or not name:
        try:
            name, provider, _, _ = litellm.get_llm_provider(model)
        except litellm.exceptions.BadRequestError as unknown:
            raise errors.UnsupportedError(f"no provider is known for {model!r}: write provider/model") from unknown
    return _known(model, provider, name)


def named(words: str = "") -> list[Known]:
    """The chat models on LiteLLM's price list whose names contain all of `words`."""
    wanted = words.lower().split()
    return [
        _known(model, provider, name)
        for provider, models in sorted(_by_provider().items())
        for model, name in sorted(models.items())
        if all(word in model.lower() for word in wanted)
    ]


def with_keys() -> list[str]:
    """Names of the chat models on LiteLLM's price list whose provider finds its key in the environment."""
    names: list[str] = []
    for provider, models in _by_provider().items():
        if state(load(), provider) == "there":
            names += models
    return sorted(names)


def _known(model: str, provider: str, name: str) -> Known:
    entry = listed(provider, name) or {}
    price = price_of(entry)
    return Known(
        model=model,
        way=way(provider),
        input=price.input if price else None,
        output=price.output if price else None,
        context=entry.get("max_input_tokens") or entry.get("max_tokens"),
        longest=entry.get("max_output_tokens"),
        key=state(load(), provider),
    )


@cache
def _by_provider() -> dict[str, dict[str, str]]:
    """Chat models by the provider that is called for them: their full names, and their names there."""
    litellm = load()
    models: dict[str, dict[str, str]] = defaultdict(dict)
    for key, entry in litellm.model_cost.items():
        provider = called(entry.get("litellm_provider") or "")
        if entry.get("mode") != "chat" or provider not in litellm.provider_list:
            continue  # not called by this name, or not for a chat
        name = key.removeprefix(f"{provider}/")
        models[provider][name if provider == "openai" else f"{provider}/{name}"] = name
    return models
