"""Experiments in the background: a row each on the ledger, and one worker a process.

What was started in a browser goes on when the tab is closed, and is found again. Nothing but names and JSON is kept, so
that whoever comes next can go on where a killed process stopped; nobody does so, and spends money, unasked. Where a Lab
does not keep words, or redacts them, those of an experiment are kept until it is done, and no longer.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any

from lab import errors
from lab.client import Lab
from lab.evals.run import Progress
from lab.evals.spec import Spec
from lab.ledger.lease import Lease, held_for
from lab.show.moments import utc

if TYPE_CHECKING:
    import pandas as pd


BEAT = 1.0
"""Seconds between two signs of a run."""
_TEXT = 20_000_000


class Stopped(Exception):
    """Somebody has asked the experiment to stop."""


class Jobs:
    """The experiments that run in the background, and the worker of this process. `close` stops what it runs."""

    def __init__(self, lab: Lab):
        self._lab = lab
        self._book = lab.ledger
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="lab-jobs", daemon=True)
        self._thread.start()

    def start(self, spec: Spec) -> str:
        """Put an experiment in line; its name. The same again goes on with what has no answer yet. Raises what
        `lab.planned` raises where it can't be asked or would cost too much, and `InvalidRequestError` where it can't be
        written down."""
        text = json.dumps(spec.written(), ensure_ascii=False)
        if len(text) > _TEXT:
            raise errors.InvalidRequestError(f"an experiment of {len(text):,} characters: at most {_TEXT:,}")
        experiment = self._lab.planned(spec)
        text = json.dumps(experiment.spec.written(), ensure_ascii=False)
        total = experiment.plan.cells if experiment.plan else 0

        def decide(db: sqlite3.Connection) -> None:
            now = time.time()
            if _state(db, experiment.name) == "running":
                db.execute("UPDATE jobs SET again = stop, stop = 0 WHERE name = ?", (experiment.name,))
                return
            db.execute(
                "INSERT INTO jobs (name, spec, state, asked_at, updated_at, total) VALUES (?, ?, 'waiting', ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, state = 'waiting', stop = 0, again = 0,"
                " message = NULL,"
                " asked_at = excluded.asked_at, updated_at = excluded.updated_at, total = excluded.total",
                (experiment.name, text, now, now, total),
            )

        self._book.transact(decide).result()
        self._wake.set()
        return experiment.name

    def resume(self, name: str) -> None:
        """Put one in line again that was stopped or interrupted. Raises `ValueError` where there is none."""
        rows = self._book.rows("SELECT spec FROM jobs WHERE name = ?", [name])
        if not rows or rows[0][0] == "{}":
            raise ValueError(
                f"no experiment {name!r} was started in the background on this ledger, or its words are gone"
            )
        self.start(Spec.read(rows[0][0]))

    def stop(self, name: str) -> None:
        """Ask it to stop, wherever it runs; what is answered is kept."""
        self._book.submit(
            ("UPDATE jobs SET stop = 1 WHERE name = ? AND state = 'running'", (name,)),
            (
                "UPDATE jobs SET state = 'stopped', updated_at = ? WHERE name = ? AND state = 'waiting'",
                (time.time(), name),
            ),
        )

    def listing(self) -> pd.DataFrame:
        """All of them, newest first: columns `name`, `state` (waiting, running, stopped, interrupted, done, failed),
        `done`, `total`, `failed` (calls), `cost` (US dollars, of the last run), `seconds_left`, `message`, `asked_at`
        and `updated_at` (UTC), `stop` (was asked to)."""
        frame = self._book.frame(
            "SELECT name, state, done, total, failed, cost, seconds_left, message, asked_at, updated_at, stop FROM jobs"
            " ORDER BY asked_at DESC"
        )
        running = set(frame.loc[frame["state"] == "running", "name"])
        if running:
            dead = running - self._book.transact(lambda db: {name for name in running if alive(db, name)}).result()
            frame["state"] = frame["state"].where(~frame["name"].isin(dead), "interrupted")
        for name in ("asked_at", "updated_at"):
            frame[name] = utc(frame[name])
        return frame.astype({"stop": bool})

    def spec(self, name: str) -> Spec | None:
        """What it was started with; None where that is not known, not kept, or gone (the file of its cases)."""
        rows = self._book.rows("SELECT spec FROM jobs WHERE name = ? AND spec <> '{}'", [name])
        try:
            return Spec.read(rows[0][0]) if rows else None
        except errors.InvalidRequestError:
            return None

    def close(self) -> None:
        """Stop the worker, and what it runs."""
        self._closing = True
        self._wake.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._closing:
            try:
                claimed = self._book.transact(self._claim).result()
            except errors.LedgerError:
                claimed = None  # it can't be written now: looked at again in a moment
            if claimed is None:
                self._wake.wait(2 * BEAT)
                self._wake.clear()
                continue
            self._run(*claimed)

    def _run(self, name: str, spec: str, lease: Lease) -> None:
        beat, over = 0.0, threading.Event()
        alive = threading.Thread(target=self._beat, args=(lease, over), name="lab-jobs-alive", daemon=True)
        alive.start()

        def look(progress: Progress) -> None:
            nonlocal beat
            if time.monotonic() < beat + BEAT and progress.ended is None:
                return
            beat = time.monotonic()
            self._say(lease, progress)
            if self._closing or self._book.rows("SELECT 1 FROM jobs WHERE name = ? AND stop", [name]):
                raise Stopped

        experiment, state, why = None, "failed", None
        try:
            experiment = self._lab.planned(Spec.read(spec))
            experiment.run(look)
            left = experiment.progress.total - experiment.progress.done if experiment.progress else 0
            state, why = ("stopped" if left else "done"), experiment.progress.stopped if experiment.progress else None
            if left and why is None and experiment.progress:
                why = f"{left:,} cells have no answer: {experiment.progress.first}"
        except Stopped:
            state = "interrupted" if self._closing else "stopped"
        except errors.BusyError as elsewhere:  # a script runs it, or a process that died a moment ago: in line again
            state, why = "waiting", str(elsewhere)
            self._wake.wait(2 * BEAT)
        except (errors.LabError, errors.LedgerError, ValueError) as failure:
            why = str(failure)
        except Exception as bug:  # the next in line must not wait for ever behind it
            why = f"{type(bug).__name__}: {bug}"
        finally:
            over.set()
            alive.join()
        self._say(lease, experiment.progress if experiment else None, state, why)
        lease.drop()
        if state == "done" and not self._lab.keeps_words:
            self._book.submit(("UPDATE jobs SET spec = '{}' WHERE name = ?", (name,)))

    def _beat(self, lease: Lease, over: threading.Event) -> None:
        """Say that it is alive, however long planning and scoring take."""
        while not over.wait(BEAT):
            lease.renew()

    def _claim(self, db: sqlite3.Connection) -> tuple[str, str, Lease] | None:
        """Within a transaction: the next in line, ours to run."""
        row = db.execute("SELECT name, spec FROM jobs WHERE state = 'waiting' ORDER BY asked_at LIMIT 1").fetchone()
        if row is None:
            return None
        lease = Lease(self._book, "job", row[0])
        if lease.taken(db) is not None:
            return None
        sql = "UPDATE jobs SET state = 'running', updated_at = ?, worker = ? WHERE name = ?"
        db.execute(sql, (time.time(), lease.token, row[0]))
        return (*row, lease)

    def _say(
        self, lease: Lease, progress: Progress | None, state: str | None = None, message: str | None = None
    ) -> None:
        """How it stands; nothing where another worker has it by now."""
        values: dict[str, Any] = {"updated_at": time.time(), "message": message}
        if progress is not None:
            left = None if progress.ended else progress.left
            values |= {"done": progress.done, "total": progress.total, "failed": progress.failed}
            values |= {"cost": progress.cost, "seconds_left": left}
        changes = ", ".join(f"{key} = ?" for key in values)
        more: tuple[Any, ...] = ()
        if state is not None:  # stopped, and meanwhile asked to go on
            changes += ", state = CASE WHEN again AND ? = 'stopped' THEN 'waiting' ELSE ? END, stop = 0, again = 0"
            more = (state, state)
        sql = f"UPDATE jobs SET {changes} WHERE name = ? AND worker = ?"
        self._book.submit((sql, (*values.values(), *more, lease.name, lease.token)))


def _state(db: sqlite3.Connection, name: str) -> str | None:
    row = db.execute("SELECT state FROM jobs WHERE name = ?", (name,)).fetchone()
    if row is None:
        return None
    return "interrupted" if row[0] == "running" and not alive(db, name) else row[0]


def alive(db: sqlite3.Connection, name: str) -> bool:
    """Whether the process that runs this one lives."""
    return held_for(db, "job", name) is not None
