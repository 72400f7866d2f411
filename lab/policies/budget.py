"""The caller's own limit on dollars, checked before they are spent."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

from lab import errors
from lab.policies.kernel import Events, Layer, Proceed, Purse, Settings, Spent, Try, World
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


class Spending:
    """What one budget has spent and reserved, by scope. `spent(per, scope)` reads what the ledger knows, in dollars.

    The ledger's figure is read again when it is older than `FRESH` seconds, so that processes that share a ledger
    share the budget too, but for what they have reserved at that moment.
    """

    FRESH = 1.0

    def __init__(self, budget: Budget, spent: Spent):
        self.budget = budget
        self._read = spent
        self._spent: dict[str, tuple[float, float]] = {}
        self._reserved: dict[str, float] = {}

    async def reserve(self, scope: str, worst: float | None, model: str) -> None:
        """Set `worst` dollars aside. Raises `BudgetError` where they don't fit, or where the price is unknown."""
        what = f"${self.budget.usd:g} per {self.budget.per}"
        if worst is None:
            raise errors.BudgetError(
                f"{model} has no known price, so a budget of {what} can't be held: call it without"
            )
        now = asyncio.get_running_loop().time()
        if self.budget.per != "call" and now - self._spent.get(scope, (-1e9, 0.0))[0] > self.FRESH:
            self._spent[scope] = (now, await self._read(self.budget.per, scope))
        left = self.budget.usd - self._spent.get(scope, (0.0, 0.0))[1] - self._reserved.get(scope, 0.0)
        if worst > left:
            raise errors.BudgetError(
                f"this call may cost ${worst:.6f}, and ${max(0.0, left):.6f} of {what} are left: "
                "lower `max_tokens` or the attempts, or raise the budget"
            )
        self._reserved[scope] = self._reserved.get(scope, 0.0) + worst

    def settle(self, scope: str, worst: float, cost: float | None) -> None:
        """The call is over: what it cost (the worst, where that isn't known) takes the reservation's place."""
        self._reserved[scope] -= worst
        if self.budget.per == "call":
            del self._reserved[scope]
            return
        at, spent = self._spent[scope]
        self._spent[scope] = (at, spent + (worst if cost is None else cost))


async def held(spending: Spending, purse: Purse, attempt: Try, proceed: Proceed) -> Events:
    """`proceed`, with the most that the call may cost set aside until it is over and on record."""
    scope = purse.named(spending.budget.scope(attempt.call, time.time()))
    worst = await purse.worst()
    await spending.reserve(scope, worst, attempt.call.model)
    events = proceed(attempt)
    try:
        async for event in events:
            yield event
    finally:
        await events.aclose()
        spending.settle(scope, worst or 0.0, purse.cost())


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
