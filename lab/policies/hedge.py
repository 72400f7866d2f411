"""A second request when the first is late, and whichever answers first is taken.

Dean and Barroso, "The Tail at Scale", CACM 56(2), 2013.
"""

from __future__ import annotations

import asyncio
import re
from bisect import insort
from collections import deque
from dataclasses import dataclass, replace
from random import Random

from lab import errors
from lab.policies.kernel import Events, Layer, Proceed, Settings, Tokens, Try, World
from lab.policies.retry import Retry, shared_tokens
from lab.policies.validate import number, whole_number
from lab.values import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedge:
    """When to send a second request, and how many of them at most.

    `after`: seconds, or a quantile such as "p95" of this model's own times to the first token, be it of a thought (to
    the whole answer, for plain calls), learnt from its last 1,000 answers and used once there are `learn` of them.
    `budget`: the share of extra requests over time, in an outage too. `model`: another model to send the second
    request to; None is the same. `follow`: the share of losers that run on to their end, so that their true latency
    is known; 0 is none.
    """

    after: float | str = "p95"
    budget: float = 0.05
    model: str | None = None
    learn: int = 50
    follow: float = 0.02

    def __post_init__(self) -> None:
        if isinstance(self.after, str):
            if not re.fullmatch(r"p([1-9]\d?)(\.\d+)?", self.after):
                raise ValueError(f"Hedge(after={self.after!r}): seconds above 0, or a quantile from 'p1' to 'p99.9'")
        else:
            number(self, "after", above=True)
        number(self, "budget")
        number(self, "follow")
        whole_number(self, "learn", least=2)
        if self.budget > 1 or self.follow > 1:
            raise ValueError(f"Hedge(budget={self.budget!r}, follow={self.follow!r}): shares from 0 to 1")


SAVED = 400
"""Calls whose share of extra requests may be saved up for a bad moment."""


class Latencies:
    """The last times of one kind of answer, and their quantiles."""

    def __init__(self, most: int = 1000):
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []
        self._most = most

    def __len__(self) -> int:
        return len(self._recent)

    def add(self, seconds: float) -> None:
        """One more, and the oldest out."""
        self._recent.append(seconds)
        insort(self._sorted, seconds)
        if len(self._recent) > self._most:
            self._sorted.remove(self._recent.popleft())

    def quantile(self, share: float) -> float:
        """The value that a `share` of them does not exceed (nearest rank)."""
        return self._sorted[min(len(self._sorted) - 1, int(share * len(self._sorted)))]


class Hedging:
    """What one `Hedge` has learnt of one model, and what it may still spend."""

    def __init__(self, hedge: Hedge):
        self.hedge = hedge
        self.tokens = Tokens(hedge.budget, most=max(1.0, hedge.budget * SAVED))
        self.tokens.left = 0.0  # the share holds from the first request on
        self._seen: dict[bool, Latencies] = {True: Latencies(), False: Latencies()}
        self._running: set[asyncio.Task[None]] = set()

    def delay(self, streamed: bool) -> float | None:
        """Seconds to wait before the second request; None while too little is known."""
        if not isinstance(self.hedge.after, str):
            return float(self.hedge.after)
        seen = self._seen[streamed]
        return seen.quantile(float(self.hedge.after[1:]) / 100) if len(seen) >= self.hedge.learn else None

    def may_hedge(self, shared: Tokens | None) -> bool:
        """Whether the share allows one more; if so, it is paid for, here and in the budget shared with retries."""
        return self.tokens.left >= 1.0 and (shared is None or shared.take()) and self.tokens.take()

    def saw(self, streamed: bool, seconds: float) -> None:
        """An answer became usable after so long."""
        self._seen[streamed].add(seconds)

    def hold(self, task: asyncio.Task[None]) -> None:
        """Hold on to a loser that runs on."""
        self._running.add(task)
        task.add_done_callback(self._running.discard)


