"""So much at once, so much a minute, whose turn it is, and what a 429 does to everyone."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import Limit, Timeout
from lab.policies.compose import held
from lab.policies.limit import LONGEST
from tests import clock
from tests.play import Player, Step, fail, only


async def burst(player: Player, count: int, **more: object) -> list:
    return await asyncio.gather(*(player.call(**more) for _ in range(count)))


def test_no_more_at_once_than_allowed() -> None:
    player = Player(only(limit=Limit(concurrency=3)), Step(1))
    outs = clock.run(burst(player, 9))
    assert player.stage.most_running == 3
    assert sorted(out.took for out in outs) == pytest.approx([1] * 3 + [2] * 3 + [3] * 3)
    assert player.stage.tries[-1].queued == pytest.approx(2)
    assert player.queues() == {"m": (0, 0)}


@settings(max_examples=25)
@given(rpm=st.integers(1, 20), waits=st.lists(st.floats(0, 30), min_size=1, max_size=40))
def test_requests_in_any_minute_are_never_more_than_allowed(rpm: int, waits: list[float]) -> None:
    player = Player(only(limit=Limit(rpm=rpm)), Step(0.1))

    async def play() -> None:
        tasks = []
        for wait in waits:
            await asyncio.sleep(wait)
            tasks.append(asyncio.create_task(player.call()))
        await asyncio.gather(*tasks)

    clock.run(play())
    times = player.stage.at
    assert len(times) == len(waits)
    for number, start in enumerate(times):
        assert sum(start <= at < start + 60 for at in times[number:]) <= rpm


def test_a_minute_that_ends_between_two_floats_is_seen_to_end() -> None:
    """`start + 60` and `now - 60` round differently: a request waited forever where both were used."""
    for number in range(300):
        player = Player(only(limit=Limit(rpm=1)), Step(0.1))

        async def play(wait: float = number * 0.1 + 0.01, player: Player = player) -> None:
            await asyncio.sleep(wait)
            await burst(player, 2)

        clock.run(play())
        assert len(player.stage.at) == 2


def test_tokens_are_reserved_as_an_estimate_and_settled_with_the_usage() -> None:
    """Each call is thought to need 256, and uses 20: so the third goes at once, after the first two settled."""
    player = Player(only(limit=Limit(tpm=600)), Step(1))

    async def play() -> list[float]:
        outs = await burst(player, 3)
        return sorted(out.took for out in outs)

    assert clock.run(play()) == pytest.approx([1, 1, 2])


def test_a_request_larger_than_a_minutes_tokens_goes_alone() -> None:
    player = Player(only(limit=Limit(tpm=10)), Step(1))
    outs = clock.run(burst(player, 2))
    assert sorted(out.took for out in outs) == pytest.approx([1, 61])


def test_a_full_queue_answers_busy_with_how_long_to_wait() -> None:
    player = Player(only(limit=Limit(concurrency=1, queue=2)), Step(1))
    outs = clock.run(burst(player, 5))
    refused = [out.failure for out in outs if out.failure]
    assert [failure.kind for failure in refused] == ["busy", "busy"]
    assert all(failure.retry_after > 0 and "waiting already: ask again in" in str(failure) for failure in refused)


def test_one_user_does_not_take_all() -> None:
    player = Player(only(limit=Limit(concurrency=4, per_user=2)), Step(1))

    async def play() -> tuple[list, list]:
        return await asyncio.gather(burst(player, 6, user="greedy"), burst(player, 2, user="modest"))

    greedy, modest = clock.run(play())
    assert [out.took for out in modest] == pytest.approx([1, 1])
    assert sorted(out.took for out in greedy) == pytest.approx([1, 1, 2, 2, 3, 3])


def test_interactive_goes_first_and_batch_does_not_starve() -> None:
    player = Player(only(limit=Limit(concurrency=1)), Step(1))

    async def play() -> None:
        batch = asyncio.create_task(burst(player, 3, lane="batch"))
        await asyncio.sleep(0.5)
        await asyncio.gather(batch, burst(player, 10, lane="interactive"))

    clock.run(play())
    lanes = "".join(attempt.call.lane[0] for attempt in player.stage.tries)
    assert lanes == "biiiibiiiibii"


def test_a_429_slows_the_model_down_for_everyone_and_it_speeds_up_again() -> None:
    player = Player(
        only(limit=Limit(concurrency=8)),
        rule=lambda _attempt, n: fail("rate_limit", 1, retry_after=5.0) if n == 1 else Step(1),
    )

    async def play() -> None:
        await player.call()
        start = asyncio.get_running_loop().time()
        await burst(player, 40)
        waves = [round(at - start) for at in player.stage.at[1:]]
        assert waves[0] == 5, "nobody asks before the provider said"
        assert waves.count(5) == 4, "half as many as before"
        assert player.stage.most_running > 5, "and more again as answers come"

    clock.run(play())


@pytest.mark.parametrize("asked", [3600.0, 1e9, float("inf")])
def test_a_pause_without_end_holds_others_up_for_a_minute_at_most(asked: float) -> None:
    """It was believed for all later calls, which failed as timeouts."""
    player = Player(
        only(limit=Limit()), rule=lambda _attempt, n: fail("rate_limit", 1, retry_after=asked) if n == 1 else Step(1)
    )

    async def play() -> None:
        await player.call()
        (row,) = held(player.memory)
        assert row["paused"] == pytest.approx(LONGEST)
        assert (await player.call()).took == pytest.approx(LONGEST + 1)
        (row,) = held(player.memory)
        assert row["paused"] == 0

    clock.run(play())


def test_a_call_that_cant_wait_for_a_pause_is_busy_at_once() -> None:
    player = Player(
        only(limit=Limit(), timeout=Timeout(total=10)),
        rule=lambda _attempt, n: fail("rate_limit", 1, retry_after=30.0) if n == 1 else Step(1),
    )

    async def play() -> None:
        await player.call()
        await asyncio.sleep(5)
        out = await player.call()
        assert (out.took, out.failure.kind) == (0, "busy")
        assert out.failure.retry_after == pytest.approx(25)
        await asyncio.sleep(16)  # 9 s are left: it waits
        assert (await player.call()).took == pytest.approx(10, abs=0.01)

    clock.run(play())


@pytest.mark.parametrize("other", [{"api_key": "another"}, {"api_base": "http://elsewhere"}, {"api_key": ["odd"]}])
def test_another_key_or_address_of_a_model_is_not_held_up(other: dict[str, str]) -> None:
    mine = {"api_key": "mine", "api_base": "http://here"}
    player = Player(
        only(limit=Limit()), rule=lambda _attempt, n: fail("rate_limit", 1, retry_after=30.0) if n == 1 else Step(1)
    )

    async def play() -> None:
        await player.call(params=mine)
        waits, goes = await asyncio.gather(player.call(params=mine), player.call(params={**mine, **other}))
        assert (waits.took, goes.took) == (pytest.approx(31), pytest.approx(1))

    clock.run(play())


def test_one_that_gives_up_waiting_frees_its_place() -> None:
    player = Player(only(limit=Limit(concurrency=1)), Step(5))

    async def play() -> float:
        first = asyncio.create_task(player.call())
        await asyncio.sleep(0)
        second = asyncio.create_task(player.call())
        await asyncio.sleep(1)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert player.queues() == {"m": (1, 0)}
        await first
        return (await player.call()).took

    assert clock.run(play()) == pytest.approx(5)


@pytest.mark.parametrize(
    "wrong", [{"concurrency": 0}, {"rpm": 0.5}, {"tpm": -1}, {"per_user": 0}, {"queue": -1}, {"queue": None}]
)
def test_a_wrong_setting_is_refused_when_made(wrong: dict) -> None:
    with pytest.raises(ValueError, match="Limit"):
        Limit(**wrong)
