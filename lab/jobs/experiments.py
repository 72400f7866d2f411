"""Experiments and batches as jobs: `lab.submit("compare", spec)`, `lab.submit("batch", prompts, model=...)`. What is
answered is on the ledger, cell by cell, so one that was killed goes on where it was; nothing of it is a step of its
own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from lab import errors
from lab.evals.experiment import Experiment
from lab.evals.run import Progress
from lab.evals.spec import Spec
from lab.jobs import carried
from lab.jobs.steps import CURRENT

T = TypeVar("T")
BEAT = 1.0
"""Seconds between two signs of a run, and between two looks whether it was stopped."""


class Planner(Protocol):
    """What plans experiments: a Lab."""

    def planned(self, spec: Spec, *, job: str | None = None) -> Experiment:
        """The experiment of a specification."""


class Batcher(Protocol):
    """What asks through batch services: a Lab."""

    @property
    def kept_text(self) -> Callable[[str], str]:
        """What may be written of a text."""

    def batch(self, prompts: Sequence[Any], **more: Any) -> list[Any]:
        """Replies, or what requests ended in."""


class Stopped(Exception):
    """Somebody has stopped the job."""


Wanted = Callable[[str], bool]
"""Whether the job of this name is still to run."""


def run(planner: Planner, spec: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    """Run the experiment of a specification to its end: `experiment` (its name), `cells`, `failed` (calls), `cost` (US
    dollars). One that another process runs is waited for. Raises `JobError` where cells have no answer, and `Stopped`
    once it is not `wanted` any more."""
    watch = _Watch(wanted)
    experiment = planner.planned(Spec.read(spec), job=watch.job)
    watch.through(lambda: experiment.run(watch.look), experiment.plan.cells if experiment.plan else None)
    progress = experiment.progress
    assert progress is not None
    left = progress.total - progress.done
    if left:
        why = progress.stopped or f"{left:,} cells have no answer: {progress.first}"
        raise errors.JobError(why)
    return {
        "experiment": experiment.name,
        "cells": progress.total,
        "failed": progress.failed,
        "cost": progress.cost,
    }


def batch(lab: Batcher, prompts: list[Any], how: dict[str, Any], wanted: Wanted) -> list[dict[str, Any]]:
    """Ask all of them through a batch service, and wait, a day if need be: of each the `call` and its `text`, or what
    it has `failed` of. What was sent is on the ledger, so one that was killed goes on waiting for it."""
    watch = _Watch(wanted)
    replies = watch.through(lambda: lab.batch(prompts, progress=watch.look, **how), len(prompts))
    return [
        {"failed": carried.of_failure(reply, lab.kept_text)}
        if isinstance(reply, errors.LabError)
        else {"call": reply.call_id, "text": reply.text}
        for reply in replies
    ]


class _Watch:
    """Says how far a job's run is, and ends it once it isn't wanted. Its calls are cells, and no steps."""

    def __init__(self, wanted: Wanted):
        self._steps, self._wanted, self._looked = CURRENT.get(), wanted, 0.0
        CURRENT.set(None)

    @property
    def job(self) -> str | None:
        """The job, if it is one: called directly, it is none."""
        return None if self._steps is None else self._steps.job

    def through(self, work: Callable[[], T], of: int | None) -> T:
        """What comes of it; where a script does the same, or a process that died a moment ago, that is waited for."""
        while True:
            try:
                return work()
            except errors.BusyError as elsewhere:
                self._say({"done": 0, "of": of, "message": str(elsewhere)})
                time.sleep(BEAT)

    def look(self, progress: Progress) -> None:
        """How far it is."""
        if time.monotonic() < self._looked + BEAT and progress.ended is None:
            return
        self._looked = time.monotonic()
        left = None if progress.ended else progress.left
        more = {"failed": progress.failed, "cost": progress.cost, "seconds_left": left}
        self._say({"done": progress.done, "of": progress.total, "message": progress.sent, "more": more})

    def _say(self, content: dict[str, Any]) -> None:
        if self._steps is not None and self._steps.report is not None:
            self._steps.report(content)
        if self.job is not None and not self._wanted(self.job):
            raise Stopped
