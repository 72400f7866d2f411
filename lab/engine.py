"""A call through its policies to a provider, and onto the ledger."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from lab import errors, keys, ledger, redact, rows
from lab.loop import LagMeter, Turnstile
from lab.model import Answer, Attempt, Call, Event, Reply, Usage
from lab.payload import Clean, Payload, digest
from lab.policies import Budget, Policy
from lab.policies.budget import Spending
from lab.policies.compose import Memory, composed
from lab.policies.kernel import Try
from lab.record import Recorder, Source

Deliver = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class stand_in:
    """A plain (or async) function `Call -> str | Answer` in a provider's place."""

    function: Callable[[Call], Any]

    async def open(self, call: Call, *, connect: float | None = None) -> AsyncGenerator[Event]:
        """One attempt: the whole answer is its only piece."""
        loop = asyncio.get_running_loop()
        yield Event("sent", loop.time(), way="function")
        found = self.function(call)
        found = await found if isinstance(found, Awaitable) else found
        answer = found if isinstance(found, Answer) else Answer(text=found, finish_reason="stop", usage=Usage())
        if answer.text:
            yield Event("piece", loop.time(), text=answer.text)
        yield Event("done", loop.time(), answer=answer)

    async def worst_case(self, call: Call) -> float | None:
        """A function's price is not known."""
        return None

    async def close(self) -> None:
        """Nothing to let go of."""


