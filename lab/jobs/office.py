"""Where jobs are handed in and asked after: the part of a Lab that knows flows, and the jobs' database."""

from __future__ import annotations

import hashlib
import importlib
import json
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol, cast

from lab import errors
from lab.call.intake import new_id
from lab.jobs import address, carried, intake
from lab.jobs.clock import Clock
from lab.jobs.deliveries import Deliveries
from lab.jobs.flow import BATCH, BUILT_IN, BY_LEDGER, COMPARE, SCHEDULE, WEBHOOK, Flow
from lab.jobs.job import Job
from lab.jobs.locks import FileLocks, Locks, SessionLocks
from lab.jobs.running import Keeping
from lab.jobs.status import OVER, STATES, JobStatus
from lab.ledger.file import Ledger
from lab.ledger.lease import void
from lab.ledger.owner import Owner

if TYPE_CHECKING:
    from lab.evals.experiment import Experiment
    from lab.evals.spec import Spec
    from lab.jobs.worker import Worker
    from lab.jobs.workflows import Store

PAGE = 500
DEPTH = 1_000
"""How many jobs may wait in one lane before another one is refused, unless it is said otherwise."""


_AGAIN = ("lane", "input", "webhook", "experiment")
"""What of a job is the same when it is run again."""


class Host(Keeping, Protocol):
    """The Lab that jobs are of."""

    @property
    def path(self) -> Path:
        """Where its ledger is."""

    @property
    def ledger(self) -> Ledger:
        """The ledger."""

    def planned(self, spec: Spec, *, job: str | None = None) -> Experiment:
        """The experiment of a specification."""

    def batch(self, prompts: Sequence[Any], **more: Any) -> list[Any]:
        """Replies, or what requests ended in, through a batch service."""


