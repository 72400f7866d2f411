"""Each limit passes at its own moment, on a clock that needs no waiting."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import Policy, Timeout, errors
from lab.policies.compose import LAYERS
from lab.policies.kernel import Try, World, composed
from lab.values import Answer, Call, Event, Usage
from tests import clock

NONE = Timeout(connect=None, first_token=None, idle=None, attempt=None, total=None)
DONE = Answer(text="x", finish_reason="stop", usage=Usage())


async def _source(waits: list[tuple[str, float]], closed: list[bool]) -> AsyncGenerator[Event]:
    loop = asyncio.get_running_loop()
    try:
        for kind, wait in waits:
            await asyncio.sleep(wait)
            yield Event(kind, loop.time(), answer=DONE if kind == "done" else None)
    finally:
        closed.append(True)


def _run(timeout: Timeout, waits: list[tuple[str, float]], *, streamed: bool = True) -> tuple[str | None, float, int]:
    """The phase that passed (None if none did), the seconds it took, and the events that came through."""

    async def go() -> tuple[str | None, float, int]:
        loop = asyncio.get_running_loop()
        start, seen, closed = loop.time(), 0, []
        call = Call(call_id="c", model="m", messages=(), streamed=streamed)
        policy = Policy(timeout=timeout, retry=None, limit=None, breaker=None)
        world = World(settings=policy.settings())
        events = composed(LAYERS, world, lambda _try: _source(waits, closed))(Try(call=call, model="m"))
        try:
            async for _ in events:
                seen += 1
        except errors.TimeoutError as late:
            assert closed, "the request is closed before the caller hears of it"
            return late.phase, loop.time() - start, seen
        assert closed
        return None, loop.time() - start, seen

    return clock.run(go())


FIVE = [("sent", 0), ("headers", 1), ("piece", 1), ("piece", 1), ("done", 1)]


@pytest.mark.parametrize(
    ("change", "waits", "phase", "after"),
    [
        ({}, FIVE, None, 4),
        ({"first_token": 1.5}, FIVE, "first_token", 1.5),
        ({"first_token": 2.5, "idle": 0.5}, FIVE, "idle", 2.5),
        ({"idle": 1.5}, FIVE, None, 4),
        ({"attempt": 3.5}, FIVE, "attempt", 3.5),
        ({"total": 3.5}, FIVE, "total", 3.5),
        ({"total": 3.5, "attempt": 3}, FIVE, "attempt", 3),
        ({"total": 2}, [("sent", 99)], "total", 2),
        ({"attempt": 2}, [("sent", 5), ("piece", 1), ("done", 0)], None, 6),
        ({"idle": 1}, [("sent", 0), ("piece", 0), *[("alive", 0.9)] * 5, ("done", 0)], None, 4.5),
        ({"first_token": 1}, [("sent", 0), *[("alive", 0.9)] * 5, ("done", 0)], "first_token", 1),
        ({"total": 3}, [("sent", 0), *[("piece", 0.1)] * 99], "total", 3),
    ],
)
def test_a_limit_passes_at_its_moment(change: dict, waits: list, phase: str | None, after: float) -> None:
    timeout = Timeout(**{name: change.get(name) for name in ("connect", "first_token", "idle", "attempt", "total")})
    assert _run(timeout, waits)[:2] == (phase, pytest.approx(after))


def test_a_plain_answer_has_no_first_token_limit() -> None:
    """Nothing of it is seen before the whole is there."""
    slow = Timeout(first_token=1, idle=1, attempt=None, total=None)
    assert _run(slow, [("sent", 0), ("headers", 5), ("piece", 0), ("done", 0)], streamed=False)[0] is None


@given(
    waits=st.lists(st.tuples(st.sampled_from(["alive", "piece"]), st.floats(0, 20)), max_size=8),
    total=st.floats(0.01, 30),
    idle=st.floats(0.01, 30),
    first=st.floats(0.01, 30),
    attempt=st.floats(0.01, 30),
)
def test_the_total_is_never_passed(waits: list, total: float, idle: float, first: float, attempt: float) -> None:
    timeout = Timeout(total=total, idle=idle, first_token=first, attempt=attempt)
    _, took, _ = _run(timeout, [("sent", 0), *waits, ("done", 0)])
    assert took <= total + 1e-6


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), "3", True])
def test_a_limit_that_is_none_is_refused_when_made(value: object) -> None:
    with pytest.raises(ValueError, match=r"Timeout\(idle=.*\): a number above 0, or None for no limit"):
        Timeout(idle=value)


def test_what_the_lab_has_to_load_first_is_no_time_of_the_calls(tmp_path: Path) -> None:
    """A fresh process imports LiteLLM and starts the simulation: seconds, which are `queue`, also under a budget."""
    code = (
        "from lab import Budget, Lab, Policy, Timeout\n"
        "policy = Policy(timeout=Timeout(total=1.0), budget=Budget(usd=1, per='user'))\n"
        f"with Lab({str(tmp_path / 'lab.db')!r}, policy=policy) as lab:\n"
        "    reply = lab.ask('hi', model='sim/instant', user='ann', max_tokens=300)\n"
        "    print(reply.queue > 1.0 > reply.latency, reply.elapsed >= reply.queue)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("True True\n", "")
