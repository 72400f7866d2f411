"""An answer as it arrives: iterate its pieces, from any thread or any event loop."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any, Generic, TypeVar

from lab.values import Event, Reply

T = TypeVar("T", covariant=True)

GIVE_WAY = 32
"""Pieces after which what else runs on the reader's event loop has its turn: many may have come already."""


class Stream(Generic[T]):
    """Text pieces of one call, by `for` or by `async for`; then `reply`, a `Reply[Order]` of a `Stream[Order]`.

    What the model thinks before it answers comes apart, in `reasoning`, to be iterated first or not at all. The request
    starts when the stream is made. A failure is raised by the iteration, after the pieces that had
    come; its `partial` holds them. A stream that is left early is closed: the request is cancelled, and the
    ledger says so. Use it as a context manager, or call `close()`, to close it at a known moment.
    """

    def __init__(
        self, start: Callable[[Callable[[Event], None]], Future[Reply[T]]], *, call_id: str = "", owner: object = None
    ):
        self.call_id = call_id
        """Under which the call is on the ledger, whatever becomes of it."""
        self._owner = owner  # what must not be forgotten while this is read
        self._inbox = _Inbox()
        self._parts: list[str] = []
        self._thoughts_read = [0]
        self._future = start(self._inbox.put)
        inbox = self._inbox
        self._future.add_done_callback(lambda _future: inbox.end())
        release = weakref.finalize(self, self._future.cancel)
        # an ended call has nothing to cancel, and its failure's traceback leads back to this stream: it would never go
        self._future.add_done_callback(lambda _future: release.detach())

    @property
    def reasoning(self) -> Thoughts:
        """What the model thinks, as it comes."""
        return Thoughts(self, self._inbox, self._thoughts_read)

    @property
    def text(self) -> str:
        """What has arrived so far, whether or not it was iterated yet."""
        return "".join([*self._parts, *self._inbox.waiting()])

    @property
    def done(self) -> bool:
        """Whether the call has ended, well or badly."""
        return self._future.done()

    @property
    def closed(self) -> bool:
        """Whether it was closed before its end."""
        return self._future.cancelled()

    @property
    def error(self) -> BaseException | None:
        """Why the call failed, a `LabError` but for bugs; None while it runs, when it succeeded, and when closed."""
        return None if not self.done or self.closed else self._future.exception()

    @property
    def reply(self) -> Reply[T]:
        """The whole reply, once the stream has been read to its end. Raises what the call raised."""
        if not self._future.done():
            raise RuntimeError("the stream is still running: read it to its end first")
        return self._outcome()

    def __iter__(self) -> Iterator[str]:
        try:
            while (piece := self._inbox.get()) is not None:
                self._parts.append(piece)
                yield piece
            self._outcome()
        finally:
            self.close()

    async def __aiter__(self) -> AsyncIterator[str]:
        try:
            while (piece := await self._inbox.aget()) is not None:
                self._parts.append(piece)
                yield piece
                if not len(self._parts) % GIVE_WAY:
                    await asyncio.sleep(0)
            self._outcome()
        finally:
            self.close()

    def close(self) -> None:
        """Stop the request if it still runs. What has arrived stays in `text`."""
        self._future.cancel()

    def __enter__(self) -> Stream[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "running" if not self.done else "failed" if self.error else "done"
        return f"<Stream {state}, {len(self.text)} characters>"

    def _outcome(self) -> Reply[T]:
        try:
            return self._future.result()
        except CancelledError:
            raise RuntimeError("the stream was closed before its end") from None


class Thoughts:
    """What a model thinks, piece by piece, by `for` or by `async for`: until its answer begins, or the
    call of a tool, or the call ends.

    `text` is all that has come so far. Leaving it early closes nothing; a failure is raised by the answer's iteration.
    """

    def __init__(self, stream: Stream[Any], inbox: _Inbox, read: list[int]):
        self._stream = stream  # which would be closed, were it forgotten
        self._inbox = inbox
        self._read = read

    @property
    def text(self) -> str:
        """What has arrived so far, whether or not it was iterated yet."""
        return "".join(self._inbox.thoughts())

    def __iter__(self) -> Iterator[str]:
        while (piece := self._inbox.thought(self._read[0])) is not None:
            self._read[0] += 1
            yield piece

    async def __aiter__(self) -> AsyncIterator[str]:
        while (piece := await self._inbox.athought(self._read[0])) is not None:
            self._read[0] += 1
            yield piece
            if not self._read[0] % GIVE_WAY:
                await asyncio.sleep(0)

    def __str__(self) -> str:
        return self.text

    def __bool__(self) -> bool:
        return bool(self._inbox.thoughts())

    def __repr__(self) -> str:
        return f"<Thoughts, {len(self.text)} characters>"


class _Inbox:
    """Pieces from the lab's loop to whoever reads, in a thread or on a loop; of the answer, and of what is thought."""

    def __init__(self) -> None:
        self._pieces: deque[str] = deque()
        self._thoughts: list[str] = []
        self._answered = self._ended = False
        self._changed = threading.Condition()
        self._sleepers: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def put(self, event: Event) -> None:
        with self._changed:
            if event.kind == "thought":
                self._thoughts.append(event.text)
            else:
                self._answered = True
            if event.kind == "piece":
                self._pieces.append(event.text)
            self._wake()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._wake()

    def waiting(self) -> list[str]:
        with self._changed:
            return list(self._pieces)

    def thoughts(self) -> list[str]:
        with self._changed:
            return list(self._thoughts)

    def get(self) -> str | None:
        with self._changed:
            while not self._pieces and not self._ended:
                self._changed.wait()
            return self._pieces.popleft() if self._pieces else None

    def thought(self, place: int) -> str | None:
        with self._changed:
            while len(self._thoughts) <= place and not self._answered and not self._ended:
                self._changed.wait()
            return self._thoughts[place] if len(self._thoughts) > place else None

    async def aget(self) -> str | None:
        while True:
            with self._changed:
                if self._pieces:
                    return self._pieces.popleft()
                if self._ended:
                    return None
                sleeper = self._sleeper()
            await sleeper.wait()

    async def athought(self, place: int) -> str | None:
        while True:
            with self._changed:
                if len(self._thoughts) > place:
                    return self._thoughts[place]
                if self._answered or self._ended:
                    return None
                sleeper = self._sleeper()
            await sleeper.wait()

    def _sleeper(self) -> asyncio.Event:
        event = asyncio.Event()
        self._sleepers.append((asyncio.get_running_loop(), event))
        return event

    def _wake(self) -> None:
        self._changed.notify_all()
        sleepers, self._sleepers = self._sleepers, []
        for loop, event in sleepers:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)
