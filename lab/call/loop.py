"""One long-lived event loop in a thread of its own, where every call of a Lab runs.

Scripts, notebook cells and Streamlit's threads wait for it; other event loops await it. So all of them share
its connections, and a busy notebook does not bend the timings.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Loop:
    """The loop's thread. Started when made; `close` cancels what still runs."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._pid = os.getpid()
        self._closing = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lab-loop", daemon=True)
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start it; the future has its outcome, and cancelling the future cancels it."""
        if os.getpid() != self._pid:  # the thread stayed behind
            coroutine.close()
            raise RuntimeError("this Lab was made in another process, before a fork: make a new one here")
        with self._lock:
            if self._closing:
                coroutine.close()
                raise RuntimeError("this Lab is closed: make a new one")
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait for it. An interrupted wait (Ctrl-C) cancels it."""
        if self.is_current():
            coroutine.close()
            raise RuntimeError("this would wait for itself: use `await lab.aask(...)` inside the lab's own loop")
        future = self.submit(coroutine)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def is_current(self) -> bool:
        """Whether this is the loop's own thread."""
        return threading.current_thread() is self._thread

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """Cancel what still runs, run `last`, stop the thread."""
        if os.getpid() != self._pid or self._closing:
            last.close()
            return
        with self._lock:
            self._closing = True
            ended = asyncio.run_coroutine_threadsafe(self._end(last), self._loop)
        ended.result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self, last: Coroutine[Any, Any, None]) -> None:
        while running := [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        await last
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()


class Turnstile:
    """One at a time between two looks at the sockets: what fifty calls have to do before they are sent, or once they
    have ended, must not stand between an answer and the clock."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._busy = False

    async def enter(self) -> None:
        """Go on, at once where nobody else has just done so."""
        loop = asyncio.get_running_loop()
        if self._busy:
            place = loop.create_future()
            self._waiting.append(place)
            await place
        else:
            self._busy = True
            loop.call_soon(self._next)

    def _next(self) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                asyncio.get_running_loop().call_soon(self._next)
                return
        self._busy = False
