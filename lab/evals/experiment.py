"""Experiments: prompts x models x cases x repeats; planned, asked in seeded order, resumed, read from the ledger."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from lab import errors
from lab.evals import results, store
from lab.evals.plan import Cell, Plan, shuffled
from lab.evals.progress import EVERY, Show, shown
from lab.evals.run import Progress, run
from lab.evals.scorers import scored
from lab.evals.spec import Spec
from lab.ledger import batches
from lab.ledger.file import Ledger
from lab.ledger.lease import Lease
from lab.ledger.outcomes import ANSWERED
from lab.show import tables
from lab.show.moments import utc
from lab.values import Reply

if TYPE_CHECKING:
    import pandas as pd

LOOK = 1.0
"""Seconds between two looks at how far batches are."""
T = TypeVar("T")
Ask = Callable[[Cell], Awaitable[Reply[Any]]]
Submit = Callable[[Coroutine[Any, Any, Any]], Future[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What an experiment asks, and the means to ask it."""

    spec: Spec
    cells: Sequence[Cell]
    ask: Ask
    submit: Submit
    put: Callable[[], None]
    """Writes the experiment and its cells down."""
    whole: bool = True
    """Whether answers are on the ledger as they were said, and can be scored from there."""
    owner: object = field(repr=False, default=None)
    """What must not be forgotten while this is there."""


class Experiment:
    """A grid of calls under a name: `plan`, `run()`, then `df()` a row a cell and `summary()` a row a prompt and model.

    Made by `lab.compare(...)`, or, to look at what is on the ledger, by `lab.experiment(name)`.
    """

    def __init__(self, name: str, book: Ledger, plan: Plan | None = None, asking: Asking | None = None):
        self.name = name
        self.plan = plan
        self.progress: Progress | None = None
        self._book, self._asking = book, asking

    @property
    def spec(self) -> Spec:
        """What it asks, and how. Raises `RuntimeError` for one that was opened to be read."""
        if self._asking is None:
            raise RuntimeError(f"experiment {self.name!r} was opened to be read: plan it again with lab.compare(...)")
        return self._asking.spec

    def run(self, progress: Literal["auto"] | Show | None = "auto") -> Experiment:
        """Ask the cells that have no answer yet, and score those that have no score. Safe to stop, and to run again.
        What the ledger shows under a name is the plan that was run last.

        `progress`: `auto` is a bar in a notebook or a terminal; a function is called with the progress four times a
        second, in this thread. Raises `BusyError` where another process runs this experiment.
        """
        spec, asking = self.spec, self._asking
        assert asking is not None
        show, end = shown(progress)
        lease = Lease(self._book, "experiment", self.name)
        left = lease.take()
        if left is not None:
            raise busy(self.name, left)
        try:
            asking.put()
            known = store.answered(self._book, self.name)
            unanswered = [cell for cell in asking.cells if cell.id not in known]
            before = len(asking.cells) - len(unanswered)
            now = self.progress = Progress(total=len(asking.cells), known=before, done=before)
            if asking.whole:
                wait(asking.submit(self._rescored(spec)), lambda: lease.due() and lease.renew())
            running = run(
                shuffled(unanswered, spec.seed),
                self._asked_and_scored,
                now,
                concurrency=len(asking.cells) if spec.batch else spec.concurrency,
                lease=lease,
            )
            look = under_way if spec.batch else _as_it_is
            wait(asking.submit(running), lambda: show(look(self._book, self.name, now)))
            show(now)
        finally:
            end()
            lease.drop()
            self._book.flush()
        return self

    async def _asked_and_scored(self, cell: Cell) -> Reply[Any]:
        """A cell's reply, scored as it comes."""
        assert self._asking is not None
        reply = await self._asking.ask(cell)
        for scorer in self.spec.scorers:
            share, message = await scored(scorer, reply.text, reply.value, cell.case.expected)
            self._book.submit(store.score(reply.call_id, scorer.name, share, message))
        return reply

    async def _rescored(self, spec: Spec) -> None:
        """Score the answers that a scorer has not seen: of a run that was killed, or under a scorer that is new."""
        by_id = {case.id: case for case in spec.cases}
        for row in store.unscored(self._book, self.name, [scorer.name for scorer in spec.scorers]):
            scorer = next(scorer for scorer in spec.scorers if scorer.name == row["scorer"])
            value = spec.schema.read(row["text"])[0] if spec.schema is not None else None
            share, message = await scored(scorer, row["text"], value, by_id[row["case_id"]].expected)
            self._book.submit(store.score(row["call_id"], scorer.name, share, message))

    def df(self) -> pd.DataFrame:
        """A row a cell: see `lab.evals.results.cells` for the columns."""
        return results.cells(self._book, self.name)

    def summary(self, level: float = 0.95) -> pd.DataFrame:
        """A row a prompt and model, with intervals: see `lab.evals.results.summary` for the columns."""
        return results.summary(self._book, self.name, level)

    def table(self) -> pd.DataFrame:
        """The summary as a person reads it."""
        return tables.readable(self.summary())

    def group(self, *, prompt: str | None = None, version: int | None = None, model: str | None = None) -> Group:
        """One prompt and model of the experiment, for a gate. Raises `ValueError` where that is not one."""
        frame = results.cells(self._book, self.name)
        for name, value in (("prompt", prompt), ("version", version), ("model", model)):
            frame = frame if value is None else frame[frame[name] == value]
        groups = frame[["prompt", "version", "model"]].drop_duplicates()
        if len(groups) != 1:
            there = "; ".join(f"{row.prompt} v{row.version:.0f}, {row.model}" for row in groups.itertuples())
            raise ValueError(f"{self.name}: {len(groups)} prompts and models match ({there}): name one")
        row = groups.iloc[0]
        label = (
            self.name
            if (prompt, version, model) == (None, None, None)
            else f"{row.prompt} v{row.version:.0f}, {row.model}"
        )
        content = store.content(self._book, self.name) or {}
        more = {key: content.get(key) for key in ("eval_set", "eval_hash", "scorers")}
        return Group(label, self.name, row.prompt, int(row.version), row.model, results.by_case(frame), **more)

    def by_case(self) -> Mapping[str, tuple[float, Hashable]]:
        """The mean score of each case and its cluster, of an experiment of one prompt and model."""
        return self.group().by_case()

    def __repr__(self) -> str:
        done = f"{self.progress.done:,} of {self.progress.total:,} cells" if self.progress else "not run here"
        return f"<Experiment {self.name}: {done}>"

    def _repr_html_(self) -> str:
        summary = self.summary()
        done = f"{int(summary['done'].sum()):,} of {int(summary['cells'].sum()):,} cells" if len(summary) else "no cell"
        return tables.to_html(tables.readable(summary), f"{self.name}: {done}, shares with their 95 % intervals")


