"""The verbs of a Lab that are about jobs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, overload

from lab import errors
from lab.jobs import address, readable
from lab.jobs.flow import Flow
from lab.jobs.job import Job
from lab.jobs.office import DEPTH, Office
from lab.jobs.steps import CURRENT, called

if TYPE_CHECKING:
    import pandas as pd

    from lab.jobs.worker import Worker


class JobVerbs:
    """What `Lab` can do with work that outlives its caller."""

    _office: Office

    @overload
    def flow(self, function: Callable[..., Any]) -> Flow: ...
    @overload
    def flow(self, *, version: str | None = None) -> Callable[[Callable[..., Any]], Flow]: ...
    def flow(self, function: Callable[..., Any] | None = None, *, version: str | None = None) -> Any:
        """Make a flow of a function, async or plain: `@lab.flow`. It takes and returns JSON.

        Within a flow each `lab.ask`, `lab.aask` and `await lab.step(function, ...)` is a step: done once, however often
        the job's worker dies. What lies between them may run again. `version` says which code a job began with, by
        default a hash of the function's source: a job is not gone on with in another one unless `job.resume()` says so.
        Called directly, a flow runs at once, here, and keeps nothing."""

        def made(function: Callable[..., Any]) -> Flow:
            flow = self._office.flow(function, version)
            flow.owner = self
            return flow

        return made if function is None else made(function)

    async def step(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What a function returns, JSON, within a flow done once: what it costs, or changes elsewhere, isn't done again
        unless its worker dies in the middle of it. A plain function runs in a thread. Outside of a job it is just
        called. What it raises is raised each time: a `LabError` or a built-in exception as it is, others as a
        `JobError`."""
        steps = CURRENT.get()
        return await (called(function, args, kwargs) if steps is None else steps.do(function, args, kwargs))

    def progress(self, done: float, of: float | None = None, message: str | None = None) -> None:
        """Say how far the job is in whose flow this is called; nothing outside of one."""
        steps = CURRENT.get()
        if steps is not None and steps.report is not None:
            steps.report({"done": done, "of": of, "message": message})

    def submit(
        self,
        flow: Flow | str,
        *args: Any,
        id: str | None = None,
        user: str | None = None,
        lane: str | None = None,
        timeout: float | None = None,
        webhook: str | None = None,
        depth: int = DEPTH,
        **kwargs: Any,
    ) -> Job:
        """Put a job in line and return at once: some worker runs `flow(*args, **kwargs)` to its end, though processes
        die on the way. `lab.submit("compare", spec)` runs an experiment, `lab.submit("batch", prompts, model=...)`
        waits for a batch service.

        `id`: a name of your own, once: the same again is the same job, with other arguments an error. `user`: whose it
        is, for limits and lists. `lane`: `interactive` (the default), or `batch`, where it waits only for others of its
        kind. `timeout`: seconds from its beginning. `webhook`: an address that is told of its end (Standard Webhooks;
        signed with the worker's `$LAB_WEBHOOK_SECRET`). Arguments are kept in the jobs' database as they are.

        Raises `InvalidRequestError` for a flow that no worker could find, or arguments that are no JSON, and
        `BusyError`, with how long to wait, where `depth` jobs wait in its lane already, or the database is away."""
        return self._office.submit(
            flow,
            args,
            kwargs,
            id=id,
            user=user,
            lane=lane,
            timeout=timeout,
            webhook_url=webhook,
            depth=depth,
        )

    def job(self, id: str) -> Job:
        """A job by its name. Raises `ValueError` where there is none."""
        self._office.status(id)
        return Job(self._office, id)

    def jobs(
        self,
        *,
        state: str | Sequence[str] | None = None,
        flow: str | None = None,
        user: str | None = None,
        lane: str | None = None,
        limit: int | None = 200,
    ) -> pd.DataFrame:
        """Jobs, newest first: columns `job`, `flow`, `state` (waiting, running, done, failed, cancelled), `lane`,
        `user`, `done` and `of` (how far it says it is), `progress` (the same in words), `submitted_at`, `started_at`
        and `ended_at` (UTC), `worker`, `starts`, `message` (why it failed); and of experiments `experiment`, `failed`
        (calls), `cost` (US dollars, of this run), `seconds_left`."""
        return readable.frame(self._office.listing(state=state, flow=flow, user=user, lane=lane, limit=limit))

    def worker(self, *modules: str, **settings: Any) -> Worker:
        """Run jobs in this process, from now on until `.close()` or the Lab is closed: those of experiments and
        webhooks, of the flows of this Lab, and of these modules. `settings`: see `lab.jobs.worker.Worker`. A process
        has one worker. For a worker that is a process of its own: `lab worker my_flows`."""
        from lab.jobs.worker import Worker  # only who runs one needs it

        flows = [flow for module in modules for flow in self._office.load(module)]
        return Worker(self._office, flows, **settings)

    def home_of(self, modules: Sequence[str]) -> Self:
        """The Lab whose flows these modules define, imported here; this one where they are none. Raises
        `InvalidRequestError` where their jobs are not in one place."""
        homes = [flow.owner for module in modules for flow in self._office.load(module) if flow.owner is not None]
        places = {home.jobs_at for home in homes}
        if len(places) > 1:
            raise errors.InvalidRequestError(f"{', '.join(modules)}: their jobs are in {' and '.join(sorted(places))}")
        return homes[0] if homes else self

    @property
    def jobs_at(self) -> str:
        """Where the jobs' database is, without its password."""
        return address.shown(self._office.url)

    def workers(self) -> pd.DataFrame:
        """The workers that live: columns `worker`, `modules`, `since` (UTC)."""
        import pandas as pd  # slow to import, and only readers need it

        from lab.show.moments import utc

        rows = [{"modules": [], "since": None} | row for row in self._office.workers()]
        table = pd.DataFrame(rows, columns=["worker", "modules", "since"])
        return table.assign(since=utc(table["since"].astype(float)))

    def webhooks(self, *, dead: bool = False) -> pd.DataFrame:
        """Webhooks that were to be told of a job's end, newest first, or those alone that were given up: columns as in
        `jobs`; `job` is the delivery's name, and the identifier that the receiver sees."""
        return readable.frame(self._office.webhooks.dead() if dead else self._office.webhooks.listed())

    def jobs_waiting(self, since: datetime | float | None = None) -> dict[str, Any] | None:
        """The queue in figures: jobs `running` and `waiting`, for how many seconds the `oldest` has, `workers` that
        live, and what is said of each webhook that was given up (`dead`) since then (by default 7 days ago). None where
        there was never a job."""
        moment = since.timestamp() if isinstance(since, datetime) else since
        return self._office.figures(time.time() - 7 * 86_400 if moment is None else moment)

    def resend(self, job: str) -> Job:
        """Tell a job's webhook again, under the same identifier: over a day, as the first time. Raises `ValueError`
        where the job had none."""
        return Job(self._office, self._office.webhooks.resend(job))

    def schedule(
        self, name: str, flow: Flow | str, cron: str, *args: Any, zone: str | None = None, **more: Any
    ) -> None:
        """Put a job in line by the clock: `cron` as in crontab (or with seconds before it), in this time `zone` (such
        as `Europe/Berlin`; UTC by default). The same `name` again is changed. `more` as in `submit`. A time that passes
        while no worker runs is left out. Raises `InvalidRequestError` for a time that is none."""
        self._office.clock.schedule(name, flow, cron, args, zone, more)

    def schedules(self) -> pd.DataFrame:
        """What is put in line by the clock: columns `name`, `flow`, `cron`, `zone`, `last` (when it last was)."""
        return self._office.clock.schedules()

    def unschedule(self, name: str) -> None:
        """No more of this one."""
        self._office.store.unschedule(name)

    def prune_jobs(self, before: datetime | float) -> int:
        """Forget jobs that ended before then (a datetime, Unix seconds); how many. Workers do so by themselves, after
        30 days."""
        return self._office.prune(before.timestamp() if isinstance(before, datetime) else before)

    async def asubmit(self, flow: Flow | str, *args: Any, **more: Any) -> Job:
        """`submit`, to be awaited."""
        return await asyncio.to_thread(lambda: self.submit(flow, *args, **more))
