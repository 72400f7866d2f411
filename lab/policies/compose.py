"""The policies of a call, nested; and what they remember between calls.

    key -> cache -> budget -> total deadline -> fallback -> repair -> retry -> hedge -> breaker -> limit
        -> attempt timeouts -> provider

Outermost first. The breaker and the limiter are inside, one per model, so that they see every attempt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, TypeVar

from lab.policies.breaker import Breaking, broken
from lab.policies.fallback import Fallback, Refused, fallen_back
from lab.policies.hedge import Hedging, hedged
from lab.policies.kernel import Events, Proceed, Tokens, Try, whole
from lab.policies.limit import Limiting, limited
from lab.policies.policy import Policy
from lab.policies.repair import Examine, Repair, repaired
from lab.policies.retry import retried
from lab.policies.timeout import bounded, until

T = TypeVar("T")


class Memory:
    """What policies remember between calls: one state for each policy and model, kept on one event loop."""

    def __init__(self, random: Random | None = None):
        self.random = random or Random()
        self._states: dict[tuple[Any, ...], Any] = {}

    def of(self, make: Callable[[], T], *key: object) -> T:
        """The state under `key`, made when first asked for."""
        if key not in self._states:
            self._states[key] = make()
        return self._states[key]

    def state(self) -> list[dict[str, Any]]:
        """What is held now, a row a model: its `breaker` (closed, open, half_open), the seconds until it is asked again
        (`opens_in`), attempts `running`, `waiting` and `allowed` at once; None for what is off or was not used yet."""
        found: dict[str, dict[str, Any]] = {}
        for key, one in self._states.items():
            if isinstance(one, Breaking):
                row = found.setdefault(key[2], {"model": key[2]})
                if row.get("breaker") in (None, "closed"):  # several policies may watch one model: the worst is shown
                    row |= {"breaker": one.state, "opens_in": one.left()}
            if isinstance(one, Limiting):
                row = found.setdefault(key[2], {"model": key[2]})
                row["running"] = row.get("running", 0) + one.running
                row["waiting"] = row.get("waiting", 0) + one.waiting
                row["allowed"] = min(row.get("allowed", int(one.allowed)), int(one.allowed))
        empty = dict.fromkeys(("breaker", "opens_in", "running", "waiting", "allowed"))
        return [{"model": name, **empty, **row} for name, row in sorted(found.items())]


def composed(
    policy: Policy,
    memory: Memory,
    source: Proceed,
    record: Callable[[Proceed], Proceed] | None = None,
    examine: Examine | None = None,
    refused: Refused | None = None,
) -> Proceed:
    """`source`, behind every policy that is on. `record` is put around each attempt, its timeouts included; `examine`
    is what checks an answer, if anything does; `refused` says why a fallback's model may not be asked."""
    proceed = source
    if policy.timeout is not None:
        proceed = partial(_two, bounded, policy.timeout, proceed)
    if record is not None:
        proceed = record(proceed)
    if policy.limit is not None:
        proceed = partial(_limited, policy, memory, proceed)
    if policy.breaker is not None:
        proceed = partial(_broken, policy, memory, proceed)
    if policy.hedge is not None:
        proceed = partial(_hedged, policy, memory, proceed)
    if policy.retry is not None:
        proceed = partial(_retried, policy, memory, proceed)
    if examine is not None:
        proceed = partial(_repaired, policy.repair or Repair(attempts=1), examine, proceed)
    if policy.fallback is not None:
        proceed = partial(_fallen_back, policy.fallback, refused, proceed)
    if policy.timeout is not None and policy.timeout.total is not None:
        proceed = partial(_until, policy.timeout.total, proceed)
    return proceed


def _two(apply: Callable[..., Events], config: object, proceed: Proceed, attempt: Try) -> Events:
    return apply(config, attempt, proceed)


def _repaired(repair: Repair, examine: Examine, proceed: Proceed, attempt: Try) -> Events:
    return repaired(repair, examine, attempt, proceed)


def _fallen_back(fallback: Fallback, refused: Refused | None, proceed: Proceed, attempt: Try) -> Events:
    return fallen_back(fallback, attempt, proceed, refused)


def _limited(policy: Policy, memory: Memory, proceed: Proceed, attempt: Try) -> Events:
    return limited(memory.of(lambda: Limiting(policy.limit), "limit", policy.limit, attempt.model), attempt, proceed)


def _broken(policy: Policy, memory: Memory, proceed: Proceed, attempt: Try) -> Events:
    state = memory.of(lambda: Breaking(policy.breaker), "breaker", policy.breaker, attempt.model)
    return broken(state, attempt, proceed)


def _hedged(policy: Policy, memory: Memory, proceed: Proceed, attempt: Try) -> Events:
    state = memory.of(lambda: Hedging(policy.hedge), "hedge", policy.hedge, attempt.model)
    shared = _tokens(policy, memory, attempt) if policy.retry is not None else None
    return hedged(state, shared, memory.random, attempt, proceed)


def _retried(policy: Policy, memory: Memory, proceed: Proceed, attempt: Try) -> Events:
    below = proceed if attempt.call.streamed else partial(_whole, proceed)
    return retried(policy.retry, _tokens(policy, memory, attempt), memory.random, attempt, below)


def _whole(proceed: Proceed, attempt: Try) -> Events:
    return whole(attempt, proceed)


def _tokens(policy: Policy, memory: Memory, attempt: Try) -> Tokens:
    return memory.of(lambda: Tokens(policy.retry.share), "tokens", policy.retry, attempt.model)


def _until(total: float, proceed: Proceed, attempt: Try) -> Events:
    """The deadline counts from the call's intake, where the try knows it."""
    deadline = asyncio.get_running_loop().time() + total if attempt.deadline is None else attempt.deadline
    return until(deadline, total, attempt, proceed)
