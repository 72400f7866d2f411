"""Requests that wait for company, and for a provider's batch service to answer them.

Each call stands at its last step, the provider, until its line has come back: what is above it (repair, retry, the
cache, the record) is as for any other call. A batch is on the ledger before it is sent. Whoever asks the same again,
after a crash or in another process, is given what was sent before: nothing is sent twice, and nothing paid for is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeVar

from lab import errors, redact
from lab.ledger import batches
from lab.ledger.batches import Sent
from lab.ledger.file import Ledger
from lab.ledger.lease import SECONDS, Lease
from lab.policies import Policy
from lab.values import BatchLine, BatchResult, BatchState, Call, Rest

T = TypeVar("T")
AGAIN = ("transport", "provider", "timeout", "rate_limit", "malformed")
"""Kinds of failure of the batch service itself after which it is asked again."""
SENDS = 5
"""How often lines are sent that turn out never to have come there, before they fail."""
MISSING = 3
"""How often in a row a provider says that there is no such batch, before that is believed."""


class Service(Protocol):
    """One provider's batch service, as one account sees it; `lab.provider.batch` has them."""

    name: str
    most_lines: int
    most_bytes: int
    hidden: Any
    """Secrets that stand in no message."""

    @property
    def account(self) -> tuple[str, ...]:
        """What must be the same for two lines to go into one batch."""

    def line(self, identity: str, body: bytes) -> bytes:
        """A request as a line of a batch."""

    async def send(self, token: str, lines: Sequence[bytes]) -> str:
        """Send a batch; its name. Raises a `LabError`, after which it may be there all the same."""

    async def find(self, token: str, lines: int, since: float, known: frozenset[str]) -> str | Literal[False] | None:
        """The name of the batch that was sent with this token; None where it isn't there, False where that can't be
        told yet. `since` is when it was sent, in Unix time, `known` are the names of others."""

    async def state(self, name: str) -> BatchState:
        """How a batch stands."""

    def results(self, name: str, state: BatchState) -> AsyncGenerator[tuple[str | None, BatchResult]]:
        """Each line's identifier (None where it can't be read) and what came of it, in any order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The way into batches: `able` raises a `LabError` where such a call can't go through one, `opened` is told that an
    experiment of this name begins, or goes on."""

    able: Callable[[Call], Coroutine[Any, Any, None]]
    opened: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds. `quiet`: no line has come for so long, and what waits is sent. `first`, `longest`: between two looks at
    a batch, at first and at most. `settled`: a batch that isn't found so long after it was sent was never sent.
    `patience`: a service that fails so long after a batch was sent is given up."""

    quiet: float = 0.5
    first: float = 0.5
    longest: float = 30.0
    settled: float = 10.0
    patience: float = 100_000.0


@dataclass(slots=True)
class _Waiting:
    """A line, and who waits for it."""

    line: BatchLine
    identity: str
    posted: asyncio.Future[BatchResult]
    sends: int = 0


@dataclass(slots=True)
class _Under:
    """A batch under way: the service it is with, who waits for a line of it, and what looks after it."""

    sent: Sent
    service: Service
    waiting: dict[str, _Waiting] = field(default_factory=dict)
    task: asyncio.Task[Any] | None = None
    began: float = field(default_factory=time.time)
    """Since when it can be looked for: once it was sent, or that has failed."""
    failure: errors.LabError | None = None
    """Why sending it has failed, though it may be there."""
    missing: int = 0
    """How often in a row the provider said that there is no such batch."""


class Batching:
    """Where requests are handed in that are to go through a batch service. Used on one event loop."""

    def __init__(self, book: Ledger, pace: Pace | None = None):
        self._book, self._pace = book, pace or Pace()
        self._unused: dict[str, dict[str, Sent]] = {}
        self._pending: dict[tuple[Any, ...], list[_Waiting]] = {}
        self._under: dict[int, _Under] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loading: dict[str, asyncio.Task[dict[str, Sent]]] = {}

    async def post(self, line: BatchLine) -> BatchResult:
        """What came of the line, once its batch is over. Raises the `LabError` of a batch that was refused."""
        identity = identity_of(line)
        waiting = _Waiting(line, identity, asyncio.get_running_loop().create_future())
        sent = (await self._known(line.scope)).pop(identity, None)
        if sent is None:
            key = (line.scope, line.service.name, line.model, line.service.account)
            self._pending.setdefault(key, []).append(waiting)
        else:
            under = self._under.setdefault(sent.number, _Under(sent, line.service))
            under.waiting[identity] = waiting
        self._soon()
        return await waiting.posted

    async def _known(self, scope: str) -> dict[str, Sent]:
        """The lines of an experiment that were sent before, and not used."""
        if scope not in self._unused:
            if scope not in self._loading:
                look = asyncio.to_thread(batches.unused, self._book, scope)
                self._loading[scope] = asyncio.create_task(look)
            self._unused[scope] = await asyncio.shield(self._loading[scope])
        return self._unused[scope]

    def opened(self, scope: str) -> None:
        """An experiment begins, or goes on: what another process has done of it meanwhile is looked up."""
        self._unused.pop(scope, None)
        self._loading.pop(scope, None)

    def _soon(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._pace.quiet, self._flush)

    def _flush(self) -> None:
        """Send what waits, and look after what was sent before."""
        pending, self._pending = self._pending, {}
        for (scope, *_rest), lines in pending.items():
            wanted = [waiting for waiting in lines if not waiting.posted.done()]  # whoever has left asks nothing
            for chunk in _split(wanted) if wanted else ():
                self._task(self._begin(scope, chunk))
        for under in list(self._under.values()):
            self._look_after(under)

    def _task(self, coroutine: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _begin(self, scope: str, lines: Sequence[_Waiting]) -> None:
        """Write a batch down, send it, and look after it."""
        service, lease = lines[0].line.service, Lease(self._book, "batch", secrets.token_hex(6))
        by_identity = {waiting.identity: waiting for waiting in lines}
        try:
            model = lines[0].line.model
            sent = await batches.begin(self._book, lease, scope, service.name, model, list(by_identity))
        except Exception as unwritten:  # a full disk, a ledger that is gone: nothing was sent
            _fail(by_identity, unwritten)
            return
        under = self._under[sent.number] = _Under(sent, service, by_identity, asyncio.current_task())
        renewing = asyncio.create_task(_renewed(lease))
        try:
            self._named(under, await self._send(under))
        except errors.LabError as failure:
            if failure.kind not in AGAIN:
                message = redact.text(str(failure), service.hidden)
                batches.note(self._book, sent.number, state="refused", ended_at=time.time(), message=message)
                self._end(under, failure)
            under.failure = failure  # it may be there all the same
        except Exception as bug:
            under.failure = errors.ProviderError(f"the batch could not be sent: {type(bug).__name__}")
        finally:
            renewing.cancel()
            lease.drop()
            under.task, under.began = None, time.time()
        self._look_after(under)

    async def _send(self, under: _Under) -> str:
        service, token = under.service, under.sent.token
        lines = [service.line(f"{token}-{waiting.identity}", waiting.line.body) for waiting in under.waiting.values()]
        return await _asked(service.send(token, lines))

    def _named(self, under: _Under, name: str) -> None:
        """The provider has it, under this name."""
        under.sent = replace(under.sent, name=name, state="working")
        batches.note(self._book, under.sent.number, name=name, state="working", sent_at=time.time())

    def _look_after(self, under: _Under) -> None:
        if under.waiting and under.task is None:
            under.task = self._task(self._follow(under))

    async def _follow(self, under: _Under) -> None:
        """Until every line that somebody waits for has been handed over."""
        pause, good = self._pace.first, time.time()
        try:
            while under.waiting:
                try:
                    if under.sent.name is None and not await self._found(under):
                        return
                    if under.sent.name is not None and await self._over(under):
                        return
                except errors.LabError as failure:
                    if failure.kind not in (*AGAIN, "unsupported") or time.time() > good + self._pace.patience:
                        self._end(under, failure, there=True)
                        return
                    if under.missing >= MISSING:
                        self._close(under, dict(under.waiting), "gone", "lost")
                        return
                else:
                    good = time.time()
                await asyncio.sleep(pause)
                pause = min(self._pace.longest, pause * 1.5)
        except Exception as bug:
            _fail(under.waiting, bug)
        finally:
            under.task = None
            if not under.waiting:
                self._under.pop(under.sent.number, None)

    async def _found(self, under: _Under) -> bool:
        """Whether it is, or may still be, at the provider: looked for by its token. One that isn't is sent anew."""
        sent = under.sent
        if await asyncio.to_thread(batches.being_sent, self._book, sent.token):
            return True
        count, name, names = await asyncio.to_thread(batches.known, self._book, sent.number)
        if name is not None:  # found before, for another line of it
            under.sent = replace(sent, name=name, state="working")
            return True
        answer = await _asked(under.service.find(sent.token, count, sent.made_at, names))
        if isinstance(answer, str):
            self._named(under, answer)
        if answer is not None or time.time() < under.began + self._pace.settled:
            return True
        batches.note(self._book, sent.number, state="never sent", ended_at=time.time())
        waiting, under.waiting = under.waiting, {}
        tired = {identity: each for identity, each in waiting.items() if each.sends + 1 >= SENDS}
        _fail(dict(tired), under.failure or errors.ProviderError("the batch could not be sent", phase="batch"))
        for each in (each for identity, each in waiting.items() if identity not in tired):
            line, each.sends = each.line, each.sends + 1
            self._pending.setdefault((line.scope, line.service.name, line.model, line.service.account), []).append(each)
        self._soon()
        return False

    async def _over(self, under: _Under) -> bool:
        """Whether it has ended, and all of it was handed over."""
        sent, service = under.sent, under.service
        assert sent.name is not None
        try:
            state = await _asked(service.state(sent.name))
        except errors.UnsupportedError:
            under.missing += 1
            raise
        under.missing, expected = 0, dict(under.waiting)
        batches.note(self._book, sent.number, completed=state.completed, failed=state.failed)
        if state.stands == "working":
            return False
        if state.stands == "refused":
            message = f"the provider refuses the batch: {state.message}"
            batches.note(self._book, sent.number, state="refused", ended_at=time.time(), message=message)
            full = "token_limit" in message or "enqueued" in message.lower()
            self._end(under, (errors.RateLimitError if full else errors.InvalidRequestError)(message))
            return True
        handed: list[tuple[str, str]] = []
        try:
            with _typed():
                async with contextlib.aclosing(service.results(sent.name, state)) as results:
                    async for identity, result in results:
                        waiting = under.waiting.pop((identity or "").partition("-")[2], None)
                        if waiting is not None:
                            self._hand(under, waiting, result, handed)
                        if len(handed) >= 50:
                            batches.handed(self._book, sent.number, handed)
                            handed.clear()
                            await asyncio.sleep(0)  # the calls that have their answers go on
        finally:
            batches.handed(self._book, sent.number, handed)
        ended = {"expired": "expired", "cancelled": "cancelled"}.get(state.rest, "done")
        self._close(under, expected, ended, state.rest)
        return not under.waiting  # who has come meanwhile may have missed his line

    def _hand(self, under: _Under, waiting: _Waiting, result: BatchResult, handed: list[tuple[str, str]]) -> None:
        if not waiting.posted.done():
            handed.append((waiting.identity, waiting.line.call_id))
            waiting.posted.set_result(replace(result, sent_at=under.sent.made_at))

    def _close(
        self,
        under: _Under,
        expected: dict[str, _Waiting],
        state: str,
        rest: Rest,
    ) -> None:
        """It is over; who has waited since before its results were read is told what became of its line."""
        handed: list[tuple[str, str]] = []
        for identity, waiting in expected.items():
            if under.waiting.get(identity) is waiting:
                del under.waiting[identity]
                self._hand(under, waiting, BatchResult(ended=rest), handed)
        batches.handed(self._book, under.sent.number, handed)
        batches.note(self._book, under.sent.number, state=state, ended_at=time.time())

    def _end(self, under: _Under, failure: errors.LabError, *, there: bool = False) -> None:
        """It can't be waited for any more; `there`: what it was sent for is at the provider, for whoever asks again."""
        for identity, waiting in under.waiting.items() if there else ():
            self._unused.setdefault(waiting.line.scope, {})[identity] = under.sent
        _fail(under.waiting, failure)
        self._under.pop(under.sent.number, None)

    async def close(self) -> None:
        """Look after nothing any more: what was sent stays where it is."""
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _asked(answer: Awaitable[T]) -> T:
    """What the service says."""
    with _typed():
        return await answer


