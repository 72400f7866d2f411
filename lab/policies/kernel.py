"""What policies are made of: a try goes down, the events of an attempt come up.

A policy is a function of a `Try` and of `proceed`, and returns what `proceed` returns: a stream of events that
ends in `done` or raises a `LabError`. It knows neither where the events come from nor where they are kept.
The commit point is the first `piece` handed up: after it nothing is sent again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from lab.values import Call, Event, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """How the next attempt of a call is to be made.

    `wait`: seconds waited before it, by a policy's decision. `queued`: seconds it stood in the limiter's queue.
    `deadline`: when the call must have ended, on the loop's clock; None is never.
    """

    call: Call
    model: str
    role: Role = "first"
    wait: float = 0.0
    queued: float = 0.0
    deadline: float | None = None


Events = AsyncGenerator[Event]
Proceed = Callable[[Try], Events]


async def whole(attempt: Try, proceed: Proceed) -> Events:
    """Hand nothing up until the answer is complete: so a cut stream may still be tried again."""
    held: list[Event] = []
    events = proceed(attempt)
    try:
        async for event in events:
            held.append(event)
    finally:
        await events.aclose()
    for event in held:
        yield event


class Tokens:
    """A bucket that first attempts fill and extra ones (retries, hedges) empty: load can't multiply.

    Each first attempt adds `share`, each extra one takes 1; it starts with, and never holds more than, `most`.
    """

    def __init__(self, share: float, most: float = 10.0):
        self.share = share
        self.most = most
        self.left = most

    def earn(self) -> None:
        """A first attempt is made."""
        self.left = min(self.most, self.left + self.share)

    def take(self) -> bool:
        """Whether an extra attempt may be made; if so, it is paid for."""
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True
