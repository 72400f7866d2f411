"""The steps of a job that runs: each is done once, and is known by what it does, not by when it came.

A step's name is what it does, a hash of what is asked, and for the how manieth time: two branches that run beside each
other find their own steps again, in whatever order they come after a crash. Its key on the ledger is `job:step`.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import hashlib
import inspect
import json
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, cast

from lab import errors
from lab.jobs import carried
from lab.ledger.answers import request_of
from lab.values import Call, Reply


class HandedOver(BaseException):
    """This run of a job is over, and another goes on with it: none of the flow's own failures, which it may catch."""


CURRENT: ContextVar[Steps | None] = ContextVar("lab-job", default=None)
"""The job in whose flow this runs, if any."""
Do = Callable[[], Coroutine[Any, Any, Any]]
Record = Callable[[str, Do], Awaitable[Any]]
"""Does a step and records what it returns, JSON, under its name."""
Ask = Callable[[Call], Awaitable[Reply[Any]]]
Read = Callable[[Call, str, "Reply[Any] | None"], Awaitable["Reply[Any] | None"]]
"""The reply of a call that was made before: by its identifier from the ledger, or out of what was carried; None where
its words are gone."""


class Steps:
    """The steps of one job. `known` are those that were done before it was killed, by name; `record` does one more, on
    `loop`. Without `record` they are only given their keys: inside of another step, or on another loop."""

    def __init__(
        self,
        job: str,
        *,
        text: Callable[[str], str],
        known: Mapping[str, Any] | None = None,
        record: Record | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        report: Callable[[dict[str, Any]], None] | None = None,
        carry: bool = False,
        within: str = "",
        redacts: bool = False,
        stopped: threading.Event | None = None,
    ):
        self.job, self.loop, self.text, self.report, self.within = job, loop, text, report, within
        self._known, self._record, self._carry = known or {}, record, carry
        self._seen: Counter[str] = Counter()
        self._likes: dict[str, Any] = {}
        self._redacts, self._stopped = redacts, stopped

    def name(self, what: str, content: str) -> str:
        """The name of the next step that does this."""
        name = f"{self.within}{what}:{hashlib.sha256(content.encode('utf-8', 'replace')).hexdigest()[:10]}"
        self._seen[name] += 1
        return name if self._seen[name] == 1 else f"{name}.{self._seen[name]}"

    def keyed(self, call: Call) -> Call:
        """The call as a step of this job."""
        what = call.prompt_name or "ask"
        step = self.name(what[:40], request_of(call))
        return replace(call, job=self.job, step=step, key=call.key or f"{self.job}:{step}")

    async def ask(self, call: Call, ask: Ask, read: Read) -> Reply[Any]:
        """The reply of a call that is a step. A failure is a step's outcome like another, and raised each time."""
        call = self.keyed(call)
        if not self._records():
            return await ask(call)
        assert call.step is not None
        fresh: list[Reply[Any] | BaseException] = []

        async def do() -> dict[str, Any]:
            inner = CURRENT.set(self._inside(call.step or ""))
            try:
                reply = await ask(call)
            except errors.LabError as failure:
                fresh.append(failure)
                return {"failed": carried.of_failure(failure, self.text)}
            finally:
                CURRENT.reset(inner)
            fresh.append(reply)
            more = {"reply": carried.of_reply(reply, self.text)} if self._carry else {}
            return {"call": reply.call_id, **more}

        outcome = await self._outcome(call.step, do)
        if fresh and isinstance(fresh[0], BaseException):
            raise fresh[0]
        if fresh and not self._redacts:  # or what is built on it would be another one after a restart
            return cast("Reply[Any]", fresh[0])
        if "failed" in outcome:
            raise carried.to_failure(outcome["failed"])
        sent = outcome.get("reply")
        known = await read(call, outcome["call"], None if sent is None else carried.to_reply(sent))
        return await ask(call) if known is None else known

    async def do(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What a function returns, JSON, computed once; a plain function runs in a thread."""
        if not self._records():
            return await called(function, args, kwargs)
        what = getattr(function, "__name__", None) or type(getattr(function, "func", function)).__name__
        name = self.name(what[:40], self._told(function, args, kwargs))
        fresh: list[Any] = []

        async def do() -> dict[str, Any]:
            inner = CURRENT.set(self._inside(name))
            try:
                value = await called(function, args, kwargs)
                value = json.loads(carried.as_json(f"step {what}", value))
            except Exception as failure:
                fresh.append(failure)
                return {"failed": carried.of_failure(failure, self.text)}
            finally:
                CURRENT.reset(inner)
            return {"value": value}

        outcome = await self._outcome(name, do)
        if "failed" not in outcome:
            return outcome["value"]
        if fresh and carried.rebuilt(fresh[0]):
            raise fresh[0]
        raise carried.to_failure(outcome["failed"]) from (fresh[0] if fresh else None)

    def _told(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """What a step does, in words that are the same in another process. Raises `InvalidRequestError` where these
        don't tell it from another step of the job."""
        given, inner = [list(args), kwargs], function
        while isinstance(inner, functools.partial):
            given, inner = [*given, list(inner.args), dict(inner.keywords)], inner.func
        name = f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', type(inner).__qualname__)}"
        told = f"{name} {carried.as_json(f'the arguments of step {name}', given)}"
        code = getattr(inner, "__code__", None)
        held = [cell.cell_contents for cell in getattr(inner, "__closure__", None) or () if _filled(cell)]
        held += [*(getattr(inner, "__defaults__", None) or ()), getattr(inner, "__self__", None)]
        like = (code or id(inner), tuple(id(part) for part in held))
        if self._likes.setdefault(told, (like, inner))[0] != like:
            raise errors.InvalidRequestError(
                f"step {name}: two of them are told apart by nothing that another process could know: give them what"
                " differs as arguments"
            )
        return told

    async def _outcome(self, name: str, do: Do) -> Any:
        if name in self._known:
            return self._known[name]
        assert self._record is not None
        return await self._record(name, do)

    def _records(self) -> bool:
        """Whether this is the flow's own loop; elsewhere a step is kept by its key alone."""
        return self._record is not None and asyncio.get_running_loop() is self.loop

    def _inside(self, step: str) -> Steps:
        return Steps(self.job, text=self.text, report=self.report, within=f"{step}/")

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What comes of it, for a flow that is a plain function, and runs in a thread."""
        assert self.loop is not None
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            if self._stopped is not None and self._stopped.is_set():
                work.close()
                raise HandedOver from None
            return self._waited(asyncio.run_coroutine_threadsafe(work, self.loop))
        work.close()
        raise errors.InvalidRequestError(
            "lab.ask in an async flow: `await lab.aask(...)` instead, or the other jobs of this worker stand still"
        )

    def _waited(self, future: Future[Any]) -> Any:
        """What comes of it; a plain flow whose worker stops is left here."""
        while True:
            try:
                return future.result(0.5)
            except NotYet:
                if future.done():
                    raise
            except CancelledError:
                if self._stopped is not None and self._stopped.is_set():
                    raise HandedOver from None
                raise
            if self._stopped is not None and self._stopped.is_set():
                raise HandedOver


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # it is still to be given its value
        return False


async def called(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a function returns, whether it is async or not; a plain one runs in a thread that a process doesn't wait for
    at its end. One that would end the process ends its job."""
    try:
        if inspect.iscoroutinefunction(function):
            return await function(*args, **kwargs)
        value = await _in_a_thread(functools.partial(function, *args, **kwargs))
        return await value if inspect.isawaitable(value) else value
    except (SystemExit, KeyboardInterrupt) as end:  # it would end the loop that all jobs run on
        raise errors.JobError(f"{type(end).__name__}: {end}") from end


async def _in_a_thread(work: Callable[[], Any]) -> Any:
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    outcome: asyncio.Future[Any] = loop.create_future()

    def settle(value: Any, failure: BaseException | None) -> None:
        if not outcome.done():
            outcome.set_result(value) if failure is None else outcome.set_exception(failure)

    def run() -> None:
        value: Any = None
        failure: BaseException | None = None
        try:
            value = context.run(work)
        except StopIteration as odd:  # which no future can have
            failure = RuntimeError(f"StopIteration: {odd}")
        except (SystemExit, KeyboardInterrupt) as end:
            failure = errors.JobError(f"{type(end).__name__}: {end}")
        except BaseException as other:
            failure = other
        with suppress(RuntimeError):  # the loop is closed: others go on with the job
            loop.call_soon_threadsafe(settle, value, failure)

    threading.Thread(target=run, name="lab-jobs-plain", daemon=True).start()
    return await outcome
