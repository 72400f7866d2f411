"""Which models can be called right now: those of the lab's own, and those whose provider's key is at hand; and what
is known of each."""

from __future__ import annotations

import os

from lab import errors
from lab.provider import known, local
from lab.provider.here import found
from lab.provider.known import Known
from lab.sim.catalogue import MODELS as SIMULATED


def own() -> list[str]:
    """Models that need no key and no network."""
    chats = [name for name, model in SIMULATED.items() if not model.embeds]
    return [f"local/{name}" for name in local.MODELS] + [f"sim/{name}" for name in chats]


def here() -> list[str]:
    """Models of Ollama, LM Studio, llama.cpp and vLLM on this machine, as far as they answer at once."""
    return [model.model for model in found()]


def on_this_machine() -> list[tuple[str, Known]]:
    """The same, each with the server that has it, and what is known of it."""
    return [(model.server, known.about(model.model)) for model in found()]


def available() -> list[str]:
    """`own()`, then chat models of each provider whose key is in the environment.

    Takes seconds the first time if there is any key, for then LiteLLM's list is read. Any other name that
    LiteLLM knows can be called too.
    """
    keys = any(name.endswith(("_API_KEY", "_API_TOKEN")) and value for name, value in os.environ.items())
    return own() + (known.with_keys() if keys else [])


def listing(words: str = "", *, everything: bool = False) -> list[Known]:
    """What is known of each model whose name contains all of `words`: of those that can be called now, or of all that
    LiteLLM lists where `everything` or any word is asked for. A name that is on no list is looked up as it is."""
    wanted = words.lower().split()
    models = [_own(name) for name in own() if all(word in name for word in wanted)]
    if everything or wanted:
        models += known.named(words)
    else:
        models += [known.about(name) for name in available() if name not in own()]
    if not models and len(wanted) == 1:
        try:
            return [known.about(words.strip())]
        except errors.UnsupportedError:
            return []
    return models


def _own(name: str) -> Known:
    owner, _, model = name.partition("/")
    facts = SIMULATED[model].facts() if owner == "sim" else local.MODELS[model]
    return Known(
        model=name,
        way="wire",
        input=facts["input_cost_per_token"],
        output=facts["output_cost_per_token"],
        context=int(facts["max_input_tokens"]),
    )
