"""A flight recorder and a wind tunnel for AI API calls.

from lab import Lab
Lab().ask("What is the capital of France?", model="local/smollm2").text
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab import checks, errors, scorers, stats
    from lab.call.prompts import Prompt
    from lab.client import Lab
    from lab.evals.sets import EvalSet
    from lab.policies import Breaker, Budget, Fallback, Hedge, Limit, Policy, Repair, Retry, Timeout
    from lab.values import Reply

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
    "EvalSet": "lab.evals.sets",
    "Lab": "lab.client",
    "Prompt": "lab.call.prompts",
    "Reply": "lab.values",
    **dict.fromkeys(
        ("Breaker", "Budget", "Fallback", "Hedge", "Limit", "Policy", "Repair", "Retry", "Timeout"), "lab.policies"
    ),
}
"""Where each public name is defined."""

_MODULES = {
    "alerts": "lab.metrics.alerts",
    "archive": "lab.ledger.archive",
    "catalogue": "lab.provider.catalogue",
    "charts": "lab.show.charts",
    "code": "lab.evals.code",
    "ratings": "lab.evals.ratings",
    "rehearsal": "lab.ledger.rehearsal",
    "scorers": "lab.evals.scorers",
    "trace": "lab.metrics.trace",
}
"""Modules that are imported as `from lab import charts`, and stand in one of the rooms."""
_ROOMS = ("checks", "errors", "jobs", "metrics", "sim", "stats")


def __getattr__(name: str) -> object:
    """Public names are fetched when first used, so that `import lab` stays fast."""
    if name in _ROOMS:
        return importlib.import_module(f"lab.{name}")
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
