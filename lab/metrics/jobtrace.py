"""A job from when it was handed in to its result: each call and each other step on one time axis, with dollars."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lab.ledger import queries
from lab.ledger.file import Ledger
from lab.metrics.trace import WAIT, WHOLE, bars_of
from lab.show import units
from lab.show.text import one_line
from lab.show.timeline import Bar, timeline_html, timeline_text

if TYPE_CHECKING:
    import pandas as pd

STEP, LOST = "step", "lost"
MOST = 60
"""Bars that are drawn; the rest is in `calls`."""


@dataclass(frozen=True, slots=True)
class JobTrace:
    """A job as the ledger and the jobs' database have it. `calls` is a DataFrame, a row a call, oldest first; `steps`
    are those that are no calls; `bars` is the timeline, in seconds from when the job was handed in."""

    job: str
    head: str
    calls: pd.DataFrame = field(repr=False)
    steps: tuple[Mapping[str, Any], ...] = field(repr=False)
    bars: tuple[Bar, ...] = field(repr=False)

    def df(self) -> pd.DataFrame:
        """The timeline as a table: columns `step`, `part`, `start`, `end` (seconds from when it was handed in)."""
        import pandas as pd  # slow to import, and only readers need it

        rows = [[bar.label, *part] for bar in self.bars for part in bar.parts]
        return pd.DataFrame(rows, columns=["step", "part", "start", "end"])

    def __str__(self) -> str:
        return "\n".join([f"job {self.job}", self.head, *timeline_text(self.bars)])

    def __repr__(self) -> str:
        return f"<JobTrace {self.job} {one_line(self.head, 200)}>"

    def _repr_html_(self) -> str:
        return timeline_html(f"job {self.job}", self.head, self.bars)


def trace(book: Ledger, job: str, facts: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> JobTrace:
    """What a job did. `facts`: its `flow`, `state`, `message`, and `submitted_at`, `started_at`, `ended_at`, and
    `again`, when it was begun last (Unix seconds, None where that has not been); `steps`: those that were recorded,
    with `name`, `started_at`, `ended_at` and whether they `failed`."""
    calls = queries.calls(book, job=job, limit=None, order="oldest")
    calls = calls[~((calls["cached"]) & (calls["cached_as"] == "key") & calls["step"].duplicated())]
    began = facts["submitted_at"]
    asked = set(calls["step"])
    others = tuple(step for step in steps if step["name"] not in asked)
    bars = [_own(facts)]
    drawn = calls.head(MOST).to_dict("records")
    rows = [(row["started_at"].timestamp(), _call(book, row, facts)) for row in drawn]
    rows += [(step["started_at"] or began, _step(step, began)) for step in others[:MOST]]
    ordered = [bar for _at, bar in sorted(rows, key=lambda pair: pair[0])]
    bars += [replace(bar, label=f"{number} {bar.label}") for number, bar in enumerate(ordered, 1)]
    return JobTrace(job, _head(facts, calls, others), calls, others, tuple(bars))


def _head(facts: Mapping[str, Any], calls: pd.DataFrame, others: Sequence[Any]) -> str:
    parts = [facts["flow"], facts["state"]]
    if facts["message"]:
        parts.append(one_line(facts["message"], 200))
    if facts["started_at"] is not None:
        until = facts["ended_at"] or time.time()
        parts.append(f"{units.duration(until - facts['submitted_at'])} in all")
    parts.append(_many(len(calls), "call"))
    if others:
        parts.append(_many(len(others), "other step"))
    known = calls["cost"].dropna()
    if len(calls):
        paid = units.dollars(float(known.sum())) if len(known) else ""
        unknown = f"{_many(len(calls) - len(known), 'call')} of unknown cost" if len(known) < len(calls) else ""
        parts.append(" and ".join(part for part in (paid, unknown) if part))
    return " · ".join(parts)


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _own(facts: Mapping[str, Any]) -> Bar:
    """The job's own line: how long it waited for a worker."""
    began, started = facts["submitted_at"], facts["started_at"]
    ended = facts["ended_at"]
    until = started if started is not None else ended or time.time()
    parts: list[tuple[str, float, float]] = [(WAIT, 0.0, max(0.0, until - began))]
    good = facts["state"] in ("done", "running", "waiting")
    starts = facts.get("starts") or 0
    notes = (f"begun {starts} times",) if starts > 1 else ()
    return Bar("in line", facts.get("worker") or "", tuple(parts), facts["state"], good, notes)


def _call(book: Ledger, row: Mapping[Any, Any], facts: Mapping[str, Any]) -> Bar:
    """One call: its attempts behind each other. One that ran when its worker died was lost at some moment until the job
    was begun again."""
    began, again = facts["submitted_at"], facts.get("again") or 0.0
    identity = row["call_id"]
    whole = queries.call(book, identity)
    attempts, checks = queries.attempts(book, identity), queries.checks(book, identity)
    offset = whole["started_at"] - began
    inner = bars_of(whole, attempts, checks)
    parts = [(name, start + offset, end + offset) for bar in inner for name, start, end in bar.parts]
    if not parts:
        end = offset + (whole["elapsed"] or 0.0)
        parts = [(WHOLE if not whole["cached"] else WAIT, offset, end)]
    notes = [f"{bar.label}: {bar.outcome}" for bar in inner] if len(inner) > 1 else []
    notes += [note for bar in inner for note in bar.notes if " failed" in note]
    outcome = whole["status"] if whole["kind"] is None else f"{whole['kind']}"
    if whole["status"] == "running":
        lost = again > whole["started_at"]
        outcome = "lost with its worker" if lost else outcome
        parts = [(LOST if lost else WHOLE, offset, (again if lost else time.time()) - began)]
    paid = "out of the store" if whole["cached"] else units.dollars(whole["cost"])
    return Bar(
        label=_short(whole["step"] or "call"),
        model=f"{whole['model']} · {paid}",
        parts=tuple(parts),
        outcome=outcome,
        good=whole["status"] == "ok",
        notes=tuple(notes),
    )


def _step(step: Mapping[str, Any], began: float) -> Bar:
    start = max(0.0, (step["started_at"] or began) - began)
    end = max(start, (step["ended_at"] or began) - began)
    failed = bool(step.get("failed"))
    return Bar(_short(step["name"]), "", ((STEP, start, end),), "failed" if failed else "ok", not failed)


def _short(step: str) -> str:
    """A step's name without its hash: `ask`, or `ask.2` where the same is asked again."""
    outer, _, last = step.rpartition("/")
    what, _, rest = last.rpartition(":")
    number = rest.partition(".")[2]
    name = f"{what or last}.{number}" if number else what or last
    return f"{_short(outer)}/{name}" if outer else name
