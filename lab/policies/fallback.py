"""Another model when one can't answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

from lab import errors
from lab.policies.kernel import Events, Proceed, Try
from lab.policies.validate import among

DEFAULT: tuple[errors.Kind, ...] = (
    "quota",
    "rate_limit",
    "transport",
    "provider",
    "timeout",
    "malformed",
    "content",
    "validation",
    "unsupported",
    "busy",
)
NEVER = ("invalid_request", "auth", "budget")


@dataclass(frozen=True, slots=True, init=False)
class Fallback:
    """`Fallback("model-2", "model-3", on=(...))`: models to ask in this order, for failures of these kinds.

    A request or a key that is the caller's own mistake (`invalid_request`, `auth`) and a spent `budget` never
    fall back: another model would only hide it.
    """

    models: tuple[str, ...]
    on: tuple[errors.Kind, ...]

    def __init__(self, *models: str, on: tuple[errors.Kind, ...] = DEFAULT):
        object.__setattr__(self, "models", models)
        object.__setattr__(self, "on", on)
        if not models or not all(isinstance(model, str) and model for model in models):
            raise ValueError(f"Fallback{models!r}: the names of one or more models")
        among(self, "on", tuple(kind for kind in get_args(errors.Kind) if kind not in NEVER), several=True)


async def fallen_back(fallback: Fallback, attempt: Try, proceed: Proceed) -> Events:
    """`proceed`, then with each further model in turn, until a piece was handed up or no model is left."""
    tries = [attempt, *(replace(attempt, model=model, role="fallback") for model in fallback.models)]
    for number, one in enumerate(tries):
        handed = False
        events = proceed(one)
        try:
            async for event in events:
                handed = handed or event.kind == "piece"
                yield event
            return
        except errors.LabError as failure:
            over = failure.phase == "total"
            if handed or over or failure.kind not in fallback.on or number == len(tries) - 1:
                raise
        finally:
            await events.aclose()
