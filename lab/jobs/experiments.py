"""Experiments as jobs: `lab.submit("compare", spec)`. What is answered is on the ledger, cell by cell, so one that was
killed goes on where it was; nothing of it is a step of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from lab import errors
from lab.evals.experiment import Experiment
from lab.evals.run import Progress
from lab.evals.spec import Spec
from lab.jobs import carried
from lab.jobs.steps import CURRENT

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


def run(planner: Planner, spec: dict[str, Any], wanted: Callable[[], bool]) -> dict[str, Any]:
    """Run the experiment of a specification to its end: `experiment` (its name), `cells`, `failed` (calls), `cost` (US
    dollars). One that another process runs is waited for. Raises `JobError` where cells have no answer, and `Stopped`
    once it is not `wanted` any more."""
    steps = CURRENT.get()
    report, look = _looking(wanted)
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


def batch(lab: Batcher, prompts: list[Any], how: dict[str, Any], wanted: Callable[[], bool]) -> list[dict[str, Any]]:
    """Ask all of them through a batch service, and wait, a day if need be: of each the `call` and its `text`, or what
    it has `failed` of. What was sent is on the ledger, so one that was killed goes on waiting for it."""
    report, look = _looking(wanted)
    while True:
        try:
            replies = lab.batch(prompts, progress=look, **how)
            break
        except errors.BusyError as elsewhere:  # a script waits for the same
            report({"done": 0, "of": len(prompts), "message": str(elsewhere)})
            time.sleep(BEAT)
            if not wanted():
                raise Stopped from elsewhere
    return [
        {"failed": carried.of_failure(reply, lab.kept_text)}
        if isinstance(reply, errors.LabError)
        else {"call": reply.call_id, "text": reply.text}
        for reply in replies
    ]


def _looking(wanted: Callable[[], bool]) -> tuple[Callable[[dict[str, Any]], None], Callable[[Progress], None]]:
    """Says how far it is; and is called with a run's progress, which it says now and then, until it isn't wanted."""
    steps, looked = CURRENT.get(), 0.0
    CURRENT.set(None)  # its calls are cells, and no steps

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

    return report, look
