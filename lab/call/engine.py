"""A call through its layers to a provider, and onto the ledger."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from lab.call import caching, intake, spending, versions
from lab.call.caching import CallCache
from lab.call.ending import Ending
from lab.call.idempotency import KeyClaims
from lab.call.lag import LagMeter
from lab.call.loop import Turnstile
from lab.call.near.certifying import JUDGED, Comparison
from lab.call.near.hits import NearHits
from lab.call.near.words import embedded_by, packed, words_of
from lab.call.patience import by
from lab.call.record import Recorder, Source
from lab.call.routing import Chooser, Routing
from lab.call.short.shortening import Shortening
from lab.checks.kernel import Examined, examined
from lab.ledger import queries, verdicts
from lab.ledger.file import Ledger
from lab.ledger.journal import VISIBLE, Journal
from lab.ledger.privacy import Payload
from lab.policies import Compress, Policy
from lab.policies.compose import LAYERS, held
from lab.policies.kernel import Events, Memory, Proceed, Try, World, composed, delayed
from lab.policies.route import router_of
from lab.values import Call, Event, Price, Reply

Deliver = Callable[[Event], None]


class Engine:
    """Runs calls on one event loop; `memory` is what their policies remember between them."""

    def __init__(
        self, source: Source, book: Ledger, payload: Payload | None = None, *, visible: float | None = VISIBLE
    ):
        """`visible`: after how many seconds a call that still runs is on the ledger; None: once it is over."""
        self._visible = visible
        self.payload = payload or Payload()
        self.memory = Memory()
        self._source = source
        self._ledger = book
        self._lag = LagMeter()
        self._turns = Turnstile()
        self._versions: dict[tuple[Any, ...], int] = {}
        self._aside: Executor | None = None
        self.routing = Routing(book, self.memory)

    async def run(self, call: Call, policy: Policy, deliver: Deliver | None = None) -> Reply[Any]:
        """One call, whole: its rows are on disk before this returns or raises.

        `deliver` is called with each piece of the answer, and of what is thought before it, as it arrives.
        """
        began, came = time.time(), asyncio.get_running_loop().time()
        connect, total = (policy.timeout.connect, policy.timeout.total) if policy.timeout else (None, None)
        deadline = None if total is None else came + total
        call = await by(deadline, self._versioned(call))
        journal = Journal(self._ledger, self.payload, call, _as_json(policy), began, self._visible)
        recorder = Recorder(call, self._source, journal, self._lag, connect)
        claims = None if call.key is None else KeyClaims(self._ledger, call, deadline)
        ending = Ending(call, recorder, journal, began, deadline, claims.lease if claims else None)
        checked = bool(call.schema or call.checks)
        world = World(
            settings=policy.settings(checked),
            memory=self.memory,
            claims=claims,
            chooser=self._chooser(call, recorder),
            shortener=self._shortening(policy.compress, recorder),
            kept=partial(self._cached, policy, ending, recorder),
            purse=spending.CallPurse(self._source, policy, recorder),
            spent=partial(self._spent, deadline),
            examine=partial(self._examined, recorder) if checked else None,
            refused=self._refused,
            on_record=lambda below: partial(self._ended, ending, below),
            recorded=recorder.around,
        )
        proceed = composed(LAYERS, world, recorder.open)
        first = Try(call=call, model=call.model, deadline=deadline)
        try:
            reply = await self._reply(proceed(first), deliver)
            if reply.cached is True:  # out of the cache it is on record already
                await ending.known(reply)
                return replace(reply, asked=call.messages)
            return reply
        except BaseException as end:
            await ending.ended_in(end)
            raise

    async def _reply(self, events: Events, deliver: Deliver | None) -> Reply[Any]:
        """What comes of the call; each piece is delivered on its way."""
        reply: Reply[Any] | None = None
        try:
            with self._lag:
                async for event in events:
                    if deliver is not None and (event.handed or event.kind == "token"):
                        deliver(event)
                    elif event.reply is not None:
                        reply = event.reply
        finally:
            await events.aclose()
        assert reply is not None, "a source ends with `done` or raises"
        return reply

    async def _ended(self, ending: Ending, below: Proceed, attempt: Try) -> Events:
        """The events of `below`; the last, with the answer, or its failure once all is over and on disk."""
        ending.asked = attempt.call
        await self._turns.enter()
        done: Event | None = None
        try:
            attempt, _ready = await delayed(attempt, self._source.ready(attempt.call))
            ending.deadline = attempt.deadline
            events = below(attempt)
            try:
                async for event in events:
                    if event.answer is None:
                        yield event
                    else:
                        done = event
            finally:
                await events.aclose()
        except BaseException as end:
            await ending.ended_in(end)
            raise
        assert done is not None, "a source ends with `done` or raises"
        assert done.answer is not None
        if ending.asked_for(done):
            self.routing.answered(attempt.call, done.answer.answered_by)
        await self._turns.enter()
        yield await ending.answered(done)

    async def _versioned(self, call: Call) -> Call:
        """The call with the number of its prompt's version, which the ledger gives once."""
        if call.prompt is None:
            return call
        key = (call.prompt.name, call.prompt.hash, call.prompt.passages, call.prompt.question, call.prompt.stable)
        if key not in self._versions:
            self._versions[key] = await asyncio.wrap_future(
                versions.register(self._ledger, call.prompt, self.payload.clean(call))
            )
        return replace(call, prompt_version=self._versions[key])

    async def _examined(self, recorder: Recorder, done: Event) -> Examined:
        """What the checks make of an answer; it is on the ledger with the attempt that brought it."""
        assert done.answer is not None
        call = recorder.call
        findings = await examined(done.answer.text, call.schema, call.checks, call.variables)
        recorder.examined(done.attempt, findings)
        return findings

    def _chooser(self, call: Call, recorder: Recorder) -> Chooser | None:
        """What chooses the call's model; None where it names one itself."""
        if router_of(call.model) is None:
            return None
        return Chooser(self.routing, partial(self.embedded, recorder=recorder))

    def _shortening(self, compress: Compress | None, recorder: Recorder) -> Shortening | None:
        """What makes the call shorter; None where nothing does."""
        if compress is None:
            return None
        embed, told = partial(self.embedded, recorder=recorder), recorder.journal.left_out
        return Shortening(compress, self.memory, embed, self._source.tokens, told)

    def _cached(self, policy: Policy, ending: Ending, recorder: Recorder, call: Call) -> CallCache | None:
        """What the cache's layer is handed; None where it is off, or the call can't be told from others."""
        ending.asked = call
        cache, near = policy.cache, None
        request = None if cache is None else caching.request_of(call, cache)
        if cache is None or request is None:
            return None
        if cache.near is not None and (words := words_of(call, cache)) is not None:
            embed, judge = partial(self.embedded, recorder=recorder), partial(self._judged, policy, call)
            near = NearHits(self._ledger, call, words, cache.near, self.memory, embed=embed, judge=judge)
        ready, deadline = partial(self._source.ready, call), ending.deadline
        ending.kept = CallCache(
            self._ledger, call, request, cache, self.memory, near=near, ready=ready, deadline=deadline
        )
        ending.kept.on_record = ending.known
        return ending.kept

    async def embedded(self, embedder: Any, text: str, recorder: Recorder | None = None) -> bytes:
        """The embedding of a text, by a model's name or a function; what it costs is a cost of the recorder's call."""
        if not isinstance(embedder, str):
            return await embedded_by(embedder, text, self._pool())
        vector, usd = await self._source.embed(embedder, text)
        if recorder is not None:
            recorder.besides = None if usd is None or recorder.besides is None else recorder.besides + usd
        return packed(vector)

    async def _judged(self, policy: Policy, call: Call, judge: Any, comparison: Comparison) -> bool:
        """Whether two answers are the same: by a model, in a call of its own, or by a function of the user's."""
        if not isinstance(judge, str):
            texts = (comparison.kept_answer, comparison.answer)
            said = await asyncio.get_running_loop().run_in_executor(self._pool(), judge, *texts)
            return bool(await said if inspect.isawaitable(said) else said)
        more: dict[str, Any] = {"tags": ("judge",), "user": call.user, "lane": "batch", "params": {}}
        asked = await asyncio.to_thread(
            intake.call_of, comparison.question(), model=judge, streamed=False, schema=JUDGED, **more
        )
        reply = await self.run(asked, replace(policy, cache=None, fallback=None, hedge=None))
        return bool(reply.value["verdict"] == "yes")

    def _pool(self) -> Executor:
        """Where functions of the user's run for the cache: one that hangs holds up nothing else."""
        if self._aside is None:
            self._aside = ThreadPoolExecutor(4, "lab-cache")
        return self._aside

    async def _spent(self, deadline: float | None, per: str, scope: str) -> float:
        """What the ledger has for this experiment, user or day, in US dollars."""
        return await by(deadline, asyncio.to_thread(queries.spent, self._ledger, per, scope))

    async def _refused(self, attempt: Try, eval_set: str) -> str | None:
        """Why a fallback's model may not be asked: what the last gate on this eval set said."""
        return await asyncio.to_thread(verdicts.refused, self._ledger, eval_set, attempt.call, attempt.model)

    async def worst(self, call: Call, policy: Policy) -> float | None:
        """The most that `call` may cost under `policy`, in US dollars; None where a price is unknown."""
        each = [await spending.worst(self._source, asked, policy) for asked in await self.routing.each(call)]
        return None if None in each else max(usd or 0.0 for usd in each)

    async def price(self, call: Call) -> Price | None:
        """US dollars a token of the call's model, for a router the most; None where it isn't known."""
        prices = [await self._source.price(asked) for asked in await self.routing.each(call)]
        known = [price for price in prices if price is not None]
        return max(known, key=lambda price: price.input + price.output) if len(known) == len(prices) else None

    async def close(self) -> None:
        """Let go of what calls have left."""
        if self._aside is not None:
            self._aside.shutdown(wait=False, cancel_futures=True)
        await self._source.close()

    async def state(self) -> list[dict[str, Any]]:
        """What the policies hold now, a row a model: see `lab.policies.compose.held`."""
        return held(self.memory)


@lru_cache(maxsize=256)
def _as_json(policy: Policy) -> str:
    return json.dumps(policy.content(), sort_keys=True)
