"""The steps of a job that runs: each is done once, and is known by what it does, not by when it came.

A step's name is what it does, a hash of what is asked, and for the how manieth time: two branches that run beside each
other find their own steps again, in whatever order they come after a crash. Its key on the ledger is `job:step`.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from lab import errors
from lab.jobs import carried
from lab.ledger.answers import request_of
from lab.values import Call, Reply

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
    ):
        self.job, self.loop, self.text, self.report, self.within = job, loop, text, report, within
        self._known, self._record, self._carry = known or {}, record, carry
        self._seen: Counter[str] = Counter()

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
        if fresh:
            return _raised_or(fresh[0])
        if "failed" in outcome:
            raise carried.to_failure(outcome["failed"])
        sent = outcome.get("reply")
        known = await read(call, outcome["call"], None if sent is None else carried.to_reply(sent))
        return await ask(call) if known is None else known

    async def do(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What a function returns, JSON, computed once; a plain function runs in a thread."""
        if not self._records():
            return await called(function, args, kwargs)
        what = getattr(function, "__name__", type(function).__name__)
        name = self.name(what[:40], json.dumps([args, kwargs], default=repr, sort_keys=True))
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
            return asyncio.run_coroutine_threadsafe(work, self.loop).result()
        work.close()
        raise errors.InvalidRequestError(
            "lab.ask in an async flow: `await lab.aask(...)` instead, or the other jobs of this worker stand still"
        )


async def called(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a function returns, whether it is async or not."""
    if inspect.iscoroutinefunction(function):
        return await function(*args, **kwargs)
    value = await asyncio.to_thread(function, *args, **kwargs)
    return await value if inspect.isawaitable(value) else value


def _raised_or(outcome: Reply[Any] | BaseException) -> Reply[Any]:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome
