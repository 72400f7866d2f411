"""At most so much at once and so much a minute, one queue a model, two lanes.

A provider's 429 slows the model down for everyone in the process (multiplicative decrease, additive increase),
and it speeds up again as answers come.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from lab import errors
from lab.policies.kernel import Events, Layer, Proceed, Settings, Try, World
from lab.policies.validate import whole_number
from lab.values import Lane

MINUTE = 60.0
LONGEST = 60.0
"""Seconds that a provider's `Retry-After` holds up other calls at most: one answer that says an hour, or the year 9999,
is not believed for all of them. The call that was told so still is (`Retry(max_retry_after=...)`)."""
TURNS = 4
"""Interactive attempts that go before a waiting batch one gets its turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What a model may be asked at most; None is no limit.

    `concurrency`: attempts at once. `rpm`, `tpm`: requests and tokens in any 60 seconds (an estimate is reserved,
    the real usage settles it). `per_user`: attempts at once for one user. `queue`: attempts that may wait; one
    more is refused with `BusyError`, which says how long to wait.
    """

    concurrency: int | None = 64
    rpm: int | None = None
    tpm: int | None = None
    per_user: int | None = None
    queue: int = 1000

    def __post_init__(self) -> None:
        for name in ("concurrency", "rpm", "tpm", "per_user"):
            whole_number(self, name, least=1, optional=True)
        whole_number(self, "queue")


@dataclass(slots=True, eq=False)
class _Slot:
    """An attempt that waits or runs."""

    user: str | None
    place: str
    lane: Lane
    tokens: int
    since: float
    granted: asyncio.Future[None]
    entry: list[float] = field(default_factory=list)


class Limiting:
    """One model's queue: what runs, what waits, and how much was used in the last minute."""

    def __init__(self, limit: Limit):
        self.limit = limit
        self.running = 0
        self.allowed = float(limit.concurrency or 0)
        self._throttled = limit.concurrency is not None
        self._users: Counter[str | None] = Counter()
        self._waiting: dict[Lane, deque[_Slot]] = {"interactive": deque(), "batch": deque()}
        self._ahead = 0
        self._requests: deque[float] = deque()
        self._tokens: deque[list[float]] = deque()
        self._used = 0.0
        self._paused: dict[str, float] = {}
        """Until when nothing is sent to an address under a key, on the loop's clock."""
        self._slowed = 0.0
        self._held = 1.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Attempts in the queue."""
        return sum(len(lane) for lane in self._waiting.values())

    async def enter(self, attempt: Try, tokens: int) -> _Slot:
        """Wait for a turn. Raises `BusyError` at once where the queue is full, or where the provider asked for a
        pause that ends after the call's deadline."""
        loop = asyncio.get_running_loop()
        where = place(attempt)
        until = self._paused.get(where, 0.0)
        pause = until - loop.time()
        if attempt.deadline is not None and pause > 0 and until >= attempt.deadline:
            raise errors.BusyError(
                f"{attempt.model} asked for a pause, which the call can't wait for: ask again in {pause:.1f} s",
                retry_after=pause,
            )
        slot = _Slot(attempt.call.user, where, attempt.call.lane, tokens, loop.time(), loop.create_future())
        self._waiting[slot.lane].append(slot)
        self._grant()
        if slot.granted.done():
            return slot
        if self.waiting > self.limit.queue:
            self._waiting[slot.lane].remove(slot)
            wait = self.expected_wait(where)
            raise errors.BusyError(
                f"{attempt.model} has {self.limit.queue} waiting already: ask again in {wait:.1f} s", retry_after=wait
            )
        try:
            await slot.granted
        except asyncio.CancelledError:
            if slot.granted.done() and not slot.granted.cancelled():
                self.leave(slot)
            elif slot in self._waiting[slot.lane]:
                self._waiting[slot.lane].remove(slot)
                self._grant()
            raise
        return slot

    def leave(self, slot: _Slot, used: int | None = None) -> None:
        """An attempt ended, having `used` so many tokens if that is known."""
        loop = asyncio.get_running_loop()
        self.running -= 1
        self._users[slot.user] -= 1
        if not self._users[slot.user]:
            del self._users[slot.user]
        self._held += 0.1 * (loop.time() - slot.since - self._held)
        if used is not None and slot.entry and self._tokens and slot.entry[0] >= self._tokens[0][0]:
            self._used += used - slot.entry[1]  # it is still within the minute
            slot.entry[1] = used
        self._grant()

    def slow_down(self, retry_after: float | None, where: str) -> None:
        """The provider said 429 at this place: pause there, and half as much at once (at most once a second)."""
        now = asyncio.get_running_loop().time()
        pause = 1.0 if retry_after is None else min(retry_after, LONGEST)
        self._paused = {other: until for other, until in self._paused.items() if until > now}
        self._paused[where] = max(self._paused.get(where, 0.0), now + pause)
        if now - self._slowed >= 1.0:
            self._slowed = now
            self.allowed = max(1.0, (self.allowed if self._throttled else float(self.running)) / 2)
            self._throttled = True

    def speed_up(self) -> None:
        """An answer came: one more at once, for every round of answers."""
        if self._throttled:
            self.allowed += 1 / max(1.0, self.allowed)
            if self.limit.concurrency is not None:
                self.allowed = min(self.allowed, float(self.limit.concurrency))

    def paused(self) -> float:
        """Seconds for which the provider has asked to be left alone, the longest of its places."""
        if not self._paused:
            return 0.0
        return max(0.0, max(self._paused.values()) - asyncio.get_running_loop().time())

    def expected_wait(self, where: str) -> float:
        """About how long one more would wait, in seconds."""
        now = asyncio.get_running_loop().time()
        at_once = max(1.0, self.allowed if self._throttled else float(self.running))
        return max(self._paused.get(where, 0.0) - now, 0.0) + self._held * (self.waiting + 1) / at_once

    def _grant(self) -> None:
        """Start what may start now; come back when time alone will free something."""
        now = asyncio.get_running_loop().time()
        while (slot := self._next(now)) is not None:
            self._waiting[slot.lane].remove(slot)
            if slot.granted.cancelled():  # it gave up, and could not say so yet
                continue
            self._ahead = self._ahead + 1 if slot.lane == "interactive" and self._waiting["batch"] else 0
            self.running += 1
            self._users[slot.user] += 1
            if self.limit.rpm is not None:
                self._requests.append(now)
            if self.limit.tpm is not None:
                slot.entry = [now, slot.tokens]
                self._tokens.append(slot.entry)
                self._used += slot.tokens
            slot.granted.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.waiting and (at := self._frees_at(now)) is not None:
            self._timer = asyncio.get_running_loop().call_at(at, self._grant)

    def _next(self, now: float) -> _Slot | None:
        if not self.waiting:
            return None
        if self._throttled and self.running >= max(1, int(self.allowed)):
            return None
        self._expire(now)
        if self.limit.rpm is not None and len(self._requests) >= self.limit.rpm:
            return None
        first, second = self._waiting["interactive"], self._waiting["batch"]
        if self._ahead >= TURNS:
            first, second = second, first
        return next((slot for lane in (first, second) for slot in lane if self._fits(slot, now)), None)

    def _fits(self, slot: _Slot, now: float) -> bool:
        if self._paused and now < self._paused.get(slot.place, 0.0):
            return False
        if self.limit.per_user is not None and slot.user is not None and self._users[slot.user] >= self.limit.per_user:
            return False
        if self.limit.tpm is None:
            return True
        return not self._tokens or self._used + slot.tokens <= self.limit.tpm

    def _expire(self, now: float) -> None:
        while self._requests and self._requests[0] + MINUTE <= now:  # the timer's own sum: rounding leaves no gap
            self._requests.popleft()
        while self._tokens and self._tokens[0][0] + MINUTE <= now:
            self._used -= self._tokens.popleft()[1]

    def _frees_at(self, now: float) -> float | None:
        moments = list(self._paused.values())
        if self.limit.rpm is not None and self._requests:
            moments.append(self._requests[0] + MINUTE)
        if self.limit.tpm is not None and self._tokens:
            moments.append(self._tokens[0][0] + MINUTE)
        return min((at for at in moments if at > now), default=None)


