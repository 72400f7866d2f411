"""Which models can be called right now: those of the lab's own, and those whose provider's key is at hand."""

from __future__ import annotations

import os

from lab import local
from lab.provider import known
from lab.sim.catalogue import MODELS as SIMULATED


def own() -> list[str]:
    """Models that need no key and no network."""
    return [f"local/{name}" for name in local.MODELS] + [f"sim/{name}" for name in SIMULATED]


def available() -> list[str]:
    """`own()`, then chat models of each provider whose key is in the environment.

    Takes seconds the first time if there is any key, for then LiteLLM's list is read. Any other name that
    LiteLLM knows can be called too.
    """
    keys = any(name.endswith(("_API_KEY", "_API_TOKEN")) and value for name, value in os.environ.items())
    return own() + (known.with_keys() if keys else [])
