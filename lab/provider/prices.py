"""US dollars a token, from LiteLLM's packaged price list. Unknown is None, never 0."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lab.provider.loading import load
from lab.provider.tokens import count
from lab.show.text import plain_text
from lab.values import Call, Price, Usage

HALF = 0.5
"""What providers take of their price for what goes through their batch service, where no list says it."""
Pricer = Callable[[Usage, str | None], Price | None]
"""The price that applies to a usage, at a service tier ("priority", "flex") if one was used."""


def pricer(provider: str, model: str, own: Mapping[str, Any] | None = None) -> Pricer:
    """Prices of this model from the packaged list, or from `own`; of None where it isn't on it."""
    entry = own if own is not None else listed(provider, model)
    return lambda usage, tier: _lasting(price_of(entry, usage.input_tokens, tier), entry, usage, tier)


def batch_pricer(provider: str, model: str, own: Mapping[str, Any] | None = None) -> Pricer:
    """Prices of this model in a batch: those on the list, or half of what it costs otherwise, as an estimate."""
    entry = own if own is not None else listed(provider, model)
    usual = pricer(provider, model, own)

    def price(usage: Usage, tier: str | None) -> Price | None:
        whole = usual(usage, tier)
        if whole is None or entry is None:
            return None
        into, out = (
            None if (listed_at := entry.get(f"{side}_cost_per_token_batches")) is None else float(listed_at)
            for side in ("input", "output")
        )
        times_in = HALF if into is None or not whole.input else into / whole.input
        times_out = HALF if out is None or not whole.output else out / whole.output
        return Price(
            input=whole.input * times_in,
            output=whole.output * times_out,
            cache_read=whole.cache_read * times_in,
            cache_write=whole.cache_write * times_in,
            reasoning=whole.reasoning * times_out,
            estimated=into is None or out is None,
        )

    return price


def price_of(entry: Mapping[str, Any] | None, sent: int = 0, tier: str | None = None) -> Price | None:
    """US dollars a token for a request that sent so many tokens; None where it isn't known.

    Longer requests are dearer on some models (`..._above_200k_tokens`), service tiers have prices of their own.
    """
    if entry is None:
        return None
    end = f"_{tier}" if tier in ("priority", "flex") else ""
    steps = {
        int(match[1]) for name in entry if (match := re.fullmatch(r"input_cost_per_token_above_(\d+)k_tokens", name))
    }
    step = max((thousands for thousands in steps if sent > thousands * 1000), default=None)
    above = f"_above_{step}k_tokens" if step is not None else ""

    def dollars(name: str, otherwise: float | None = None) -> float | None:
        for key in (f"{name}{above}{end}", f"{name}{above}" if not end else "", f"{name}{end}" if not above else ""):
            if entry.get(key) is not None:
                return float(entry[key])
        return otherwise

    into, out = dollars("input_cost_per_token"), dollars("output_cost_per_token")
    if out is None and entry.get("mode") == "embedding":  # it answers in no tokens
        out = 0.0
    if into is None or out is None:
        return None
    return Price(
        input=into,
        output=out,
        cache_read=dollars("cache_read_input_token_cost", into) or 0.0,
        cache_write=dollars("cache_creation_input_token_cost", into) or 0.0,
        reasoning=dollars("output_cost_per_reasoning_token", out) or 0.0,
    )


def _lasting(price: Price | None, entry: Mapping[str, Any] | None, usage: Usage, tier: str | None) -> Price | None:
    """`price`, where what was written to the cache for an hour is dearer (Anthropic), and a fast mode dearer still."""
    if price is None or entry is None:
        return price
    written = (usage.raw or {}).get("cache_creation")
    hour = written.get("ephemeral_1h_input_tokens") if isinstance(written, Mapping) else None
    if hour and usage.cache_write:
        dear = entry.get("cache_creation_input_token_cost_above_1hr")
        if dear is None:
            return None
        share = min(1.0, hour / usage.cache_write)
        price = replace(price, cache_write=share * dear + (1 - share) * price.cache_write)
    if tier == "fast":
        times = (entry.get("provider_specific_entry") or {}).get("fast")
        return None if times is None else replace(price, **{name: getattr(price, name) * times for name in _BUCKETS})
    return price


def worst_cost(
    call: Call, name: str, own: Mapping[str, Any] | None = None, priced: Callable[..., Pricer] = pricer
) -> float | None:
    """The most that one attempt can cost, in US dollars: all that is sent at the dearer input price, and an answer
    as long as `max_tokens` allows (the model's own limit, or 4,096 tokens, where it isn't given). `priced` makes its
    price: `pricer`, or `batch_pricer`."""
    litellm = load()
    try:
        model, provider, _, _ = litellm.get_llm_provider(name, api_base=call.params.get("api_base"))
    except litellm.exceptions.BadRequestError:
        return None
    entry = own if own is not None else listed(provider, model)
    price = None if entry is None else priced(provider, model, entry)(Usage(), None)
    if price is None:
        return None
    sent = count(plain_text(call.messages)) + 8 * len(call.messages)
    limit = call.params.get("max_completion_tokens") or call.params.get("max_tokens")
    longest = limit or (entry or {}).get("max_output_tokens") or 4096
    return sent * max(price.input, price.cache_write) + longest * max(price.output, price.reasoning)


_BUCKETS = ("input", "output", "cache_read", "cache_write", "reasoning")


def listed_price(name: str) -> Price | None:
    """The price of a model by its full name, from the packaged list."""
    known = provider_of(name)
    return None if known is None else pricer(*known)(Usage(), None)


def provider_of(name: str) -> tuple[str, str] | None:
    """The provider and the model that a full name stands for; None where LiteLLM knows none."""
    litellm = load()
    try:
        model, provider, _, _ = litellm.get_llm_provider(name)
    except litellm.exceptions.BadRequestError:
        return None
    return provider, model


def listed(provider: str, model: str) -> Mapping[str, Any] | None:
    """The model's entry on LiteLLM's price list; None where it has none."""
    costs = load().model_cost
    for key in (f"{provider}/{model}", model):
        entry = costs.get(key)
        if entry is not None and called(entry.get("litellm_provider") or "") == provider:
            return entry
    return None


def called(provider: str) -> str:
    """The provider that is called for an entry: the list has finer names for some."""
    return re.sub(r"^(vertex_ai)-.*|^(bedrock)_converse$", r"\1\2", provider)
