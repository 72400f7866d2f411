"""Leaving a model alone while it fails, and finding out when it is well."""

from __future__ import annotations

import asyncio

import pytest

from lab import Breaker
from tests import clock
from tests.play import Player, Step, fail, only

FOUR = Breaker(failure_ratio=0.5, min_calls=4, window=60, cooldown=10)


def test_it_opens_refuses_at_once_probes_and_closes() -> None:
    player = Player(only(breaker=FOUR), fail("provider"))

    async def play() -> None:
        for _ in range(4):
            assert (await player.call()).failure.kind == "provider"
        assert player.breakers() == {"m": "open"}
        out = await player.call()
        assert (out.failure.kind, out.took) == ("busy", 0)
        assert out.failure.retry_after == pytest.approx(10)
        assert "left alone: ask again in 10.0 s" in str(out.failure)
        assert len(player.stage.tries) == 4, "nothing was sent"
        await asyncio.sleep(10)
        assert player.breakers() == {"m": "half_open"}
        assert (await player.call()).failure.kind == "provider", "the probe fails, and it opens again"
        assert player.breakers() == {"m": "open"}
        await asyncio.sleep(10)
        player.stage.script = lambda _attempt, _n: Step()
        assert (await player.call()).text == "m"
        assert player.breakers() == {"m": "closed"}

    clock.run(play())


def test_only_one_probe_at_a_time() -> None:
    player = Player(only(breaker=FOUR), fail("provider"))

    async def play() -> list[str]:
        for _ in range(4):
            await player.call()
        await asyncio.sleep(10)
        player.stage.script = lambda _attempt, _n: Step(5)
        outs = await asyncio.gather(*(player.call() for _ in range(3)))
        return [out.failure.kind if out.failure else "ok" for out in outs]

    assert sorted(clock.run(play())) == ["busy", "busy", "ok"]


def test_a_probe_that_is_cancelled_leaves_room_for_another() -> None:
    player = Player(only(breaker=FOUR), fail("provider"))

    async def play() -> str:
        for _ in range(4):
            await player.call()
        await asyncio.sleep(10)
        player.stage.script = lambda _attempt, _n: Step(5)
        probe = asyncio.create_task(player.call())
        await asyncio.sleep(1)
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        return (await player.call()).text

    assert clock.run(play()) == "m"


@pytest.mark.parametrize("kind", ["invalid_request", "auth", "rate_limit", "content", "busy", "unsupported"])
def test_failures_that_say_nothing_of_its_health_do_not_open_it(kind: str) -> None:
    player = Player(only(breaker=FOUR), fail(kind))

    async def play() -> None:
        for _ in range(20):
            await player.call()

    clock.run(play())
    assert player.breakers() == {"m": "closed"}


def test_too_few_calls_and_old_ones_do_not_open_it() -> None:
    player = Player(only(breaker=FOUR), fail("provider"))

    async def play() -> None:
        for _ in range(3):
            await player.call()
        await asyncio.sleep(60)
        await player.call()

    clock.run(play())
    assert len(player.stage.tries) == 4
    assert player.breakers() == {"m": "closed"}


def test_each_model_has_its_own() -> None:
    player = Player(only(breaker=FOUR), rule=lambda attempt, _n: fail("provider") if attempt.model == "bad" else Step())

    async def play() -> str:
        for _ in range(4):
            await player.call(model="bad")
        return (await player.call(model="good")).text

    assert clock.run(play()) == "good"
    assert player.breakers() == {"bad": "open", "good": "closed"}


@pytest.mark.parametrize(
    "wrong", [{"failure_ratio": 0}, {"failure_ratio": 1.5}, {"min_calls": 0}, {"window": 0}, {"cooldown": None}]
)
def test_a_wrong_setting_is_refused_when_made(wrong: dict) -> None:
    with pytest.raises(ValueError, match="Breaker"):
        Breaker(**wrong)
