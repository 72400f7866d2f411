"""Routers: fitted on what scored cases say, with what they can promise, and kept on the ledger as versions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from lab import errors
from lab.call import versions
from lab.call.routing import group_of, plain, text_of
from lab.evals.compare import Bench, cells_of
from lab.evals.experiment import Experiment
from lab.evals.plan import Cell, Plan
from lab.evals.spec import Spec
from lab.ledger import routers
from lab.ledger.file import Ledger
from lab.ledger.narrowing import is_name
from lab.ledger.outcomes import ANSWERED
from lab.policies import Policy
from lab.policies.route import PREFIX, router_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from lab.evals.progress import Show
    from lab.stats.gains import Requests

LEAST, CLUSTERS = 40, 20
"""Cases, and clusters of them, below which nothing is fitted."""
CATEGORIES = 100
"""Different values of a variable, at most, for it to be a category."""
AHEAD = (500, 1000, 2000, 5000, 10_000)
"""Numbers of cases for which it is said what could be promised."""
Save = Literal["cost", "latency"]
Vector = Callable[[str, str], bytes]
"""By a model's name, the embedding of a text, as it is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a router is to be: see `Lab.router`."""

    name: str
    spec: Spec
    margin: float = 0.02
    explore: float = 0.01
    save: Save = "cost"
    embed: str = "local/minilm"

    def __post_init__(self) -> None:
        if not is_name(self.name):
            raise errors.InvalidRequestError(
                f"router {self.name!r}: letters, digits, '.', '_' and '-', beginning with a letter"
            )
        if len(self.spec.models) < 2:
            raise errors.InvalidRequestError(
                f"router {self.name}: models={list(self.spec.models)!r}: two or more, for it chooses between them"
            )
        nested = next((model for model in self.spec.models if router_of(model) is not None), None)
        if nested is not None:
            raise errors.InvalidRequestError(f"router {self.name}: {nested} is a router itself: name its models")
        for name, most in (("margin", 1.0), ("explore", 0.5)):
            value = getattr(self, name)
            right = isinstance(value, int | float) and not isinstance(value, bool)
            if not right or not (0 < value < most or (name == "explore" and value == 0)):
                raise errors.InvalidRequestError(f"router: {name}={value!r}: a share of 1, such as 0.02")
        if self.save not in ("cost", "latency"):
            raise errors.InvalidRequestError(f"router: save={self.save!r}: one of cost, latency")
        if not isinstance(self.embed, str) or not self.embed.strip():
            raise errors.InvalidRequestError(
                f"router: embed={self.embed!r}: the name of a model, which is written down with the router"
            )
        if not self.spec.scorers:
            raise errors.InvalidRequestError(
                f"router {self.name}: it learns from scores, and there is no scorer: scorers=['label'], for example"
            )


def wanted(
    book: Ledger, name: str, models: Any, evalset: Any, prompt: Any, settings: Mapping[str, Any], **how: Any
) -> Wanted:
    """What `Lab.router` was asked for. What isn't said is as in the newest experiment on that set: its scorers and
    parameters; the prompt is the last version of the one with the router's name. Raises `InvalidRequestError`."""
    if isinstance(models, str):
        models = [models]
    if prompt is None:
        try:
            prompt = versions.find(book, name)
        except ValueError:
            raise errors.InvalidRequestError(
                f"router {name}: which prompt? There is none called {name!r} on this ledger: prompt=..."
            ) from None
    more = dict(settings)
    params = more.pop("params", {})
    spec = Spec.of([prompt], models, evalset, params=params, **more)
    if not spec.cases.name:
        raise errors.InvalidRequestError(f"router {name}: it is fitted on the cases of an eval set: evalset=...")
    if not spec.scorers:
        scorers, known = _before(book, spec)
        spec = Spec.of([prompt], models, evalset, params={**known, **params}, **{**more, "scorers": scorers})
    return Wanted(name=name, spec=spec, **how)


def _before(book: Ledger, spec: Spec) -> tuple[list[str], dict[str, Any]]:
    """The scorers, by name, and the parameters of the newest experiment with this prompt on this set."""
    rows = book.query(
        "SELECT content FROM experiments WHERE eval_hash = ? AND EXISTS (SELECT 1 FROM cells JOIN prompts ON"
        " prompts.name = prompt_name AND prompts.version = prompt_version WHERE cells.experiment ="
        " experiments.experiment AND prompts.name = ? AND prompts.hash = ?) ORDER BY created_at DESC LIMIT 1",
        [spec.cases.hash, spec.prompts[0].name, spec.prompts[0].hash],
    )
    content = json.loads(rows[0]["content"]) if rows else {}
    return list(content.get("scorers") or ()), dict(content.get("params") or {})


