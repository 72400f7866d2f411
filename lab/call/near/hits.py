"""A call's look for an answer to a request in other words."""

from __future__ import annotations

import asyncio
import sqlite3
from contextvars import Context
from dataclasses import replace
from importlib import import_module
from typing import Any

from lab import errors
from lab.call.near.certifying import Judge, labelled
from lab.call.near.words import Closest, Embed, Words, lane_of
from lab.checks.kernel import examined
from lab.ledger import answers, cached
from lab.ledger.file import Ledger
from lab.policies.cache import Near
from lab.policies.kernel import Memory
from lab.values import Call, Reply

PATIENCE = 1.0
"""Seconds for which an answer that has come waits for its embedding, so that it can be found in other words."""


class NearHits:
    """The near hits of one call. Used on one event loop."""

    def __init__(
        self, book: Ledger, call: Call, words: Words, near: Near, memory: Memory, *, embed: Embed, judge: Judge
    ):
        """`embed` embeds a text by a model's name or a function; `judge` says by a model whether two answers are the
        same."""
        self._book, self._call, self._words, self._settings = book, call, words, near
        self._embed, self._judge = embed, judge
        self._lane = lane_of(call, near)
        self._background: set[asyncio.Task[None]] = memory.of(set, "cache", "comparisons")
        self._proven: set[Any] = memory.of(set, "cache", "embedders")
        self._random = memory.random
        self._embedding: asyncio.Task[bytes] | None = None
        self._rows: Closest | None = None
        self._compared: Closest | None = None

    def look(self, db: sqlite3.Connection, since: float) -> None:
        """Within a transaction: what is kept since then (Unix time) that passes the rule on what differs."""
        self._rows = Closest.among(db, self._words, self._lane, since, others=self._call.cell is not None)

    async def found(self, deadline: float | None) -> Reply[Any] | None:
        """The kept answer that may be given; None where there is none, or where it is to be compared instead. Raises
        `InvalidRequestError`, before anything is spent, where the embedding can't be made at all."""
        self._embedding = asyncio.create_task(self._embed(self._settings.embed, self._words.text))
        self._embedding.add_done_callback(_seen)
        if self._settings.embed not in self._proven:
            await self._prove(deadline)
        if self._rows is None:
            return None
        closest = self._rows.chosen(await self._vector(deadline))
        if closest is None:
            return None
        if self._random.random() < self._settings.shadow or closest.certificate is None:
            self._compared = closest
            return None
        reply = await asyncio.wrap_future(self._book.transact(lambda db: self._served(db, closest)))
        return None if reply is None else await self._checked(reply)

    async def _prove(self, deadline: float | None) -> None:
        """The first embedding of its kind has to come: a wrong name, or a function that fails, is told at once."""
        assert self._embedding is not None
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.to_thread(import_module, "lab.stats")  # slow to import, and needed from now on
                await asyncio.shield(self._embedding)
        except errors.InvalidRequestError:
            raise
        except errors.LabError:  # a model's provider that fails now may not do so always
            return
        except TimeoutError:
            raise errors.TimeoutError(
                f"{self._call.model}: the call was not finished in time, waiting for an embedding", phase="total"
            ) from None
        self._proven.add(self._settings.embed)

    async def _vector(self, until: float | None) -> bytes:
        """The embedding; empty where there is none by then, which is no reason for the call to fail."""
        assert self._embedding is not None
        try:
            async with asyncio.timeout_at(until):
                return await asyncio.shield(self._embedding)
        except (TimeoutError, errors.LabError):
            return b""

    def _served(self, db: sqlite3.Connection, closest: Closest) -> Reply[Any] | None:
        """Within a transaction: the answer, where a certificate covers it now."""
        certificate = cached.certificate(db, self._lane)
        if certificate is None or closest.closeness < certificate["closeness"]:
            return None
        try:
            return answers.stored(db, closest.call_id)
        except LookupError:
            return None

    async def _checked(self, reply: Reply[Any]) -> Reply[Any] | None:
        """The reply to this call: what it is checked against may be among the words that differ."""
        call = self._call
        if call.schema is None and not call.checks:
            return reply
        again = await examined(reply.text, call.schema, call.checks, call.variables)
        value = None if call.schema is None else again.value
        return replace(reply, value=value, checks=again.checks) if again.passed else None

    async def likeness(self) -> cached.Likeness | None:
        """By what the call's answer is found from other words; None where the embedding is late, or has failed."""
        if self._embedding is None:
            return None
        vector = await self._vector(asyncio.get_running_loop().time() + PATIENCE)
        if not vector:
            return None
        mark = self._words.signature
        return cached.Likeness(
            rest=self._words.rest, words=mark.words, order=mark.order, embedder=self._lane.embedder, vector=vector
        )

    def compare(self, reply: Reply[Any]) -> None:
        """Compare a fresh answer with the one that was kept, in the background, where that was drawn."""
        if self._compared is None:
            return
        work = labelled(self._book, self._lane, self._settings, self._compared, self._call, reply, self._judge)
        # in a context of its own: nothing that this call has reserved is the judge's
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def close(self) -> None:
        """Wait for no embedding any more."""
        if self._embedding is not None:
            self._embedding.cancel()


def _seen(embedding: asyncio.Task[bytes]) -> None:
    """A failure that nobody waits for is nobody's."""
    if not embedding.cancelled():
        embedding.exception()
