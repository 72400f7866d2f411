"""A flight recorder and a wind tunnel for AI API calls.

from lab import Lab
Lab().ask("What is the capital of France?", model="local/smollm2").text
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab import errors
    from lab.client import Lab
    from lab.model import Reply
    from lab.policies import Breaker, Budget, Fallback, Hedge, Limit, Policy, Retry, Timeout

_POLICIES = ("Breaker", "Budget", "Fallback", "Hedge", "Limit", "Policy", "Retry", "Timeout")

__all__ = [
    "Breaker",
    "Budget",
    "Fallback",
    "Hedge",
    "Lab",
    "Limit",
    "Policy",
    "Reply",
    "Retry",
    "Timeout",
    "errors",
]

_HOMES = {"Lab": "lab.client", "Reply": "lab.model", **dict.fromkeys(_POLICIES, "lab.policies")}


def __getattr__(name: str) -> object:
    """Public names are fetched when first used, so that `import lab` stays fast."""
    if name == "errors":
        return importlib.import_module("lab.errors")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
