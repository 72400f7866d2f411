"""Asking the cells of an experiment, or the requests of a list, so many at once, on the lab's own loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lab import errors
from lab.ledger.lease import SECONDS, Lease
from lab.ledger.outcomes import UNANSWERED
from lab.values import Reply

T = TypeVar("T")


@dataclass(slots=True)
class Progress:
    """How far a run is: cells `done` of `total` (`known` of them from before), calls that `failed`, US dollars so far
    (calls of unknown cost apart), and seconds since it began. `sent` says how far
    its batches are, in words. `stopped` is why it did before its end, `first` the first failure that was met."""

    total: int
    known: int = 0
    done: int = 0
    failed: int = 0
    cost: float = 0.0
    began: float = field(default_factory=time.monotonic)
    running: int = 0
    ended: float | None = None
    sent: str | None = None
    looked: float = 0.0
    stopped: str | None = None
    first: str | None = None

    @property
    def seconds(self) -> float:
        """Since it began."""
        return (self.ended or time.monotonic()) - self.began

    @property
    def rate(self) -> float:
        """Cells a second, those of this run."""
        return (self.done - self.known) / self.seconds if self.seconds > 0 else 0.0

    @property
    def left(self) -> float | None:
        """Seconds until it is done, at this rate; None before the first cell is."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None


async def run(
    items: Sequence[T],
    ask: Callable[[T], Awaitable[Reply[Any]]],
    progress: Progress,
    *,
    concurrency: int,
    lease: Lease,
) -> None:
    """Ask each of them once. A failure is a result; a spent budget stops the run, and so does a ledger that can't be
    written."""
    waiting = deque(items)
    renewing = asyncio.create_task(_renew(lease, progress))
    workers = [asyncio.create_task(_work(waiting, ask, progress)) for _ in range(min(concurrency, len(items)))]
    try:
        await asyncio.gather(*workers)
    finally:
        renewing.cancel()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        progress.ended = time.monotonic()


async def _work(waiting: deque[T], ask: Callable[[T], Awaitable[Reply[Any]]], progress: Progress) -> None:
    while waiting and progress.stopped is None:
        item = waiting.popleft()
        progress.running += 1
        try:
            reply = await ask(item)
        except errors.BudgetError as refused:
            if progress.running == 1:  # nothing is set aside for others: this is all that is left
                progress.stopped = str(refused)
            waiting.append(item)
            return  # whoever still runs goes on, fewer at once
        except errors.LabError as failure:
            progress.failed += 1
            progress.first = progress.first or str(failure)
            progress.cost += failure.cost or 0.0
            asked = failure.kind not in UNANSWERED and failure.phase != "batch"
            answered = asked and not any(check.broken for check in failure.checks)
            progress.done += answered
            continue
        finally:
            progress.running -= 1
        progress.cost += reply.cost or 0.0
        progress.done += 1


async def _renew(lease: Lease, progress: Progress) -> None:
    """Keep the lease while they are asked; without it nothing more is asked."""
    while True:
        if not await asyncio.wrap_future(lease.renew()):
            break
        await asyncio.sleep(SECONDS / 3)
    progress.stopped = "another process has taken it over: this one stood still for too long"
