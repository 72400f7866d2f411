"""A policy as a whole: how a call is bounded and recovered, and what that may cost at worst."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from lab.policies.breaker import Breaker
from lab.policies.budget import Budget
from lab.policies.fallback import Fallback
from lab.policies.hedge import Hedge
from lab.policies.limit import Limit
from lab.policies.retry import Retry
from lab.policies.timeout import Timeout

_TYPES = {
    "budget": Budget,
    "timeout": Timeout,
    "fallback": Fallback,
    "retry": Retry,
    "hedge": Hedge,
    "breaker": Breaker,
    "limit": Limit,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a call is bounded and recovered. `None` for a part turns it off."""

    timeout: Timeout | None = field(default_factory=Timeout)
    retry: Retry | None = field(default_factory=Retry)
    hedge: Hedge | None = None
    fallback: Fallback | None = None
    limit: Limit | None = field(default_factory=Limit)
    breaker: Breaker | None = field(default_factory=Breaker)
    budget: Budget | None = None

    def __post_init__(self) -> None:
        for name, kind in _TYPES.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise TypeError(f"Policy({name}={value!r}): a {kind.__name__}(...), or None to turn it off")

    def content(self) -> dict[str, Any]:
        """The policy as plain JSON values, as the ledger keeps it."""
        return {name: asdict(part) if (part := getattr(self, name)) else None for name in _TYPES}

    def worst_attempts(self) -> int:
        """The most requests that one call can make."""
        tries = self.retry.attempts if self.retry else 1
        models = 1 + len(self.fallback.models) if self.fallback else 1
        return models * tries * (2 if self.hedge else 1)

    def worst_seconds(self) -> float | None:
        """The longest that one call can take, in seconds; None where nothing bounds it.

        Without a total, it is every attempt at its limit and every wait at its longest; the limiter's queue, a
        bounded number of attempts, is not in it.
        """
        if self.timeout is None:
            return None
        if self.timeout.total is not None:
            return self.timeout.total
        if self.timeout.attempt is None:
            return None
        tries = self.retry.attempts if self.retry else 1
        waits = (
            sum(max(self.retry.longest(n), self.retry.max_retry_after) for n in range(1, tries)) if self.retry else 0
        )
        models = 1 + len(self.fallback.models) if self.fallback else 1
        return models * (tries * self.timeout.attempt + waits)
