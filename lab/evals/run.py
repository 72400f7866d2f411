"""Asking the cells of an experiment, so many at once, on the lab's own loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab import errors
from lab.evals import store
from lab.evals.plan import Cell
from lab.evals.scorers import Scorer, scored
from lab.ledger.file import Ledger
from lab.ledger.lease import SECONDS, Lease
from lab.ledger.outcomes import UNANSWERED
from lab.values import Reply

Ask = Callable[[Cell], Awaitable[Reply[Any]]]


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

    def end(self) -> None:
        """Nothing more is asked."""
        self.ended = time.monotonic()

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
    cells: Sequence[Cell],
    ask: Ask,
    book: Ledger,
    scorers: Sequence[Scorer],
    progress: Progress,
    *,
    concurrency: int,
    lease: Lease,
) -> None:
    """Ask each cell once. A failure is a result; a spent budget stops the run, and so does a ledger that can't be
    written. Each answer is scored as it comes."""
    waiting = deque(cells)
    renewing = asyncio.create_task(renewed(lease, progress))
    workers = [
        asyncio.create_task(_work(waiting, ask, book, scorers, progress)) for _ in range(min(concurrency, len(cells)))
    ]
    try:
        await asyncio.gather(*workers)
    finally:
        renewing.cancel()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        progress.end()


async def _work(waiting: deque[Cell], ask: Ask, book: Ledger, scorers: Sequence[Scorer], progress: Progress) -> None:
    while waiting and progress.stopped is None:
        cell = waiting.popleft()
        progress.running += 1
        try:
            reply = await ask(cell)
        except errors.BudgetError as refused:
            if progress.running == 1:  # nothing is set aside for others: this is all that is left
                progress.stopped = str(refused)
            waiting.append(cell)
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
        for scorer in scorers:
            value, message = await scored(scorer, reply.text, reply.value, cell.case.expected)
            book.submit(store.score(reply.call_id, scorer.name, value, message))
        progress.done += 1


async def renewed(lease: Lease, progress: Progress) -> None:
    """Keep the lease while the cells are asked; without it nothing more is asked."""
    while True:
        if not await asyncio.wrap_future(lease.renew()):
            break
        await asyncio.sleep(SECONDS / 3)
    progress.stopped = "another process has taken it over: this one stood still for too long"
