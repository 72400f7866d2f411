"""`Lab`: the one entry point, for scripts, notebooks, pages and services alike."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from lab import errors, evals, metrics
from lab.call import embedding, intake, rereading, versions
from lab.call.batching import Batching, Door
from lab.call.engine import Engine
from lab.call.loop import Loop
from lab.call.near.certifying import told
from lab.call.prompts import Filled, Prompt
from lab.call.record import Source
from lab.call.stream import Stream
from lab.jobs.job import Job
from lab.jobs.office import Office
from lab.jobs.steps import CURRENT, Steps
from lab.jobs.verbs import JobVerbs
from lab.ledger import archive, batches, cached, colours, evalsets, notes, queries
from lab.ledger.file import Ledger
from lab.ledger.privacy import Keep, Payload
from lab.ledger.settings import default_path, load_env
from lab.policies import Near, Policy
from lab.policies.policy import Explanation
from lab.provider.function import Function
from lab.provider.loading import warm
from lab.values import Call, Event, Reply

if TYPE_CHECKING:
    import pandas as pd

    from lab.call.near.calibration import CacheLane
    from lab.evals.experiment import Experiment
    from lab.evals.ratings import Choice
    from lab.evals.router import Router
    from lab.evals.sets import EvalSet
    from lab.evals.spec import Spec
    from lab.metrics.alerts import Alert, Standing
    from lab.metrics.caching import Saved
    from lab.metrics.jobtrace import JobTrace
    from lab.metrics.trace import Trace
    from lab.stats import Verdict

T = TypeVar("T")
Asked = str | Sequence[dict[str, Any]] | Prompt | Filled
"""What can be asked: a text, messages, or a prompt, filled in where it has variables."""


class Lab(JobVerbs):
    """Calls to models, each bounded, typed and recorded in the ledger at `path`.

    `path`: the ledger's SQLite file, made if it isn't there; by default `$LAB_DB`, or `data/lab.db` of the
    checkout this package runs from, or `data/lab.db` below the current folder. `policy`: how calls are bounded
    unless they say otherwise. `provider`: a function `Call -> str` (or `Answer`) to answer in a provider's place.
    `keep`: whose prompts and answers are written: `all`, a share of the calls from 0 to 1, or `hashes` (with sizes)
    alone; those of failed calls always are, and an answer that is to be given again, under a key or out of the cache.
    `redact`: a function of a text that returns what may be written of it, put before everything that is: prompts,
    answers, errors, users, tags; what it returns for a user is what budgets count by.
    Keys are read from the environment, and from `.env` in the current folder or above. A Lab is safe to share
    between threads and event loops. Raises `LedgerError` when the ledger can't be used.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        policy: Policy | None = None,
        provider: Callable[[Call], Any] | None = None,
        keep: Keep = "all",
        redact: Callable[[str], str] | None = None,
    ):
        load_env()
        if policy is not None and not isinstance(policy, Policy):
            raise TypeError(f"Lab(policy={policy!r}): a Policy(...)")
        self.policy = policy or Policy()
        payload = Payload(keep, redact)
        self._ledger = Ledger(path or default_path())
        self._loop = Loop()
        self._source = Function(provider) if provider else _provider()
        self._engine = Engine(self._source, self._ledger, payload)
        self._engines = [self._engine]
        self._batched: evals.compare.Bench | None = None
        self._office = Office(_Host(self))
        self._end = weakref.finalize(self, _close, self._loop, self._engines, self._ledger, self._office)
        if provider is None:
            warm()  # LiteLLM takes seconds to import: begin now

    @property
    def path(self) -> Path:
        """Where the ledger is."""
        return self._ledger.path

    @property
    def ledger(self) -> Ledger:
        """The open ledger, for what reads it: `lab.metrics`, `lab.show.charts` by way of them."""
        return self._ledger

    @property
    def keeps_words(self) -> bool:
        """Whether prompts and answers are written down as they are."""
        payload = self._engine.payload
        return payload.keep == "all" and payload.redact is None

    # the signatures that type checkers see: the schema says what the reply's `value` is
    # fmt: off
    @overload
    def ask(self, prompt: Asked, *, model: str, schema: None = None, checks: Sequence[Any] = (),
        policy: Policy | None = None, key: str | None = None, user: str | None = None, tags: Sequence[str] = (),
        lane: str = "interactive", **params: Any) -> Reply[None]: ...
    @overload
    def ask(self, prompt: Asked, *, model: str, schema: type[T], checks: Sequence[Any] = (),
        policy: Policy | None = None, key: str | None = None, user: str | None = None, tags: Sequence[str] = (),
        lane: str = "interactive", **params: Any) -> Reply[T]: ...
    @overload
    def ask(self, prompt: Asked, *, model: str, schema: Any, checks: Sequence[Any] = (),
        policy: Policy | None = None, key: str | None = None, user: str | None = None, tags: Sequence[str] = (),
        lane: str = "interactive", **params: Any) -> Reply[Any]: ...
    # fmt: on
    def ask(
        self,
        prompt: Asked,
        *,
        model: str,
        schema: Any = None,
        checks: Sequence[Any] = (),
        policy: Policy | None = None,
        key: str | None = None,
        user: str | None = None,
        tags: Sequence[str] = (),
        lane: str = "interactive",
        **params: Any,
    ) -> Reply[Any]:
        """Ask `model` and wait for the whole answer. Raises a `LabError` of the failure's kind.

        `prompt`: a string, a list of messages, or a `Prompt` filled in. `schema`: a pydantic model, a type, or a JSON
        schema; what it makes of the answer is the reply's `value`. `checks`: what the answer must be besides
        (`lab.checks`), or functions of the value. An answer that fails is repaired as the policy says. `params` go to
        the provider (`temperature`, `max_tokens`, `api_base`, `api_key` ...), but for `cache`: the policy's for this
        call, None for without. `key`: the same key returns the stored reply, with no request to a provider; while one
        is in flight, in this process or another, the others wait for it. The answer is on the ledger before it is
        returned.

        `tools`, among `params`: Python functions, described to the model by their signatures and docstrings, or tools
        as the provider has them. What it calls is the reply's `tool_calls`; to run it is the caller's: go on with
        `reply.messages`, and a message `{"role": "tool", "tool_call_id": ..., "content": ...}` for each.
        """
        chosen = self._policy(policy, params)
        call = intake.call_of(
            prompt,
            model=model,
            streamed=False,
            schema=schema,
            checks=checks,
            user=user,
            tags=tags,
            lane=lane,
            key=key,
            params=params,
        )
        steps = CURRENT.get()
        if steps is None:
            return self._loop.run(self._engine.run(call, chosen))
        if steps.within or self._loop.is_current():
            return self._loop.run(self._engine.run(steps.keyed(call), chosen))
        reply: Reply[Any] = steps.wait(self._as_step(steps, call, chosen))
        return reply

    # fmt: off
    @overload
    async def aask(self, prompt: Asked, *, model: str, schema: None = None, checks: Sequence[Any] = (),
        policy: Policy | None = None, key: str | None = None, user: str | None = None, tags: Sequence[str] = (),
        lane: str = "interactive", **params: Any) -> Reply[None]: ...
    @overload
    async def aask(self, prompt: Asked, *, model: str, schema: type[T], checks: Sequence[Any] = (),
        policy: Policy | None = None, key: str | None = None, user: str | None = None, tags: Sequence[str] = (),
        lane: str = "interactive", **params: Any) -> Reply[T]: ...
    @overload
    async def aask(self, prompt: Asked, *, model: str, schema: Any, checks: Sequence[Any] = (),
        policy: Policy | None = None, key: str | None = None, user: str | None = None, tags: Sequence[str] = (),
        lane: str = "interactive", **params: Any) -> Reply[Any]: ...
    # fmt: on
    async def aask(
        self,
        prompt: Asked,
        *,
        model: str,
        schema: Any = None,
        checks: Sequence[Any] = (),
        policy: Policy | None = None,
        key: str | None = None,
        user: str | None = None,
        tags: Sequence[str] = (),
        lane: str = "interactive",
        **params: Any,
    ) -> Reply[Any]:
        """`ask`, to be awaited, on any event loop."""
        chosen = self._policy(policy, params)
        call = intake.call_of(
            prompt,
            model=model,
            streamed=False,
            schema=schema,
            checks=checks,
            user=user,
            tags=tags,
            lane=lane,
            key=key,
            params=params,
        )
        steps = CURRENT.get()
        if steps is not None:
            return await self._as_step(steps, call, chosen)
        return await asyncio.wrap_future(self._loop.submit(self._engine.run(call, chosen)))

    async def _as_step(self, steps: Steps, call: Call, policy: Policy) -> Reply[Any]:
        """The reply of a call that a job's flow makes."""

        async def ask(call: Call) -> Reply[Any]:
            return await asyncio.wrap_future(self._loop.submit(self._engine.run(call, policy)))

        return await steps.ask(call, ask, partial(rereading.known, self._ledger))

    # fmt: off
    @overload
    def stream(self, prompt: Asked, *, model: str, schema: None = None, checks: Sequence[Any] = (),
        policy: Policy | None = None, key: str | None = None, user: str | None = None, tags: Sequence[str] = (),
        lane: str = "interactive", **params: Any) -> Stream[None]: ...
    @overload
    def stream(self, prompt: Asked, *, model: str, schema: type[T], checks: Sequence[Any] = (),
        policy: Policy | None = None, key: str | None = None, user: str | None = None, tags: Sequence[str] = (),
        lane: str = "interactive", **params: Any) -> Stream[T]: ...
    @overload
    def stream(self, prompt: Asked, *, model: str, schema: Any, checks: Sequence[Any] = (),
        policy: Policy | None = None, key: str | None = None, user: str | None = None, tags: Sequence[str] = (),
        lane: str = "interactive", **params: Any) -> Stream[Any]: ...
    # fmt: on
    def stream(
        self,
        prompt: Asked,
        *,
        model: str,
        schema: Any = None,
        checks: Sequence[Any] = (),
        policy: Policy | None = None,
        key: str | None = None,
        user: str | None = None,
        tags: Sequence[str] = (),
        lane: str = "interactive",
        **params: Any,
    ) -> Stream[Any]:
        """Start a streamed call. Iterate the pieces, by `for` or `async for`, and before them `.reasoning`, where the
        model thinks; then `.reply`. Arguments as in `ask`."""
        chosen = self._policy(policy, params)
        call = intake.call_of(
            prompt,
            model=model,
            streamed=True,
            schema=schema,
            checks=checks,
            user=user,
            tags=tags,
            lane=lane,
            key=key,
            params=params,
        )

        steps = CURRENT.get()
        if steps is not None:  # no step: a stream is handed on as it comes; its key gives the same again
            call = steps.keyed(call)

        def start(deliver: Callable[[Event], None]) -> Future[Reply[Any]]:
            return self._loop.submit(self._engine.run(call, chosen, deliver))

        return Stream(start, call_id=call.call_id, owner=self)

    astream = stream

    def embed(
        self,
        texts: Sequence[str],
        *,
        model: str,
        batch: int = embedding.BATCH,
        policy: Policy | None = None,
        user: str | None = None,
        tags: Sequence[str] = (),
        **params: Any,
    ) -> embedding.Embeddings:
        """The embeddings of texts: `vectors` has a row (float32) for each, in their order. Raises a `LabError` of the
        failure's kind.

        `model`: `local/minilm`, on this machine (384 numbers, reads English), or any embedding model that LiteLLM
        knows. `params` go to it (`dimensions`, `api_base` ...). Each `batch` of texts is a call, bounded, priced and on
        the ledger like any other, and its vectors are kept there, unless words aren't (`keep`): the same texts again,
        after a failure or in another process, ask only for those that are missing.
        """
        chosen, calls = self._embedding(texts, model, batch, policy, user, tags, params)
        return self._loop.run(embedding.embedded(self._engine, self._ledger, chosen, texts, calls))

    async def aembed(
        self,
        texts: Sequence[str],
        *,
        model: str,
        batch: int = embedding.BATCH,
        policy: Policy | None = None,
        user: str | None = None,
        tags: Sequence[str] = (),
        **params: Any,
    ) -> embedding.Embeddings:
        """`embed`, to be awaited, on any event loop."""
        chosen, calls = self._embedding(texts, model, batch, policy, user, tags, params)
        run = embedding.embedded(self._engine, self._ledger, chosen, texts, calls)
        return await asyncio.wrap_future(self._loop.submit(run))

    def _embedding(
        self,
        texts: Any,
        model: str,
        batch: int,
        policy: Policy | None,
        user: str | None,
        tags: Sequence[str],
        params: dict[str, Any],
    ) -> tuple[Policy, list[Call]]:
        chosen = self._policy(policy, params)
        more = {"user": user, "tags": tags, "params": params}
        return chosen, embedding.asked(texts, model=model, batch=batch, more=more)

    def _policy(self, given: Policy | None, params: dict[str, Any]) -> Policy:
        """The policy of one call; `cache` among its `params` is the cache's setting, or None for without."""
        if given is not None and not isinstance(given, Policy):
            raise errors.InvalidRequestError(
                f"policy={given!r}: a Policy(...), such as Policy(timeout=Timeout(total=20))"
            )
        chosen = given or self.policy
        if "cache" not in params:
            return chosen
        try:
            return replace(chosen, cache=params.pop("cache"))
        except TypeError as odd:
            raise errors.InvalidRequestError(str(odd)) from odd

    def calls(self, **filters: Any) -> pd.DataFrame:
        """Calls on the ledger, newest first, a row each: see `lab.ledger.queries.calls` for columns and orders."""
        return queries.calls(self._ledger, **filters)

    def attempts(self, call_id: str | None = None, *, limit: int | None = 1000) -> pd.DataFrame:
        """Attempts on the ledger, newest call first, a row each; those of one call, if one is named."""
        return queries.attempts(self._ledger, call_id, limit=limit)

    def metrics(
        self, since: datetime | float | None = None, by: str | Sequence[str] = ("model",), **more: Any
    ) -> pd.DataFrame:
        """The figures to watch, a row a group of calls: see `lab.metrics.metrics` for columns and filters."""
        return metrics.metrics(self._ledger, since, (by,) if isinstance(by, str) else tuple(by), **more)

    @overload
    def trace(self, call_id: str) -> Trace: ...
    @overload
    def trace(self, call_id: Job) -> JobTrace: ...
    def trace(self, call_id: str | Job) -> Trace | JobTrace:
        """One call from intake to outcome, by its identifier or the beginning of it; or all that a `Job` did, each call
        and each other step on one time axis. In a notebook its timeline, in a terminal the same in characters. Raises
        `ValueError` where there is none."""
        if isinstance(call_id, Job):
            return metrics.jobtrace.trace(self._ledger, call_id.id, *self._office.traced(call_id.id))
        return metrics.trace.trace(self._ledger, call_id)

    def alerts(self, rules: str | Path | None = None) -> list[Alert]:
        """What is wrong now, by the rules of a file: see `lab.alerts.load` for which one."""
        found = metrics.alerts.load(rules, self._ledger.path)
        return metrics.alerts.firing(self._ledger, found, jobs=self._office.figures)

    def standing(self, rules: str | Path | None = None) -> list[Standing]:
        """How far each rule of the alerts is from firing: see `lab.alerts.standing`."""
        found = metrics.alerts.load(rules, self._ledger.path)
        return metrics.alerts.standing(self._ledger, found, jobs=self._office.figures)

    def export(self, what: str, path: str | Path, **more: Any) -> int:
        """Write `calls`, `attempts`, `checks` or `scores` to a Parquet, CSV or JSONL file: see `lab.archive.export`."""
        return archive.export(self._ledger, what, path, **more)

    def prune(self, before: datetime | float, **more: Any) -> archive.Pruned:
        """Remove calls from before then (a datetime, Unix seconds), or their words: see `lab.archive.prune`."""
        return archive.prune(self._ledger, before.timestamp() if isinstance(before, datetime) else before, **more)

    @overload
    def cache(self, name: None = None, **more: Any) -> Saved: ...
    @overload
    def cache(self, name: str, *, near: Near | None = None) -> CacheLane: ...
    def cache(self, name: str | None = None, *, near: Near | None = None, **more: Any) -> Saved | CacheLane:
        """What the cache saved and what it spoiled, to be printed (`more` are filters as in `calls`).

        With the `name` of a prompt (`triage`, its last version, or `triage@2`; `messages` for calls without one), its
        near hits: how they stand, and `.calibrate(pairs)` with labels you have. `near`: for which `Near(...)`; by
        default that of the Lab's policy, or `Near()`. Raises `ValueError` where there is no such version."""
        if name is None:
            return metrics.saved(self._ledger, **more)
        from lab.call.near.calibration import CacheLane  # only who calibrates needs it

        wanted = near or (self.policy.cache.near if self.policy.cache else None) or Near()
        return CacheLane(
            self._ledger, name, wanted, lambda embed, text: self._loop.run(self._engine.embedded(embed, text))
        )

    def compared(self, number: int, *, same: bool) -> bool:
        """Say whether the two answers of an open comparison (`lab.ledger.cached.open_labels`) are the same; False where
        somebody has said so before."""
        near = self.policy.cache.near if self.policy.cache else None
        return self._loop.run(told(self._ledger, number, same, near.labels if near else None))

    def forget(self, *, before: datetime | float | None = None, **filters: Any) -> int:
        """Remove answers from the cache, all, or those of calls that match (filters as in `calls`) or were kept before
        then; how many. The calls themselves stay on the ledger."""
        until = before.timestamp() if isinstance(before, datetime) else before
        return cached.forget(self._ledger, until, **filters)

    @property
    def payload(self) -> Payload:
        """What of the words is written on the ledger, and what they go through before."""
        return self._engine.payload

    def colours(self, *names: str) -> dict[str, str]:
        """The colour (`#rrggbb`) that each model has on every page and in every notebook, those that were called and
        `names`: hand it to a chart, `charts.curves(frame, colours=lab.colours())`. It is kept on the ledger."""
        return colours.of(self._ledger, names)

    def add_case(self, evalset: str, case: dict[str, Any], *, call_id: str | None = None) -> None:
        """Put a case (`id`, `input`, `expected` ... as a line of a set has them) into a set on the ledger, which its
        first one makes; `call_id` says what it was made of. Raises `ValueError` for what is no case."""
        (checked,) = evals.sets.EvalSet.of([case], evalset)
        evalsets.add_case(self._ledger, evalset, self._engine.payload.plain().deep(checked.content()), call_id)

    def evalset(self, name: str) -> EvalSet:
        """A set whose cases are on the ledger. Raises `ValueError` where there is none of this name."""
        cases = evalsets.cases(self._ledger, name)
        if not cases:
            there = ", ".join(evalsets.sets(self._ledger)) or "none yet"
            raise ValueError(f"no eval set {name!r} on this ledger: {there}")
        return evals.sets.EvalSet.of(cases, name)

    def note(self, call_id: str, text: str | None = None, *, starred: bool | None = None) -> None:
        """Write a note on a call, or give it a star. Raises `ValueError` where there is no such call."""
        cleaned = None if text is None else self._engine.payload.plain().text(text)
        notes.note(self._ledger, call_id, starred=starred, text=cleaned)

    def rate(self, one: str, other: str, choice: Choice, *, user: str | None = None) -> None:
        """Say which of two calls has the better answer: `a` is the one, `b` the other, or `both`, or `neither`."""
        evals.ratings.put(self._ledger, one, other, choice, user=user)

    def ratings(self, experiment: str | None = None) -> pd.DataFrame:
        """Who won the ratings, a row a pair of prompts and models: see `lab.ratings.tally` for the columns."""
        return evals.ratings.tally(self._ledger, experiment)

    def names(self) -> dict[str, list[str]]:
        """What calls can be narrowed to: `model`, `prompt` (`name`, `name@2`), `experiment`, `user` and `tag`; at most
        200 of each."""
        return queries.names(self._ledger)

    def count(self, **filters: Any) -> int:
        """How many calls match: filters as in `calls`."""
        return queries.count(self._ledger, **filters)

    def models(self) -> list[str]:
        """The models that were called, as the ledger has them."""
        return queries.models(self._ledger)

    def texts(self, call_id: str) -> dict[str, Any] | None:
        """What was said in one call: `messages`, `prompt`, `answer`, `tool_calls`, `left_out` (passages of the messages
        that were not sent, where it was made shorter), `config`; None if unknown.

        Where the words were not kept, `kept` is False and `digest` has the hash and size of each of them.
        """
        return queries.texts(self._ledger, call_id)

    def explain(
        self,
        prompt: Asked,
        *,
        model: str,
        schema: Any = None,
        checks: Sequence[Any] = (),
        policy: Policy | None = None,
        **params: Any,
    ) -> Explanation:
        """What `policy` does with this call, and the worst it may come to: requests, seconds and US dollars.

        Nothing is sent. Dollars are left out where a price is unknown.
        """
        chosen = self._policy(policy, params)
        call = intake.call_of(prompt, model=model, streamed=False, schema=schema, checks=checks, params=params)
        usd = self._loop.run(self._engine.worst(call, chosen))
        return chosen.explain(usd=usd, checked=bool(call.schema or call.checks), model=call.model)

    def compare(
        self,
        prompts: Any,
        models: str | Sequence[str],
        cases: Any = None,
        *,
        repeats: int = 1,
        schema: Any = None,
        checks: Sequence[Any] = (),
        scorers: Sequence[Any] = (),
        concurrency: int = 8,
        name: str | None = None,
        budget: float | None = None,
        seed: int = 0,
        policy: Policy | None = None,
        batch: bool = False,
        progress: Any = "auto",
        run: bool = True,
        **params: Any,
    ) -> Experiment:
        """Ask every prompt of every model with every case, `repeats` times each, and keep it as an experiment.

        `prompts`: a `Prompt` or a text, or several; `cases`: an `EvalSet`, a path of one, rows, or texts, filled into
        the prompts' variables. `scorers`: `lab.scorers`, their names, or functions of value and expectation.
        `budget` is in US dollars: a plan over it is refused, and a run that has spent it stops. `seed` draws the order.
        `progress`: `auto` shows a bar, a function is called with the progress, None is silent. `run=False` only plans:
        look at `.plan`, then `.run()`.

        `batch=True` sends all cells through the providers' batch services: for half the price, within a day. It may be
        stopped, and the same again, here or in another process, goes on waiting for what was sent. With a budget, no
        more is sent together than it covers at worst (`max_tokens` makes that less). Timeouts, hedges and limits don't
        apply; what expires or breaks is asked again in a next batch, as `Retry` says. A model without such a service is
        refused with `UnsupportedError`.

        The same grid again, under the same `name` or without one, asks only the cells that have no answer yet: a cell
        is what is asked (prompt, case, model, parameters, schema, checks, repeat), so what is changed is asked anew.
        """
        spec = evals.spec.Spec.of(
            prompts,
            models,
            cases,
            repeats=repeats,
            schema=schema,
            checks=checks,
            scorers=scorers,
            concurrency=concurrency,
            name=name,
            budget=budget,
            seed=seed,
            batch=batch,
            policy=policy,
            params=params,
        )
        experiment = self.planned(spec)
        return experiment.run(progress) if run else experiment

    def planned(self, spec: Spec, *, job: str | None = None) -> Experiment:
        """The experiment that a specification asks for, planned and not run: look at its `plan`, then `run()` it.
        `compare` makes one of its arguments; `Spec.read` makes one of JSON, and `spec.written()` is that JSON."""
        bench = self._batch_bench() if spec.batch else self._bench()
        return replace(bench, job=job).experiment(spec, self.policy)

    def batch(
        self,
        prompts: Sequence[Asked],
        *,
        model: str,
        schema: Any = None,
        checks: Sequence[Any] = (),
        policy: Policy | None = None,
        name: str | None = None,
        user: str | None = None,
        tags: Sequence[str] = (),
        progress: Any = "auto",
        **params: Any,
    ) -> list[Reply[Any] | errors.LabError]:
        """Ask many things of one model through its provider's batch service, for half the price, and wait: within a day
        each has its reply, or the `LabError` that it ended in, in the order of `prompts`. The other arguments are as in
        `ask`, `progress` as in `compare`.

        It may be stopped at any moment: the same again (under `name`, or by what is asked), here or in another process,
        goes on waiting for what was sent, returns the replies that the ledger has, and asks again what has failed.
        Raises `UnsupportedError` where the model has no batch service, before anything is sent.
        """
        from lab.evals import batch  # only who sends one needs it

        chosen = self._policy(policy, params)
        more: dict[str, Any] = {"schema": schema, "checks": checks, "user": user, "tags": tags, "params": params}
        return batch.ask(self._batch_bench(), chosen, prompts, name, progress, model=model, **more)

    def batches(self) -> pd.DataFrame:
        """What was sent through batch services, newest first: see `lab.ledger.batches.listing` for the columns."""
        return batches.listing(self._ledger)

    def _bench(self) -> evals.compare.Bench:
        return evals.compare.Bench(self._ledger, self._loop, self._engine, self)

    def _batch_bench(self) -> evals.compare.Bench:
        """What experiments are made with whose calls go through batch services."""
        if self._batched is None:
            if isinstance(self._source, Function):
                raise errors.UnsupportedError("a function in a provider's place has no batch service")
            from lab.provider.batch import Batched  # only who sends a batch needs it

            office = Batching(self._ledger)
            source = Batched(office)
            engine = Engine(source, self._ledger, self._engine.payload, visible=None)
            self._engines.append(engine)

            async def able(call: Call) -> None:
                for asked in await engine.routing.each(call):
                    await source.able(asked)

            self._batched = evals.compare.Bench(
                self._ledger, self._loop, engine, None, Door(able=able, opened=office.opened)
            )
        return replace(self._batched, owner=self)

    def evaluate(
        self, prompt: Any, model: str, evalset: EvalSet | str | Path, *, scorers: Sequence[Any], **more: Any
    ) -> Experiment:
        """One prompt and one model over an eval set: `compare` with scores, ready for `gate`; `more` as there."""
        return self.compare([prompt], [model], evalset, scorers=scorers, **more)

    @overload
    def router(self, name: str) -> Router: ...
    @overload
    def router(self, name: str, models: Sequence[str], evalset: Any, **more: Any) -> Router: ...
    def router(
        self,
        name: str,
        models: Sequence[str] | None = None,
        evalset: Any = None,
        *,
        prompt: Any = None,
        margin: float = 0.02,
        explore: float = 0.01,
        save: Literal["cost", "latency"] = "cost",
        embed: str = "local/minilm",
        scorers: Any = (),
        repeats: int = 1,
        schema: Any = None,
        checks: Sequence[Any] = (),
        concurrency: int = 8,
        budget: float | None = None,
        seed: int = 0,
        policy: Policy | None = None,
        progress: Any = "auto",
        run: bool = True,
        **params: Any,
    ) -> Router:
        """Learn from scored cases which requests a cheaper model answers as well, and promise it: `print` the router.
        From then on `route/<name>` is a model, for calls with this prompt.

        Of the `models` the dearest by what they cost on the cases (`save="latency"`: the slowest) is what quality is
        measured against: the largest share is sent elsewhere for which "within `margin` of its score" holds at 95 %.
        Where nothing can be promised, all goes to it. `evalset`, `prompt`, `scorers`, `repeats`, `schema`, `checks` and
        `params` are as in `compare`; the prompt is by default the last version of the one with the router's `name`,
        scorers and parameters those of the newest experiment with it on that set. What is scored already is not asked
        again; the rest is planned, priced and asked first (`run=False` only plans: look at `.plan`, then `.run()`).
        `explore`: the share of calls that goes another way, to see whether it still holds. `embed`: `local/minilm` on
        this machine, or an embedding model that LiteLLM knows. Each fit is a version on the ledger. A call with another
        version of the prompt goes to the dearest model, one with another prompt is refused; so is what can't be fitted,
        with `InvalidRequestError`. With the name alone, the newest version, to be read; `ValueError` where there is
        none.
        """
        from lab.evals import router  # only who fits one needs it

        if models is None:
            return router.opened(self._ledger, name)
        settings: dict[str, Any] = {"scorers": scorers, "repeats": repeats, "schema": schema, "checks": checks}
        settings |= {"concurrency": concurrency, "budget": budget, "seed": seed, "policy": policy, "params": params}
        how: dict[str, Any] = {"margin": margin, "explore": explore, "save": save, "embed": embed}
        wanted = router.wanted(self._ledger, name, models, evalset, prompt, settings, **how)
        planned = router.planned(
            self._bench(), self.policy, wanted, lambda embed, text: self._loop.run(self._engine.embedded(embed, text))
        )
        return planned.run(progress) if run else planned

    def routers(self) -> pd.DataFrame:
        """Routers and their versions, newest first: see `lab.metrics.routing.listing` for the columns."""
        return metrics.routing.listing(self._ledger)

    def routing(self, name: str | None = None) -> pd.DataFrame:
        """What routers promised and what was seen since, a row a version and model: see `lab.metrics.routing.seen`."""
        return metrics.routing.seen(self._ledger, name)

    def experiment(self, name: str) -> Experiment:
        """What an experiment of this name has on the ledger, to be read. Raises `ValueError` where there is none."""
        return evals.experiment.opened(self._ledger, name)

    def experiments(self) -> pd.DataFrame:
        """The experiments on the ledger, newest first: columns `experiment`, `created_at`, `eval_set`, `held_out`,
        `cells`, `answered`."""
        return evals.experiment.listing(self._ledger)

    def evaluations(self) -> pd.DataFrame:
        """What a gate can compare, newest first: columns `name` (`experiment/prompt@version/model`), `experiment`,
        `prompt`, `version`, `model`, `eval_set`, `cells`."""
        return evals.gate.evaluations(self._ledger)

    def gate(
        self, baseline: Any, candidate: Any, margin: float = 0.02, *, level: float = 0.95, keep: bool = True
    ) -> Verdict:
        """`stats.gate` of two evaluations (or their names), its verdict kept on the ledger unless `keep=False`:
        `Fallback(gate=...)` goes by the last one of the eval set, the candidate's model and its version of the
        prompt."""
        return evals.gate.gated(self._ledger, baseline, candidate, margin, level, keep=keep)

    def changed(self, baseline: str, candidate: str) -> pd.DataFrame:
        """The cases of two evaluations, by name, whose answers did not score alike: see `lab.evals.gate.changed`."""
        return evals.gate.changed(self._ledger, baseline, candidate)

    def prompt(self, name: str, *, version: int | None = None, label: str | None = None) -> Prompt:
        """A prompt as the ledger has it: this version, the one that `label` points at, or the last one."""
        return versions.find(self._ledger, name, version=version, label=label)

    def prompts(self, name: str | None = None) -> pd.DataFrame:
        """The versions of one prompt, or of all: what changed and when, labels, and how often each was called."""
        return versions.listing(self._ledger, name)

    def save(self, prompt: Prompt, *, label: str | None = None) -> int:
        """The number of this prompt's version, given now if it has none; `label` points at it from now on."""
        number = versions.register(self._ledger, prompt, self._engine.payload.plain()).result()
        if label is not None:
            versions.label(self._ledger, prompt.name, label, number)
        return number

    def label(self, name: str, label: str, *, version: int) -> None:
        """Let `label`, such as `production`, point at this version of the prompt from now on."""
        versions.label(self._ledger, name, label, version)

    def checks(self, call_id: str) -> pd.DataFrame:
        """What the checks found in each answer of a call: a row a check and attempt."""
        return queries.checks(self._ledger, call_id)

    def state(self) -> pd.DataFrame:
        """What this Lab's policies hold right now, a row a model: `breaker` (closed, open, half_open), `opens_in`
        (seconds until it is asked again), `paused` (seconds of a pause that its provider asked for), attempts
        `running`, `waiting` and `allowed` at once."""
        import pandas as pd  # slow to import, and only readers need it

        columns = ["model", "breaker", "opens_in", "paused", "running", "waiting", "allowed"]
        return pd.DataFrame(self._loop.run(self._engine.state()), columns=columns)

    def close(self) -> None:
        """Cancel what runs, write what is queued, let go of connections. Safe to call twice.

        Happens by itself when the Lab is forgotten, and when the process ends.
        """
        self._end()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Lab:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    def __repr__(self) -> str:
        return f"Lab({str(self.path)!r})"


