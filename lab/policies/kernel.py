"""What policies are made of: a try goes down, the events of an attempt come up.

A policy is a function of a `Try` and of `proceed`, and returns what `proceed` returns: a stream of events that
ends in `done` or raises a `LabError`. It knows neither where the events come from nor where they are kept.
The commit point is the first `piece` handed up: after it nothing is sent again.

A `Layer` puts one policy around what is below it. What it remembers between calls is in the `World`'s memory, and
what it has to look up outside (a price, a stored reply, a gate's verdict) is handed in there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Protocol, TypeVar

from lab import errors
from lab.values import Call, Checked, Claim, Event, Role

T = TypeVar("T")


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


class Memory:
    """What policies remember between calls: one state for each policy and model, kept on one event loop."""

    def __init__(self, random: Random | None = None):
        self.random = random or Random()
        self.states: dict[tuple[Any, ...], Any] = {}

    def of(self, make: Callable[[], T], *key: object) -> T:
        """The state under `key`, made when first asked for."""
        if key not in self.states:
            self.states[key] = make()
        state: T = self.states[key]
        return state


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a policy that are on, found by their type; `checked`: the call has a schema or checks; `model` is
    what it asks, where that is known."""

    parts: tuple[object, ...]
    checked: bool = False
    model: str = ""
    _by_type: dict[type, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_type", {type(part): part for part in self.parts})

    def of(self, kind: type[T]) -> T | None:
        """The setting of this type; None where it is off."""
        part: T | None = self._by_type.get(kind)
        return part


class Findings(Protocol):
    """What the checks made of one answer."""

    @property
    def value(self) -> Any:
        """What the schema made of it; the text itself where there is none."""

    @property
    def checks(self) -> tuple[Checked, ...]:
        """What each check found."""

    @property
    def passed(self) -> bool:
        """Whether all of them passed."""

    @property
    def broken(self) -> bool:
        """Whether a check failed itself: no other answer mends that."""

    def wrong(self) -> list[str]:
        """What is wrong, a line a check."""


class LostLease(Exception):
    """Another process has taken what this one had claimed and not renewed."""


class Claims(Protocol):
    """Who may ask under a call's key, kept where every process sees it."""

    async def take(self) -> Claim:
        """Claim the key, or say how it stands."""

    async def stored(self, call_id: str) -> Event:
        """The `done` of the reply that is stored under the key, with that reply on it."""

    async def renew(self) -> None:
        """Keep the claim alive for as long as this is awaited."""

    def release(self) -> None:
        """Give it back: the call brought no answer."""


class Kept(Protocol):
    """Answers that may be given again, kept where every process sees them."""

    async def take(self) -> Claim:
        """How the request stands: an answer to it is there (`done`), somebody asks it now (`other`), or it is for the
        caller to ask (`mine`)."""

    async def ready(self) -> None:
        """Return once what has to be loaded to ask at all, once, is loaded."""

    async def other(self, seconds: float, deadline: float | None) -> bool:
        """Wait for whoever asks it now, for so long at most where he is in another process. False where he has failed,
        so that there is no use in waiting for the next."""

    async def stored(self) -> Event | None:
        """The `done` of the answer that was there, on record, with the reply on it; None where it won't do any more."""

    async def near(self, deadline: float | None) -> Event | None:
        """The same of an answer to a request in other words; None where there is none that may be given."""

    def answered(self, done: Event) -> None:
        """It was asked, and this came of it: where it is to be compared with what a near one would have brought, it
        is."""

    async def renew(self) -> None:
        """Say that it is still being asked, for as long as this is awaited."""

    def release(self, failed: bool) -> None:
        """Nobody asks it any more; `failed`: it came to nothing, and not because its caller left."""


class Purse(Protocol):
    """What a call costs and may cost, in US dollars."""

    async def worst(self, call: Call) -> float | None:
        """The most that it, asked like this, may cost; None where a price is unknown."""

    def cost(self) -> float | None:
        """What it has cost so far; None where a price is unknown."""

    def when_over(self, settle: Callable[[], None]) -> None:
        """`settle` once no attempt of it runs any more, and all are on their way to the record."""

    def named(self, scope: str) -> str:
        """A scope as the record names it."""


Keeps = Callable[[Call], Kept | None]
"""Where answers to such a call are kept; None where they are not."""


class Changer(Protocol):
    """What changes a call before it is asked: the model of it, or what it says."""

    async def ready(self, call: Call) -> None:
        """Return once what has to be loaded for that, once, is loaded."""

    async def changed(self, call: Call) -> Call:
        """The call as it is asked."""


Spent = Callable[[str, str], Awaitable[float]]
"""What is on record for an experiment, a user or a day (which of them, and its name), in US dollars."""
Examine = Callable[[Event], Awaitable[Findings]]
"""What checks an answer."""
Refused = Callable[[Try, str], Awaitable[str | None]]
"""Why a model may not be asked on this eval set's word; None where it may."""


def _as_it_is(proceed: Proceed) -> Proceed:
    return proceed


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the layers of one call are handed: the settings, what is remembered between calls, and what each of them
    has to look up or tell outside. None is what isn't there: such a layer lets everything pass."""

    settings: Settings
    memory: Memory = field(default_factory=Memory)
    claims: Claims | None = None
    chooser: Changer | None = None
    shortener: Changer | None = None
    kept: Keeps | None = None
    purse: Purse | None = None
    spent: Spent | None = None
    examine: Examine | None = None
    refused: Refused | None = None
    on_record: Callable[[Proceed], Proceed] = _as_it_is
    """Puts the call's end on record before its answer goes up."""
    recorded: Callable[[Proceed], Proceed] = _as_it_is
    """Puts each attempt on record, its timeouts included."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One policy at work on a call. `around` puts it around what is below, or returns that as it is where it is off;
    `says` is what it does, in one line, or None where there is nothing to say."""

    name: str
    around: Callable[[World, Proceed], Proceed]
    says: Callable[[Settings], str | None]


def composed(layers: Sequence[Layer], world: World, source: Proceed) -> Proceed:
    """`source` behind every one of the layers, the first of them outermost."""
    proceed = source
    for layer in reversed(layers):
        proceed = layer.around(world, proceed)
    return proceed


async def delayed(attempt: Try, own: Awaitable[T]) -> tuple[Try, T]:
    """The try once `own`, which takes the lab's time and not the call's, is over, and what it brought: the deadline is
    that much later."""
    now = asyncio.get_running_loop().time
    start = now()
    brought = await own
    took = now() - start
    return (attempt if attempt.deadline is None else replace(attempt, deadline=attempt.deadline + took)), brought


async def changed(changer: Changer, attempt: Try, proceed: Proceed) -> Events:
    """`proceed`, with the call changed before it is asked, within its time."""
    attempt, _ready = await delayed(attempt, changer.ready(attempt.call))
    try:
        async with asyncio.timeout_at(attempt.deadline):
            call = await changer.changed(attempt.call)
    except TimeoutError:
        raise errors.TimeoutError(
            f"{attempt.call.model}: the call was not finished in time: it was not sent yet", phase="total"
        ) from None
    events = proceed(replace(attempt, call=call, model=call.model))
    try:
        async for event in events:
            yield event
    finally:
        await events.aclose()


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
