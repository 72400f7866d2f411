"""A worker: runs jobs in this process, takes over those of workers that died, tells webhooks, forgets what is old.

It has a name of its own and a lock that dies with it. Whoever looks (each worker, each second) and can take the lock of
a worker that jobs are said to run in knows it dead, and puts its jobs back in line.
"""

from __future__ import annotations

import logging
import os
import platform
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from lab import errors
from lab.jobs.flow import BUILT_IN, PREFIX, SCHEDULE, WEBHOOK, Flow
from lab.jobs.locks import Locks, of_the_dead, taken
from lab.jobs.running import Keeping, Runs
from lab.jobs.status import OVER, JobStatus
from lab.ledger.owner import Owner

if TYPE_CHECKING:
    from lab.jobs.clock import Clock
    from lab.jobs.deliveries import Deliveries
    from lab.jobs.workflows import Store

LOOK = 1.0
"""Seconds between two looks at the other workers, and at jobs that have ended."""
KEEP = 30 * 86_400.0
"""Seconds after which a job that is over is forgotten."""
DAY = 86_400.0
"""Seconds for which the words of a job that failed or was cancelled are kept, so that it can be gone on with, where a
Lab keeps none."""
POLL = {"interactive": 0.1, "batch": 1.0}
"""Seconds between two looks at a lane."""
PAGE = 500
_LATE = 5.0
"""Seconds for which clocks may differ."""
log = logging.getLogger("lab.jobs")


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

    @property
    def home(self) -> str:
        """Whose flows of the lab's own are run here: see `Office.home`."""

    def locks(self) -> Locks:
        """The workers' locks."""

    @property
    def clock(self) -> Clock:
        """What the clock puts in line."""

    @property
    def webhooks(self) -> Deliveries:
        """Who is to be told of a job's end."""

    def void(self, owner: Owner) -> None:
        """End what a dead process holds on the ledger."""

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
        """`concurrency`: jobs at once, in each lane of each module; `per_user`: jobs of one user at once, over all
        workers; `per_minute`: jobs begun, over all workers, in each lane; `keep`: seconds that jobs are remembered for
        once they are over. The two that hold over all workers are those of the worker that began last. Raises
        `InvalidRequestError` where a worker of this `name` runs already, or one in this process."""
        from lab.jobs import workflows  # DBOS is slow to import, and only workers need it

        for what, value in (("concurrency", concurrency), ("per_user", per_user), ("per_minute", per_minute)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise errors.InvalidRequestError(f"{what}={value!r}: a whole number of at least 1")
        self.name = name or f"{platform.node()[:24]}-{os.getpid()}-{secrets.token_hex(2)}"
        if not self.name.isprintable() or "|" in self.name or len(self.name) > 40:
            raise errors.InvalidRequestError(f"name={self.name!r}: up to 40 printable characters, without |")
        self._office, self._keep = office, keep
        self._limits: dict[str, Any] = {} if per_user is None else {"partition_concurrency": per_user}
        self._limits |= {} if per_minute is None else {"limiter": {"limit": per_minute, "period": 60.0}}
        self._flows = {flow.name: flow for flow in (*office.flows.values(), *flows)}
        self.modules = sorted({flow.module for flow in self._flows.values() if not flow.homeless()})
        self._lost, self._stop = False, threading.Event()
        self._looked, self._pruned = time.time() - keep, 0.0
        self._unseen: set[str] = set()
        self._closing = threading.Lock()
        self._locks = office.locks()
        self._mine = taken(self._locks, self.name, self.modules)
        try:
            self.runs = Runs(office.store, office.host, concurrency)
        except BaseException:
            self._mine.release()
            raise
        try:
            bodies = {flow.name: self.runs.body(flow) for flow in self._flows.values()} | {SCHEDULE: self._fire}
            queues = {name: limits for module in self.modules for name, limits in self._queues(module).items()}
            for flow in self._flows.values():
                queues |= self._own_queues(flow)
            self._runtime = workflows.Runtime(office.store, self.name, bodies, queues, self.runs.room)
        except BaseException:
            self.runs.stop()
            self._mine.release()
            raise
        self._thread = threading.Thread(target=self._look, name="lab-jobs-look", daemon=True)
        self._thread.start()
        office.worker = self

    @property
    def alive(self) -> bool:
        """Whether it works: it doesn't once it is closed, or has lost its lock."""
        return not self._stop.is_set() and not self._lost

    def learn(self, flow: Flow) -> None:
        """A flow that was defined since: it is run here from now on."""
        self._flows[flow.name] = flow
        self._runtime.register(flow.name, self.runs.body(flow))
        if flow.homeless():
            self._runtime.listen(self._own_queues(flow))
        elif flow.module not in self.modules:
            self.modules = sorted({*self.modules, flow.module})
            self._runtime.listen(self._queues(flow.module))

    def begin(
        self, flow: Flow, args: Sequence[Any], kwargs: Mapping[str, Any], *, job: str, user: str | None,
        timeout: float | None, facts: Mapping[str, Any], queue: str,
    ) -> bool:  # fmt: skip
        """Begin a job here at once, where there is room and nobody waits; whether that was done."""
        if not self.alive or flow.name not in self._flows:
            return False
        if self._runtime.limited(queue) or self._office.store.waiting(queue)[0]:
            return False
        if not self.runs.reserved(job, queue):
            return False
        try:
            self._runtime.start(flow.name, args, kwargs, job=job, user=user, timeout=timeout, facts=facts, queue=queue)
        except BaseException:
            self.runs.freed(job)
            raise
        there = self._office.store.status(job)
        if there is None or there.worker != self.name:  # another process has begun it a moment ago
            self.runs.freed(job)
        return True

    def close(self, grace: float = 0.0) -> None:
        """Stop taking jobs; those that run have `grace` seconds to end in, then other workers go on with them. A plain
        function that runs is left at its next step."""
        with self._closing:  # who comes second waits for the first
            if self._stop.is_set():
                return
            self._stop.set()
            try:
                self._runtime.drain(grace)
                self.runs.stop()
                self._runtime.close()
            finally:
                if self._thread is not threading.current_thread():
                    self._thread.join()
                if not self._lost:
                    self._give_back()
                self._mine.release()
                if self._office.worker is self:
                    self._office.worker = None

    def _give_back(self) -> None:
        """What still ran is back in line, and its being stopped is none of its deaths."""
        try:
            self._office.store.give_back(self.name)
            self._stranded(self.name)
        except errors.BusyError as away:  # whoever sees that this one is gone does it
            log.warning("%s", away)

    def _stranded(self, worker: str) -> None:
        """Jobs that only this worker could run, whose process is gone: those of a notebook's cells."""
        for status in self._office.store.listing(states=("waiting",)):
            if f"@{worker}/" in (status.queue or ""):
                self._stopped(
                    status, f"{status.flow} ran in a process that has ended, and in no other can be found again"
                )

    def _stopped(self, status: JobStatus, why: str) -> None:
        self._office.store.update(status.job, {"failed": {"name": "JobError", "message": why}})
        self._office.store.cancel(status.job)

    def _own_queues(self, flow: Flow) -> dict[str, dict[str, Any]]:
        """The queues of a flow that this process alone can run."""
        if not flow.homeless():
            return {}
        return {f"{flow.module}@{self.name}/{lane}": {"polling_interval_sec": poll} for lane, poll in POLL.items()}

    def _queues(self, module: str) -> dict[str, dict[str, Any]]:
        """A module's queues, and what limits them."""
        if module != BUILT_IN:
            return {f"{module}/{lane}": self._limits | {"polling_interval_sec": poll} for lane, poll in POLL.items()}
        own = {f"{self._office.home}/batch": self._limits | {"polling_interval_sec": POLL["batch"]}}
        return own | {f"{BUILT_IN}/{WEBHOOK}": {"polling_interval_sec": 1.0}}

    async def _fire(self, at: Any, context: Any) -> None:
        """What the clock begins."""
        try:
            await self.runs.insisted(self._office.clock.fire, at, context)
        except Exception:
            log.exception("schedule %s: its job of %s could not be put in line", context.get("name"), at)
            raise

    def _look(self) -> None:
        """Take over, tell, forget, until it is stopped. Whatever goes wrong is said, and looked at again."""
        while not self._stop.wait(LOOK):
            try:
                if not self._mine.holds():
                    self._lose()
                    return
                self._take_over()
                self._strange()
                self._ended()
                if time.monotonic() > self._pruned + 600:
                    self._pruned = time.monotonic()
                    self._office.prune(time.time() - self._keep)
                    self._forget_words()
            except Exception as failed:
                log.warning("worker %s: %s", self.name, failed)

    def _lose(self) -> None:
        """Its lock is gone: others take it for dead, and its jobs with it. It stops at once."""
        self._lost = True
        log.error("worker %s has lost its lock, and stops: its jobs go on elsewhere", self.name)
        self.close()

    def _take_over(self) -> None:
        """Put the jobs of dead workers back in line."""
        for worker in self._office.store.running() - {self.name}:
            owner = self._locks.owner(worker)
            with of_the_dead(self._locks, worker) as dead:
                if dead:
                    if owner is not None:
                        self._office.void(owner)
                    jobs = self._runtime.recover(worker)
                    self._stranded(worker)
                    log.warning("worker %s is gone: %d of its jobs are back in line", worker, jobs)

    def _strange(self) -> None:
        """Jobs that are said to run here and don't. One whose flow isn't known here goes to where it was to wait, or,
        if that is here, as that of a newer version of a module, is stopped, and says so; one that was claimed and got
        lost goes back in line."""
        here, unseen = self.runs.here() | self._runtime.active(), set()
        for status in self._office.store.listing(states=("running",), worker=self.name, limit=PAGE):
            home = status.facts.get("queue") or status.queue
            if status.flow not in self._flows and status.flow != SCHEDULE:
                if home != status.queue and home is not None:
                    self._office.store.requeue(status.job, self.name, home)
                else:
                    why = f"worker {self.name} has no flow {status.flow}: start one that does, then resume the job"
                    self._stopped(status, why)
            elif status.job not in here:
                if status.job in self._unseen and home is not None:
                    self._office.store.requeue(status.job, self.name, home)
                unseen.add(status.job)
        self._unseen = unseen

    def _ended(self) -> None:
        """Tell the webhooks of jobs that have ended, and take out the words that may not be kept."""
        since, now = self._looked, time.time()
        marked = self._office.store.marked(since - 2 * LOOK - _LATE)
        for first in range(0, len(marked), PAGE):
            for status in self._office.store.listing(jobs=marked[first : first + PAGE], states=OVER):
                try:
                    self._end(status)
                except Exception as failed:  # the others must not wait for this one
                    log.warning("job %s: %s", status.job, failed)
        self._looked = now

    def _end(self, status: JobStatus) -> None:
        facts, noted = status.facts, {}
        if facts.get("webhook") and facts.get("told") != (facts.get("run") or "-"):
            self._tell(status)
            noted["told"] = facts.get("run") or "-"
        quiet = facts.get("blank") or (status.flow == SCHEDULE and not self._office.host.keeps_words)
        if quiet and status.state == "done" and not facts.get("blanked"):
            self._office.store.blank(status.job)
            noted["blanked"] = True
        if noted:
            self._office.store.update(status.job, noted)

    def _forget_words(self) -> None:
        """Those of jobs that failed or were cancelled a day ago."""
        until = time.time() - DAY
        marked = self._office.store.marked(0.0)
        for first in range(0, len(marked), PAGE):
            for status in self._office.store.listing(jobs=marked[first : first + PAGE], ended_before=until):
                if status.facts.get("blank") and not status.facts.get("blanked"):
                    self._office.store.blank(status.job)
                    self._office.store.update(status.job, {"blanked": True})

    def _tell(self, status: JobStatus) -> None:
        """Have its webhook told. Whoever else does so at the same time does it under the same name."""
        from lab.jobs import delivery  # HTTP is slow to import, and only webhooks need it

        name = f"{PREFIX}{status.job}"
        if status.facts.get("told"):
            name += f":{status.facts.get('run')}"
        identifier = quote(name, safe=":-._~")
        args = [status.facts["webhook"], identifier, delivery.message(status), list(delivery.WAITS)]
        self._office.webhooks.put(name, status.job, args)
