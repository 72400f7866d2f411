"""A call through its policies to a provider, and onto the ledger."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from lab import errors, redact
from lab.call import idempotency, versions
from lab.call.ending import End
from lab.call.lag import LagMeter
from lab.call.loop import Turnstile
from lab.call.record import Recorder, Source
from lab.checks.kernel import Examined, examined
from lab.ledger import queries, rows, verdicts
from lab.ledger.file import Ledger
from lab.ledger.privacy import Clean, Payload
from lab.policies import Budget, Policy
from lab.policies.budget import Spending
from lab.policies.compose import Memory, composed
from lab.policies.kernel import Try
from lab.policies.repair import COMPLAINT, QUOTED
from lab.values import Call, Event, Price, Reply

Deliver = Callable[[str], None]


class Engine:
    """Runs calls on one event loop; `memory` is what their policies remember between them."""

    def __init__(self, source: Source, book: Ledger, payload: Payload | None = None):
        self.payload = payload or Payload()
        self.memory = Memory()
        self._source = source
        self._ledger = book
        self._lag = LagMeter()
        self._turns = Turnstile()
        self._versions: dict[tuple[str, str], int] = {}

    async def run(self, call: Call, policy: Policy, deliver: Deliver | None = None) -> Reply:
        """One call, whole: its rows are on disk before this returns or raises.

        `deliver` is called with each piece of text as it arrives.
        """
        began, came = time.time(), asyncio.get_running_loop().time()
        call = await self._versioned(call)
        clean, whole = self.payload.clean(call), self.payload.whole(call)
        config, content = configuration(call, policy, clean)
        begin = rows.begin_call(call, began, config, content, clean, whole=whole)
        connect, total = (policy.timeout.connect, policy.timeout.total) if policy.timeout else (None, None)
        deadline = None if total is None else came + total
        made = Recorder(call, self._source, self._ledger, self._lag, connect, clean, whole, pending=list(begin))
        end = End(self._ledger, call, made, began, begin, whole)
        made.soon()

        async def asked() -> Reply:
            await self._turns.enter()
            async with _Held(self, call, policy, made):
                done = await self._answer(call, policy, made, deliver, deadline)
                await self._turns.enter()
            return await end.answered(done)

        try:
            if call.key is None:
                return await asked()
            reply, known = await idempotency.once(call, self._ledger, asked, deadline)
            if known:
                if call.schema is not None:
                    again = await examined(reply.text, call.schema, ())
                    reply = replace(reply, value=again.value, checks=(*again.checks, *reply.checks[1:]))
                if deliver is not None:
                    deliver(reply.text)
                await end.known(reply)
            return reply
        except errors.LabError as failure:
            await end.failed(failure)
            raise
        except asyncio.CancelledError:
            end.put("cancelled", None)  # queued, not awaited: nobody waits for this call
            raise
        except Exception as bug:  # no failure of the call's: it is put on record, and goes on up
            end.put("failed", None, error=redact.text(f"{type(bug).__name__}: {bug}", clean.secrets))
            raise

    async def _answer(
        self, call: Call, policy: Policy, made: Recorder, deliver: Deliver | None, deadline: float | None
    ) -> Event:
        """The event that brought the whole answer, through every policy; each piece is delivered on its way."""
        examine = partial(self._examined, made) if call.schema or call.checks else None
        events = composed(policy, self.memory, made.open, made.around, examine, self._refused)(
            Try(call=call, model=call.model, deadline=deadline)
        )
        done: Event | None = None
        try:
            with self._lag:
                async for event in events:
                    if event.kind == "piece" and deliver is not None:
                        deliver(event.text)
                    elif event.answer is not None:
                        done = event
        finally:
            await events.aclose()
        assert done is not None, "a source ends with `done` or raises"
        return done

    async def _versioned(self, call: Call) -> Call:
        """The call with the number of its prompt's version, which the ledger gives once."""
        if call.prompt is None:
            return call
        key = (call.prompt.name, call.prompt.hash)
        if key not in self._versions:
            self._versions[key] = await asyncio.wrap_future(
                versions.register(self._ledger, call.prompt, self.payload.plain())
            )
        return replace(call, prompt_version=self._versions[key])

    async def _examined(self, made: Recorder, done: Event) -> Examined:
        """What the checks make of an answer; it is on the ledger with the attempt that brought it."""
        assert done.answer is not None
        found = await examined(done.answer.text, made.call.schema, made.call.checks, made.call.variables)
        made.examined(done.attempt, found.checks, found.wrong())
        return found

    async def _refused(self, one: Try, eval_set: str) -> str | None:
        """Why a fallback's model may not be asked: what the last gate on this eval set said."""
        return await asyncio.to_thread(verdicts.refused, self._ledger, eval_set, one.call, one.model)

    async def worst(self, call: Call, policy: Policy) -> float | None:
        """The most that `call` may cost under `policy`, in US dollars; None where a price is unknown."""
        models = [call.model, *(policy.fallback.models if policy.fallback else ())]
        each = [await self._source.worst_case(replace(call, model=model)) for model in models]
        if policy.hedge and policy.hedge.model:
            hedge = await self._source.worst_case(replace(call, model=policy.hedge.model))
            each = [None if one is None or hedge is None else (one + hedge) / 2 for one in each]
        checked = bool(call.schema or call.checks)
        tries = policy.worst_attempts(checked) // len(models)
        if any(one is None for one in each):
            return None
        return tries * sum(one or 0.0 for one in each) + await self._told_again(call, policy, models, checked)

    async def _told_again(self, call: Call, policy: Policy, models: Sequence[str], checked: bool) -> float:
        """What repairs send beyond the prompt, at most: the wrong answer, and what was wrong with it."""
        rounds = policy.repair.attempts - 1 if policy.repair and checked else 0
        if not rounds:
            return 0.0
        limit = call.params.get("max_completion_tokens") or call.params.get("max_tokens") or QUOTED // 4
        tokens = min(limit, QUOTED // 4) + COMPLAINT // 4 + 50
        prices = [await self._source.price(replace(call, model=model)) for model in models]
        each = policy.worst_attempts() // len(models)
        return rounds * each * tokens * sum(price.input for price in prices if price is not None)

    async def price(self, call: Call) -> Price | None:
        """US dollars a token of the call's model; None where it isn't known."""
        return await self._source.price(call)

    async def reserve(self, call: Call, policy: Policy, scope: str) -> float:
        """The most that `call` may cost under `policy`, set aside in its budget. Raises `BudgetError`."""
        assert policy.budget is not None
        known = await self.worst(call, policy)
        await self.spending(policy.budget).reserve(scope, known, call.model)
        return known or 0.0

    async def state(self) -> list[dict[str, Any]]:
        """What the policies hold now, a row a model: see `Memory.state`."""
        return self.memory.state()

    def spending(self, budget: Budget) -> Spending:
        """What this budget has spent, with the ledger's figures behind it."""

        async def spent(scope: str) -> float:
            return await asyncio.to_thread(queries.spent, self._ledger, budget.per, scope)

        return self.memory.of(lambda: Spending(budget, spent), "budget", budget)


class _Held:
    """A call's reservation in its budget, from before the first request to the end."""

    def __init__(self, engine: Engine, call: Call, policy: Policy, made: Recorder):
        self._engine, self._call, self._policy, self._made = engine, call, policy, made
        self._worst = 0.0
        self._scope = ""

    async def __aenter__(self) -> None:
        if self._policy.budget is not None:
            self._scope = self._made.clean.text(self._policy.budget.scope(self._call, time.time()))
            self._worst = await self._engine.reserve(self._call, self._policy, self._scope)

    async def __aexit__(self, *_: object) -> None:
        if self._policy.budget is not None:
            self._engine.spending(self._policy.budget).settle(self._scope, self._worst, self._made.cost())


def configuration(call: Call, policy: Policy, clean: Clean) -> tuple[str, str]:
    """The configuration a call ran under: a hash of its content, and the content as JSON with secrets masked."""
    said = {"model": call.model, "params": clean.deep(redact.params(call.params))}
    if call.schema is not None:
        said["schema"] = clean.deep(json.loads(call.schema.content()))
    if call.checks:
        said["checks"] = [one.content() for one in call.checks]
    content = (
        f'{json.dumps(said, sort_keys=True, default=str, ensure_ascii=False)[:-1]}, "policy": {_policy_json(policy)}}}'
    )
    return hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:12], content


@lru_cache(maxsize=256)
def _policy_json(policy: Policy) -> str:
    return json.dumps(policy.content(), sort_keys=True)
