"""From what a caller hands to `compare`, `evaluate` and `gate` to an experiment or a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import errors
from lab.call import intake, versions
from lab.call.engine import Engine
from lab.call.loop import Loop
from lab.evals import store
from lab.evals.estimate import default_name, planned
from lab.evals.experiment import Experiment, Grid
from lab.evals.plan import Cell, grid, named, the_cases
from lab.evals.scorers import Scorer, as_scorer
from lab.evals.sets import EvalSet
from lab.ledger.file import Ledger
from lab.policies import Budget, Limit, Policy
from lab.values import Call, Reply

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class Bench:
    """What an experiment is made with: a Lab's parts."""

    book: Ledger
    loop: Loop
    engine: Engine
    keep: object

    def made(
        self,
        prompts: Any,
        models: str | Sequence[str],
        cases: Any,
        *,
        repeats: int,
        schema: Any,
        checks: Sequence[Any],
        scorers: Sequence[Any],
        concurrency: int,
        name: str | None,
        budget: float | None,
        seed: int,
        policy: Policy,
        params: Mapping[str, Any],
    ) -> Experiment:
        """The experiment, planned and on the ledger. Raises `InvalidRequestError` for what can't be asked, and
        `BudgetError` where it would cost too much."""
        _whole("repeats", repeats)
        _whole("concurrency", concurrency)
        models = [models] if isinstance(models, str) else list(models)
        if not models or len(set(models)) < len(models):
            raise errors.InvalidRequestError(f"models={models!r}: one or more, each once")
        evalset = EvalSet.load(cases) if isinstance(cases, str | Path) else the_cases(cases)
        made = named(prompts)
        wanted, tests = intake.schema_of(schema), intake.checks_of(checks)
        judges = _scorers(scorers)
        identity = [*([wanted.content()] if wanted else []), *(one.content() for one in tests)]
        cells = grid(made, models, evalset, repeats, params, identity)
        if name is not None and (not isinstance(name, str) or not name.strip() or not name.isprintable()):
            raise errors.InvalidRequestError(f"name={name!r}: a line of text")
        name = name or default_name(evalset.name or "compare", [cell.id for cell in cells])
        policy = policy if budget is None else replace(policy, budget=Budget(usd=budget, per="experiment"))
        self._call(cells[0], name, wanted, tests, params)  # what can't be asked is said before anything is written
        prices = {model: self._price(cells, model, name, params) for model in models}
        plan = planned(name, self.book, cells, evalset, prices, params, concurrency=concurrency, budget=budget)
        clean = self.engine.payload.plain()

        def put() -> None:
            self._changed(name, judges)
            numbers = {(one.name, one.hash): versions.register(self.book, one, clean).result() for one in made}
            store.put(
                self.book,
                name,
                cells,
                numbers,
                evalset,
                models=models,
                prompts=[[one.name, numbers[one.name, one.hash]] for one in made],
                repeats=repeats,
                seed=seed,
                concurrency=concurrency,
                params={key: value for key, value in params.items() if key not in ("api_key", "extra_headers")},
                scorers={one.name: one.content() for one in judges},
            )

        async def ask(cell: Cell) -> Reply:
            return await self.engine.run(self._call(cell, name, wanted, tests, params), policy)

        asked = Grid(
            cells=cells,
            cases=evalset,
            scorers=judges,
            schema=wanted,
            ask=ask,
            submit=self.loop.submit,
            seed=seed,
            put=put,
            whole=self.engine.payload.redact is None,
            keep=self.keep,
        )
        return Experiment(name, self.book, plan, asked)

    def _call(self, cell: Cell, name: str, schema: Any, checks: Any, params: Mapping[str, Any]) -> Call:
        return intake.call_of(
            cell.prompt,
            model=cell.model,
            streamed=False,
            lane="batch",
            schema=schema,
            checks=checks,
            experiment=name,
            cell=cell.id,
            params=params,
        )

    def _price(self, cells: Sequence[Cell], model: str, name: str, params: Mapping[str, Any]) -> Any:
        cell = replace(cells[0], model=model)
        return self.loop.run(self.engine.price(self._call(cell, name, None, (), params)))

    def _changed(self, name: str, scorers: Sequence[Scorer]) -> None:
        """Scores of a scorer that has changed since the last run under this name are made again."""
        before = (store.content(self.book, name) or {}).get("scorers") or {}
        for one in scorers:
            if before.get(one.name, one.content()) != one.content():
                store.forget_scores(self.book, name, one.name)


RESERVED = frozenset(
    """prompt version model case_id cluster repeat status kind valid score latency ttft cost input_tokens output_tokens
    attempts hedged fell_back answered_by saturated call_id tags text error place row""".split()
)
"""Columns of `df()` that are no scorer's."""


def widened(policy: Policy, concurrency: int, *, given: bool) -> Policy:
    """The Lab's policy, its limit at least as wide as the experiment where nobody has chosen one."""
    if given or policy.limit != Limit() or concurrency <= (policy.limit.concurrency or concurrency):
        return policy
    return replace(policy, limit=replace(policy.limit, concurrency=concurrency))


def _whole(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise errors.InvalidRequestError(f"{name}={value!r}: a whole number of at least 1")


def _scorers(given: Any) -> list[Scorer]:
    several = [given] if isinstance(given, str | Scorer) or callable(given) else list(given)
    try:
        found = [as_scorer(one) for one in several]
    except ValueError as odd:
        raise errors.InvalidRequestError(str(odd)) from odd
    names = [one.name for one in found]
    taken = [name for name in names if name in RESERVED or not name.strip()]
    if taken:
        raise errors.InvalidRequestError(f"scorers: {taken[0]!r} is a column of its own: give the scorer another name")
    if len(set(names)) < len(names):
        raise errors.InvalidRequestError(f"scorers: {', '.join(names)}: give each a name of its own")
    return found
