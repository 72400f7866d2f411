"""The lab's own loop, and what it knows of its own lateness."""

from __future__ import annotations

import asyncio
import time

import pytest

from lab import Lab
from lab.loop import LagMeter, Loop
from lab.model import Call


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
