"""How late the loop is: what the client itself adds to a measured time."""

from __future__ import annotations

import asyncio


class LagMeter:
    """How late the loop runs its timers: what the client itself adds to a measured time.

    Ticks only while something is measured. `worst(since)` is in seconds.
    """

    EVERY = 0.02
    KEEP = 3000

    def __init__(self) -> None:
        self._users = 0
        self._late: list[tuple[float, float]] = []
        self._handle: asyncio.TimerHandle | None = None

    def __enter__(self) -> LagMeter:
        self._users += 1
        if self._handle is None:
            self._next(asyncio.get_running_loop())
        return self

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        if not self._users and self._handle is not None:
            self._handle.cancel()
            self._handle = None
            self._late.clear()

    def worst(self, since: float) -> float:
        """The worst lateness seen since `since` (the loop's clock), the tick that is due now included."""
        loop = asyncio.get_running_loop()
        overdue = max(0.0, loop.time() - self._due)
        return max([overdue, *(late for at, late in self._late if at >= since)])

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = loop.time() + self.EVERY
        self._handle = loop.call_at(self._due, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        if now - self._due > 0.001:
            self._late.append((now, now - self._due))
            del self._late[: -self.KEEP]
        self._next(loop)
