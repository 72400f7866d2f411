"""A call's look into the cache, in the ledger: see `lab.policies.cache` for what is done with it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from lab import errors, redact
from lab.call.likeness import Closest, Embed, Words, lane_of, words_of
from lab.call.near import Comparison, labelled
from lab.call.patience import by
from lab.checks.kernel import examined
from lab.ledger import answers, cached
from lab.ledger.file import Ledger
from lab.ledger.lease import SECONDS, Lease
from lab.policies.cache import Cache
from lab.policies.kernel import Memory
from lab.values import Call, Claim, Event, Reply

T = TypeVar("T")
OWN = ("local/", "sim/")
"""Models of this machine, which need no key."""


@dataclass(slots=True)
class _Flight:
    """A request that is being asked in this process: the token it is asked under, and when it is over."""

    token: str
    over: asyncio.Event


def request_of(call: Call, cache: Cache) -> str | None:
    """A hash of what has to be the same for an answer to be given again; None for what can't be told from others."""
    params, judged, who = answers.asked_of(call)
    form = params.get("response_format")
    if isinstance(form, type) and hasattr(form, "model_json_schema"):
        params["response_format"] = form.model_json_schema()
    told = call.model.startswith(OWN) or who["api_key"]
    who["environment"] = None if told else redact.credentials(call.model)
    whose = {"user": call.user} if cache.scope == "user" else {}
    if call.prompt is not None:  # another version is another prompt, even where it comes to the same words
        whose |= {"version": call.prompt.hash, "prompt": call.prompt.name if cache.scope == "prompt" else None}
    content = [call.model, [dict(message) for message in call.messages], params, judged, who, whose]
    try:
        return answers.hashed(json.dumps(content, sort_keys=True))
    except (TypeError, ValueError):
        return None