@dataclass(slots=True)
class Scores:
    """What the ledger has of the cells: a row a case, a column a model, the mean of its repeats. NaN is unknown."""

    score: np.ndarray
    cost: np.ndarray
    latency: np.ndarray
    answered_by: dict[str, list[str]]
    missing: set[str] = field(default_factory=set)


def known(book: Ledger, spec: Spec, cells: Sequence[Cell]) -> Scores:
    """What was asked and scored before, in whatever experiment: a cell is what is asked."""
    import numpy as np

    names = {scorer.name: scorer.content() for scorer in spec.scorers}
    rows = book.query(
        "SELECT calls.cell, calls.status, CASE WHEN calls.cached THEN calls.saved ELSE calls.cost END AS cost,"
        " calls.latency, calls.answered_by, experiments.content,"
        " (SELECT CASE WHEN count(score) = ? THEN avg(score) END FROM scores WHERE scores.call_id = calls.call_id"
        " AND scorer IN (SELECT value FROM json_each(?))) AS score FROM json_each(?) AS wanted CROSS JOIN calls ON"
        " calls.cell = wanted.value JOIN experiments ON experiments.experiment = calls.experiment"
        f" WHERE {ANSWERED} AND NOT calls.fell_back ORDER BY calls.id",
        [len(names), json.dumps(list(names)), json.dumps([cell.id for cell in cells])],
    )
    same: dict[str, bool] = {}
    by_cell: dict[str, tuple[float, Any, Any, str | None]] = {}
    for row in rows:
        content = row["content"]
        if content not in same:
            before = json.loads(content).get("scorers") or {}
            same[content] = all(before.get(name) == text for name, text in names.items())
        score = 0.0 if row["status"] == "failed" else row["score"]
        if same[content] and score is not None:
            by_cell[row["cell"]] = (score, row["cost"], row["latency"], row["answered_by"])
    models, cases = {m: n for n, m in enumerate(spec.models)}, {case.id: n for n, case in enumerate(spec.cases)}
    figures = np.full((3, spec.repeats, len(cases), len(models)), np.nan)
    answered_by: dict[str, set[str]] = {model: set() for model in models}
    missing = set()
    for cell in cells:
        if cell.id not in by_cell:
            missing.add(cell.id)
            continue
        *values, name = by_cell[cell.id]
        figures[:, cell.repeat, cases[cell.case.id], models[cell.model]] = [
            np.nan if value is None else value for value in values
        ]
        if name is not None:
            answered_by[cell.model].add(name)
    score, cost, latency = figures.mean(axis=1)
    return Scores(score, cost, latency, {model: sorted(names) for model, names in answered_by.items()}, missing)


class Router:
    """A router, to be called as `model="route/<name>"` once it is fitted: `print` it for what it promises.

    `plan` is what has to be asked first, None where all scores are there; `run()` asks and fits. `version` is what the
    ledger has of it. Made by `lab.router(...)`; `lab.router(name)` opens the newest version.
    """

    def __init__(self, book: Ledger, wanted: Wanted | None = None, asking: Experiment | None = None, **parts: Any):
        self._book, self._wanted, self._asking = book, wanted, asking
        self._vector: Vector | None = parts.get("vector")
        self.plan: Plan | None = asking.plan if asking else None
        self.version: routers.Version | None = parts.get("version")

    @property
    def name(self) -> str:
        """What it is called."""
        return self._wanted.name if self._wanted else self._of().name

    @property
    def model(self) -> str:
        """The name under which it is asked."""
        return PREFIX + self.name

    def run(self, progress: Literal["auto"] | Show | None = "auto") -> Router:
        """Ask what has no score yet, fit, and keep the result as the next version. Raises `InvalidRequestError` where
        there is too little to learn from."""
        if self._wanted is None or self._vector is None:
            raise RuntimeError(f"router {self.name!r} was opened to be read: fit it again with lab.router(...)")
        if self._asking is not None:
            self._asking.run(progress)
        made = fitted(self._book, self._wanted, self._vector)
        self.version = replace(made, version=routers.put(self._book, made))
        return self

    def _of(self) -> routers.Version:
        if self.version is None:
            raise RuntimeError(f"router {self.name!r} is planned and not fitted yet: run()")
        return self.version

    @property
    def shares(self) -> dict[str, float]:
        """The share of the requests that goes to each model, cheapest first, as it was on the cases."""
        return dict(zip(self._of().models, self._of().figures["shares"], strict=True))

    @property
    def saves(self) -> float | None:
        """The share of the cost (or the latency) of the dearest model alone that is saved; None where unknown."""
        saves: float | None = self._of().figures["saves"]
        return saves

    def table(self) -> pd.DataFrame:
        """A row a model, cheapest first: columns `model`, `share` of the requests, `score`, `cost` and `latency` a
        call, as on the cases; last the router itself, `score` by what it had not seen."""
        import pandas as pd

        return pd.DataFrame(self._of().figures["table"])

    def __str__(self) -> str:
        if self.version is None:
            return f"router {self.name}: {self.plan}" if self.plan else f"router {self.name}, not fitted yet"
        return told(self.version)

    def __repr__(self) -> str:
        return f"<Router {self}>"


