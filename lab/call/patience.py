"""How long a call waits for its ledger: until its deadline, whoever holds the file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from lab import errors

T = TypeVar("T")

GRACE = 0.5
"""Seconds that a write has at least, where the deadline is near or has passed."""
LATE = "the ledger did not answer by the call's deadline (another process holds it?); what was queued is still written"


async def by(deadline: float | None, ledger: Awaitable[T]) -> T:
    """What the ledger answers. Raises `LedgerError` where it doesn't by `deadline`, on the loop's clock."""
    if deadline is None:
        return await ledger
    try:
        async with asyncio.timeout_at(max(deadline, asyncio.get_running_loop().time() + GRACE)):
            return await ledger
    except TimeoutError:
        raise errors.LedgerError(LATE) from None
