"""One key, one request, one reply: across calls, processes and crashes."""

from __future__ import annotations

import asyncio

from lab import errors
from lab.policies.kernel import Claims, Events, Layer, LostLease, Proceed, Settings, Try, World
from lab.values import Event

LOOK = (0.02, 0.25)
"""Seconds between two looks at a claim of somebody else's: the first, and the longest."""


async def once(claims: Claims, attempt: Try, proceed: Proceed) -> Events:
    """`proceed` by one claimant alone; everyone else waits for its reply, until their deadline.

    A claim whose owner died is void, one whose call failed is given back, and one that was lost while it ran (its
    owner had been suspended, and somebody else has asked meanwhile) ends in the reply that is stored.
    Raises `InvalidRequestError` where the key was used for a different request.
    """
    key, wait, handed = attempt.call.key, LOOK[0], ""
    now = asyncio.get_running_loop().time
    while True:
        claim = await claims.take()
        if claim.state == "different":
            raise errors.InvalidRequestError(
                f"key {key!r} was used for a different request (call {claim.call_id}): use another key"
            )
        if claim.state == "done":
            done = await claims.stored(claim.call_id)
            assert done.reply is not None
            if handed and handed != done.reply.text:
                raise errors.BusyError(
                    f"key {key!r} was taken over by another process while this stream stood still, and its reply is"
                    " another one: ask again for it",
                    retry_after=0.0,
                )
            if not handed and done.reply.text:
                yield Event("piece", done.at, text=done.reply.text)
            yield done
            return
        if claim.state == "mine":
            events = _as_owner(claims, attempt, proceed)
            try:
                async for event in events:
                    if event.kind == "piece" and attempt.call.streamed:
                        handed += event.text
                    yield event
                return
            except LostLease:
                continue
            finally:
                await events.aclose()
        if attempt.deadline is not None and now() + wait > attempt.deadline:
            raise errors.TimeoutError(
                f"{attempt.call.model}: the call was not finished in time, waiting for key {key!r}", phase="total"
            )
        await asyncio.sleep(wait)
        wait = min(LOOK[1], wait * 1.5)


async def _as_owner(claims: Claims, attempt: Try, proceed: Proceed) -> Events:
    """`proceed`, the claim kept alive meanwhile, and given back where no answer comes of it."""
    renewing, events = asyncio.create_task(claims.renew()), proceed(attempt)
    try:
        async for event in events:
            yield event
    except LostLease:
        raise
    except BaseException:
        claims.release()
        raise
    finally:
        renewing.cancel()
        await events.aclose()


def _around(world: World, below: Proceed) -> Proceed:
    claims = world.claims
    return below if claims is None else lambda attempt: once(claims, attempt, below)


def _says(_settings: Settings) -> str:
    return "a call with a key is asked once; whoever else asks is given its reply"


LAYER = Layer("key", _around, _says)