@dataclass(frozen=True, slots=True)
class Group:
    """One prompt and model of an experiment, with its score by case: what a gate compares."""

    name: str
    experiment: str
    prompt: str
    version: int
    model: str
    scores: Mapping[str, tuple[float, Hashable]] = field(repr=False)
    eval_set: str | None = None
    eval_hash: str | None = None
    scorers: Mapping[str, str] | None = field(repr=False, default=None)

    def by_case(self) -> Mapping[str, tuple[float, Hashable]]:
        """The mean score of each case, and its cluster."""
        return self.scores


def wait(future: Future[T], look: Callable[[], object]) -> T:
    """What comes of it; it is looked up now and then, and an interrupted wait cancels it."""
    try:
        while True:
            try:
                return future.result(EVERY)
            except NotYet:
                if future.done():
                    raise
                look()
    except BaseException:
        future.cancel()
        raise


def under_way(book: Ledger, name: str, progress: Progress) -> Progress:
    """The progress of what goes through batches, with how far those are at the provider."""
    if time.monotonic() > progress.looked + LOOK:
        progress.looked = time.monotonic()
        with suppress(errors.LedgerError):  # it is only to be shown
            sent = batches.under_way(book, name)
            progress.sent = None if sent is None else str(sent)
    return progress


def _as_it_is(_book: Ledger, _name: str, progress: Progress) -> Progress:
    return progress


def busy(name: str, left: float) -> errors.BusyError:
    """Another process runs it, and holds it for so many seconds yet."""
    return errors.BusyError(
        f"experiment {name!r} is being run by another process: wait for it, or take another name"
        f" (if that process has died, it is free in {left:.0f} s)",
        retry_after=left,
    )


def opened(book: Ledger, name: str) -> Experiment:
    """An experiment, to be read. Raises `ValueError` where the ledger has none of this name."""
    if store.content(book, name) is None:
        there = [row["experiment"] for row in book.query("SELECT experiment FROM experiments ORDER BY created_at DESC")]
        hint = f": there is {', '.join(there[:10])}" if there else ""
        raise ValueError(f"no experiment {name!r} on this ledger{hint}")
    return Experiment(name, book)


def listing(book: Ledger) -> pd.DataFrame:
    """The experiments on the ledger, newest first."""

    frame = book.frame(
        "SELECT experiment, created_at, eval_set, held_out, (SELECT count(*) FROM cells WHERE cells.experiment ="
        " experiments.experiment AND current) AS cells, (SELECT count(DISTINCT calls.cell) FROM calls JOIN cells ON"
        " cells.experiment = calls.experiment AND cells.cell = calls.cell AND current WHERE calls.experiment ="
        f" experiments.experiment AND {ANSWERED}) AS answered FROM experiments ORDER BY created_at DESC"
    )
    frame["created_at"] = utc(frame["created_at"])
    return frame.astype({"held_out": bool})
