"""From a specification to an experiment: planned, priced, and ready to be asked with a Lab's parts."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lab.call import intake, versions
from lab.call.batching import Door, unhurried
from lab.call.engine import Engine
from lab.call.loop import Loop
from lab.evals import store
from lab.evals.estimate import default_name, planned
from lab.evals.experiment import Asking, Experiment
from lab.evals.plan import Cell, grid
from lab.evals.spec import Spec
from lab.ledger.file import Ledger
from lab.policies import Policy
from lab.values import Call, Price, Reply


def cells_of(spec: Spec) -> list[Cell]:
    """Every cell that a specification asks for."""
    identity = [*([spec.schema.content()] if spec.schema else []), *(check.content() for check in spec.checks)]
    return grid(spec.prompts, spec.models, spec.cases, spec.repeats, spec.params, identity)


@dataclass(frozen=True, slots=True)
class Bench:
    """What experiments are made with: a Lab's parts. `owner` is what must live as long as they do."""

    book: Ledger
    loop: Loop
    engine: Engine
    owner: object
    door: Door | None = None
    """The way into batches, for an experiment that goes through a batch service."""
    job: str | None = None
    """The job that runs it."""

    def experiment(self, spec: Spec, usual: Policy, only: Container[str] | None = None) -> Experiment:
        """The experiment, planned and not yet asked; `usual` bounds its calls where it has no policy of its own. `only`
        these of its cells are asked.

        Raises `InvalidRequestError` for what can't be asked, and `BudgetError` where it would cost too much.
        """
        cells = [cell for cell in cells_of(spec) if only is None or cell.id in only]
        name = spec.name or default_name(spec.cases.name or "compare", [cell.id for cell in cells])
        spec = replace(spec, name=name)
        policy = spec.bounded(usual)
        self._call(cells[0], spec)  # what can't be asked is said before anything is written
        if self.door is not None:
            policy = unhurried(policy)
            for model in spec.models:
                self.loop.run(self.door.able(self._call(replace(cells[0], model=model), spec)))
        prices = {model: self._price(cells, model, spec) for model in spec.models}
        plan = planned(self.book, cells, spec, prices)

        async def ask(cell: Cell) -> Reply[Any]:
            return await self.engine.run(self._call(cell, spec), policy)

        asking = Asking(
            spec=spec,
            cells=cells,
            ask=ask,
            submit=self.loop.submit,
            put=lambda: self._put(spec, cells),
            whole=self.engine.payload.redact is None,
            owner=self.owner,
        )
        return Experiment(name, self.book, plan, asking)

    def _put(self, spec: Spec, cells: Sequence[Cell]) -> None:
        """Write the experiment and its cells down. Scores of a scorer that has changed since the last run under this
        name are made again."""
        assert spec.name is not None
        if self.door is not None:
            self.door.opened(spec.name)
        before = (store.content(self.book, spec.name) or {}).get("scorers") or {}
        for scorer in spec.scorers:
            if before.get(scorer.name, scorer.content()) != scorer.content():
                store.forget_scores(self.book, spec.name, scorer.name)
        clean = self.engine.payload.plain()
        numbers = {
            (prompt.name, prompt.hash): versions.register(self.book, prompt, clean).result() for prompt in spec.prompts
        }
        store.put(self.book, spec, cells, numbers, clean if self.engine.payload.keep == "all" else None)

    def _call(self, cell: Cell, spec: Spec) -> Call:
        return intake.call_of(
            cell.prompt,
            model=cell.model,
            streamed=False,
            lane="batch",
            schema=spec.schema,
            checks=spec.checks,
            experiment=spec.name,
            cell=cell.id,
            job=self.job,
            params=spec.params,
        )

    def _price(self, cells: Sequence[Cell], model: str, spec: Spec) -> Price | None:
        return self.loop.run(self.engine.price(self._call(replace(cells[0], model=model), spec)))