class _Host:
    """A Lab as its jobs know it: they don't keep it alive, but for a worker that runs in it."""

    def __init__(self, lab: Lab):
        self._lab = weakref.ref(lab)
        self.path, self.ledger = lab.path, lab.ledger
        self.keeps_words = lab.keeps_words
        self.redacts = lab._engine.payload.redact is not None
        self.kept_text = lab._engine.payload.plain().text

    def planned(self, spec: Spec, *, job: str | None = None) -> Experiment:
        lab = self._lab()
        if lab is None:
            raise RuntimeError("this Lab is closed: make a new one")
        return lab.planned(spec, job=job)

    def batch(self, prompts: Sequence[Any], **more: Any) -> list[Any]:
        lab = self._lab()
        if lab is None:
            raise RuntimeError("this Lab is closed: make a new one")
        return lab.batch(prompts, **more)


def _provider() -> Source:
    from lab.provider.source import Provider  # its HTTP clients take 0.2 s to import, and whoever reads needs none

    return Provider()


def _close(loop: Loop, engines: Sequence[Engine], ledger: Ledger, office: Office) -> None:
    if loop.is_current() or ledger.is_current():  # dropped by a thread of the lab's own, which can't wait for itself
        threading.Thread(target=_close, args=(loop, engines, ledger, office)).start()
        return
    office.close()
    loop.close(_all_closed(engines))
    ledger.close()


async def _all_closed(engines: Sequence[Engine]) -> None:
    for engine in engines:
        await engine.close()