def told(version: routers.Version) -> str:
    """What a version promises, in words."""
    figures, dearest = version.figures, version.models[-1]
    margin = f"{version.margin * 100:g} points"
    cases = f"{version.cases:,} cases"
    ahead = figures.get("ahead")
    if version.cut is None:
        more = (
            f"with {ahead['cases']:,} it could be {ahead['share']:.0%} to cheaper ones"
            if ahead
            else "and more of them would not help: the others are too much worse where it can't be told"
        )
        line = f"all to {dearest}: {cases} can't promise quality within {margin} for less; {more}"
    else:
        shares = zip(version.models[:-1], figures["shares"], strict=False)
        parts = ", ".join(f"{share:.0%} to {model}" for model, share in shares if share >= 0.005)
        saves = "" if figures["saves"] is None else f", saves {figures['saves']:.0%}"
        what = " of the time" if saves and figures["save"] == "latency" else ""
        more = f"; with {ahead['cases']:,} cases it could be {ahead['share']:.0%}" if ahead else ""
        line = f"{parts}, quality within {margin} of {dearest} (95 %, {cases}){saves}{what}{more}"
    stopped = f"; it chooses no more: {version.wrong}" if version.wrong else ""
    return f"{version.label}: {line}{stopped}"


def fitted(book: Ledger, wanted: Wanted, vector: Vector) -> routers.Version:
    """Learn from what the ledger has. Raises `InvalidRequestError` where that is too little."""
    import numpy as np

    from lab.stats import gains, routes

    spec = wanted.spec
    scores = known(book, spec, cells_of(spec))
    order = _cheapest_first(scores, wanted.save)
    models = tuple(spec.models[place] for place in order)
    whole = ~np.isnan(scores.score).any(axis=1)
    score = np.clip(scores.score[whole][:, order], 0.0, 1.0)
    cases = [case for case, there in zip(spec.cases, whole, strict=True) if there]
    _enough(wanted.name, score, len(whole), len({case.cluster for case in cases}))
    filled = [cell.prompt.variables for cell in cells_of(replace(spec, models=spec.models[:1], repeats=1))]
    variables = [given for given, there in zip(filled, whole, strict=True) if there]
    clusters = [case.cluster for case in cases]
    category = _category(variables)
    requests = _requests(variables, category, wanted.embed, vector)
    predicted = gains.out_of_fold(requests, score, clusters)
    promise = routes.promised(predicted, score, clusters, wanted.margin, wanted.explore)
    cost, latency = scores.cost[whole][:, order], scores.latency[whole][:, order]
    where = routes.places(predicted, promise.cut)
    spent = cost if wanted.save == "cost" else latency
    figures = {
        "shares": promise.shares,
        "loss": promise.loss,
        "save": wanted.save,
        "saves": _saves(spent, where, promise, wanted.explore),
        "costs": _means(cost),
        "latencies": _means(latency),
        "ahead": _ahead(predicted, score, promise, wanted),
        "table": _table(models, score, cost, latency, where, promise, wanted),
        "recovered": _number(gains.recovered(predicted[:, 0], score[:, 0], score[:, -1])),
        "embed": wanted.embed,
        "category": category,
        "answered_by": scores.answered_by,
        "scorers": [scorer.name for scorer in spec.scorers],
        "left_out": int((~whole).sum()),
    }
    learnt = gains.fitted(requests, score).written() if promise.cut is not None else None
    prompt = spec.prompts[0]
    return routers.Version(
        name=wanted.name,
        prompt_name=prompt.name,
        prompt_hash=prompt.hash,
        eval_set=spec.cases.name,
        eval_hash=spec.cases.hash,
        cases=len(cases),
        models=models,
        margin=wanted.margin,
        cut=promise.cut,
        explore=wanted.explore,
        figures=figures,
        learnt=learnt,
    )


def _enough(name: str, score: np.ndarray, cases: int, clusters: int) -> None:
    if len(score) < LEAST:
        raise errors.InvalidRequestError(
            f"router {name}: {len(score):,} of {cases:,} cases have a score by every model: at least {LEAST}, and some"
            " hundreds for a promise"
        )
    if clusters < CLUSTERS:
        raise errors.InvalidRequestError(
            f"router {name}: its cases go together in {clusters} clusters, each of which counts once: at least"
            f" {CLUSTERS}"
        )
    if score.min() == score.max():
        raise errors.InvalidRequestError(
            f"router {name}: every score is {score.max():g}: there is nothing to learn from; does the scorer fit what"
            " is expected?"
        )