def place(attempt: Try) -> str:
    """Where an attempt goes and under whose key: what a provider says of one is no word about another."""
    params = attempt.call.params
    key = params.get("api_key")
    return f"{params.get('api_base') or params.get('base_url') or ''} {'' if key is None else hash(str(key))}"


def estimated_tokens(attempt: Try) -> int:
    """What an attempt may use: four characters a token (OpenAI's rule of thumb), and the answer it may have."""
    characters = sum(len(str(message.get("content") or "")) for message in attempt.call.messages)
    params = attempt.call.params
    answer = params.get("max_completion_tokens") or params.get("max_tokens") or 256
    return characters // 4 + (answer if isinstance(answer, int) else 256)


async def limited(
    state: Limiting, attempt: Try, proceed: Proceed, estimate: Callable[[Try], int] = estimated_tokens
) -> Events:
    """`proceed`, in its turn."""
    loop = asyncio.get_running_loop()
    came = loop.time()
    slot = await state.enter(attempt, estimate(attempt))
    used: int | None = None
    events = proceed(replace(attempt, queued=attempt.queued + loop.time() - came))
    try:
        async for event in events:
            if event.answer is not None:
                used = event.answer.usage.input_tokens + event.answer.usage.output_tokens
                state.speed_up()
            yield event
    except errors.RateLimitError as failure:
        state.slow_down(failure.retry_after, place(attempt))
        raise
    finally:
        state.leave(slot, used)
        await events.aclose()


def _around(world: World, below: Proceed) -> Proceed:
    limit = world.settings.of(Limit)
    if limit is None:
        return below

    def proceed(attempt: Try) -> Events:
        state = world.memory.of(lambda: Limiting(limit), "limit", limit, attempt.model)
        return limited(state, attempt, below)

    return proceed


def _says(settings: Settings) -> str | None:
    limit = settings.of(Limit)
    if limit is None:
        return None
    bounds = [("at once", limit.concurrency), ("requests", limit.rpm), ("tokens", limit.tpm)]
    lines = [f"{most} {what}{'' if what == 'at once' else ' a minute'}" for what, most in bounds if most]
    return ", ".join(lines) or "none"


LAYER = Layer("limit", _around, _says)
