"""A worker: runs jobs in this process, takes over those of workers that died, tells webhooks, forgets what is old.

It has a name of its own and a lock that dies with it. Whoever looks (each worker, each second) and can take the lock of
a worker that jobs are said to run in knows it dead, and puts its jobs back in line.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lab import errors
from lab.jobs import carried, delivery
from lab.jobs.flow import BUILT_IN, PREFIX, SCHEDULE, WEBHOOK, Flow
from lab.jobs.locks import Locks, of_the_dead, taken
from lab.jobs.status import OVER, JobStatus
from lab.jobs.steps import CURRENT, Steps, called

if TYPE_CHECKING:
    from lab.jobs.workflows import Body, Store

LOOK = 1.0
"""Seconds between two looks at the other workers, and at jobs that have ended."""
GRACE = 10.0
"""Seconds that jobs have to end in once their worker is told to stop; then they are handed over."""
KEEP = 30 * 86_400.0
"""Seconds after which a job that is over is forgotten."""
POLL = {"interactive": 0.3, "batch": 1.5}
"""Seconds between two looks at a lane."""
SAID = 0.25
"""Seconds between two notes of how far jobs are."""
_LATE = 5.0
"""Seconds for which clocks may differ."""
log = logging.getLogger("lab.jobs")


class Keeping(Protocol):
    """What may be written of the words of a Lab."""

    @property
    def keeps_words(self) -> bool:
        """Whether they are written down as they are."""

    @property
    def kept_text(self) -> Callable[[str], str]:
        """What may be written of a text."""


class Desk(Protocol):
    """Where a worker's jobs come from: an Office."""

    worker: Worker | None
    flows: dict[str, Flow]

    @property
    def host(self) -> Keeping:
        """The Lab whose jobs they are."""

    @property
    def store(self) -> Store:
        """The jobs' database."""

    def locks(self) -> Locks:
        """The workers' locks."""

    def fire(self, at: Any, context: Mapping[str, Any]) -> None:
        """A time has come."""

    def put_delivery(self, name: str, args: list[Any]) -> object:
        """Have a webhook told."""

    def prune(self, before: float) -> int:
        """Forget jobs that ended before then."""


