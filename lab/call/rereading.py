"""A stored reply, whole again: its value is not kept, and is read from its text."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from lab.checks.kernel import examined
from lab.ledger import answers
from lab.ledger.file import Ledger
from lab.values import Call, Reply, Schema


async def read_again(reply: Reply[Any], schema: Schema | None) -> tuple[Reply[Any], bool]:
    """The reply with what `schema` makes of its text, and whether it still fits; as it is without one."""
    if schema is None:
        return reply, True
    again = await examined(reply.text, schema, ())
    return replace(reply, value=again.value, checks=(*again.checks, *reply.checks[1:])), again.passed


async def known(book: Ledger, call: Call, call_id: str, carried: Reply[Any] | None = None) -> Reply[Any] | None:
    """The reply of a call that was made before, with the value that `call` reads in it: from the ledger, or as it was
    `carried` here from another one; None where its words are gone."""
    try:
        reply = await asyncio.wrap_future(book.transact(lambda db: answers.stored(db, call_id)))
    except LookupError:
        if carried is None:
            return None
        reply = carried
    return (await read_again(replace(reply, asked=call.messages), call.schema))[0]
