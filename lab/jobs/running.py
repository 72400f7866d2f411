"""One run of a job: from when a worker begins it to its result, its failure, or its being handed over.

A job may be begun several times: its worker died, or it was stopped and gone on with while an earlier run had not come
to its next step yet. Each run has a stamp, which stands beside the job while it is the last one: a run whose stamp is
another's does nothing more, and notes nothing down.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lab import errors
from lab.jobs import carried
from lab.jobs.flow import Flow
from lab.jobs.steps import CURRENT, HandedOver, Steps, called

if TYPE_CHECKING:
    from lab.jobs.workflows import Store

T = TypeVar("T")
SAID = 0.25
"""Seconds between two notes of how far jobs are."""
AGAIN = 1.0
"""Seconds until a database that was away is asked again."""
log = logging.getLogger("lab.jobs")
Body = Callable[[Any, Any], Awaitable[Any]]


class Keeping(Protocol):
    """What may be written of the words of a Lab."""

    @property
    def keeps_words(self) -> bool:
        """Whether they are written down as they are."""

    @property
    def redacts(self) -> bool:
        """Whether what is kept of a text may be another text."""

    @property
    def kept_text(self) -> Callable[[str], str]:
        """What may be written of a text."""


class Runs:
    """The jobs that run in this process, at most `concurrency` of each queue."""

    def __init__(self, store: Store, host: Keeping, concurrency: int):
        self.stopped = threading.Event()
        self._store, self._host, self._concurrency = store, host, concurrency
        self._places: dict[str, str] = {}
        self._direct: set[str] = set()
        self._far: dict[str, tuple[str, dict[str, Any]]] = {}
        self._lock, self._news = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._say, name="lab-jobs-say", daemon=True)
        self._thread.start()

    def here(self) -> set[str]:
        """The jobs that run, or are about to."""
        with self._lock:
            return set(self._places)

    def reserved(self, job: str, queue: str) -> bool:
        """Take a place for a job that is begun past its queue, if there is one."""
        with self._lock:
            if job in self._places or sum(place == queue for place in self._places.values()) >= self._concurrency:
                return False
            self._places[job] = queue
            self._direct.add(job)
            return True

    def freed(self, job: str) -> None:
        """Give its place back."""
        with self._lock:
            self._places.pop(job, None)
            self._direct.discard(job)

    def room(self, queue: str) -> int:
        """How many jobs out of this queue may run beside those that were begun past it."""
        with self._lock:
            return max(0, self._concurrency - sum(self._places[job] == queue for job in self._direct))

    def stop(self) -> None:
        """No run does anything more: others go on with them."""
        self.stopped.set()
        self._news.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def body(self, flow: Flow) -> Body:
        """What runs when a job of this flow begins."""

        async def body(args: list[Any], kwargs: dict[str, Any]) -> Any:
            from lab.jobs import workflows  # it is loaded: it has called this

            job, stamp = workflows.job_here(), workflows.stamp_here()
            with self._lock:
                self._places.setdefault(job, "")
            said: dict[str, Any] = {}
            try:
                return await self._run(flow, job, stamp, args, kwargs)
            except asyncio.CancelledError:
                if self.stopped.is_set():  # or DBOS takes it for a failure of the flow's own
                    raise HandedOver from None
                raise
            except workflows.CANCELLED:
                raise
            except Exception as failure:
                if self.stopped.is_set():
                    raise HandedOver from failure
                content = carried.of_failure(failure, self._host.kept_text)
                said["failed"] = {key: content[key] for key in ("name", "message", "kind") if key in content}
                raise workflows.Failed(content) from failure
            finally:
                with self._lock:
                    self._places.pop(job, None)
                    self._direct.discard(job)
                    _, far = self._far.pop(job, ("", None))
                if not self.stopped.is_set():
                    said |= {"ended": time.time()} | ({} if far is None else {"progress": far})
                    await asyncio.to_thread(self._note, job, stamp, said)

        return body

    async def _run(self, flow: Flow, job: str, stamp: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        from lab.jobs import workflows  # it is loaded: it has called this

        store = self._store
        status = await self.insisted(store.status, job)
        done = await self.insisted(store.steps, job)
        facts = {} if status is None else status.facts
        began, now = facts.get("version"), time.time()
        if done and began not in (None, flow.version):
            raise errors.JobError(
                f"its code has changed since it began (version {began}, now {flow.version}): job.resume() goes on in"
                " the new code, with the steps that are done; job.again() begins anew"
            )
        marks = {"version": flow.version, "again": now, "began": facts.get("began") or now, "run": stamp}
        await self.insisted(self._marked, job, stamp, marks)
        workflows.skip(max((step["number"] for step in done), default=0))

        async def record(name: str, do: Callable[[], Any]) -> Any:
            if self.stopped.is_set() or await self.insisted(store.stamp, job) != stamp:
                raise HandedOver
            return await workflows.record(name, do)

        steps = Steps(
            job,
            text=self._host.kept_text,
            known={step["name"]: step["output"] for step in done if not step["broken"]},
            record=record,
            loop=asyncio.get_running_loop(),
            report=lambda content: self._report(job, stamp, content),
            carry=store.shared,
            redacts=self._host.redacts,
            stopped=self.stopped,
        )
        token = CURRENT.set(steps)
        try:
            result = await called(flow.function, tuple(args), kwargs)
        finally:
            CURRENT.reset(token)
        written = json.loads(carried.as_json(f"the result of {flow.name}", result))
        return written if self._host.keeps_words else carried.cleaned(written, self._host.kept_text)

    def _marked(self, job: str, stamp: str, marks: dict[str, Any]) -> None:
        """Note that this run has begun, unless there is a later one."""
        if self._store.stamp(job) != stamp:
            raise HandedOver
        self._store.update(job, marks)

    async def insisted(self, ask: Callable[..., T], *given: Any) -> T:
        """What the database says, however long it is away: a job doesn't fail of that."""
        while True:
            try:
                return await asyncio.to_thread(ask, *given)
            except errors.BusyError as away:
                log.warning("%s", away)
                if self.stopped.is_set():
                    raise HandedOver from away
                await asyncio.sleep(AGAIN)

    def _report(self, job: str, stamp: str, content: dict[str, Any]) -> None:
        """How far a job is, to be written down in a moment."""
        with self._lock:
            if content.get("message"):
                content = content | {"message": self._host.kept_text(str(content["message"]))}
            self._far[job] = (stamp, content)
        self._news.set()

    def _say(self) -> None:
        """Write down how far jobs are, each the last that it said."""
        while not self.stopped.wait(SAID):
            self._news.wait()
            self._news.clear()
            with self._lock:
                far, self._far = self._far, {}
            for job, (stamp, content) in far.items():
                self._note(job, stamp, {"progress": content})

    def _note(self, job: str, stamp: str, facts: dict[str, Any]) -> None:
        """Put these beside what is kept of a job, if this is its last run, and if that can be done now."""
        try:
            if self._store.stamp(job) == stamp:
                self._store.update(job, facts)
        except Exception as failed:  # a note is not worth a job
            log.warning("job %s: %s", job, failed)
