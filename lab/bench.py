"""From what a caller hands to `compare`, `evaluate` and `gate` to an experiment or a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import errors, intake, stats, verdicts, versions
from lab.engine import Engine
from lab.evals import EvalSet
from lab.experiment import Experiment, Grid, Group, default_name, planned, store
from lab.experiment.plan import Cell, grid, named, the_cases
from lab.ledger import Ledger
from lab.loop import Loop
from lab.model import Call, Reply
from lab.policies import Budget, Limit, Policy
from lab.rows import ANSWERED
from lab.scorers import Scorer, as_scorer

if TYPE_CHECKING:
    import pandas as pd


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


def opened(book: Ledger, name: str) -> Experiment:
    """An experiment, to be read. Raises `ValueError` where the ledger has none of this name."""
    if store.content(book, name) is None:
        there = [row["experiment"] for row in book.query("SELECT experiment FROM experiments ORDER BY created_at DESC")]
        said = f": there is {', '.join(there[:10])}" if there else ""
        raise ValueError(f"no experiment {name!r} on this ledger{said}")
    return Experiment(name, book)


def listing(book: Ledger) -> pd.DataFrame:
    """The experiments on the ledger, newest first."""
    import pandas as pd  # slow to import, and only readers need it

    frame = book.frame(
        "SELECT experiment, created_at, eval_set, held_out, (SELECT count(*) FROM cells WHERE cells.experiment ="
        " experiments.experiment AND current) AS cells, (SELECT count(DISTINCT calls.cell) FROM calls JOIN cells ON"
        " cells.experiment = calls.experiment AND cells.cell = calls.cell AND current WHERE calls.experiment ="
        f" experiments.experiment AND {ANSWERED}) AS answered FROM experiments ORDER BY created_at DESC"
    )
    frame["created_at"] = pd.to_datetime(frame["created_at"], unit="s", utc=True)
    return frame.astype({"held_out": bool})


def evaluations(book: Ledger) -> pd.DataFrame:
    """The prompts and models of all experiments that have scores, under the names that `gate` takes."""
    frame = book.frame(
        "SELECT experiment, prompt_name AS prompt, prompt_version AS version, model, eval_set, count(*) AS cells"
        " FROM experiments JOIN cells USING (experiment) WHERE current"
        " AND json_extract(content, '$.scorers') NOT IN ('{}', '[]') GROUP BY 1, 2, 3, 4"
        " ORDER BY created_at DESC, place"
    )
    names = frame["experiment"] + "/" + frame["prompt"] + "@" + frame["version"].astype(str) + "/" + frame["model"]
    frame.insert(0, "name", names.astype(object))
    return frame


def changed(book: Ledger, baseline: str, candidate: str) -> pd.DataFrame:
    """The cases that did not score alike, the worst losses first: columns `case_id`, `repeat`, `before`, `after`
    (scores), `difference`, `tags`, `call_before`, `call_after`, `text_before`, `text_after`."""
    frames = []
    for group in (_group(book, baseline), _group(book, candidate)):
        cells = Experiment(group.experiment, book).df()
        mine = (cells["prompt"] == group.prompt) & (cells["version"] == group.version) & (cells["model"] == group.model)
        frames.append(cells[mine].set_index(["case_id", "repeat"])[["score", "call_id", "text", "tags"]])
    both = frames[0].join(frames[1].drop(columns="tags"), how="inner", lsuffix="_before", rsuffix="_after")
    both["difference"] = both["score_after"] - both["score_before"]
    found = both[both["difference"].abs() > 1e-9].sort_values("difference", kind="stable").reset_index()
    found = found.rename(columns={"score_before": "before", "score_after": "after"})
    found = found.rename(columns={"call_id_before": "call_before", "call_id_after": "call_after"})
    return found["case_id repeat before after difference tags call_before call_after text_before text_after".split()]


def gated(
    book: Ledger, baseline: Any, candidate: Any, margin: float, level: float, *, keep: bool = True
) -> stats.Verdict:
    """A verdict, kept on the ledger."""
    first, second = _group(book, baseline), _group(book, candidate)
    if (first.scorers or {}) != (second.scorers or {}):
        raise ValueError(
            f"{first.name} was scored by {', '.join(first.scorers or ['nothing'])}, {second.name} by "
            f"{', '.join(second.scorers or ['nothing'])}, or by other settings of the same: a gate compares like scores"
        )
    if first.eval_hash != second.eval_hash:
        raise ValueError(
            f"{first.name} was asked {first.eval_set or 'cases'} ({first.eval_hash}), {second.name} "
            f"{second.eval_set or 'cases'} ({second.eval_hash}): a gate compares answers to the same cases"
        )
    verdict = stats.gate(first, second, margin, level=level)
    if not keep:
        return verdict
    verdicts.put(
        book,
        eval_set=second.eval_set,
        eval_hash=second.eval_hash,
        prompt_name=second.prompt,
        prompt_version=second.version,
        model=second.model,
        baseline=first.name,
        candidate=second.name,
        **{name: getattr(verdict, name) for name in ("verdict", "margin", "difference", "low", "high", "n", "needed")},
    )
    return verdict


def _group(book: Ledger, given: Any) -> Group:
    """One side of a gate: an experiment of one prompt and model, one group of a larger one, or a name, such as
    `nightly` or, of a larger one, `nightly/prompt@2/model`."""
    if isinstance(given, Group):
        return given
    if isinstance(given, Experiment):
        return given.group()
    if not isinstance(given, str):
        raise TypeError(f"gate: {given!r}: an experiment, a group of one, or a name")
    parts = given.split("/")
    for many in range(len(parts), 0, -1):  # a name may have slashes in it
        name, rest = "/".join(parts[:many]), "/".join(parts[many:])
        if store.content(book, name) is not None:
            break
    else:
        name, rest = given, ""
    if not rest:
        return opened(book, name).group()
    said, _, model = rest.partition("/")
    prompt, marked, version = said.partition("@")
    if marked and not (version.isascii() and version.isdecimal() and len(version) < 10):
        raise ValueError(f"{given!r}: {version!r} is no version: write name/prompt@2/model")
    found = opened(book, name).group(
        prompt=prompt or None, version=int(version) if version else None, model=model or None
    )
    return replace(found, name=given)
