"""The lab's own loop, and what it knows of its own lateness."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from lab import Lab
from lab.call.lag import LagMeter
from lab.call.loop import Loop, Turnstile
from lab.call.record import saturated
from lab.values import Call
from tests import clock


def test_a_wait_that_is_interrupted_cancels_the_work() -> None:
    loop, cancelled = Loop(), []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    future = loop.submit(work())
    loop.run(asyncio.sleep(0))
    future.cancel()
    loop.close(asyncio.sleep(0))
    assert cancelled == [True]
    with pytest.raises(RuntimeError, match="closed"):
        loop.run(asyncio.sleep(0))


def test_the_lag_of_a_busy_loop_is_seen() -> None:
    """On a made-up clock, where a calm loop is never late."""

    async def measure() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, clock.VirtualLoop)
        with LagMeter() as meter:
            since = loop.time()
            await asyncio.sleep(0.03)
            calm = meter.worst(since)
            since = loop.time()
            loop.now += 0.2  # as if something had held it up
            return calm, meter.worst(since)

    calm, busy = clock.run(measure())
    assert calm == 0.0
    assert busy == pytest.approx(0.2, abs=LagMeter.EVERY)


@pytest.mark.parametrize(
    ("lag", "ttft", "latency", "marked"),
    [(0.02, None, 0.3, False), (0.04, None, 0.3, True), (0.02, 0.1, 3.0, True), (0.0, None, None, False)],
)
def test_an_attempt_measured_by_a_busy_client_is_marked(
    lag: float, ttft: float | None, latency: float | None, marked: bool
) -> None:
    """A provider's time that is the client's own fault must not pass for the provider's: a tenth of it is too much."""
    assert saturated(lag, ttft, latency) is marked


def test_what_holds_the_loop_up_is_on_the_attempt(tmp_path: Path) -> None:
    def busy(call: Call) -> str:
        time.sleep(0.2)
        return "ok"

    with Lab(tmp_path / "lab.db", provider=busy) as lab:
        lab.ask("busy", model="m")
        row = lab.attempts().iloc[0]
    assert row["saturated"]
    assert row["loop_lag"] > 0.15


def test_the_turnstile_lets_one_through_between_two_looks_at_the_sockets() -> None:
    """A timer that is due is not kept waiting by fifty calls that start at once."""

    async def play() -> tuple[list[int], float]:
        gate, order, loop = Turnstile(), [], asyncio.get_running_loop()
        late = loop.create_future()
        loop.call_later(0.02, lambda: late.set_result(len(order)))

        async def enter(number: int) -> None:
            await gate.enter()
            time.sleep(0.004)  # noqa: ASYNC251 - work that holds up the loop
            order.append(number)

        await asyncio.gather(*(enter(number) for number in range(20)))
        return order, await late

    order, seen = asyncio.run(play())
    assert order == list(range(20))
    assert seen < 20


def test_one_that_gives_up_at_the_turnstile_holds_nobody_up() -> None:
    async def play() -> list[int]:
        gate, passed = Turnstile(), []

        async def enter(number: int) -> None:
            await gate.enter()
            passed.append(number)

        tasks = [asyncio.create_task(enter(number)) for number in range(5)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await gate.enter()
        return passed

    assert asyncio.run(play()) == [0, 1, 3, 4]