class CallCache:
    """What the cache's layer is handed of one call. Used on one event loop."""

    def __init__(
        self,
        book: Ledger,
        call: Call,
        request: str,
        cache: Cache,
        memory: Memory,
        *,
        deadline: float | None,
        embed: Embed,
        judge: Callable[[str, Comparison], Awaitable[bool]],
    ):
        """`embed` embeds a text by a model's name or a function; `judge` is asked by a model's name whether two answers
        are the same."""
        self._book, self._call, self._request, self._cache = book, call, request, cache
        self._deadline, self._judge = deadline, judge
        self._lease = Lease(book, "cache", request)
        self._flights: dict[str, _Flight] = memory.of(dict, "cache")
        self._background: set[asyncio.Task[None]] = memory.of(set, "cache", "comparisons")
        self._random = memory.random
        self._words: Words | None = None
        self._embedding: Awaitable[bytes] | None = None
        self._found: Reply[Any] | None = None
        self._closest: Closest | None = None
        self._compared, self._kept = False, False
        near = cache.near
        if near is not None and (words := words_of(call, cache)) is not None:
            self._words, self._near, self._lane = words, near, lane_of(call, near)
            self._embedded = embed

    async def take(self) -> Claim:
        """See `lab.policies.kernel.Kept`."""
        flight = self._flights.get(self._request)
        if flight is not None:
            return Claim("other", flight.token)
        claim = await self._decided(self._taken)
        if claim.state == "mine":
            self._flights[self._request] = _Flight(self._lease.token, asyncio.Event())
        return claim

    def _taken(self, db: sqlite3.Connection) -> Claim:
        since = self._since()
        call_id = cached.found(db, self._request, since)
        if call_id is not None:
            try:
                self._found = answers.stored(db, call_id)
                return Claim("done", call_id)
            except LookupError:  # another tool has removed it
                db.execute("DELETE FROM cache_entries WHERE request = ?", (self._request,))
        if self._lease.taken(db) is not None:
            return Claim("other", self._lease.holder(db))
        if self._words is not None:
            self._closest = Closest.among(db, self._words, self._lane, since)
        return Claim("mine")

    def _since(self) -> float:
        return 0.0 if self._cache.ttl is None else time.time() - self._cache.ttl

    async def _decided(self, decide: Callable[[sqlite3.Connection], T]) -> T:
        return await by(self._deadline, asyncio.wrap_future(self._book.transact(decide)))

    async def other(self, seconds: float) -> None:
        """See `lab.policies.kernel.Kept`."""
        flight = self._flights.get(self._request)
        if flight is None:
            await asyncio.sleep(seconds)
            return
        try:
            left = None if self._deadline is None else self._deadline - asyncio.get_running_loop().time()
            async with asyncio.timeout(left):
                await flight.over.wait()
        except TimeoutError:
            return

    async def stored(self) -> Event:
        """See `lab.policies.kernel.Kept`."""
        assert self._found is not None
        reply, call = self._found, self._call
        if call.schema is not None:
            again = await examined(reply.text, call.schema, ())
            reply = replace(reply, value=again.value, checks=(*again.checks, *reply.checks[1:]))
        return self._given(reply, "exact")

    def _given(self, reply: Reply[Any], how: Any) -> Event:
        came: dict[str, Any] = {"call_id": self._call.call_id, "cached": how, "cached_from": reply.call_id}
        came |= {"cost": 0.0, "saved": reply.cost, "saved_seconds": reply.elapsed}
        came |= {"latency": 0.0, "ttft": None, "queue": 0.0, "attempts": 0, "hedged": False, "fell_back": False}
        reply = replace(reply, **came)
        return Event("done", asyncio.get_running_loop().time(), reply=reply)

    async def near(self) -> Event | None:
        """See `lab.policies.kernel.Kept`."""
        if self._words is None:
            return None
        self._embedding = asyncio.ensure_future(self._embedded(self._near.embed, self._words.text))
        if self._closest is None:
            return None
        closest = self._closest = self._closest.chosen(await self._vector())
        if closest is None:
            return None
        drawn = self._random.random() < self._near.shadow
        self._compared = drawn or closest.certificate is None
        if self._compared or not closest.served:
            return None
        reply = await self._decided(lambda db: _stored(db, closest.call_id))
        if reply is None:
            return None
        call = self._call
        if call.schema is not None or call.checks:  # what it is checked against may be among the words that differ
            again = await examined(reply.text, call.schema, call.checks, call.variables)
            if not again.passed:
                return None
            value = None if call.schema is None else again.value
            reply = replace(reply, value=value, checks=again.checks)
        return self._given(reply, "near")

    async def _vector(self) -> bytes:
        """The embedding of what may be said otherwise; empty where the embedding model failed, which is no reason for
        the call to fail. Raises `InvalidRequestError` for one that can't be used at all."""
        assert self._embedding is not None
        try:
            return await self._embedding
        except errors.InvalidRequestError:
            raise
        except errors.LabError:
            return b""

    def answered(self, done: Event) -> None:
        """See `lab.policies.kernel.Kept`."""
        closest, reply = self._closest, done.reply
        if not self._compared or closest is None or reply is None or not reply.valid:
            return
        comparison = labelled(self._book, self._lane, self._near, closest, self._call, reply, self._judge)
        task = asyncio.ensure_future(comparison)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def keeping(self, text: str) -> Callable[[sqlite3.Connection], None]:
        """What keeps the answer, within the transaction that puts the call's end on record."""
        cache, likeness = self._cache, None
        if self._words is not None and self._embedding is not None and (vector := await self._vector()):
            words, rest = self._words.signature, self._words.rest
            likeness = cached.Likeness(
                rest=rest, words=words.words, order=words.order, embedder=self._lane.embedder, vector=vector
            )

        def keep(db: sqlite3.Connection) -> None:
            bounds = cached.Bounds(cache.ttl, cache.entries, cache.megabytes * 1e6)
            cached.put(db, self._request, self._call.call_id, len(text.encode("utf-8", "replace")), likeness, bounds)
            self._lease.dropped(db)
            self._kept = True

        return keep

    async def renew(self) -> None:
        """See `lab.policies.kernel.Kept`."""
        while True:
            await asyncio.sleep(SECONDS / 3)
            if not await asyncio.wrap_future(self._lease.renew()):
                return

    def release(self) -> None:
        """See `lab.policies.kernel.Kept`."""
        flight = self._flights.get(self._request)
        if flight is not None and flight.token == self._lease.token:
            del self._flights[self._request]
            flight.over.set()
            if not self._kept:
                self._lease.drop()
        if self._embedding is not None and isinstance(self._embedding, asyncio.Future) and not self._embedding.done():
            self._embedding.cancel()


def _stored(db: sqlite3.Connection, call_id: str) -> Reply[Any] | None:
    try:
        return answers.stored(db, call_id)
    except LookupError:
        return None
