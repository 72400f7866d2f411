"""Asking again after a failure that another try may mend."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from random import Random
from typing import Literal, get_args

from lab import errors
from lab.policies.kernel import Events, Layer, Memory, Proceed, Settings, Tokens, Try, World, whole
from lab.policies.validate import among, number, whole_number

Jitter = Literal["full", "none"]
DEFAULT: tuple[errors.Kind, ...] = ("transport", "provider", "timeout", "rate_limit", "malformed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often and when to ask again.

    `attempts` counts all of them, the first included. `on`: the kinds that are tried again. The wait before
    retry n is drawn from 0 to `initial * multiplier ** (n - 1)` seconds ("full" jitter), at most `max_delay`
    (Brooker, "Exponential Backoff And Jitter", 2015). A provider's `Retry-After` up to `max_retry_after` seconds
    is obeyed; a longer one ends the call. Extra attempts, hedges included, are at most `share` of the first ones
    over time; None is no limit.
    """

    attempts: int = 3
    on: tuple[errors.Kind, ...] = DEFAULT
    initial: float = 0.5
    multiplier: float = 2.0
    max_delay: float = 30.0
    jitter: Jitter = "full"
    max_retry_after: float = 60.0
    share: float | None = 0.3

    def __post_init__(self) -> None:
        whole_number(self, "attempts", least=1)
        among(self, "on", get_args(errors.Kind), several=True)
        among(self, "jitter", get_args(Jitter))
        for name in ("initial", "multiplier", "max_delay", "max_retry_after", "share"):
            number(self, name, least=0.0, optional=name == "share")

    def longest(self, nth: int) -> float:
        """The longest wait before the `nth` retry (1, 2 ...), in seconds, unless the provider asks for more."""
        try:
            return min(self.max_delay, self.initial * self.multiplier ** (nth - 1))
        except OverflowError:
            return self.max_delay

    def delay(self, nth: int, random: Random) -> float:
        """The wait before the `nth` retry, in seconds."""
        most = self.longest(nth)
        return random.uniform(0.0, most) if self.jitter == "full" else most


async def retried(retry: Retry, tokens: Tokens, random: Random, attempt: Try, proceed: Proceed) -> Events:
    """`proceed`, again where that may help. Never after a piece was handed up, never with a sleep after the last."""
    tokens.earn()
    for nth in range(1, retry.attempts + 1):
        handed = False
        events = proceed(attempt)
        try:
            async for event in events:
                handed = handed or event.handed
                yield event
            return
        except errors.LabError as failure:
            if handed or nth == retry.attempts or failure.kind not in retry.on or failure.phase == "total":
                raise
            wait = _wait(retry, nth, random, failure)
            _refuse_wait(retry, tokens, attempt, failure, wait)
        finally:
            await events.aclose()
        await asyncio.sleep(wait)
        attempt = replace(attempt, role="retry", wait=wait)


def _wait(retry: Retry, nth: int, random: Random, failure: errors.LabError) -> float:
    asked = failure.retry_after
    drawn = retry.delay(nth, random)
    return drawn if asked is None else max(asked, drawn)


def _refuse_wait(retry: Retry, tokens: Tokens, attempt: Try, failure: errors.LabError, wait: float) -> None:
    """Raise `failure` itself, saying why it is not tried again, where the wait is too long or the budget empty."""
    left = None if attempt.deadline is None else attempt.deadline - asyncio.get_running_loop().time()
    if failure.retry_after is not None and failure.retry_after > retry.max_retry_after:
        why = f"it asks for {failure.retry_after:g} s, more than max_retry_after={retry.max_retry_after:g}"
    elif left is not None and wait >= left:
        why = f"the wait of {wait:.1f} s is longer than the {max(0.0, left):.1f} s left"
    elif not tokens.take():
        why = "retries are over their share of all requests"
    else:
        return
    failure.args = (f"{failure}; not tried again: {why}",)
    raise failure


def shared_tokens(retry: Retry, memory: Memory, model: str) -> Tokens:
    """What all extra requests to one model are paid from, hedges included."""
    return memory.of(lambda: _tokens(retry.share), "tokens", retry, model)


def _tokens(share: float | None) -> Tokens:
    return Tokens(0.0, math.inf) if share is None else Tokens(share)


def _around(world: World, below: Proceed) -> Proceed:
    retry = world.settings.of(Retry)
    if retry is None:
        return below

    def held(attempt: Try) -> Events:
        return whole(attempt, below)

    def proceed(attempt: Try) -> Events:
        tokens = shared_tokens(retry, world.memory, attempt.model)
        return retried(retry, tokens, world.memory.random, attempt, below if attempt.call.streamed else held)

    return proceed


def _says(settings: Settings) -> str | None:
    retry = settings.of(Retry)
    if retry is None:
        return None
    waits = ", ".join(f"{retry.longest(nth):g}" for nth in range(1, retry.attempts))
    least = "0 to " if retry.jitter == "full" else ""
    return f"{retry.attempts} attempts, {least}{waits or '0'} s apart, or as long as it asks for"


LAYER = Layer("retry", _around, _says)