def _cheapest_first(scores: Scores, save: Save) -> list[int]:
    """The models' places, by what they cost or take on average; as they were given where that isn't known."""
    import numpy as np

    spent = scores.cost if save == "cost" else scores.latency
    places = range(spent.shape[1])
    if np.isnan(spent).all(axis=0).any():
        return list(places)
    means = np.nanmean(spent, axis=0)
    return sorted(places, key=lambda place: float(means[place]))


def _category(variables: Sequence[Mapping[str, Any]]) -> str | None:
    """The variable whose values are categories: few of them, each of several cases; the one with most."""
    best: tuple[int, str | None] = (1, None)
    for name in variables[0]:
        values = {str(given.get(name)) for given in variables}
        if 1 < len(values) <= min(CATEGORIES, len(variables) // 3) and all(len(value) < 200 for value in values):
            best = max(best, (len(values), name), key=lambda pair: pair[0])
    return best[1]


def _requests(variables: Sequence[Mapping[str, Any]], category: str | None, embed: str, vector: Vector) -> Requests:
    import numpy as np

    from lab.stats.gains import Requests

    texts = [text_of(given) for given in variables]
    vectors = np.array([np.frombuffer(vector(embed, text), np.float16) for text in texts], dtype=float)
    features = np.array([plain(text) for text in texts])
    return Requests(vectors=vectors, plain=features, groups=[group_of(given, category) for given in variables])


def _number(value: float) -> float | None:
    return None if value != value else float(value)  # JSON has no NaN


def _means(values: np.ndarray) -> list[float | None]:
    import numpy as np

    return [_number(float(np.nanmean(column))) if (~np.isnan(column)).any() else None for column in values.T]


def _saves(spent: np.ndarray, where: np.ndarray, promise: Any, explore: float) -> float | None:
    """The share of what the dearest model alone would take; None where that isn't known."""
    import numpy as np

    from lab.stats import routes

    there = ~np.isnan(spent).any(axis=1)
    if promise.cut is None or not there.any() or spent[there, -1].sum() <= 0:
        return None if promise.cut is not None else 0.0
    return float(1 - routes.mixed(spent[there], where[there], explore).sum() / spent[there, -1].sum())


def _ahead(predicted: np.ndarray, score: np.ndarray, promise: Any, wanted: Wanted) -> dict[str, Any] | None:
    """With how many cases more could be promised, and how much; None where that isn't seen."""
    from lab.stats import routes

    for cases in AHEAD:
        if cases < 1.5 * len(score) or (promise.cut is not None and cases < 2000):
            continue
        share = routes.projected(predicted, score, wanted.margin, cases, wanted.explore)
        if share >= promise.share + 0.03:
            return {"cases": cases, "share": share}
        if promise.cut is not None:
            break
    return None


def _table(
    models: Sequence[str],
    score: np.ndarray,
    cost: np.ndarray,
    latency: np.ndarray,
    where: np.ndarray,
    promise: Any,
    wanted: Wanted,
) -> list[dict[str, Any]]:
    """What each model and the router did on the cases, for a table."""
    from lab.stats import routes

    rows = [
        {"model": model, "share": share, "score": float(column.mean()), "cost": each, "latency": time}
        for model, share, column, each, time in zip(
            models, promise.shares, score.T, _means(cost), _means(latency), strict=True
        )
    ]
    explore = wanted.explore if promise.cut is not None else 0.0
    each, time = (_means(routes.mixed(values, where, explore)[:, None])[0] for values in (cost, latency))
    own = {"share": 1.0, "score": float(score[:, -1].mean() - promise.loss), "cost": each, "latency": time}
    return [*rows, {"model": PREFIX + wanted.name, **own}]


def planned(bench: Bench, usual: Policy, wanted: Wanted, vector: Vector) -> Router:
    """The router, with what has to be asked first. Raises `BudgetError` where that costs too much."""
    spec = replace(wanted.spec, name=wanted.spec.name or f"router {wanted.name}")
    missing = known(bench.book, spec, cells_of(spec)).missing
    asking = bench.experiment(spec, usual, only=missing) if missing else None
    return Router(bench.book, wanted, asking, vector=vector)


def opened(book: Ledger, name: str) -> Router:
    """The newest version of a router, to be read. Raises `ValueError` where the ledger has none of this name."""
    version = routers.newest(book, name)
    if version is None:
        there = ", ".join(routers.names(book))
        raise ValueError(f"no router {name!r} on this ledger{f': there is {there}' if there else ''}")
    return Router(book, version=version)
