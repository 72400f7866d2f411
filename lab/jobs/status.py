"""How a job stands, as the jobs' database says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from lab.values import Lane

JobState = Literal["waiting", "running", "done", "failed", "cancelled"]
STATES: tuple[JobState, ...] = get_args(JobState)
OVER: tuple[JobState, ...] = ("done", "failed", "cancelled")
"""States that end."""
STARTS = 20
"""How often a job is started, because its worker died, before it is taken for what kills them."""


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job says it is: `done` of `of` (None: of how many isn't known), and a `message`."""

    done: float = 0
    of: float | None = None
    message: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What an experiment adds: `failed` calls, `cost` in US dollars, `seconds_left`."""

    def __str__(self) -> str:
        share = f"{self.done:g}" if self.of is None else f"{self.done:g} of {self.of:g}"
        return f"{share}: {self.message}" if self.message else share

    @property
    def share(self) -> float | None:
        """From 0 to 1; None where it isn't known."""
        return min(1.0, self.done / self.of) if self.of else None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """A job's row. Times are Unix seconds; `starts` counts how often it was begun; `worker` is who runs it, or ran it
    last; `failed` says of what it failed, as JSON; `facts` is what the lab keeps beside it."""

    job: str
    flow: str
    state: JobState
    lane: Lane
    user: str | None
    submitted_at: float
    started_at: float | None
    ended_at: float | None
    worker: str | None
    starts: int
    timeout: float | None
    timed_out: bool = False
    poison: bool = False
    progress: JobProgress | None = None
    queue: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    result: Any = field(default=None, repr=False)
    failed: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def message(self) -> str | None:
        """What there is to say: why it failed, or was stopped."""
        if self.poison:
            return f"started {STARTS} times, and its worker died each time: it is not begun again by itself"
        if self.timed_out:
            return f"not done within {self.timeout:g} s"
        if self.state in ("failed", "cancelled"):
            known = self.failed or self.facts.get("failed") or {}
            return str(known.get("message") or "") or None
        return None
