"""What an experiment asks and how, as one value: frozen, made of what a caller hands in, written as JSON, read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lab import errors
from lab.call import intake
from lab.call.prompts import Filled, Prompt
from lab.call.tools import offered
from lab.checks import portable
from lab.checks.kernel import Check
from lab.evals.plan import named, the_cases
from lab.evals.scorers import Function, Judged, Scorer, as_scorer, read_scorer, written_scorer
from lab.evals.sets import EvalSet
from lab.policies import Budget, Limit, Policy
from lab.values import Schema

SECRET = ("api_key", "extra_headers")
"""Parameters that are never written down."""

UPLOAD = "upload"
"""The name of a set of rows that has no other."""
RESERVED = frozenset(
    """prompt version model case_id cluster repeat status kind valid score latency ttft cost input_tokens output_tokens
    attempts hedged fell_back answered_by saturated call_id tags text error place row""".split()
)
"""Columns of `Experiment.df()` that are no scorer's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """An experiment: every prompt asked of every model with every case, `repeats` times each.

    `budget` is in US dollars, `concurrency` calls at once, `seed` draws the order, `params` go to the provider.
    `batch`: by way of the providers' batch services, for half the price. `name` None is one made of what is asked;
    `policy` None is the Lab's own. `source` is the file the cases came from, if any.
    Make one with `Spec.of(...)`, which takes what `lab.compare` takes, or with `Spec.read(...)` out of JSON.
    """

    prompts: tuple[Prompt, ...]
    models: tuple[str, ...]
    cases: EvalSet
    source: str | None = None
    repeats: int = 1
    schema: Schema | None = None
    checks: tuple[Check, ...] = ()
    scorers: tuple[Scorer, ...] = ()
    concurrency: int = 8
    name: str | None = None
    budget: float | None = None
    seed: int = 0
    batch: bool = False
    policy: Policy | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _whole("repeats", self.repeats)
        _whole("concurrency", self.concurrency)
        if not isinstance(self.batch, bool):
            raise errors.InvalidRequestError(f"batch={self.batch!r}: True or False")
        if not self.models or len(set(self.models)) < len(self.models):
            raise errors.InvalidRequestError(f"models={list(self.models)!r}: one or more, each once")
        check_name(self.name)
        if self.policy is not None and not isinstance(self.policy, Policy):
            raise errors.InvalidRequestError(
                f"policy={self.policy!r}: a Policy(...), such as Policy(timeout=Timeout(total=20))"
            )

    @classmethod
    def of(
        cls,
        prompts: str | Prompt | Filled | Sequence[Any],
        models: str | Sequence[str],
        cases: Any = None,
        *,
        schema: Any = None,
        checks: Sequence[Any] = (),
        scorers: Any = (),
        **settings: Any,
    ) -> Spec:
        """The specification of what `lab.compare` takes. Raises `InvalidRequestError`, naming what is wrong with it."""
        from_file = isinstance(cases, str | Path)
        if (params := settings.get("params") or {}).get("tools"):
            settings["params"] = {**params, "tools": offered(params["tools"])}
        spec = cls(
            prompts=tuple(named(prompts)),
            models=(models,) if isinstance(models, str) else tuple(models),
            cases=EvalSet.load(cases) if from_file else the_cases(cases),
            source=str(cases) if from_file else None,
            schema=intake.schema_of(schema),
            checks=intake.checks_of(checks),
            scorers=_scorers(scorers),
            **settings,
        )
        spec._expects()
        return spec

    def _expects(self) -> None:
        """Raises `InvalidRequestError` where answers are to be scored, no case says what is expected, and there are
        columns that no prompt uses: one of them may be it."""
        used = {name for prompt in self.prompts for name in prompt.variables}
        left = [name for name in self.cases.unexpecting() if name not in used]
        if left and any(not isinstance(scorer, Function | Judged) for scorer in self.scorers):
            raise errors.InvalidRequestError(
                f"no case says what is expected: is it {' or '.join(map(repr, left))}?"
                f" EvalSet.load(...).expecting({left[0]!r}) says so"
            )

    @classmethod
    def read(cls, data: Mapping[str, Any] | str) -> Spec:
        """The specification that `written` has written: an object, or the text of one.

        `prompts`: `[name, template]` each; `models`; `set`, a path of an eval set, or `rows` of one and its `set_name`
        (neither for prompts without variables); and whatever else `written` puts down. What is left out is as by
        default. Raises `InvalidRequestError`, naming what is wrong with it.
        """
        content = _object(data)
        _fitting(content)
        no_secret(content.get("params") or {})
        plain = "name repeats concurrency budget seed batch".split()
        settings = {key: content[key] for key in plain if content.get(key) is not None}
        try:
            rows, policy = content.get("rows"), content.get("policy")
            named = content.get("set_name") or UPLOAD
            return cls.of(
                [read_prompt(*parts) for parts in content["prompts"]],
                content["models"],
                content["set"] if content.get("set") else None if rows is None else EvalSet.of(rows, named),
                schema=content.get("schema"),
                checks=[portable.read(check) for check in content.get("checks") or ()],
                scorers=[read_scorer(scorer) for scorer in content.get("scorers") or ()],
                policy=None if policy is None else Policy.of(policy),
                params=dict(content.get("params") or {}),
                **settings,
            )
        except errors.InvalidRequestError:
            raise
        except (ValueError, TypeError, AttributeError) as odd:
            raise errors.InvalidRequestError(str(odd)) from odd

    def written(self) -> dict[str, Any]:
        """The specification as JSON values, for `read`. Raises `InvalidRequestError` for what can't be written down: a
        key, or a check or scorer that is a function."""
        no_secret(self.params)
        content: dict[str, Any] = {
            "prompts": [written_prompt(prompt) for prompt in self.prompts],
            "models": list(self.models),
        }
        if self.source is not None:
            content["set"] = self.source
        elif self.cases.name:
            content["rows"] = [case.content() for case in self.cases]
            content |= {} if self.cases.name in (UPLOAD, "cases") else {"set_name": self.cases.name}
        plain = {key: getattr(self, key) for key in "name repeats concurrency budget seed batch".split()}
        content |= {key: value for key, value in plain.items() if value is not None and value is not False}
        try:
            more = {
                "schema": None if self.schema is None else json.loads(self.schema.content()),
                "checks": [portable.written(check) for check in self.checks],
                "scorers": [written_scorer(scorer) for scorer in self.scorers],
                "policy": None if self.policy is None else self.policy.content(),
                "params": dict(self.params),
            }
            whole: dict[str, Any] = json.loads(
                json.dumps(content | {key: value for key, value in more.items() if value})
            )
            return whole
        except (ValueError, TypeError) as unwritable:
            raise errors.InvalidRequestError(str(unwritable)) from unwritable

    def bounded(self, usual: Policy) -> Policy:
        """How its calls are bounded: by its own policy, or the `usual` one with a limit at least as wide as the
        experiment where nobody has chosen one; and by its budget."""
        policy = self.policy or usual
        if (
            not self.batch
            and self.policy is None
            and policy.limit == Limit()
            and self.concurrency > (Limit().concurrency or 0)
        ):
            policy = replace(policy, limit=Limit(concurrency=self.concurrency))
        return policy if self.budget is None else replace(policy, budget=Budget(usd=self.budget, per="experiment"))


def check_name(name: Any) -> None:
    """Raises `InvalidRequestError` for what no experiment can be called; None is no name yet."""
    if name is not None and (not isinstance(name, str) or not name.strip() or not name.isprintable()):
        raise errors.InvalidRequestError(f"name={name!r}: a line of text")


def read_prompt(
    name: str,
    template: Any,
    blank: Sequence[str] = (),
    passages: Sequence[str] = (),
    question: str | None = None,
    stable: Any = None,
) -> Prompt:
    """The prompt that `written_prompt` has written."""
    return Prompt(name, template, blank=tuple(blank), passages=tuple(passages), question=question, stable=stable)


def written_prompt(prompt: Prompt) -> list[Any]:
    """As `read_prompt` takes it, what is as by default left out."""
    messages = [dict(message) for message in prompt.messages]
    parts: list[Any] = [prompt.name, messages, prompt.blank, prompt.passages, prompt.question, prompt.stable]
    while not parts[-1]:
        parts.pop()
    return parts


def _object(data: Mapping[str, Any] | str) -> Mapping[str, Any]:
    try:
        content = json.loads(data) if isinstance(data, str) else data
    except ValueError as odd:
        raise errors.InvalidRequestError(f"a specification is a JSON object: {odd}") from odd
    if not isinstance(content, Mapping):
        raise errors.InvalidRequestError(f"a specification is a JSON object, not {type(content).__name__}")
    return content


def _fitting(content: Mapping[str, Any]) -> None:
    from lab.evals.forms import SpecForm  # pydantic is slow to import, and only what is read needs it
    from lab.show.forms import problems

    odd = dict(problems(SpecForm, content))
    unknown = [name for name, why in odd.items() if why == "unknown"]
    if unknown:
        known = [part.alias or name for name, part in SpecForm.model_fields.items()]
        raise errors.InvalidRequestError(f"{', '.join(sorted(unknown))}: one of {', '.join(known)}")
    if odd:
        raise errors.InvalidRequestError("; ".join(f"{name}: {why}" for name, why in odd.items()))


def no_secret(params: Mapping[str, Any]) -> None:
    """Raises `InvalidRequestError` for parameters that may not be written down."""
    secret = set(SECRET) & set(params)
    if secret:
        raise errors.InvalidRequestError(
            f"{', '.join(sorted(secret))}: what runs in the background is written down: put keys into the environment"
        )


def _whole(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise errors.InvalidRequestError(f"{name}={value!r}: a whole number of at least 1")


def _scorers(given: Any) -> tuple[Scorer, ...]:
    several = [given] if isinstance(given, str | Scorer) or callable(given) else list(given)
    try:
        scorers = tuple(as_scorer(scorer) for scorer in several)
    except ValueError as odd:
        raise errors.InvalidRequestError(str(odd)) from odd
    names = [scorer.name for scorer in scorers]
    taken = [name for name in names if name in RESERVED or not name.strip()]
    if taken:
        raise errors.InvalidRequestError(f"scorers: {taken[0]!r} is a column of its own: give the scorer another name")
    if len(set(names)) < len(names):
        raise errors.InvalidRequestError(f"scorers: {', '.join(names)}: give each a name of its own")
    return scorers
