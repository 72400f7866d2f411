"""Deadlines over a stream of events: connect, first token, idle, attempt, total."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, fields
from typing import Any

from lab import errors
from lab.model import Event

_SAID = {
    "first_token": "no first token after",
    "idle": "nothing came for",
    "attempt": "the answer was not finished after",
    "total": "the call was not finished after",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout:
    """How long to wait, in seconds; None is no limit.

    `connect`: until the connection stands. `first_token`: until the first piece of a streamed answer.
    `idle`: between two pieces of it. `attempt`: one request, whole. `total`: the call, with all its waits.
    """

    connect: float | None = 10.0
    first_token: float | None = 60.0
    idle: float | None = 30.0
    attempt: float | None = 120.0
    total: float | None = 300.0

    def __post_init__(self) -> None:
        for field in fields(self):
            _positive(field.name, getattr(self, field.name))


def _positive(name: str, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and 0 < value < float("inf")):
        raise ValueError(f"Timeout({name}={value!r}): seconds above 0, or None for no limit")


async def bounded(
    timeout: Timeout, events: AsyncGenerator[Event], *, model: str, streamed: bool, deadline: float | None
) -> AsyncIterator[Event]:
    """`events`, each waited for no longer than `timeout` allows; `deadline` is the call's, on the loop's clock.

    The connect limit is the wire's to keep. Raises `TimeoutError` with its phase; closes `events` however it ends.
    """
    sent = last = None
    try:
        while True:
            phase, at, allowed = _next(timeout, sent, last, streamed, deadline)
            try:
                async with asyncio.timeout_at(at):
                    event = await anext(events)
            except StopAsyncIteration:
                return
            except builtins.TimeoutError as late:
                if isinstance(late, errors.LabError):
                    raise
                raise errors.TimeoutError(f"{model}: {_SAID[phase]} {allowed:g} s", phase=phase) from late
            if event.kind == "sent":
                sent = event.at
            elif event.kind == "piece" or last is not None:
                last = event.at
            yield event
    finally:
        await events.aclose()


def _next(
    timeout: Timeout, sent: float | None, last: float | None, streamed: bool, deadline: float | None
) -> tuple[errors.Phase, float | None, float]:
    """The limit that would pass first: its phase, when, and the seconds it allows."""
    limits: list[tuple[float, errors.Phase, float]] = []
    waits: list[tuple[errors.Phase, float | None, float | None]] = [("attempt", sent, timeout.attempt)]
    if streamed:
        waits.append(("first_token", sent, timeout.first_token) if last is None else ("idle", last, timeout.idle))
    for phase, since, allowed in waits:
        if since is not None and allowed is not None:
            limits.append((since + allowed, phase, allowed))
    if deadline is not None:
        limits.append((deadline, "total", timeout.total or 0.0))
    if not limits:
        return "total", None, 0.0
    at, phase, allowed = min(limits)
    return phase, at, allowed
