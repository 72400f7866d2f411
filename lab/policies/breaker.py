"""Leaving a model alone while it fails."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Literal

from lab import errors
from lab.policies.kernel import Events, Layer, Proceed, Settings, Try, World
from lab.policies.validate import number, whole_number

State = Literal["closed", "open", "half_open"]
BLAMED: tuple[errors.Kind, ...] = ("transport", "provider", "timeout", "malformed")
"""Kinds that speak of the model's health. A refused request or a 429 does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """When a model is left alone: at least `failure_ratio` of its last attempts failed, with `min_calls` of them
    within `window` seconds. After `cooldown` seconds one probe is let through; it decides."""

    failure_ratio: float = 0.5
    min_calls: int = 20
    window: float = 30.0
    cooldown: float = 15.0

    def __post_init__(self) -> None:
        number(self, "failure_ratio", above=True)
        whole_number(self, "min_calls", least=1)
        number(self, "window", above=True)
        number(self, "cooldown", above=True)
        if self.failure_ratio > 1:
            raise ValueError(f"Breaker(failure_ratio={self.failure_ratio!r}): a share above 0 and up to 1")


class Breaking:
    """One model's breaker: its state, seen by everyone in the process."""

    def __init__(self, breaker: Breaker):
        self.breaker = breaker
        self._now = asyncio.get_running_loop().time
        self._outcomes: deque[tuple[float, bool]] = deque()
        self._failed = 0
        self._opened: float | None = None
        self._probing = False

    @property
    def state(self) -> State:
        """`open` refuses; `half_open` lets one probe through."""
        if self._opened is None:
            return "closed"
        return "open" if self.left() > 0 else "half_open"

    def left(self) -> float:
        """Seconds until a probe is let through."""
        if self._opened is None:
            return 0.0
        return max(0.0, self._opened + self.breaker.cooldown - self._now())

    def enter(self, model: str) -> bool:
        """Whether this attempt is a probe. Raises `BusyError` where it is refused."""
        state = self.state
        if state == "closed":
            return False
        if state == "open" or self._probing:
            wait = self.left() or 1.0
            raise errors.BusyError(
                f"{model} has failed too often and is left alone: ask again in {wait:.1f} s", retry_after=wait
            )
        self._probing = True
        return True

    def leave(self, failed: bool | None, probe: bool) -> None:
        """An attempt ended; `failed` is None where it says nothing about the model."""
        now = self._now()
        if probe:
            self._probing = False
            if failed is not None:
                self._opened = now if failed else None
                self._forget()
            return
        if failed is None:
            return
        self._outcomes.append((now, failed))
        self._failed += failed
        while self._outcomes and self._outcomes[0][0] < now - self.breaker.window:
            self._failed -= self._outcomes.popleft()[1]
        many = len(self._outcomes)
        if (
            self._opened is None
            and many >= self.breaker.min_calls
            and self._failed >= self.breaker.failure_ratio * many
        ):
            self._opened = now
            self._forget()

    def _forget(self) -> None:
        self._outcomes.clear()
        self._failed = 0


async def broken(state: Breaking, attempt: Try, proceed: Proceed) -> Events:
    """`proceed`, unless the model is left alone; what comes of it is counted."""
    probe = state.enter(attempt.model)
    failed: bool | None = None
    events = proceed(attempt)
    try:
        async for event in events:
            if event.kind == "done":
                failed = False
            yield event
    except errors.LabError as failure:
        failed = True if failure.kind in BLAMED else None if failure.kind in ("rate_limit", "busy") else False
        raise
    finally:
        state.leave(failed, probe)
        await events.aclose()


def _around(world: World, below: Proceed) -> Proceed:
    breaker = world.settings.of(Breaker)
    if breaker is None:
        return below

    def proceed(attempt: Try) -> Events:
        state = world.memory.of(lambda: Breaking(breaker), "breaker", breaker, attempt.model)
        return broken(state, attempt, below)

    return proceed


def _says(settings: Settings) -> str | None:
    breaker = settings.of(Breaker)
    return None if breaker is None else f"left alone for {breaker.cooldown:g} s once {breaker.failure_ratio:.0%} fail"


LAYER = Layer("breaker", _around, _says)
