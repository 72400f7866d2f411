"""A flight recorder and a wind tunnel for AI API calls.

from lab import Lab
Lab().ask("What is the capital of France?", model="local/smollm2").text
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab import checks, errors, scorers, stats
    from lab.client import Lab
    from lab.evals import EvalSet
    from lab.model import Reply
    from lab.policies import Breaker, Budget, Fallback, Hedge, Limit, Policy, Repair, Retry, Timeout
    from lab.prompts import Prompt

_POLICIES = ("Breaker", "Budget", "Fallback", "Hedge", "Limit", "Policy", "Repair", "Retry", "Timeout")
_MODULES = ("checks", "errors", "scorers", "stats")

__all__ = [
    "Breaker",
    "Budget",
    "EvalSet",
    "Fallback",
    "Hedge",
    "Lab",
    "Limit",
    "Policy",
    "Prompt",
    "Repair",
    "Reply",
    "Retry",
    "Timeout",
    "checks",
    "errors",
    "scorers",
    "stats",
]

_HOMES = {
    "EvalSet": "lab.evals",
    "Lab": "lab.client",
    "Prompt": "lab.prompts",
    "Reply": "lab.model",
    **dict.fromkeys(_POLICIES, "lab.policies"),
}


def __getattr__(name: str) -> object:
    """Public names are fetched when first used, so that `import lab` stays fast."""
    if name in _MODULES:
        return importlib.import_module(f"lab.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
