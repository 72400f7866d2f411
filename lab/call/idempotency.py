"""Idempotency: one key, one request, one reply; across calls, processes and crashes.

A call claims its key in the ledger before it asks a provider. Others with the same key wait for its reply; a
claim whose owner died expires; one whose call failed is given back.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from lab import errors
from lab.ledger.file import Ledger
from lab.ledger.rows import Statement
from lab.values import Call, Checked, Part, Reply, Usage

LEASE = 15.0
"""Seconds after which an unfinished claim that nobody renews is void."""
LOOK = (0.02, 0.25)
"""Seconds between two looks at a claim of somebody else's: the first, and the longest."""


@dataclass(frozen=True, slots=True)
class Claim:
    """How a key stands: `mine` to run, `done` with the reply of `call_id`, `other` to wait for, or for a `different`
    request."""

    state: Literal["mine", "done", "other", "different"]
    call_id: str = ""


def request_of(call: Call) -> str:
    """A hash of what is asked: model, messages and parameters, but for how to connect."""
    more = [call.schema.content()] if call.schema else []
    more += [one.content() for one in call.checks]
    asked = {key: value for key, value in call.params.items() if key not in ("api_key", "extra_headers", "api_base")}
    said = json.dumps([call.model, [dict(one) for one in call.messages], asked, *more], sort_keys=True, default=str)
    return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()


def released(call: Call) -> list[Statement]:
    """The statements that give a key back: its call returned an answer that failed its checks."""
    if call.key is None:
        return []
    return [("DELETE FROM keys WHERE key = ? AND call_id = ? AND NOT done", (call.key, call.call_id))]


def finished(call: Call) -> list[Statement]:
    """The statement that stores a key's reply, for the commit that stores the reply itself."""
    if call.key is None:
        return []
    return [("UPDATE keys SET done = 1 WHERE key = ? AND call_id = ?", (call.key, call.call_id))]


async def once(
    call: Call, book: Ledger, run: Callable[[], Awaitable[Reply]], deadline: float | None = None
) -> tuple[Reply, bool]:
    """The reply under the call's key, and whether it was there already: `run` is awaited by one claimant alone.

    `deadline` ends the wait for somebody else, on the loop's clock. Raises `InvalidRequestError` where the key was
    used for a different request.
    """
    request, wait, now = request_of(call), LOOK[0], asyncio.get_running_loop().time
    while True:
        claim = await asyncio.wrap_future(book.transact(lambda db: _claim(db, call, request)))
        if claim.state == "different":
            raise errors.InvalidRequestError(
                f"key {call.key!r} was used for a different request (call {claim.call_id}): use another key"
            )
        if claim.state == "done":
            return await asyncio.to_thread(stored, book, claim.call_id), True
        if claim.state == "mine":
            return await _as_owner(call, book, run), False
        if deadline is not None and now() + wait > deadline:
            raise errors.TimeoutError(
                f"{call.model}: the call was not finished in time, waiting for key {call.key!r}", phase="total"
            )
        await asyncio.sleep(wait)
        wait = min(LOOK[1], wait * 1.5)


async def _as_owner(call: Call, book: Ledger, run: Callable[[], Awaitable[Reply]]) -> Reply:
    renewing = asyncio.create_task(_renew(call, book))
    try:
        return await run()
    except BaseException:
        book.submit(("DELETE FROM keys WHERE key = ? AND call_id = ? AND NOT done", (call.key, call.call_id)))
        raise
    finally:
        renewing.cancel()


async def _renew(call: Call, book: Ledger) -> None:
    while True:
        await asyncio.sleep(LEASE / 3)
        until = (time.time() + LEASE, call.key, call.call_id)
        book.submit(("UPDATE keys SET expires_at = ? WHERE key = ? AND call_id = ?", until))


def _claim(db: sqlite3.Connection, call: Call, request: str) -> Claim:
    """Within one transaction: take the key, or say how it stands."""
    now = time.time()
    found = db.execute("SELECT request, call_id, done, expires_at FROM keys WHERE key = ?", (call.key,)).fetchone()
    if found is not None:
        asked, call_id, done, expires_at = found
        if not done and expires_at <= now:
            db.execute("DELETE FROM keys WHERE key = ?", (call.key,))
        elif asked != request:
            return Claim("different", call_id)
        else:
            return Claim("done" if done else "other", call_id)
    db.execute(
        "INSERT INTO keys (key, request, call_id, expires_at) VALUES (?, ?, ?, ?)",
        (call.key, request, call.call_id, now + LEASE),
    )
    return Claim("mine", call.call_id)


def _checked(row: dict[str, Any]) -> Checked:
    parts = tuple(Part(**one) for one in json.loads(row["parts"] or "[]"))
    flags = {"passed": bool(row["passed"]), "broken": bool(row["broken"])}
    told = {name: row[name] for name in ("name", "score", "threshold", "step")}
    return Checked(**told, **flags, message=row["message"] or "", parts=parts)


def stored(book: Ledger, call_id: str) -> Reply:
    """A reply as it was returned, from the ledger; its times and cost are those of the call that was made."""
    (row,) = book.query(
        "SELECT calls.*, texts.answer, texts.tool_calls AS tools FROM calls JOIN texts ON texts.id = calls.id"
        " WHERE calls.call_id = ?",
        [call_id],
    )
    (won,) = book.query("SELECT * FROM attempts WHERE call_id = ? AND won", [call_id])
    found = book.query(
        "SELECT * FROM checks WHERE call_id = ? AND attempt = ? ORDER BY place", [call_id, won["number"]]
    )
    return Reply(
        text=row["answer"] or "",
        checks=tuple(_checked(one) for one in found),
        call_id=call_id,
        model=row["model"],
        finish_reason=row["finish_reason"],
        usage=Usage(
            input=won["input_tokens"],
            cache_read=won["cache_read_tokens"],
            cache_write=won["cache_write_tokens"],
            output=won["output_tokens"],
            reasoning=won["reasoning_tokens"],
            estimated=bool(won["usage_estimated"]),
            raw=json.loads(won["usage"]) if won["usage"] else None,
        ),
        cost=row["cost"],
        latency=row["latency"],
        ttft=row["ttft"],
        queue=row["queue"],
        attempts=row["n_attempts"],
        answered_by=row["answered_by"],
        tool_calls=tuple(json.loads(row["tools"])) if row["tools"] else (),
        cached=True,
        hedged=bool(row["hedged"]),
        fell_back=bool(row["fell_back"]),
    )
