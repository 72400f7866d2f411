"""The model of each request, chosen by a router that has learnt from scored cases: `model="route/<name>"`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lab.policies.kernel import Layer, Proceed, Settings, World, changed
from lab.values import Call, Routed

PREFIX = "route/"
"""What the name of a model begins with that is a router's."""


def router_of(model: str) -> str | None:
    """The router's name in a model's; None where it is a model of a provider."""
    return model.removeprefix(PREFIX) if model.startswith(PREFIX) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one version of a router chooses. `models`: cheapest first, the dearest last. `cut`: the predicted gain of the
    dearest up to which another one is asked; None where nothing is promised. `explore`: the share of calls that goes
    another way. `wrong`: why it doesn't choose any more, if it doesn't."""

    router: str
    version: int
    models: tuple[str, ...]
    cut: float | None = None
    explore: float = 0.0
    wrong: str | None = None

    def dearest(self, why: str) -> Routed:
        """The dearest model, which nothing is promised against."""
        return Routed(router=self.router, version=self.version, model=self.models[-1], why=why)

    def choose(self, predicted: Callable[[], Sequence[float]], draw: Callable[[], float]) -> Routed:
        """The cheapest model over which the dearest is `predicted` to gain at most `cut`; one of the others for the
        share that explores, where `draw` returns numbers from 0 to 1."""
        if self.wrong is not None or self.cut is None:
            return self.dearest(self.wrong or "nothing is promised")
        gains = [float(gain) for gain in predicted()]
        place = chosen(gains, self.cut)
        score = gains[place] if place < len(gains) else min(gains)
        why = "score"
        if draw() < self.explore:
            others = [number for number in range(len(self.models)) if number != place]
            place, why = others[min(int(draw() * len(others)), len(others) - 1)], "other way"
        return Routed(
            router=self.router, version=self.version, model=self.models[place], why=why, score=score, cut=self.cut
        )


def chosen(gains: Sequence[float], cut: float) -> int:
    """The place of the first model over which the dearest is predicted to gain at most `cut`; past the last one for
    the dearest itself."""
    return next((place for place, gain in enumerate(gains) if gain <= cut), len(gains))


def sent(call: Call, way: Routed) -> Call:
    """The call as it is asked of the model that was chosen."""
    return replace(call, model=way.model, routed=way)


def _around(world: World, below: Proceed) -> Proceed:
    chooser = world.chooser
    if chooser is None:
        return below
    return lambda attempt: below(attempt) if router_of(attempt.model) is None else changed(chooser, attempt, below)


def _says(settings: Settings) -> str | None:
    name = router_of(settings.model)
    return None if name is None else f"the cheapest model of which {name} says that it will do"


LAYER = Layer("route", _around, _says)