async def hedged(state: Hedging, shared: Tokens | None, random: Random, attempt: Try, proceed: Proceed) -> Events:
    """`proceed`, and once more if it is late. A failed request never beats one that still runs.

    `shared` is the budget that retries draw on too. Losers are cancelled, but for the share that runs on.
    """
    state.tokens.earn()
    race = _Race(proceed)
    race.start(attempt)
    winner = None
    try:
        delay = state.delay(attempt.call.streamed)
        late = delay is not None and not await race.usable_within(delay) and race.any_running()
        if late and state.may_hedge(shared):
            race.start(replace(attempt, role="hedge", wait=delay or 0.0, model=state.hedge.model or attempt.model))
        winner = await race.winner()
        async for event in race.follow(winner):
            if event.handed and not winner.learnt:
                winner.learnt = True
                state.saw(attempt.call.streamed, race.waited(event.at))
            yield event
    finally:
        await race.leave(winner, lambda: random.random() < state.hedge.follow, state)


class _Branch:
    """One request of a race, pumped into a queue."""

    def __init__(self, events: Events, changed: asyncio.Event):
        self.started = asyncio.get_running_loop().time()
        self.events = events
        self.queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self.usable = False
        self.learnt = False
        self.failure: BaseException | None = None
        self.changed = changed
        self.task = asyncio.create_task(self._pump())

    async def _pump(self) -> None:
        try:
            async for event in self.events:
                if event.kind == "sent":
                    self.started = event.at
                self.queue.put_nowait(event)
                if (event.handed or event.kind == "done") and not self.usable:
                    self.usable = True
                    self.changed.set()
        except errors.LabError as failure:
            self.failure = failure
        except Exception as bug:
            self.failure = bug
        finally:
            await self.events.aclose()
            self.queue.put_nowait(None)
            self.changed.set()


class _Race:
    def __init__(self, proceed: Proceed):
        self._proceed = proceed
        self._branches: list[_Branch] = []
        self._changed = asyncio.Event()

    def start(self, attempt: Try) -> None:
        self._branches.append(_Branch(self._proceed(attempt), self._changed))

    def waited(self, at: float) -> float:
        """Seconds since the first request was sent: where a hedge won, the least that the first would have taken.

        To learn from the winner's own time instead would forget the stragglers, and hedge ever earlier."""
        return at - self._branches[0].started

    def any_running(self) -> bool:
        return any(not branch.task.done() and branch.failure is None for branch in self._branches)

    async def usable_within(self, seconds: float) -> bool:
        """Whether a branch became usable, or all ended, before so long."""
        try:
            async with asyncio.timeout(seconds):
                while self._decided() is None and self.any_running():
                    await self._wait()
        except TimeoutError:
            return False
        return self._decided() is not None

    async def winner(self) -> _Branch:
        """The first usable branch; where all failed, the first of them."""
        while (decided := self._decided()) is None:
            if not self.any_running():
                return self._branches[0]
            await self._wait()
        return decided

    async def follow(self, winner: _Branch) -> Events:
        while (event := await winner.queue.get()) is not None:
            yield event
        if winner.failure is not None:
            raise winner.failure

    async def leave(self, winner: _Branch | None, runs_on: object, state: Hedging) -> None:
        cancelled = []
        for branch in self._branches:
            if branch.task.done():
                continue
            if winner is not None and branch is not winner and callable(runs_on) and runs_on():
                state.hold(branch.task)
                continue
            branch.task.cancel()
            cancelled.append(branch.task)
        if cancelled:
            await asyncio.wait(cancelled)

    def _decided(self) -> _Branch | None:
        return next((branch for branch in self._branches if branch.usable), None)

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()


def _around(world: World, below: Proceed) -> Proceed:
    hedge, retry = world.settings.of(Hedge), world.settings.of(Retry)
    if hedge is None:
        return below

    def proceed(attempt: Try) -> Events:
        state = world.memory.of(lambda: Hedging(hedge), "hedge", hedge, attempt.model)
        shared = None if retry is None else shared_tokens(retry, world.memory, attempt.model)
        return hedged(state, shared, world.memory.random, attempt, below)

    return proceed


def _says(settings: Settings) -> str | None:
    hedge = settings.of(Hedge)
    if hedge is None:
        return None
    after = hedge.after if isinstance(hedge.after, str) else f"{hedge.after:g} s"
    return f"a second request after {after}, at most {hedge.budget:.0%} more"


LAYER = Layer("hedge", _around, _says)
