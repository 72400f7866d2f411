"""A call's look into the cache, in the ledger: see `lab.policies.cache` for what is done with it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from lab.call.near.hits import NearHits
from lab.call.patience import by
from lab.call.rereading import read_again
from lab.ledger import answers, cached
from lab.ledger.file import Ledger
from lab.ledger.lease import SECONDS, Lease
from lab.policies.cache import Cache
from lab.policies.kernel import LostLease, Memory
from lab.values import CachedAs, Call, Claim, Event, Reply

T = TypeVar("T")


@dataclass(slots=True)
class Flight:
    """A request that is being asked in this process, until it is `over`; then the `reply` that came of it, if any, and
    whether it `failed`."""

    over: asyncio.Event = field(default_factory=asyncio.Event)
    reply: Reply[Any] | None = None
    failed: bool = False


def request_of(call: Call, cache: Cache) -> str | None:
    """A hash of what has to be the same for an answer to be given again; None for what can't be told from others, or
    is not to be kept."""
    if (cache.scope == "prompt" and call.prompt is None) or (cache.scope == "user" and call.user is None):
        return None
    content = [[dict(message) for message in call.messages], answers.around(call, cache.scope), call.cell]
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
        near: NearHits | None,
        ready: Callable[[], Awaitable[None]],
        deadline: float | None,
    ):
        """`near` looks for requests in other words; `ready` returns once what has to be loaded to ask is loaded;
        `deadline` is for how long the ledger is waited for."""
        self._book, self._call, self._request, self._cache, self._near = book, call, request, cache, near
        self._ready, self._deadline = ready, deadline
        self.on_record: Callable[[Reply[Any]], Awaitable[Reply[Any] | None]]
        """Puts a kept reply on this call's record; None where its key was lost. Set once the record is there."""
        self._lease = Lease(book, "cache", request)
        self._flights: dict[str, Flight] = memory.of(dict, "cache")
        self._mine: Flight | None = None
        self._theirs: Flight | None = None
        self._holder = ""
        self._found: Reply[Any] | None = None
        self._joined: Reply[Any] | None = None
        self._refused: set[str] = set()
        self._own, self._dropped = False, False

    async def ready(self) -> None:
        """See `lab.policies.kernel.Kept`."""
        await self._ready()

    async def take(self) -> Claim:
        """See `lab.policies.kernel.Kept`."""
        if self._joined is not None:
            self._found, self._joined = self._joined, None
            return Claim("done", self._found.call_id)
        self._theirs = self._flights.get(self._request)
        if self._theirs is not None:
            return Claim("other")
        try:
            claim = await by(self._deadline, asyncio.wrap_future(self._book.transact(self._taken)))
        except BaseException:
            self._lease.drop()  # what is queued may still take it
            raise
        if claim.state == "mine":
            self._mine = self._flights[self._request] = Flight()
        return claim

    def _taken(self, db: sqlite3.Connection) -> Claim:
        since = 0.0 if self._cache.ttl is None else time.time() - self._cache.ttl
        call_id = cached.found(db, self._request, since)
        if call_id is not None and call_id not in self._refused:
            try:
                self._found = answers.stored(db, call_id)
                return Claim("done", call_id)
            except LookupError:  # another tool has removed it
                db.execute("DELETE FROM cache_entries WHERE request = ?", (self._request,))
        if self._lease.taken(db) is not None:
            self._holder = self._holder or self._lease.holder(db)
            return Claim("other")
        if self._near is not None:
            self._near.look(db, since)
        return Claim("mine")

    async def other(self, seconds: float, deadline: float | None) -> bool:
        """See `lab.policies.kernel.Kept`."""
        flight = self._theirs
        if flight is None:
            await asyncio.sleep(seconds)
            holder = await asyncio.wrap_future(self._book.transact(self._lease.holder))
            return holder in ("", self._holder)
        try:
            async with asyncio.timeout_at(deadline):
                await flight.over.wait()
        except TimeoutError:
            return True  # the caller sees that its time is over
        self._joined = flight.reply
        return not flight.failed

    async def stored(self) -> Event | None:
        """See `lab.policies.kernel.Kept`."""
        assert self._found is not None
        reply, passed = await read_again(self._found, self._call.schema)
        if not passed:  # a validator, which no JSON schema has, is another one now
            self._refused.add(reply.call_id)
            return None
        return await self._given(reply, "exact")

    async def near(self, deadline: float | None) -> Event | None:
        """See `lab.policies.kernel.Kept`."""
        reply = None if self._near is None else await self._near.found(deadline)
        return None if reply is None else await self._given(reply, "near")

    async def _given(self, reply: Reply[Any], how: CachedAs) -> Event:
        came: dict[str, Any] = {"call_id": self._call.call_id, "cached": how, "cached_from": reply.call_id}
        took = reply.elapsed if reply.latency else None  # out of a batch: nobody would have waited that long
        came |= {"cost": 0.0, "saved": reply.cost, "saved_seconds": took}
        came |= {
            "latency": 0.0,
            "ttft": None,
            "thinking": None,
            "queue": 0.0,
            "attempts": 0,
            "hedged": False,
            "fell_back": False,
        }
        recorded = await self.on_record(replace(reply, **came))
        if recorded is None:
            raise LostLease
        return Event("done", asyncio.get_running_loop().time(), reply=recorded)

    def answered(self, done: Event) -> None:
        """See `lab.policies.kernel.Kept`."""
        reply = done.reply
        assert reply is not None
        if not reply.valid:
            return
        if self._mine is not None:
            self._mine.reply = reply
        if self._near is not None and self._own:
            self._near.compare(reply)

    async def keeping(self, text: str, tools: Any) -> Callable[[sqlite3.Connection], None]:
        """What keeps an answer of the model that was asked, in the transaction that puts the call's end on record."""
        self._own = True
        bounds = cached.Bounds(self._cache.ttl, self._cache.entries, self._cache.megabytes * 1e6)
        likeness = None if self._near is None else await self._near.likeness()
        size = len(text.encode("utf-8", "replace")) + (len(json.dumps(tools)) if tools else 0)

        def keep(db: sqlite3.Connection) -> None:
            cached.put(db, self._request, self._call.call_id, size, likeness, bounds)
            self._lease.dropped(db)
            self._dropped = True

        return keep

    async def renew(self) -> None:
        """See `lab.policies.kernel.Kept`."""
        while True:
            await asyncio.sleep(SECONDS / 3)
            if not await asyncio.wrap_future(self._lease.renew()):
                return

    def release(self, failed: bool) -> None:
        """See `lab.policies.kernel.Kept`."""
        if self._near is not None:
            self._near.close()
        flight = self._mine
        if flight is not None:
            self._mine = None
            flight.failed = failed
            del self._flights[self._request]
            flight.over.set()
            if failed or not self._dropped:
                self._lease.drop()