class Office:
    """The jobs of one Lab. Nothing is opened before it is needed."""

    def __init__(self, host: Host):
        self.host = host
        self.worker: Worker | None = None
        """The one in this process, if it is on."""
        self._store: Store | None = None
        self._lock = threading.Lock()
        self.flows = {flow.name: flow for flow in self._own()}
        self.webhooks, self.clock = Deliveries(self), Clock(self)

    @classmethod
    def at(cls, path: Path) -> Office:
        """One that only looks: at the jobs of the ledger at `path`."""
        return cls(cast(Host, SimpleNamespace(path=path)))

    @property
    def url(self) -> str:
        """Where the jobs' database is: `$LAB_JOBS`, or a SQLite file beside the ledger."""
        return address.of(self.host.path)

    @property
    def store(self) -> Store:
        """The jobs' database, opened and, where there is none, made."""
        with self._lock:
            if self._store is None:
                try:
                    from lab.jobs import workflows  # DBOS takes half a second to import, and only jobs need it
                except ImportError as missing:
                    raise errors.UnsupportedError(f"jobs need DBOS: pip install 'lab[jobs]' ({missing})") from missing
                self._store = workflows.Store(self.url)
            return self._store

    @property
    def home(self) -> str:
        """Whose experiments are run here. What a ledger knows of one can't be told to a worker with another: where the
        jobs' database is shared, those of each ledger wait for a worker that has it."""
        if not self.store.shared:
            return BUILT_IN
        (made,) = self.host.ledger.rows("SELECT name, applied_at FROM _sqlite_migrations ORDER BY id LIMIT 1")
        return f"{BUILT_IN}@{hashlib.sha256(str(made).encode()).hexdigest()[:8]}"

    def queue(self, flow: Flow, lane: str) -> str:
        """Where the jobs of a flow wait."""
        if flow.homeless():
            if self.worker is None or not self.worker.alive:
                raise errors.InvalidRequestError(
                    f"{flow.name}: no worker could find it again: put it into a module of its own (a file my_flows.py)"
                    " and import it from there; or run it in this process alone, with lab.worker()"
                )
            return f"{flow.module}@{self.worker.name}/{lane}"
        if flow.name == WEBHOOK:
            return f"{BUILT_IN}/{WEBHOOK}"
        return f"{self.home}/batch" if flow.name in BY_LEDGER else f"{flow.module}/{lane}"

    def there(self) -> bool:
        """Whether there is a jobs' database: looking must not make one."""
        path = address.file_of(self.url)
        return path is None or path.exists()

    def locks(self) -> Locks:
        """The locks of its workers."""
        path = address.file_of(self.url)
        return SessionLocks(self.store.engine) if path is None else FileLocks(path.with_name(f"{path.name}-workers"))

    def flow(self, function: Callable[..., Any], version: str | None) -> Flow:
        """Make a flow of a function, and remember it."""
        flow = Flow(function, version=version)
        self._learnt([flow])
        return flow

    def submit(
        self,
        flow: Flow | str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        id: str | None = None,
        user: str | None = None,
        lane: str | None = None,
        timeout: float | None = None,
        webhook_url: str | None = None,
        depth: int = DEPTH,
    ) -> Job:
        """Put a job in line: see `Lab.submit`."""
        flow = self.found(flow)
        lane = lane or ("batch" if flow.name in BY_LEDGER else "interactive")
        intake.check(id, user, lane, timeout, webhook_url)
        facts: dict[str, Any] = {"lane": lane, "version": flow.version, "submitted": time.time()}
        if flow.name == COMPARE:
            args, facts = self._planned(args, facts)
        if flow.name == BATCH:
            from lab.evals.spec import no_secret  # numpy is slow to import, and only experiments need it

            no_secret(kwargs)
        flow.check(tuple(args), dict(kwargs))
        text = carried.as_json(f"the arguments of {flow.name}", [list(args), dict(kwargs)])
        facts["input"] = hashlib.sha256(f"{flow.name} {text}".encode()).hexdigest()[:16]
        if flow.name == COMPARE and id is None and (running := self._running(facts["input"])) is not None:
            return running
        facts |= {"webhook": webhook_url} if webhook_url else {}
        facts |= {} if self.host.keeps_words else {"blank": True}
        given = json.loads(text)
        return self._put(flow, given[0], given[1], id or new_id(), user, timeout, facts, depth)

    def _put(
        self,
        flow: Flow,
        args: list[Any],
        kwargs: dict[str, Any],
        job: str,
        user: str | None,
        timeout: float | None,
        facts: dict[str, Any],
        depth: int,
    ) -> Job:
        if self._same(job, flow, facts):
            return Job(self, job)
        queue = facts["queue"] = self.queue(flow, facts["lane"])
        begun = self.worker is not None and self.worker.begin(
            flow, args, kwargs, job=job, user=user, timeout=timeout, facts=facts, queue=queue
        )
        if not begun:
            self._room(queue, depth)
            self.store.enqueue(flow.name, args, kwargs, job=job, queue=queue, user=user, timeout=timeout, facts=facts)
        if flow.homeless():
            warnings.warn(f"{flow.name} runs in this process, and ends with it", UserWarning, stacklevel=4)
        self._same(job, flow, facts)  # somebody else may have taken the name a moment ago
        return Job(self, job)

    def _same(self, job: str, flow: Flow, facts: Mapping[str, Any]) -> bool:
        """Whether there is this job already. Raises `InvalidRequestError` where it is another one of the same name."""
        there = self.store.status(job)
        if there is not None and (there.flow, there.facts.get("input")) != (flow.name, facts["input"]):
            raise errors.InvalidRequestError(
                f"job {job!r} was submitted with another flow or other arguments: take another id"
            )
        return there is not None

    def _room(self, queue: str, depth: int) -> None:
        """Raises `BusyError` where too many jobs wait already, with how long it may take until there is room."""
        waiting, begun = self.store.waiting(queue)
        if waiting >= depth:
            left = (waiting - depth + 1) / begun * 60 if begun else 60.0
            raise errors.BusyError(
                f"{waiting:,} jobs wait in {queue}, and no more than {depth:,} may", retry_after=max(1.0, left)
            )

    def found(self, flow: Flow | str) -> Flow:
        """The flow that is meant: by itself, by the name of one of the lab's own, or as `module:function`."""
        if isinstance(flow, Flow):
            if flow.name not in self.flows:
                self._learnt([flow])
            return self.flows[flow.name]
        if isinstance(flow, str) and flow not in self.flows and ":" in flow:
            self.load(flow.partition(":")[0])
        if isinstance(flow, str) and flow in self.flows and flow != WEBHOOK:
            return self.flows[flow]
        known = ", ".join(sorted(name for name in self.flows if name != WEBHOOK))
        hint = "a function needs @lab.flow above it" if callable(flow) else f"there is {known}"
        raise errors.InvalidRequestError(f"no flow {getattr(flow, '__name__', flow)!r}: {hint}")

    def load(self, module: str) -> list[Flow]:
        """The flows that a module defines. Raises `InvalidRequestError` where it can't be imported, or has none."""
        try:
            found = importlib.import_module(module)
        except ImportError as odd:
            raise errors.InvalidRequestError(f"module {module!r} can't be imported: {odd}") from odd
        flows = [value for value in vars(found).values() if isinstance(value, Flow)]
        if not flows:
            raise errors.InvalidRequestError(f"module {module!r} defines no flow: put @lab.flow above a function")
        self._learnt(flows)
        return flows

    def _learnt(self, flows: Sequence[Flow]) -> None:
        """Remember these; the worker of this process runs them from now on."""
        for flow in flows:
            new = self.flows.get(flow.name) is not flow
            self.flows[flow.name] = flow
            if new and self.worker is not None:
                self.worker.learn(flow)

    def _own(self) -> list[Flow]:
        """The lab's own flows. What they are made of is loaded where they run."""

        def compare(spec: dict[str, Any]) -> dict[str, Any]:
            from lab.jobs import experiments

            return experiments.run(self.host, spec, self._wanted)

        async def deliver(url: str, identifier: str, body: dict[str, Any], waits: list[float]) -> dict[str, Any]:
            from lab.jobs import delivery

            return await delivery.deliver(url, identifier, body, waits)

        def batch(prompts: list[Any], model: str, name: str | None = None, **more: Any) -> list[dict[str, Any]]:
            from lab.jobs import experiments

            return experiments.batch(self.host, prompts, {"model": model, "name": name, **more}, self._wanted)

        own: dict[str, Callable[..., Any]] = {COMPARE: compare, BATCH: batch, WEBHOOK: deliver}
        return [Flow(function, name=name, version="1") for name, function in own.items()]

    def _wanted(self, job: str) -> bool:
        """Whether a job that runs is still to run."""
        return self.status(job).state == "running"

    def _planned(self, args: Sequence[Any], facts: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of an experiment, looked at first: what can't be asked, or costs too much, is told at once."""
        if len(args) != 1:
            raise errors.InvalidRequestError('lab.submit("compare", spec): a Spec, or its JSON')
        from lab.evals.spec import Spec  # numpy is slow to import, and only experiments need it

        spec = args[0] if isinstance(args[0], Spec) else Spec.read(args[0])
        spec.written()  # what can't be written down is refused before anything is planned
        experiment = self.host.planned(spec)
        total = experiment.plan.cells if experiment.plan else 0
        facts = facts | {"experiment": experiment.name, "progress": {"done": 0, "of": total}}
        return [experiment.spec.written()], facts

    def _running(self, given: str) -> Job | None:
        """The job that runs this experiment on this ledger, or is to."""
        for status in self.store.listing(states=("waiting", "running"), flow=COMPARE):
            if (status.facts.get("input"), status.facts.get("queue")) == (given, f"{self.home}/batch"):
                return Job(self, status.job)
        return None

    def status(self, job: str, *, result: bool = False) -> JobStatus:
        """How a job stands. Raises `ValueError` where there is none of this name."""
        status = self.store.status(job, result=result)
        if status is None:
            raise ValueError(f"no job {job!r}: see lab.jobs()")
        return status

    def arguments(self, job: str) -> tuple[list[Any], dict[str, Any]] | None:
        """What its flow was given; None where that is gone."""
        status = self.store.status(job)
        return None if status is None or status.facts.get("blanked") else self.store.input(job)

    def steps(self, job: str) -> list[dict[str, Any]]:
        """What it has done."""
        return self.store.steps(job)

    def traced(self, job: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """What a job's trace needs to know of it: how it stands, and its steps."""
        status = self.status(job)
        names = "flow state message submitted_at started_at ended_at starts worker".split()
        steps = [
            step | {"failed": step["broken"] or "failed" in (step["output"] or {})} for step in self.store.steps(job)
        ]
        return {name: getattr(status, name) for name in names} | {"again": status.facts.get("again")}, steps

    def listing(
        self,
        *,
        state: str | Sequence[str] | None = None,
        flow: str | None = None,
        user: str | None = None,
        lane: str | None = None,
        limit: int | None = 200,
        newest: bool = True,
    ) -> list[JobStatus]:
        """How jobs stand, those of webhooks apart."""
        given = (state,) if isinstance(state, str) else state
        for name in given or ():
            if name not in STATES:
                raise ValueError(f"state={name!r}: one of {', '.join(STATES)}")
        states = None if given is None else [known for known in STATES if known in given]
        if not self.there():
            return []
        kept: list[JobStatus] = []
        seen, own = 0, (WEBHOOK, SCHEDULE)
        while limit is None or len(kept) < limit:
            page = self.store.listing(
                states=states, flow=flow, user=user, newest=newest, limit=PAGE, offset=seen, computed=False
            )
            fits = [status for status in page if status.flow not in own and lane in (None, status.lane)]
            kept += [status for status in fits if states is None or status.state in states]
            seen += len(page)
            if len(page) < PAGE:
                break
        return kept[:limit]

    def cancel(self, job: str) -> None:
        """Stop one. Raises `ValueError` where there is none of this name, or it is over."""
        status = self.status(job)
        if status.state in OVER:
            raise ValueError(f"job {job!r} is {status.state}")
        self.store.cancel(job)

    def resume(self, job: str) -> None:
        """Go on with one that failed or was cancelled."""
        status = self.status(job)
        if status.state not in ("failed", "cancelled"):
            raise ValueError(f"job {job!r} is {status.state}: only what failed or was cancelled can be resumed")
        if self.arguments(job) is None:
            raise ValueError(f"job {job!r}: its arguments are gone")
        known = self.flows.get(status.flow)
        usual = f"{status.flow.partition(':')[0]}/{status.lane}" if known is None else self.queue(known, status.lane)
        queue = str(status.facts.get("queue") or usual)
        if known is not None and known.homeless():
            queue = usual
        self.store.update(job, {"version": None, "failed": None})
        self.store.resume(status, queue)

    def again(self, job: str, id: str | None) -> Job:
        """The same once more."""
        status, given = self.status(job), self.arguments(job)
        if given is None:
            raise ValueError(f"job {job!r}: its arguments are gone")
        flow = self.found(status.flow)
        if flow.name in BY_LEDGER and status.facts.get("queue") != f"{self.home}/batch":
            raise ValueError(f"job {job!r} is of another ledger: run it again from there")
        intake.check(id, None, status.lane, None, None)
        facts = {key: value for key, value in status.facts.items() if key in _AGAIN}
        facts |= {"version": flow.version, "submitted": time.time()}
        facts |= {} if self.host.keeps_words else {"blank": True}
        if status.flow == COMPARE and status.progress is not None:
            facts["progress"] = {"done": 0, "of": status.progress.of}
        return self._put(flow, *given, id or new_id(), status.user, status.timeout, facts, DEPTH)

    def workers(self) -> list[dict[str, Any]]:
        """The workers that live: `worker`, the `modules` it serves, `since` (Unix seconds)."""
        return self.locks().alive() if self.there() else []

    def figures(self, since: float) -> dict[str, Any] | None:
        """What there is to watch: see `lab.metrics.alerts.JobFigures`. None where there is no jobs' database."""
        if not self.there():
            return None
        waiting = self.listing(state="waiting", limit=None, newest=False)
        oldest = time.time() - waiting[0].submitted_at if waiting else 0.0
        dead = [status.message or "" for status in self.webhooks.dead(since)]
        running = len(self.listing(state="running", limit=None))
        numbers = {"running": running, "waiting": len(waiting), "workers": len(self.workers())}
        return {"dead": dead, "oldest": oldest, **numbers}

    def void(self, owner: Owner) -> None:
        """End what a dead process holds on the ledger: keys, experiments."""
        void(self.host.ledger, owner)

    def prune(self, before: float) -> int:
        """Forget jobs that ended before then (Unix seconds); how many."""
        gone = 0
        while self.there():
            old = [status.job for status in self.store.listing(states=OVER, ended_before=before, limit=500)]
            if not old:
                break
            self.store.delete(old)
            gone += len(old)
        return gone

    def close(self) -> None:
        """Stop the worker, let go of the database."""
        if self.worker is not None:
            self.worker.close()
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None
