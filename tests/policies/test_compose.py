"""The layers as one tuple: what runs, what is printed, and what it takes to add one."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path

import pytest

from lab import Budget, Cache, Compress, Fallback, Hedge, Policy
from lab.policies.compose import LAYERS
from lab.policies.kernel import Events, Layer, Proceed, Settings, Try, World, composed
from tests import clock
from tests.play import Player, Step, fail, only
from tests.policies import shouted

EVERYTHING = Policy(hedge=Hedge(), fallback=Fallback("m2"), budget=Budget(usd=1), cache=Cache(), compress=Compress())


def test_explain_prints_the_tuple_that_runs() -> None:
    names = [line.split()[0] for line in EVERYTHING.explain(checked=True, model="route/any").split("\n")[1:]]
    assert names == [layer.name for layer in LAYERS]


def test_the_readme_prints_the_tuple_that_runs() -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    assert "\n" + " -> ".join([*(layer.name for layer in LAYERS), "provider"]) + "\n" in readme


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_every_layer_has_one_signature(layer: Layer) -> None:
    assert [parameter.annotation for parameter in inspect.signature(layer.around).parameters.values()] == [
        "World",
        "Proceed",
    ]
    assert inspect.signature(layer.around).return_annotation == "Proceed"


def test_a_layer_that_is_off_is_not_there() -> None:
    """No frame of its own in the call: what is below is handed up as it is."""
    nothing = World(settings=Settings(()))

    def source(_attempt: Try) -> Events:
        raise AssertionError

    assert composed(LAYERS, nothing, source) is source


def test_a_new_layer_is_a_file_and_a_line() -> None:
    """`tests/policies/shouted.py` is the file; the line is its place in the tuple. It is composed, in its place, and
    explained."""
    layers = [layer for known in LAYERS for layer in ((shouted.LAYER, known) if known.name == "retry" else (known,))]
    player = Player(only(retry=EVERYTHING.retry), fail("provider"), Step())
    settings = Settings((*player.world.settings.parts, shouted.Shout("!")))
    player._proceed = composed(layers, replace(player.world, settings=settings), player.stage.source)
    outcome = clock.run(player.call())
    assert outcome.pieces == ["M0 !"], "around retry: it sees one answer, not two attempts"
    assert len(player.stage.tries) == 2
    lines = {layer.name: layer.says(settings) for layer in layers}
    assert lines["shout"] == "answers in capitals, with !"
    assert list(lines).index("shout") == list(lines).index("retry") - 1


def test_the_first_is_outermost() -> None:
    trail: list[str] = []

    def marking(name: str) -> Layer:
        def around(_world: World, below: Proceed) -> Proceed:
            async def proceed(attempt: Try) -> Events:
                trail.append(name)
                events = below(attempt)
                async for event in events:
                    yield event

            return proceed

        return Layer(name, around, lambda _settings: None)

    player = Player(only(), Step())
    player._proceed = composed([marking("outer"), marking("inner")], player.world, player.stage.source)
    clock.run(player.call())
    assert trail == ["outer", "inner"]
