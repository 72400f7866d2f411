"""A stored reply, whole again: its value is not kept, and is read from its text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lab.checks.kernel import examined
from lab.values import Reply, Schema


async def read_again(reply: Reply[Any], schema: Schema | None) -> tuple[Reply[Any], bool]:
    """The reply with what `schema` makes of its text, and whether it still fits; as it is without one."""
    if schema is None:
        return reply, True
    again = await examined(reply.text, schema, ())
    return replace(reply, value=again.value, checks=(*again.checks, *reply.checks[1:])), again.passed