class Worker:
    """Runs the jobs of these flows in this process, from when it is made until `close`."""

    def __init__(
        self,
        office: Desk,
        flows: Sequence[Flow],
        *,
        name: str | None = None,
        concurrency: int = 8,
        per_user: int | None = None,
        per_minute: int | None = None,
        keep: float = KEEP,
    ):
        """`concurrency`: jobs at once, in each lane; `per_user`: jobs of one user at once, over all workers;
        `per_minute`: jobs begun, over all workers, in each lane; `keep`: seconds that jobs are remembered for once they
        are over. The two that hold over all workers are those of the worker that began last. Raises
        `InvalidRequestError` where a worker of this `name` runs already, or one in this process."""
        from lab.jobs import workflows  # DBOS is slow to import, and only workers need it

        for what, value in (("concurrency", concurrency), ("per_user", per_user), ("per_minute", per_minute)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise errors.InvalidRequestError(f"{what}={value!r}: a whole number of at least 1")
        self.name = name or f"{platform.node()[:24]}-{os.getpid()}-{secrets.token_hex(2)}"
        if not self.name.isprintable() or "|" in self.name or len(self.name) > 40:
            raise errors.InvalidRequestError(f"name={self.name!r}: up to 40 printable characters, without |")
        self._office, self._concurrency, self._keep = office, concurrency, keep
        self._limited = per_user is not None or per_minute is not None
        self._flows = {flow.name: flow for flow in (*office.flows.values(), *flows) if flow.module != "__main__"}
        self.modules = sorted({flow.module for flow in self._flows.values()})
        self._running: set[str] = set()
        self._far: dict[str, dict[str, Any]] = {}
        self._lock, self._lost = threading.Lock(), False
        self._stop, self._news = threading.Event(), threading.Event()
        self._looked = time.time() - 86_400
        self._locks = office.locks()
        self._mine = taken(self._locks, self.name, self.modules)
        try:
            bodies: dict[str, Body] = {flow.name: self._body(flow) for flow in self._flows.values()}
            bodies[SCHEDULE] = self._fire
            self._runtime = workflows.Runtime(office.store, self.name, bodies, self._queues(per_user, per_minute))
        except BaseException:
            self._mine.release()
            raise
        self._threads = [
            threading.Thread(target=target, name=f"lab-jobs-{target.__name__[1:]}", daemon=True)
            for target in (self._look, self._say)
        ]
        for thread in self._threads:
            thread.start()
        office.worker = self

    @property
    def alive(self) -> bool:
        """Whether it works: it doesn't once it is closed, or has lost its lock."""
        return not self._stop.is_set() and not self._lost

    def running(self) -> set[str]:
        """The jobs that run in it."""
        with self._lock:
            return set(self._running)

    def learn(self, flow: Flow) -> None:
        """A flow that was defined since: it may be begun here."""
        self._flows[flow.name] = flow
        self._runtime.register(flow.name, self._body(flow))

    def begin(
        self, flow: Flow, args: Sequence[Any], kwargs: Mapping[str, Any], *, job: str, user: str | None,
        timeout: float | None, facts: Mapping[str, Any],
    ) -> bool:  # fmt: skip
        """Begin a job here at once, where there is room and nobody waits; whether that was done."""
        if not self.alive or flow.name not in self._flows:
            return False
        module = f"{flow.module}@{self.name}" if flow.homeless() else flow.module
        queue = f"{module}/{facts['lane']}"
        if not flow.homeless():
            with self._lock:
                full = len(self._running) >= self._concurrency
            if full or self._limited or self._office.store.waiting(queue)[0]:
                return False
        self._runtime.start(flow.name, args, kwargs, job=job, user=user, timeout=timeout, facts=facts, queue=queue)
        return True

    def close(self, grace: float = 0.0) -> None:
        """Stop taking jobs; those that run have `grace` seconds to end in, then other workers go on with them."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._news.set()
        self._runtime.close(grace)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        self._mine.release()
        if self._office.worker is self:
            self._office.worker = None

    def _queues(self, per_user: int | None, per_minute: int | None) -> dict[str, dict[str, Any]]:
        limits: dict[str, Any] = {"worker_concurrency": self._concurrency}
        if per_user is not None:
            limits["partition_concurrency"] = per_user
        if per_minute is not None:
            limits["limiter"] = {"limit": per_minute, "period": 60.0}
        queues = {
            f"{module}/{lane}": limits | {"polling_interval_sec": poll}
            for module in self.modules
            for lane, poll in POLL.items()
            if (module, lane) != (BUILT_IN, "interactive")  # it has none of its own there
        }
        queues[f"{BUILT_IN}/{WEBHOOK}"] = {"worker_concurrency": 1_000, "polling_interval_sec": 2.0}
        return queues

    def _body(self, flow: Flow) -> Body:
        """What runs when a job of this flow begins."""

        async def body(args: list[Any], kwargs: dict[str, Any]) -> Any:
            from lab.jobs import workflows  # it is loaded: it has called this

            job = workflows.job_here()
            with self._lock:
                self._running.add(job)
            said: dict[str, Any] = {}
            try:
                return await self._run(flow, job, args, kwargs)
            except workflows.CANCELLED:
                raise
            except Exception as failure:
                content = carried.of_failure(failure, self._office.host.kept_text)
                said["failed"] = {key: content[key] for key in ("name", "message", "kind") if key in content}
                raise workflows.Failed(content) from failure
            finally:
                with self._lock:
                    self._running.discard(job)
                    far = self._far.pop(job, None)
                said |= {"ended": time.time()} | ({} if far is None else {"progress": far})
                await asyncio.to_thread(self._note, job, said)

        return body

    async def _run(self, flow: Flow, job: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        from lab.jobs import workflows  # it is loaded: it has called this

        store, text = self._office.store, self._office.host.kept_text
        status = await asyncio.to_thread(store.status, job)
        done = await asyncio.to_thread(store.steps, job)
        began = status.facts.get("version") if status else None
        first = {} if status is None or status.facts.get("began") else {"began": time.time()}
        if done and began not in (None, flow.version):
            raise errors.JobError(
                f"its code has changed since it began (version {began}, now {flow.version}): job.resume() goes on in"
                " the new code, with the steps that are done; job.again() begins anew"
            )
        await asyncio.to_thread(store.update, job, {"version": flow.version, "again": time.time()} | first)
        workflows.skip(max((step["number"] for step in done), default=0))
        steps = Steps(
            job,
            text=text,
            known={step["name"]: step["output"] for step in done if not step["broken"]},
            record=workflows.record,
            loop=asyncio.get_running_loop(),
            report=lambda content: self._report(job, content),
            carry=store.shared,
        )
        token = CURRENT.set(steps)
        try:
            result = await called(flow.function, tuple(args), kwargs)
        finally:
            CURRENT.reset(token)
        written = json.loads(carried.as_json(f"the result of {flow.name}", result))
        return written if self._office.host.keeps_words else _cleaned(written, text)

    async def _fire(self, at: Any, context: Mapping[str, Any]) -> None:
        """What the clock begins."""
        await asyncio.to_thread(self._office.fire, at, context)

    def _report(self, job: str, content: dict[str, Any]) -> None:
        """How far a job is, to be written down in a moment."""
        with self._lock:
            self._far[job] = content
        self._news.set()

    def _say(self) -> None:
        """Write down how far jobs are, each the last that it said."""
        while not self._stop.wait(SAID):
            self._news.wait()
            self._news.clear()
            with self._lock:
                far, self._far = self._far, {}
            for job, content in far.items():
                self._note(job, {"progress": content})

    def _note(self, job: str, facts: dict[str, Any]) -> None:
        """Put these beside what is kept of a job, if that can be done now."""
        try:
            self._office.store.update(job, facts)
        except errors.BusyError as away:
            log.warning("job %s: %s", job, away)

    def _look(self) -> None:
        """Take over, tell, forget, until it is stopped."""
        pruned = 0.0
        while not self._stop.wait(LOOK):
            try:
                if not self._mine.holds():
                    self._lose()
                    return
                self._take_over()
                self._ended()
                if time.monotonic() > pruned + 600:
                    pruned = time.monotonic()
                    self._office.prune(time.time() - self._keep)
            except errors.BusyError as away:
                log.warning("%s", away)

    def _lose(self) -> None:
        """Its lock is gone: others take it for dead, and its jobs with it. It stops at once."""
        self._lost = True
        log.error("worker %s has lost its lock, and stops: its jobs go on elsewhere", self.name)
        self._runtime.close(0)
        self._stop.set()
        self._news.set()
        self._mine.release()
        if self._office.worker is self:
            self._office.worker = None

    def _take_over(self) -> None:
        """Put the jobs of dead workers back in line."""
        for worker in self._office.store.running() - {self.name}:
            with of_the_dead(self._locks, worker) as dead:
                if dead:
                    jobs = self._runtime.recover(worker)
                    log.warning("worker %s is gone: %d of its jobs are back in line", worker, jobs)

    def _ended(self) -> None:
        """Tell the webhooks of jobs that have ended, and take out the words that may not be kept."""
        since, self._looked = self._looked, time.time()
        for status in self._office.store.listing(
            states=OVER, ended_after=since - 2 * LOOK - _LATE, newest=False, limit=1_000
        ):
            told: dict[str, Any] = {}
            if status.facts.get("webhook") and status.facts.get("told") != status.ended_at:
                self._tell(status)
                told["told"] = status.ended_at
            if status.facts.get("blank") and status.state == "done" and not status.facts.get("blanked"):
                self._office.store.blank(status.job)
                told["blanked"] = True
            if told:
                self._office.store.update(status.job, told)

    def _tell(self, status: JobStatus) -> None:
        """Have its webhook told. Whoever else does so at the same time does it under the same name."""
        first = f"{PREFIX}{status.job}"
        name = first if not status.facts.get("told") else f"{first}:{status.ended_at}"
        body = delivery.message(status)
        self._office.put_delivery(name, [status.facts["webhook"], name, body, list(delivery.WAITS)])


def _cleaned(value: Any, text: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return [_cleaned(part, text) for part in value]
    if isinstance(value, dict):
        return {key: _cleaned(part, text) for key, part in value.items()}
    return value
