"""A second request when the first is late: when, how many, who wins, and what becomes of the loser."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from lab import Hedge, Retry
from lab.policies.hedge import Latencies
from tests import clock
from tests.play import Player, Step, fail, only

NOW = {"budget": 1.0}


def after_one(player: Player, **more: object) -> object:
    """The second call: the first one has earned the share that a hedge costs."""

    async def two() -> object:
        await player.call(**more)
        player.stage.tries.clear()
        player.stage.at.clear()
        return await player.call(**more)

    return clock.run(two())


def test_the_second_request_goes_out_when_the_first_is_late_and_wins() -> None:
    player = Player(
        only(hedge=Hedge(after=2, **NOW)), rule=lambda attempt, _n: Step(1 if attempt.role == "hedge" else 10)
    )
    out = after_one(player)
    assert [attempt.role for attempt in player.stage.tries] == ["first", "hedge"]
    assert out.took == pytest.approx(3)
    assert player.stage.running == 0, "the loser is closed"


def test_a_first_request_that_is_in_time_stays_alone() -> None:
    player = Player(only(hedge=Hedge(after=2, **NOW)), Step(1))
    after_one(player)
    assert [attempt.role for attempt in player.stage.tries] == ["first"]


def test_the_first_may_still_win() -> None:
    player = Player(
        only(hedge=Hedge(after=2, **NOW)), rule=lambda attempt, _n: Step(9 if attempt.role == "hedge" else 4)
    )
    out = after_one(player)
    assert out.took == pytest.approx(4)
    assert len(player.stage.tries) == 2


def test_a_failed_request_never_beats_one_that_still_runs() -> None:
    for failing in ("first", "hedge"):
        player = Player(
            only(hedge=Hedge(after=2, **NOW)),
            rule=lambda attempt, _n, failing=failing: fail("provider", 3) if attempt.role == failing else Step(6),
        )

        async def play(player: Player = player) -> object:
            await player.call()
            return await player.call()

        out = clock.run(play())
        assert out.text == "m", failing


def test_where_both_fail_the_first_failure_is_told() -> None:
    player = Player(
        only(hedge=Hedge(after=2, **NOW)),
        rule=lambda attempt, _n: fail("provider", 3) if attempt.role == "first" else fail("transport", 3),
    )
    assert after_one(player).failure.kind == "provider"


def test_a_stream_is_decided_by_its_first_piece() -> None:
    """The hedge's first piece comes first; the first request's pieces are not mixed in."""
    player = Player(
        only(hedge=Hedge(after=1, **NOW)),
        rule=lambda attempt, _n: Step(1, pieces=3, gap=5) if attempt.role == "hedge" else Step(4, pieces=3, gap=0.1),
    )
    out = after_one(player, streamed=True)
    assert out.pieces == ["m0 ", "m1 ", "m2 "]
    assert out.took == pytest.approx(1 + 1 + 3 * 5)


def test_it_may_go_to_another_model() -> None:
    player = Player(
        only(hedge=Hedge(after=1, model="other", **NOW)),
        rule=lambda attempt, _n: Step(9 if attempt.model == "m" else 1),
    )
    assert after_one(player).text == "other"


def test_a_quantile_is_learnt_before_it_is_used() -> None:
    player = Player(only(hedge=Hedge(after="p90", learn=20, **NOW)), rule=lambda attempt, n: Step(n % 10 or 10))

    async def play() -> int:
        for _ in range(20):
            await player.call()
        before = len(player.stage.tries)
        player.stage.script = lambda attempt, _n: Step(1 if attempt.role == "hedge" else 50)
        out = await player.call()
        assert out.took == pytest.approx(10 + 1), "the 90th percentile of 1 to 10 s, then the hedge's answer"
        return before

    assert clock.run(play()) == 20, "no hedge while it was learning"


def test_its_share_holds_from_the_start_and_in_an_outage() -> None:
    for step in (Step(10), fail("provider", 10)):
        player = Player(only(hedge=Hedge(after=1, budget=0.05)), step)

        async def many(player: Player = player) -> None:
            for _ in range(400):
                await player.call()

        clock.run(many())
        hedges = [attempt for attempt in player.stage.tries if attempt.role == "hedge"]
        assert 15 <= len(hedges) <= 20


def test_retries_and_hedges_draw_on_one_budget() -> None:
    policy = only(hedge=Hedge(after=1, budget=1.0), retry=Retry(attempts=5, share=0.1, jitter="none"))
    player = Player(policy, fail("provider", 10))

    async def many() -> None:
        for _ in range(500):
            await player.call()

    clock.run(many())
    assert len(player.stage.tries) <= 500 + 0.1 * 500 + 10


def test_a_share_of_losers_runs_on_so_that_its_true_latency_is_known() -> None:
    async def play(follow: float) -> int:
        player = Player(
            only(hedge=Hedge(after=1, follow=follow, **NOW)),
            rule=lambda attempt, _n: Step(1 if attempt.role == "hedge" else 10),
        )
        for _ in range(5):
            await player.call()
        running = player.stage.running
        await asyncio.sleep(20)
        assert player.stage.running == 0
        return running

    assert clock.run(play(1.0)) == 4, "the first call had no share yet to hedge with"
    assert clock.run(play(0.0)) == 0


def test_a_call_that_is_cancelled_leaves_nothing_running() -> None:
    player = Player(only(hedge=Hedge(after=1, **NOW)), Step(10))

    async def play() -> int:
        await player.call()
        task = asyncio.create_task(player.call())
        await asyncio.sleep(5)
        assert player.stage.running == 2
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return player.stage.running

    assert clock.run(play()) == 0


def test_quantiles_are_those_of_the_last_thousand() -> None:
    seen, random = Latencies(1000), Random(1)
    values = [random.random() * (1 if number < 2000 else 10) for number in range(3000)]
    for value in values:
        seen.add(value)
    assert len(seen) == 1000
    assert seen.quantile(0.95) == sorted(values[-1000:])[950]


@pytest.mark.parametrize(
    "wrong", [{"after": "95"}, {"after": "p100"}, {"after": 0}, {"budget": 2}, {"follow": -1}, {"learn": 1}]
)
def test_a_wrong_setting_is_refused_when_made(wrong: dict) -> None:
    with pytest.raises(ValueError, match="Hedge"):
        Hedge(**wrong)


def test_it_learns_what_callers_waited_not_what_winners_took() -> None:
    """Or the stragglers that hedges beat would be forgotten, and it would hedge ever earlier."""

    random = Random(0)

    def rule(attempt: object, _number: int) -> Step:
        return Step(10.0 if random.random() < 0.04 else random.uniform(1.0, 1.2))

    player = Player(only(hedge=Hedge(after="p95", follow=0.0)), rule=rule)

    async def many() -> list[float]:
        return [(await player.call()).took for _ in range(3000)]

    took = clock.run(many())
    hedges = sum(attempt.role == "hedge" for attempt in player.stage.tries)
    assert hedges <= 0.05 * 3000
    late = sorted(took[500:])
    assert late[int(0.99 * len(late))] < 4, "once it has learnt, nearly all stragglers are beaten"
