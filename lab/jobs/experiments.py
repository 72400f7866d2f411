"""Experiments as jobs: `lab.submit("compare", spec)`. What is answered is on the ledger, cell by cell, so one that was
killed goes on where it was; nothing of it is a step of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from lab import errors
from lab.evals.experiment import Experiment
from lab.evals.run import Progress
from lab.evals.spec import Spec
from lab.jobs.steps import CURRENT

BEAT = 1.0
"""Seconds between two signs of a run, and between two looks whether it was stopped."""


class Planner(Protocol):
    """What plans experiments: a Lab."""

    def planned(self, spec: Spec, *, job: str | None = None) -> Experiment:
        """The experiment of a specification."""


class Stopped(Exception):
    """Somebody has stopped the job."""


def run(planner: Planner, spec: dict[str, Any], wanted: Callable[[], bool]) -> dict[str, Any]:
    """Run the experiment of a specification to its end: `experiment` (its name), `cells`, `failed` (calls), `cost` (US
    dollars). One that another process runs is waited for. Raises `JobError` where cells have no answer, and `Stopped`
    once it is not `wanted` any more."""
    steps = CURRENT.get()
    CURRENT.set(None)  # its calls are cells, and no steps
    looked = 0.0

    def report(content: dict[str, Any]) -> None:
        if steps is not None and steps.report is not None:
            steps.report(content)

    def look(progress: Progress) -> None:
        nonlocal looked
        if time.monotonic() < looked + BEAT and progress.ended is None:
            return
        looked = time.monotonic()
        left = None if progress.ended else progress.left
        more = {"failed": progress.failed, "cost": progress.cost, "seconds_left": left}
        report({"done": progress.done, "of": progress.total, "message": progress.sent, "more": more})
        if not wanted():
            raise Stopped

    experiment = planner.planned(Spec.read(spec), job=None if steps is None else steps.job)
    while True:
        try:
            experiment.run(look)
            break
        except errors.BusyError as elsewhere:  # a script runs it, or a process that died a moment ago
            report({"done": 0, "of": experiment.plan.cells if experiment.plan else None, "message": str(elsewhere)})
            time.sleep(BEAT)
            if not wanted():
                raise Stopped from elsewhere
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
