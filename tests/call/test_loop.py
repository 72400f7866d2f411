"""The lab's own loop, and what it knows of its own lateness."""

from __future__ import annotations

import asyncio
import time

import pytest

from lab import Lab
from lab.call.lag import LagMeter
from lab.call.loop import Loop, Turnstile
from lab.values import Call


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
    async def measure() -> tuple[float, float]:
        with LagMeter() as meter:
            since = asyncio.get_running_loop().time()
            await asyncio.sleep(0.03)
            calm = meter.worst(since)
            since = asyncio.get_running_loop().time()
            time.sleep(0.2)  # noqa: ASYNC251 - the very thing that is measured
            return calm, meter.worst(since)

    calm, busy = asyncio.run(measure())
    assert 0.15 < busy < calm + 0.5


def test_an_attempt_measured_by_a_busy_client_is_marked(tmp_path: object) -> None:
    """A provider's time that is the client's own fault must not pass for the provider's."""

    def busy(call: Call) -> str:
        if "busy" in call.messages[0]["content"]:
            time.sleep(0.2)
        return "ok"

    async def calm(call: Call) -> str:
        await asyncio.sleep(0.3)
        return busy(call)

    with Lab(tmp_path / "lab.db", provider=calm) as lab:
        lab.ask("calm", model="m")
        lab.ask("busy", model="m")
        marked = lab.attempts()[["saturated", "loop_lag"]]
    assert marked["saturated"].tolist() == [True, False], "newest first"
    assert marked["loop_lag"][0] > 0.15


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
