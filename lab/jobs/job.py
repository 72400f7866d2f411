"""A job, as whoever holds its name sees it: how it stands, what comes of it, and how it is stopped or gone on with."""

from __future__ import annotations

import asyncio
import html
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from lab import errors
from lab.jobs import carried
from lab.jobs.status import OVER, JobProgress, JobState, JobStatus
from lab.show import units
from lab.show.text import one_line


class Keeper(Protocol):
    """Where a job's state is kept, and changed: an Office."""

    def status(self, job: str, *, result: bool = False) -> JobStatus:
        """How it stands."""

    def steps(self, job: str) -> list[dict[str, Any]]:
        """What it has done."""

    def arguments(self, job: str) -> tuple[list[Any], dict[str, Any]] | None:
        """What its flow was given."""

    def cancel(self, job: str) -> None:
        """Stop it."""

    def resume(self, job: str) -> None:
        """Go on with it."""

    def again(self, job: str, id: str | None) -> Job:
        """The same once more."""


LOOK = (0.05, 0.5)
"""Seconds between two looks at a job that is waited for: the first, and the longest."""


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened to a job, at `at` (Unix seconds). `what`: a state, `step` or `progress`; `detail` says
    which step, or how far."""

    at: float
    what: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.detail}" if self.detail else self.what


class Job:
    """A job by its name, `id`. Each property is looked up when it is read: another process may run it."""

    def __init__(self, office: Keeper, job: str):
        self.id = job
        self._office = office

    @property
    def status(self) -> JobStatus:
        """All of how it stands. Raises `ValueError` where there is no such job (any more)."""
        return self._office.status(self.id)

    @property
    def state(self) -> JobState:
        """`waiting`, `running`, `done`, `failed` or `cancelled`."""
        return self.status.state

    @property
    def progress(self) -> JobProgress | None:
        """How far it says it is; None where it has not said so."""
        return self.status.progress

    @property
    def arguments(self) -> tuple[list[Any], dict[str, Any]] | None:
        """What its flow was given; None where that is gone."""
        return self._office.arguments(self.id)

    def result(self, timeout: float | None = None) -> Any:
        """What the flow returned, once it has: JSON. Raises what it failed of: the same `LabError`; a built-in
        exception; `JobError` for any other, and for a job that was cancelled or started too often; `lab.errors
        .TimeoutError` where its own time ran out; and Python's `TimeoutError` where it isn't over after `timeout`
        seconds."""
        end, wait = None if timeout is None else time.monotonic() + timeout, LOOK[0]
        while (status := self._office.status(self.id, result=True)).state not in OVER:
            if end is not None and time.monotonic() + wait > end:
                raise TimeoutError(f"job {self.id!r} is still {status.state} after {timeout:g} s: ask again")
            time.sleep(wait)
            wait = min(LOOK[1], wait * 1.3)
        return outcome(status)

    async def aresult(self, timeout: float | None = None) -> Any:
        """`result`, to be awaited."""
        return await asyncio.to_thread(self.result, timeout)

    def events(self, *, wait: bool = True) -> Iterator[JobEvent]:
        """What happens to it, from its beginning on, until it is over; with `wait=False` what has happened so far."""
        told: set[str] = set()
        state, progress, pause = "", "", LOOK[0]
        while True:
            status = self.status
            if not told and not state:
                yield JobEvent(status.submitted_at, "waiting", status.flow)
                state = "waiting"
            if state == "waiting" and status.started_at is not None and status.state != "waiting":
                yield JobEvent(status.started_at, "running", status.worker or "")
                state = "running"
            for step in self._office.steps(self.id):
                if step["name"] not in told and not step["broken"]:
                    told.add(step["name"])
                    yield JobEvent(step["ended_at"] or time.time(), "step", step["name"])
            if status.progress is not None and str(status.progress) != progress:
                progress = str(status.progress)
                yield JobEvent(time.time(), "progress", progress)
            if status.state in OVER:
                yield JobEvent(status.ended_at or time.time(), status.state, status.message or "")
                return
            if not wait:
                return
            time.sleep(pause)
            pause = min(LOOK[1], pause * 1.3)

    def cancel(self) -> None:
        """Stop it, wherever it runs. What it has done stays done; `resume` goes on with it."""
        self._office.cancel(self.id)

    def resume(self) -> None:
        """Go on with a job that failed, was cancelled or was started too often, in the code that its worker has now:
        steps that were done are not done again, those that failed are. Raises `ValueError` for one that waits, runs or
        is done."""
        self._office.resume(self.id)

    def again(self, id: str | None = None) -> Job:
        """The same flow with the same arguments once more, as a job of its own. Raises `ValueError` where its arguments
        are gone."""
        return self._office.again(self.id, id)

    def __repr__(self) -> str:
        return f"<Job {self.id} {one_line(line(self.status), 200)}>"

    def _repr_html_(self) -> str:
        return f"<div><b>{html.escape(self.id)}</b> {html.escape(one_line(line(self.status), 200))}</div>"


def line(status: JobStatus) -> str:
    """A job in one line."""
    parts = [status.flow, status.state]
    if status.progress is not None:
        parts.append(str(status.progress))
    if status.started_at is not None:
        parts.append(units.duration((status.ended_at or time.time()) - status.started_at))
    if status.message:
        parts.append(status.message)
    return " · ".join(parts)


def outcome(status: JobStatus) -> Any:
    """What a job that is over returned, or raises what it failed of."""
    if status.state == "done":
        return status.result
    if status.timed_out:
        raise errors.TimeoutError(f"job {status.job!r}: {status.message}", phase="total")
    if status.state == "cancelled":
        raise errors.JobError(f"job {status.job!r} was cancelled: job.resume() goes on with it")
    if status.failed and not status.poison:
        raise carried.to_failure(dict(status.failed))
    raise errors.JobError(f"job {status.job!r}: {status.message or 'it failed'}")
