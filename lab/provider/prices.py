"""US dollars a token, from LiteLLM's packaged price list. Unknown is None, never 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.model import Call, Price
from lab.provider.dialect import Request, load


def price_of(request: Request, own: Mapping[str, Any] | None = None) -> Price | None:
    """US dollars a token for this model, from the packaged price list; None where it isn't known."""
    entry = own if own is not None else _listed(request)
    if entry is None or entry.get("input_cost_per_token") is None or entry.get("output_cost_per_token") is None:
        return None
    into, out = float(entry["input_cost_per_token"]), float(entry["output_cost_per_token"])

    def listed(name: str, otherwise: float) -> float:
        value = entry.get(name)
        return otherwise if value is None else float(value)

    return Price(
        input=into,
        output=out,
        cache_read=listed("cache_read_input_token_cost", into),
        cache_write=listed("cache_creation_input_token_cost", into),
        reasoning=listed("output_cost_per_reasoning_token", out),
    )


def worst_cost(call: Call, name: str, own: Mapping[str, Any] | None = None) -> float | None:
    """The most that one attempt can cost, in US dollars: all that is sent at the dearer input price, and an answer
    as long as `max_tokens` allows (the model's own limit, or 4,096 tokens, where it isn't given)."""
    litellm = load()
    try:
        model, provider, _, _ = litellm.get_llm_provider(name, api_base=call.params.get("api_base"))
    except litellm.exceptions.BadRequestError:
        return None
    request = Request(provider, model, "", {}, {}, None, {})
    entry = own if own is not None else _listed(request)
    price = price_of(request, own)
    if price is None:
        return None
    sent = litellm.token_counter(model=model, messages=[dict(message) for message in call.messages])
    limit = call.params.get("max_completion_tokens") or call.params.get("max_tokens")
    made = limit or (entry or {}).get("max_output_tokens") or 4096
    return sent * max(price.input, price.cache_write) + made * max(price.output, price.reasoning)


def _listed(request: Request) -> Mapping[str, Any] | None:
    costs, name = load().model_cost, request.model
    for key in (f"{request.provider}/{name}", name):
        entry = costs.get(key)
        if entry is not None and entry.get("litellm_provider") == request.provider:
            return entry
    return None
