"""A call's claim on its key, in the ledger: see `lab.policies.idempotent` for what is done with it."""

from __future__ import annotations

import asyncio

from lab import errors
from lab.call.patience import by
from lab.call.rereading import read_again
from lab.ledger import answers
from lab.ledger.file import Ledger
from lab.ledger.lease import SECONDS, Lease
from lab.values import Call, Claim, Event


class KeyClaims:
    """What the key's layer is handed. `lease` is the one that the call runs under once it has its key."""

    def __init__(self, book: Ledger, call: Call, deadline: float | None):
        """`deadline`: for how long the ledger is waited for, on the loop's clock."""
        assert call.key is not None
        self._deadline = deadline
        self.lease = Lease(book, "key", call.key)
        self._book, self._call = book, call
        self._request = answers.request_of(call)

    async def take(self) -> Claim:
        """Claim the key, or say how it stands."""
        call, request, lease = self._call, self._request, self.lease
        claim = self._book.transact(lambda db: answers.claim(db, call, request, lease))
        try:
            return await by(self._deadline, asyncio.wrap_future(claim))
        except errors.LedgerError:
            self.release()  # what is queued may still take it
            raise

    async def stored(self, call_id: str) -> Event:
        """The `done` of the reply that is stored under the key: its value is read again from the text."""
        reply = await by(
            self._deadline, asyncio.wrap_future(self._book.transact(lambda db: answers.stored(db, call_id)))
        )
        reply, _passed = await read_again(reply, self._call.schema)
        return Event("done", asyncio.get_running_loop().time(), reply=reply)

    async def renew(self) -> None:
        """Keep the claim alive until it is lost, or nobody waits for this any more."""
        while True:
            await asyncio.sleep(SECONDS / 3)
            if not await asyncio.wrap_future(self.lease.renew()):
                return

    def release(self) -> None:
        """Give the key back: the call brought no answer."""
        call, lease = self._call, self.lease
        self._book.transact(lambda db: answers.release(db, call, lease))
