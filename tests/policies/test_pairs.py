"""Policies in pairs: what one does must not undo the other."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import Breaker, Fallback, Hedge, Limit, Retry, Timeout
from tests import clock
from tests.play import Player, Step, fail, only

RETRY = Retry(attempts=3, jitter="none")
PAIRS = {
    "retry": RETRY,
    "hedge": Hedge(after=2, budget=1.0),
    "fallback": Fallback("b"),
    "breaker": Breaker(min_calls=3, cooldown=5),
    "limit": Limit(concurrency=1),
    "timeout": Timeout(attempt=4, total=20),
}


@pytest.mark.parametrize("first", PAIRS)
@pytest.mark.parametrize("second", PAIRS)
@pytest.mark.parametrize("streamed", [False, True])
def test_any_two_answer_and_leave_nothing_running(first: str, second: str, streamed: bool) -> None:
    """One failure, then answers; twenty calls at once, some of them slow."""
    player = Player(
        only(**{name: PAIRS[name] for name in (first, second)}),
        rule=lambda _attempt, n: fail("provider") if n == 1 else Step(3 if n % 4 == 0 else 1, pieces=2),
    )

    async def play() -> list:
        return await asyncio.gather(*(player.call(streamed=streamed) for _ in range(8)))

    outs = clock.run(play())
    assert player.stage.running == 0
    assert player.stage.closed == len(player.stage.tries)
    failed = [out for out in outs if out.failure]
    rescued = {"retry", "fallback"} & {first, second}
    timed = [out for out in failed if out.failure.kind == "timeout"]
    assert len(failed) - len(timed) <= (0 if rescued else 1) or "breaker" in (first, second)


def test_retry_and_breaker_a_model_that_is_left_alone_is_not_asked_again() -> None:
    player = Player(only(retry=RETRY, breaker=Breaker(min_calls=3, cooldown=5)), fail("provider"))

    async def play() -> tuple:
        return await player.call(), await player.call()

    first, second = clock.run(play())
    assert (first.failure.kind, second.failure.kind) == ("provider", "busy")
    assert len(player.stage.tries) == 3


def test_fallback_and_breaker_another_model_takes_over_at_once() -> None:
    player = Player(
        only(fallback=Fallback("b"), breaker=Breaker(min_calls=3, cooldown=60)),
        rule=lambda attempt, _n: fail("provider") if attempt.model == "m" else Step(),
    )

    async def play() -> list:
        return [await player.call() for _ in range(6)]

    outs = clock.run(play())
    assert [out.text for out in outs] == ["b"] * 6
    assert [out.took for out in outs] == pytest.approx([2, 2, 2, 1, 1, 1])


def test_hedge_and_limit_a_hedge_takes_a_place_of_its_own() -> None:
    player = Player(only(hedge=Hedge(after=2, budget=1.0), limit=Limit(concurrency=2)), Step(6))

    async def play() -> None:
        await player.call()
        await asyncio.gather(player.call(), player.call(), player.call())

    clock.run(play())
    assert player.stage.most_running == 2
    assert player.queues() == {"m": (0, 0)}


def test_retry_and_fallback_each_model_gets_its_retries() -> None:
    player = Player(only(retry=RETRY, fallback=Fallback("b")), fail("provider"))
    clock.run(player.call())
    assert [attempt.model for attempt in player.stage.tries] == ["m"] * 3 + ["b"] * 3


def test_retry_and_timeout_an_attempt_that_hangs_is_tried_again_within_the_total() -> None:
    player = Player(only(retry=RETRY, timeout=Timeout(attempt=2, total=5)), Step(100))
    out = clock.run(player.call())
    assert (out.failure.kind, out.failure.phase) == ("timeout", "attempt")
    assert "the wait of 1.0 s is longer than the 0.5 s left" in str(out.failure)
    assert out.took == pytest.approx(2 + 0.5 + 2)
    assert len(player.stage.tries) == 2
    assert player.stage.running == 0


def test_limit_and_timeout_a_wait_in_the_queue_counts_for_the_total_only() -> None:
    player = Player(only(limit=Limit(concurrency=1), timeout=Timeout(attempt=4, total=7)), Step(3))

    async def play() -> list:
        return await asyncio.gather(*(player.call() for _ in range(3)))

    outs = clock.run(play())
    assert [out.failure.phase if out.failure else "ok" for out in outs] == ["ok", "ok", "total"]
    assert outs[2].took == pytest.approx(7)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["ok", "provider", "rate_limit", "transport", "content"]), st.floats(0, 30)),
        min_size=1,
        max_size=8,
    ),
    total=st.floats(0.1, 60),
    streamed=st.booleans(),
    attempts=st.integers(1, 5),
    hedge=st.booleans(),
)
def test_with_everything_on_no_deadline_is_passed_and_nothing_is_left(
    steps: list, total: float, streamed: bool, attempts: int, hedge: bool
) -> None:
    policy = only(
        timeout=Timeout(total=total, attempt=10, first_token=8, idle=5),
        retry=Retry(attempts=attempts),
        hedge=Hedge(after=1, budget=1.0) if hedge else None,
        fallback=Fallback("b"),
        limit=Limit(concurrency=2, rpm=30),
        breaker=Breaker(min_calls=5),
    )
    script = [Step(wait) if kind == "ok" else fail(kind, wait, retry_after=wait) for kind, wait in steps]
    player = Player(policy, *script)

    async def play() -> list:
        return await asyncio.gather(*(player.call(streamed=streamed) for _ in range(4)))

    for out in clock.run(play()):
        assert out.took <= total + 1e-6
        assert out.text or out.failure
    assert player.stage.running == 0
    assert len(player.stage.tries) <= 4 * policy.worst_attempts()