@contextlib.contextmanager
def _typed() -> Iterator[None]:
    """A service that takes too long has failed, and so has one that says what nobody can read."""
    try:
        yield
    except errors.LabError:
        raise
    except TimeoutError as late:
        raise errors.TimeoutError("the batch service did not answer in time", phase="attempt") from late
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError, ArithmeticError) as odd:
        raise errors.MalformedError(f"the batch service: its answer can't be read ({type(odd).__name__})") from odd


async def _renewed(lease: Lease) -> None:
    """Say that it is still being sent."""
    while True:
        await asyncio.sleep(SECONDS / 3)
        await asyncio.wrap_future(lease.renew())


def identity_of(line: BatchLine) -> str:
    """Of a request and of whose it is: 32 hexadecimal digits."""
    whose = "\0".join((line.scope, line.cell, line.service.name, line.model)).encode("utf-8", "replace")
    return hashlib.sha256(whose + b"\0" + line.body).hexdigest()[:32]


def _split(lines: Sequence[_Waiting]) -> list[list[_Waiting]]:
    """As many lines together as the service takes; never two of one identity."""
    service, chunks, size = lines[0].line.service, [[]], 0  # type: tuple[Service, list[list[_Waiting]], int]
    there: set[str] = set()
    for waiting in lines:
        length = len(waiting.line.body) + 200
        full = len(chunks[-1]) >= service.most_lines or size + length > service.most_bytes
        if chunks[-1] and (full or waiting.identity in there):
            chunks.append([])
            size, there = 0, set()
        chunks[-1].append(waiting)
        there.add(waiting.identity)
        size += length
    return chunks


def _fail(waiting: dict[str, _Waiting], failure: BaseException) -> None:
    for each in waiting.values():
        if not each.posted.done():
            each.posted.set_exception(_copy(failure))
    waiting.clear()


def _copy(failure: BaseException) -> BaseException:
    """A failure of one's own for each call, in which nothing was asked: each puts down something else on it."""
    if not isinstance(failure, errors.LabError):
        return failure
    own = type(failure)(str(failure), status=failure.status, body=failure.body, phase="batch")
    own.retry_after = failure.retry_after
    return own


def unhurried(policy: Policy) -> Policy:
    """A policy for calls that go through a batch service, which has a day: without timeouts, hedges, limit, breaker,
    and as many retries at once as are due."""
    retry = None if policy.retry is None else replace(policy.retry, share=None)
    return replace(policy, timeout=None, hedge=None, limit=None, breaker=None, retry=retry)
