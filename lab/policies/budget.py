"""The caller's own limit on dollars, checked before they are spent."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Literal, get_args

from lab import errors
from lab.policies.kernel import Events, Layer, Proceed, Purse, Settings, Spent, Try, World, delayed
from lab.policies.validate import among, number
from lab.values import Call

Per = Literal["call", "experiment", "user", "day"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """At most `usd` US dollars per call, per experiment, per user, or per day (UTC).

    A call is refused where the worst it may cost, with every attempt made and every token used, does not fit
    beside what was spent and what is reserved.
    """

    usd: float
    per: Per = "call"

    def __post_init__(self) -> None:
        number(self, "usd", above=True)
        among(self, "per", get_args(Per))

    def scope(self, call: Call, now: float) -> str:
        """Whose spending counts: an experiment's name, a user's, a date, or the call's own identifier."""
        if self.per == "experiment":
            return call.experiment or ""
        if self.per == "user":
            return call.user or ""
        return datetime.fromtimestamp(now, UTC).date().isoformat() if self.per == "day" else call.call_id


FRESH = 1.0
"""Seconds after which what other processes have spent is read again."""


class Account:
    """What one budget has spent and reserved in one scope, in US dollars, on one event loop."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        """Whoever has it is the next to reserve: calls are let in in the order they came."""
        self._reservations: list[float] = []
        self.settled = 0.0
        self._elsewhere = 0.0
        self._read_at = -math.inf
        self.exact = True
        self._changed = asyncio.Event()

    @property
    def reserved(self) -> float:
        """What is set aside for calls that are not over."""
        return math.fsum(self._reservations)

    @property
    def spent(self) -> float:
        """What is on record, and what was settled since that was read; some of it twice, at most, until it is read
        again (`exact` says whether), never less than there is."""
        return self._elsewhere + self.settled

    def stale(self) -> bool:
        """Whether what is on record was read more than `FRESH` seconds ago."""
        return asyncio.get_running_loop().time() - self._read_at > FRESH

    async def read(self, ledger: Callable[[], Awaitable[float]]) -> None:
        """Take over what is on record."""
        self._read_at, settled = asyncio.get_running_loop().time(), self.settled
        on_record = await ledger()
        # what is settled while it is read may be in it already
        self._elsewhere, self.exact = on_record - settled, settled == self.settled

    def reserve(self, worst: float) -> None:
        """Set it aside."""
        self._reservations.append(worst)

    def release(self, worst: float, cost: float | None) -> None:
        """A reservation is over: what was paid (the worst, where that isn't known) takes its place."""
        self._reservations.remove(worst)
        self.settled += worst if cost is None else cost
        self._changed.set()

    async def released(self, deadline: float | None) -> bool:
        """Wait for the end of a reservation; False where the deadline came first."""
        self._changed.clear()
        try:
            async with asyncio.timeout_at(deadline):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True


class Spending:
    """What one budget has spent and reserved, by scope. `spent(per, scope)` reads what the ledger knows, in dollars.

    Processes that share a ledger share the budget, but for what they have reserved, and what the others have spent
    within `FRESH` seconds.
    """

    def __init__(self, budget: Budget, spent: Spent):
        self.budget = budget
        self._read = spent
        self._accounts: dict[str, Account] = {}

    async def reserve(self, scope: str, worst: float | None, attempt: Try) -> None:
        """Set `worst` dollars aside. A call that would fit beside what was spent waits for the reservations in front
        of it, until its deadline. Raises `BudgetError` where it doesn't fit, or where the price is unknown."""
        budget = self.budget
        if worst is None:
            raise errors.BudgetError(
                f"{attempt.model} has no known price, so a budget of ${budget.usd:g} per {budget.per} can't be held:"
                " call it without"
            )
        account = self._accounts.setdefault(scope, Account())
        try:
            async with asyncio.timeout_at(attempt.deadline):
                await account.turn.acquire()
        except TimeoutError:
            raise self._refusal(worst, account) from None
        try:
            await self._fits(account, scope, worst, attempt)
            account.reserve(worst)
        finally:
            account.turn.release()

    async def _fits(self, account: Account, scope: str, worst: float, attempt: Try) -> None:
        """Return once `worst` fits beside what is spent and reserved; raises where it will not."""
        usd, ledger = self.budget.usd, partial(self._read, self.budget.per, scope)
        shared = self.budget.per != "call"
        if shared and account.stale():
            await account.read(ledger)
        while worst > usd - account.spent - account.reserved:
            if not account.exact:
                await account.read(ledger)
                continue
            within = scope in _HOLDING.get()  # of a call that waits for this one: its reservation would never end
            waits = account.reserved and worst <= usd - account.spent
            if within or not waits or not await account.released(attempt.deadline):
                raise self._refusal(worst, account)
            if account.stale():
                await account.read(ledger)

    def settle(self, scope: str, worst: float, cost: float | None) -> None:
        """The call is over: what it cost (the worst, where that isn't known) takes the reservation's place."""
        self._accounts[scope].release(worst, cost)
        if self.budget.per == "call":
            del self._accounts[scope]

    def _refusal(self, worst: float, account: Account) -> errors.BudgetError:
        left = max(0.0, self.budget.usd - account.spent - account.reserved)
        return errors.BudgetError(
            f"this call may cost ${worst:.6f}, and ${left:.6f} of ${self.budget.usd:g} per {self.budget.per} are left: "
            "lower `max_tokens` or the attempts, or raise the budget"
        )


_HOLDING: ContextVar[frozenset[str]] = ContextVar("holding", default=frozenset())
"""Scopes in which the call that runs here has something reserved: a judge's call is one within another."""


async def held(spending: Spending, purse: Purse, attempt: Try, proceed: Proceed) -> Events:
    """`proceed`, with the most that the call may cost set aside until it is over and on record."""
    scope = purse.named(spending.budget.scope(attempt.call, time.time()))
    attempt, worst = await delayed(attempt, purse.worst(attempt.call))
    await spending.reserve(scope, worst, attempt)
    around = _HOLDING.get()
    _HOLDING.set(around | {scope})
    events = proceed(attempt)
    try:
        async for event in events:
            yield event
    finally:
        _HOLDING.set(around)  # the same task may make the next call
        await events.aclose()
        purse.when_over(lambda: spending.settle(scope, worst or 0.0, purse.cost()))


def _around(world: World, below: Proceed) -> Proceed:
    budget, purse, spent = world.settings.of(Budget), world.purse, world.spent
    if budget is None or purse is None or spent is None:
        return below

    def proceed(attempt: Try) -> Events:
        spending = world.memory.of(lambda: Spending(budget, spent), "budget", budget)
        return held(spending, purse, attempt, below)

    return proceed


def _says(settings: Settings) -> str | None:
    budget = settings.of(Budget)
    return None if budget is None else f"${budget.usd:g} per {budget.per}, checked before it is spent"


LAYER = Layer("budget", _around, _says)