class Engine:
    """Runs calls on one event loop; `memory` is what their policies remember between them."""

    def __init__(self, source: Source, book: ledger.Ledger, payload: Payload | None = None):
        self.payload = payload or Payload()
        self.memory = Memory()
        self._source = source
        self._ledger = book
        self._lag = LagMeter()
        self._turns = Turnstile()

    async def run(self, call: Call, policy: Policy, deliver: Deliver | None = None) -> Reply:
        """One call, whole: its rows are on disk before this returns or raises.

        `deliver` is called with each piece of text as it arrives.
        """
        began, came = time.time(), asyncio.get_running_loop().time()
        clean, whole = self.payload.clean(call), self.payload.whole(call)
        config, content = configuration(call, policy, clean)
        begin = rows.begin_call(call, began, config, content, clean, whole=whole)
        connect, total = (policy.timeout.connect, policy.timeout.total) if policy.timeout else (None, None)
        deadline = None if total is None else came + total
        made = Recorder(call, self._source, self._ledger, self._lag, connect, clean, whole, pending=list(begin))
        end = _End(self._ledger, call, made, began, begin, whole)
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
            reply, known = await keys.once(call, self._ledger, asked, deadline)
            if known:
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
        events = composed(policy, self.memory, made.open, made.around)(
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

    async def worst(self, call: Call, policy: Policy) -> float | None:
        """The most that `call` may cost under `policy`, in US dollars; None where a price is unknown."""
        models = [call.model, *(policy.fallback.models if policy.fallback else ())]
        each = [await self._source.worst_case(replace(call, model=model)) for model in models]
        if policy.hedge and policy.hedge.model:
            hedge = await self._source.worst_case(replace(call, model=policy.hedge.model))
            each = [None if one is None or hedge is None else (one + hedge) / 2 for one in each]
        tries = policy.worst_attempts() // len(models)
        return None if any(one is None for one in each) else tries * sum(one or 0.0 for one in each)

    async def reserve(self, call: Call, policy: Policy) -> float:
        """The most that `call` may cost under `policy`, set aside in its budget. Raises `BudgetError`."""
        assert policy.budget is not None
        known = await self.worst(call, policy)
        scope = self.payload.clean(call).text(policy.budget.scope(call, time.time()))
        await self.spending(policy.budget).reserve(scope, known, call.model)
        return known or 0.0

    async def state(self) -> list[dict[str, Any]]:
        """What the policies hold now, a row a model: see `Memory.state`."""
        return self.memory.state()

    def spending(self, budget: Budget) -> Spending:
        """What this budget has spent, with the ledger's figures behind it."""

        async def spent(scope: str) -> float:
            return await asyncio.to_thread(ledger.spent, self._ledger, budget.per, scope)

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
            self._worst = await self._engine.reserve(self._call, self._policy)

    async def __aexit__(self, *_: object) -> None:
        if self._policy.budget is not None:
            self._engine.spending(self._policy.budget).settle(self._scope, self._worst, self._made.cost())


class _End:
    """How a call ends on the ledger."""

    def __init__(
        self,
        book: ledger.Ledger,
        call: Call,
        made: Recorder,
        began: float,
        begin: list[rows.Statement],
        whole: bool,
    ):
        self._ledger, self._call, self._made, self._began, self._begin = book, call, made, began, begin
        self._whole, self._clean = whole, made.clean

    async def answered(self, done: Event) -> Reply:
        """The reply, once its row is on disk."""
        answer, winner = done.answer, self._made.attempts[done.attempt - 1]
        assert answer is not None
        winner.won = True
        reply = Reply(
            text=answer.text,
            call_id=self._call.call_id,
            model=self._call.model,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            cost=self._made.cost(),
            latency=winner.latency or 0.0,
            ttft=winner.ttft,
            queue=self._queue() or 0.0,
            attempts=len(self._made.sent()),
            answered_by=answer.answered_by,
            tool_calls=answer.tool_calls,
            hedged=any(row.role == "hedge" for row in self._made.sent()),
            fell_back=winner.model != self._call.model and winner.role != "hedge",
        )
        await self._on_disk(self.put("ok", winner), reply, None)
        return reply

    async def known(self, reply: Reply) -> None:
        """The reply was stored under the call's key: this call's own row says so, and cost nothing."""
        values = {
            "ended_at": time.time(),
            "status": "ok",
            "cached": True,
            "cost": 0.0,
            "answered_by": reply.answered_by,
            "finish_reason": reply.finish_reason,
        }
        await self._on_disk(self._finish(self._words("ok", values, reply.text, reply.tool_calls)), reply, None)

    async def failed(self, failure: errors.LabError) -> None:
        """The failure's evidence, and its rows on disk."""
        known = self._clean.secrets
        failure.args = (redact.text(str(failure), known),)
        failure.call_id, failure.attempts = self._call.call_id, len(self._made.sent())
        failure.cost = self._made.cost()
        last = next(reversed(self._made.sent()), None)
        if failure.phase == "total" and last is not None and last.status == "cancelled":
            failure.partial = failure.partial or last.partial
            last.status, last.kind, last.phase, last.error = "failed", failure.kind, "total", str(failure)
        await self._on_disk(self.put("failed", last, failure), None, failure)

    def put(
        self, status: str, row: Attempt | None, failure: errors.LabError | None = None, error: str | None = None
    ) -> Future[None]:
        """Queue the rows that say how the call ended; `row` is the attempt that decided it."""
        sent = self._made.sent()
        row = row or next(reversed(sent), None)
        answer = row.answer if row else None
        values: dict[str, Any] = {
            "ended_at": time.time(),
            "status": status,
            "kind": failure.kind if failure else None,
            "phase": failure.phase if failure else None,
            "reason": failure.reason if failure else None,
            "error": self._clean.text(str(failure) if failure else error or "") or None,
            "n_attempts": len(sent),
            "latency": row.latency if row else None,
            "ttft": row.ttft if row else None,
            "queue": self._queue(),
            "cost": self._made.cost(),
            "cost_estimated": self._made.cost_estimated(),
            "hedged": any(one.role == "hedge" for one in sent),
            "fell_back": bool(row and row.role == "fallback") or any(one.role == "fallback" for one in sent),
        }
        if answer is not None:
            values |= {
                "answered_by": answer.answered_by,
                "finish_reason": answer.finish_reason,
                "input_tokens": answer.usage.input_tokens,
                "output_tokens": answer.usage.output_tokens,
            }
        text = answer.text if answer else (failure.partial if failure else row.partial if row else "")
        tools = answer.tool_calls if answer else ()
        if row is not None:
            self._made.changed[row.number] = row
        if status == "failed" and not self._whole:  # what its attempts were told is kept after all
            self._made.whole = True
            self._made.changed = {one.number: one for one in self._made.sent()}
        statements = keys.finished(self._call) if status == "ok" else []
        return self._finish(self._words(status, values, text, tools), *statements)

    def _words(self, status: str, values: dict[str, Any], text: str, tools: Sequence[Any]) -> list[rows.Statement]:
        """The rows of the call's end, with its words where they are kept: always those of a failure, and the answer
        under a key."""
        call, clean = self._call, self._clean
        answer, calls = clean.answer(text, tools)
        if self._whole:
            return rows.end_call(call.call_id, values, answer, calls)
        if status == "failed":
            update, *words = rows.end_call(call.call_id, values, answer, calls)
            return [update, rows.said(call, clean), *words]
        told = (answer, calls) if call.key is not None and status == "ok" else (None, None)
        return rows.end_call(call.call_id, values, *told, digest(call, text, tools))

    def _finish(self, end: list[rows.Statement], *others: rows.Statement) -> Future[None]:
        """Queue the end, and before it whatever still waits to be written."""
        self._made.ended = True
        return self._ledger.finish(self._begin, end, *others, before=self._made.taken())

    def _queue(self) -> float | None:
        """Seconds between intake and the first request."""
        return None if self._made.first_sent is None else max(0.0, self._made.first_sent - self._began)

    async def _on_disk(self, done: Future[None], reply: Reply | None, failure: errors.LabError | None) -> None:
        """Wait for the commit. Raises `LedgerError`, with the reply that was paid for, where it fails."""
        try:
            await asyncio.wrap_future(done)
        except errors.LedgerError as unwritten:
            state = "failed" if failure else "ok"
            raise errors.LedgerError(f"{unwritten} (the call itself: {state})", reply=reply) from failure


def configuration(call: Call, policy: Policy, clean: Clean) -> tuple[str, str]:
    """The configuration a call ran under: a hash of its content, and the content as JSON with secrets masked."""
    said = {"model": call.model, "params": clean.deep(redact.params(call.params))}
    content = (
        f'{json.dumps(said, sort_keys=True, default=str, ensure_ascii=False)[:-1]}, "policy": {_policy_json(policy)}}}'
    )
    return hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:12], content


@lru_cache(maxsize=256)
def _policy_json(policy: Policy) -> str:
    return json.dumps(policy.content(), sort_keys=True)
