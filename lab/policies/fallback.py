"""Another model when one can't answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

from lab import errors
from lab.policies.kernel import Events, Layer, Proceed, Refused, Settings, Try, World
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
    fall back: another model would only hide it. `gate` names an eval set: a model is asked only if it has passed
    (`lab.gate(...)`, `lab gate`) on that set with the version of the prompt that the call was made with. Where no
    model may be asked the call fails as it would have, and says why.
    """

    models: tuple[str, ...]
    on: tuple[errors.Kind, ...]
    gate: str | None

    def __init__(self, *models: str, on: tuple[errors.Kind, ...] = DEFAULT, gate: str | None = None):
        object.__setattr__(self, "models", models)
        object.__setattr__(self, "on", on)
        object.__setattr__(self, "gate", gate)
        if gate is not None and not (isinstance(gate, str) and gate.strip()):
            raise ValueError(f"Fallback(gate={gate!r}): the name of an eval set, or None")
        if not models or not all(isinstance(model, str) and model for model in models):
            raise ValueError(f"Fallback{models!r}: the names of one or more models")
        among(self, "on", tuple(kind for kind in get_args(errors.Kind) if kind not in NEVER), several=True)


async def fallen_back(fallback: Fallback, attempt: Try, proceed: Proceed, refused: Refused | None = None) -> Events:
    """`proceed`, then with each further model in turn, until a piece was handed up or no model is left."""
    current, left = attempt, list(fallback.models)
    while True:
        handed = False
        events = proceed(current)
        try:
            async for event in events:
                handed = handed or event.handed
                yield event
            return
        except errors.LabError as failure:
            if handed or failure.phase == "total" or failure.kind not in fallback.on:
                raise
            model = await _next(fallback, attempt, left, failure, refused)
            if model is None:
                raise
        finally:
            await events.aclose()
        current = replace(attempt, model=model, role="fallback")


async def _next(
    fallback: Fallback, attempt: Try, left: list[str], failure: errors.LabError, refused: Refused | None
) -> str | None:
    """The next model that may be asked; why others may not is put onto the failure."""
    while left:
        model = left.pop(0)
        if fallback.gate is None:
            return model
        why = (
            "no gate can be looked up here"
            if refused is None
            else await refused(replace(attempt, model=model), fallback.gate)
        )
        if why is None:
            return model
        failure.args = (f"{failure}; no fallback to {model}: {why}",)
    return None


def _around(world: World, below: Proceed) -> Proceed:
    fallback = world.settings.of(Fallback)
    return below if fallback is None else lambda attempt: fallen_back(fallback, attempt, below, world.refused)


def _says(settings: Settings) -> str | None:
    fallback = settings.of(Fallback)
    return None if fallback is None else f"then {', then '.join(fallback.models)}"


LAYER = Layer("fallback", _around, _says)
