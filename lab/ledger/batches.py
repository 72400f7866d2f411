"""Batches on the ledger: what was sent to which provider's batch service, how far it is, and which call had which line.

A batch is written down before it is sent, under a token that goes with it: whoever finds it half sent asks the provider
whether it is there. A line is a request by its hash; it has been used once the call that it was handed to is over.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.ledger.file import Ledger
from lab.ledger.lease import Lease, held_for
from lab.show import units
from lab.show.moments import utc

if TYPE_CHECKING:
    import pandas as pd

NOTHING = ("refused", "never sent", "gone")
"""States of a batch of which no line can be had."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A batch: its number here, the token that it was sent with, its name at the provider (None while that isn't
    known), its state, and when it was made, in Unix time."""

    number: int
    token: str
    name: str | None
    state: str
    made_at: float


async def begin(book: Ledger, lease: Lease, scope: str, service: str, model: str, lines: Sequence[str]) -> Sent:
    """Write a batch down that is about to be sent. `scope` is the experiment that it belongs to; `lease`, named by the
    batch's token, is held while it is being sent."""
    now, token = time.time(), lease.name

    def decide(db: sqlite3.Connection) -> int:
        lease.taken(db)
        row = db.execute(
            "INSERT INTO batches (token, experiment, service, model, made_at, state, lines) VALUES (?, ?, ?, ?, ?,"
            " 'sending', ?)",
            (token, scope, service, model, now, len(lines)),
        )
        number = row.lastrowid or 0
        db.executemany("INSERT INTO batch_lines (batch, line) VALUES (?, ?)", [(number, line) for line in lines])
        return number

    return Sent(await asyncio.wrap_future(book.transact(decide)), token, None, "sending", now)


def note(book: Ledger, number: int, **columns: Any) -> Future[None]:
    """How a batch stands now: any of `name`, `state`, `sent_at`, `ended_at`, `completed`, `failed`, `message`."""
    changes = ", ".join(f"{column} = ?" for column in columns)
    return book.submit((f"UPDATE batches SET {changes} WHERE id = ?", (*columns.values(), number)))


def handed(book: Ledger, number: int, calls: Iterable[tuple[str, str]]) -> Future[None]:
    """Lines of a batch, each with the call that it is handed to."""
    sql = "UPDATE batch_lines SET call_id = ? WHERE batch = ? AND line = ?"
    return book.submit(*((sql, (call_id, number, line)) for line, call_id in calls))


def unused(book: Ledger, scope: str) -> dict[str, Sent]:
    """The lines of an experiment that were sent, or may have been, and that no call has used yet, each with the batch
    it is in."""
    nothing = ", ".join(f"'{state}'" for state in NOTHING)
    rows = book.rows(
        "SELECT line, batches.id, token, name, state, made_at, calls.call_id IS NOT NULL FROM batches"
        " JOIN batch_lines ON batch = batches.id LEFT JOIN calls ON calls.call_id = batch_lines.call_id"
        " AND calls.status NOT IN ('running', 'cancelled')"
        f" WHERE batches.experiment = ? AND state NOT IN ({nothing}) ORDER BY batches.id",
        [scope],
    )
    latest = {line: (Sent(*batch), used) for line, *batch, used in rows}
    return {line: batch for line, (batch, used) in latest.items() if not used}


def known(book: Ledger, number: int) -> tuple[int, str | None, frozenset[str]]:
    """How many lines a batch has, its name where that is known, and the names of all that are known."""
    ((count, name),) = book.rows("SELECT lines, name FROM batches WHERE id = ?", [number])
    return count, name, frozenset(row[0] for row in book.rows("SELECT name FROM batches WHERE name IS NOT NULL"))


def being_sent(book: Ledger, token: str) -> bool:
    """Whether a process that lives is sending this batch now."""
    return book.transact(lambda db: held_for(db, "batch", token) is not None).result()


def of_call(book: Ledger, call_id: str) -> Mapping[str, Any] | None:
    """The last batch that a call's request stood in: `name` (the provider's), `service` and `model`."""
    rows = book.query(
        "SELECT name, service, model FROM batch_lines JOIN batches ON batches.id = batch"
        " WHERE call_id = ? ORDER BY batches.id",
        [call_id],
    )
    return rows[-1] if rows else None


@dataclass(frozen=True, slots=True)
class UnderWay:
    """What of an experiment is at a provider: `batches` that are not over, their `lines`, and how many of those are
    `done`, as the provider has said last."""

    batches: int
    lines: int
    done: int

    def __str__(self) -> str:
        return f"{self.done:,} of {self.lines:,} done in {self.batches:,} batch{'' if self.batches == 1 else 'es'}"


def under_way(book: Ledger, experiment: str) -> UnderWay | None:
    """What of an experiment is at a provider now; None where nothing is."""
    sql = "SELECT count(*), total(lines), total(completed + failed) FROM batches WHERE experiment = ? AND state IN"
    ((count, lines, done),) = book.rows(f"{sql} ('sending', 'working')", [experiment])
    return UnderWay(count, int(lines), int(done)) if count else None


def listing(book: Ledger) -> pd.DataFrame:
    """The batches, newest first: columns `batch` (its name at the provider), `experiment`, `service`, `model`, `state`
    (`sending`, `working`, `done`, `expired`, `cancelled`, `refused`, `gone` from the provider, or `never sent`),
    `lines`, `completed` and `failed` of them, as the provider has said last, `made_at`, `sent_at` and `ended_at` (UTC),
    `message`."""
    frame = book.frame(
        "SELECT name AS batch, experiment, service, model, state, lines, completed, failed, made_at, sent_at, ended_at,"
        " message FROM batches ORDER BY id DESC"
    )
    for column in ("made_at", "sent_at", "ended_at"):
        frame[column] = utc(frame[column])
    return frame


def beneath(frame: pd.DataFrame) -> dict[str, Any]:
    """The numbers that texts of `readable` say, by its columns."""
    took = (frame["ended_at"] - frame["made_at"]).dt.total_seconds()
    return {"done": frame["completed"] + frame["failed"], "failed": frame["failed"], "took": took}


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The listing as a person reads it."""
    import pandas as pd  # slow to import, and only readers need it

    done, failed, took = beneath(frame).values()
    return pd.DataFrame(
        {
            "sent": frame["made_at"].dt.strftime("%Y-%m-%d %H:%M:%S"),
            "experiment": frame["experiment"],
            "service": frame["service"],
            "model": frame["model"],
            "state": frame["state"],
            "done": [f"{count:,} of {lines:,}" for count, lines in zip(done, frame["lines"], strict=True)],
            "failed": [f"{count:,}" for count in failed],
            "took": [units.seconds(seconds) if seconds == seconds else "" for seconds in took],
            "batch": frame["batch"].fillna(""),
        }
    )
