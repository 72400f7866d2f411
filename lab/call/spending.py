"""What a call costs, and what it may come to at worst, in US dollars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from lab.call.record import Recorder, Source
from lab.policies import Policy
from lab.policies.repair import COMPLAINT, QUOTED
from lab.values import Call


async def worst(source: Source, call: Call, policy: Policy) -> float | None:
    """The most that `call` may cost under `policy`; None where a price is unknown."""
    models = [call.model, *(policy.fallback.models if policy.fallback else ())]
    each = [await source.worst_case(replace(call, model=model)) for model in models]
    if policy.hedge and policy.hedge.model:
        hedge = await source.worst_case(replace(call, model=policy.hedge.model))
        each = [None if usd is None or hedge is None else (usd + hedge) / 2 for usd in each]
    checked = bool(call.schema or call.checks)
    tries = policy.worst_attempts(checked) // len(models)
    if any(usd is None for usd in each):
        return None
    return tries * sum(usd or 0.0 for usd in each) + await _told_again(source, call, policy, models, checked)


async def _told_again(source: Source, call: Call, policy: Policy, models: Sequence[str], checked: bool) -> float:
    """What repairs send beyond the prompt, at most: the wrong answer, and what was wrong with it."""
    rounds = policy.repair.attempts - 1 if policy.repair and checked else 0
    if not rounds:
        return 0.0
    limit = call.params.get("max_completion_tokens") or call.params.get("max_tokens") or QUOTED // 4
    tokens = min(limit, QUOTED // 4) + COMPLAINT // 4 + 50
    prices = [await source.price(replace(call, model=model)) for model in models]
    each = policy.worst_attempts() // len(models)
    return rounds * each * tokens * sum(price.input for price in prices if price is not None)


class CallPurse:
    """What the budget's layer is handed of one call."""

    def __init__(self, source: Source, policy: Policy, recorder: Recorder):
        self._source, self._policy, self._recorder = source, policy, recorder

    async def worst(self, call: Call) -> float | None:
        """The most that it, asked like this, may cost; None where a price is unknown."""
        return await worst(self._source, call, self._policy)

    def cost(self) -> float | None:
        """What it has cost so far; None where a price is unknown."""
        return self._recorder.cost()

    def when_over(self, settle: Callable[[], None]) -> None:
        """`settle` once no attempt of it runs any more, and all are on their way to the ledger."""
        self._recorder.when_over(settle)

    def named(self, scope: str) -> str:
        """A scope as the ledger names it."""
        return self._recorder.journal.named(scope)
