"""Deadlines over a stream of events: connect, first token, idle, attempt, total."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields, replace

from lab import errors
from lab.policies.kernel import Events, Layer, Proceed, Settings, Try, World
from lab.policies.validate import number
from lab.values import Event

_SAID = {
    "first_token": "no first token after",
    "idle": "nothing came for",
    "attempt": "the answer was not finished after",
    "total": "the call was not finished after",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout:
    """How long to wait, in seconds; None is no limit.

    `connect`: until the connection stands. `first_token`: until the first token of a streamed answer, be it of a
    thought. `idle`: between two pieces of it, thoughts included. `attempt`: one request, whole. `total`: the call, with
    all its waits. How long is thought in all is bounded by `attempt` and `total` alone.
    """

    connect: float | None = 10.0
    first_token: float | None = 60.0
    idle: float | None = 30.0
    attempt: float | None = 120.0
    total: float | None = 300.0

    def __post_init__(self) -> None:
        for field in fields(self):
            number(self, field.name, above=True, optional=True)


async def bounded(timeout: Timeout, attempt: Try, proceed: Proceed) -> Events:
    """One attempt, its events waited for no longer than `timeout` allows.

    The connect limit is the wire's to keep. Raises `TimeoutError` with its phase; closes the attempt first.
    """
    sent = last = None
    events, alarm = proceed(attempt), _Alarm()
    try:
        while True:
            at, phase, allowed = _next(timeout, sent, last, attempt.call.streamed)
            alarm.set(at)
            event = await _within(alarm, events, phase, allowed, attempt.model)
            if event is None:
                return
            if event.kind == "sent":
                sent = event.at
            elif event.kind in ("piece", "thought", "token") or last is not None:
                last = event.at
            yield event
    finally:
        alarm.set(None)
        await events.aclose()


async def until(deadline: float, total: float, attempt: Try, proceed: Proceed) -> Events:
    """The call as a whole, with all its waits: over at `deadline`, `total` seconds after it came in."""
    events, alarm = proceed(replace(attempt, deadline=deadline)), _Alarm()
    alarm.set(deadline)
    try:
        while (event := await _within(alarm, events, "total", total, attempt.model)) is not None:
            yield event
    finally:
        alarm.set(None)
        await events.aclose()


class _Rang(Exception):
    """The moment has come."""


class _Alarm:
    """What `asyncio.timeout` does, over many waits: one timer, set anew only when its moment changes."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._at: float | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._rang = False

    def set(self, at: float | None) -> None:
        """Ring at `at`, on the loop's clock; None is never."""
        if at == self._at:
            return
        if self._handle is not None:
            self._handle.cancel()
        self._at, self._rang = at, False
        self._handle = None if at is None else self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._rang = True
        if self._task is not None:
            self._task.cancel()

    def _due(self) -> bool:
        return self._rang or (self._at is not None and self._loop.time() >= self._at)

    async def next(self, events: Events) -> Event | None:
        """The next event, None after the last. Raises `_Rang` once it has rung."""
        if self._due():
            raise _Rang
        task = self._task = asyncio.current_task()
        assert task is not None
        before = task.cancelling()
        try:
            return await anext(events)
        except StopAsyncIteration:
            return None
        except asyncio.CancelledError:
            if self._rang and task.uncancel() <= before:
                self._rang = False
                raise _Rang from None
            self._rang = False
            raise
        finally:
            self._task = None
            if self._rang:  # it rang, and the wait ended by itself all the same
                task.uncancel()


async def _within(alarm: _Alarm, events: Events, phase: errors.Phase, allowed: float, model: str) -> Event | None:
    """The next event, None after the last, or a `TimeoutError` once the alarm has rung."""
    try:
        return await alarm.next(events)
    except _Rang as late:
        await events.aclose()
        raise errors.TimeoutError(f"{model}: {_SAID[phase]} {allowed:g} s", phase=phase) from late


def _next(
    timeout: Timeout, sent: float | None, last: float | None, streamed: bool
) -> tuple[float | None, errors.Phase, float]:
    """The limit that would pass first: when, its phase, and the seconds it allows."""
    waits: list[tuple[errors.Phase, float | None, float | None]] = [("attempt", sent, timeout.attempt)]
    if streamed:
        waits.append(("first_token", sent, timeout.first_token) if last is None else ("idle", last, timeout.idle))
    limits = [
        (since + allowed, phase, allowed)
        for phase, since, allowed in waits
        if since is not None and allowed is not None
    ]
    return min(limits, default=(None, "attempt", 0.0))


def _around_call(world: World, below: Proceed) -> Proceed:
    """The deadline counts from the call's intake, where the try knows it."""
    timeout = world.settings.of(Timeout)
    if timeout is None or timeout.total is None:
        return below
    total = timeout.total

    def proceed(attempt: Try) -> Events:
        deadline = asyncio.get_running_loop().time() + total if attempt.deadline is None else attempt.deadline
        return until(deadline, total, attempt, below)

    return proceed


def _around_attempt(world: World, below: Proceed) -> Proceed:
    timeout = world.settings.of(Timeout)
    return below if timeout is None else lambda attempt: bounded(timeout, attempt, below)


_OFF = Timeout(connect=None, first_token=None, idle=None, attempt=None, total=None)


def _says_total(settings: Settings) -> str:
    return f"{_limit((settings.of(Timeout) or _OFF).total)} for the call, its waits included"


def _says_attempt(settings: Settings) -> str:
    timeout = settings.of(Timeout) or _OFF
    phases = ("connect", "first_token", "idle", "attempt")
    return ", ".join(f"{phase.replace('_', ' ')} {_limit(getattr(timeout, phase))}" for phase in phases)


def _limit(seconds: float | None) -> str:
    return "no limit" if seconds is None else f"{seconds:g} s"


TOTAL = Layer("total", _around_call, _says_total)
ATTEMPT = Layer("attempt", _around_attempt, _says_attempt)
