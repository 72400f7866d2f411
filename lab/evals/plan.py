"""The grid of an experiment, before anything is spent: its cells, and what they will probably take."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from lab import errors
from lab.call.prompts import Filled, Prompt
from lab.evals.sets import Case, EvalSet
from lab.show import units

HOW = ("api_key", "extra_headers")
"""Parameters that say how to connect, not what is asked or whom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One call of the grid. `id` is a hash of what is asked: the same question asked once more has another `repeat`."""

    id: str
    place: int
    prompt: Filled
    model: str
    case: Case
    repeat: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What one model's cells will probably take. `based_on` says what the figures stand on."""

    model: str
    cells: int
    input_tokens: float
    output_tokens: float
    usd: float | None
    seconds: float | None
    based_on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A grid and its estimate. `left` cells have not been answered yet; the figures are theirs. `usd` is US dollars,
    None where a price is unknown; `seconds` is None where no model's speed is known."""

    name: str
    cells: int
    left: int
    by_model: tuple[Estimate, ...] = field(repr=False)
    concurrency: int
    budget: float | None = None
    eval_set: str | None = None
    looks: int = 0
    batch: bool = False

    @property
    def input_tokens(self) -> float:
        """Tokens to be sent."""
        return sum(estimate.input_tokens for estimate in self.by_model)

    @property
    def output_tokens(self) -> float:
        """Tokens to be generated."""
        return sum(estimate.output_tokens for estimate in self.by_model)

    @property
    def usd(self) -> float | None:
        """US dollars; None where a price is unknown."""
        known = [estimate.usd for estimate in self.by_model]
        return None if None in known else float(sum(usd or 0.0 for usd in known))

    @property
    def seconds(self) -> float | None:
        """Until all is done, at this concurrency."""
        known = [estimate.seconds for estimate in self.by_model]
        return None if None in known else float(sum(seconds or 0.0 for seconds in known)) / self.concurrency

    def __str__(self) -> str:
        known = f" ({self.cells - self.left:,} are answered already)" if self.left < self.cells else ""
        cost = "cost unknown" if self.usd is None else f"about {units.dollars(self.usd)}"
        most = "" if self.budget is None else f" of at most {units.dollars(self.budget)}"
        time = "time unknown" if self.seconds is None else _clock(self.seconds)
        held = f"; held-out set, asked by {self.looks} experiments before" if self.looks else ""
        way = "through the batch service, within 24 h" if self.batch else f"{time} at {self.concurrency} at once"
        return (
            f"{self.name}: {self.left:,} of {self.cells:,} cells{known}, {self.input_tokens:,.0f}→"
            f"{self.output_tokens:,.0f} tokens, {cost}{most}, {way}{held}"
        )

    def rows(self) -> list[dict[str, Any]]:
        """One row a model, for a table."""
        return [{name: getattr(estimate, name) for name in Estimate.__slots__} for estimate in self.by_model]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if not hours and not minutes and rest < 2:
        return "a moment"
    long = f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
    return f"about {long}"


def _called(template: Any) -> str:
    """A name for a text that has none: its first words, and enough of a hash to tell it from others like it."""
    text = template if isinstance(template, str) else json.dumps(template, sort_keys=True, default=str)
    begins = "-".join(re.findall(r"[a-z][a-z0-9]*", text.lower())[:4])[:28].strip("-") or "prompt"
    return f"{begins}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:4]}"


def named(prompts: Any) -> list[Prompt]:
    """Prompts out of what `compare` takes: one or several, with names or as texts. Raises `InvalidRequestError`."""
    given = [prompts] if isinstance(prompts, str | Prompt | Filled) else list(prompts)
    try:
        templates = [
            prompt if isinstance(prompt, Prompt | Filled) else Prompt(_called(prompt), prompt) for prompt in given
        ]
    except (ValueError, TypeError) as odd:
        raise errors.InvalidRequestError(str(odd)) from odd
    blanks = [prompt for prompt in templates if isinstance(prompt, Prompt)]
    if len(blanks) < len(templates):
        raise errors.InvalidRequestError(
            "prompts are filled in from the cases: hand in the prompt, not prompt.fill(...)"
        )
    labels = [(prompt.name, prompt.hash) for prompt in blanks]
    if not blanks or len(set(labels)) < len(labels):
        raise errors.InvalidRequestError("prompts: one or more, each once")
    return blanks


def the_cases(cases: Any) -> EvalSet:
    """An eval set out of what `compare` takes: a set, rows, texts, or None for prompts without variables."""
    if isinstance(cases, EvalSet):
        return cases
    if cases is None:
        return EvalSet(name="", cases=(Case(id="-", input={}, cluster="-"),))
    rows = [{"id": str(number), "input": row} if isinstance(row, str) else row for number, row in enumerate(cases, 1)]
    try:
        return EvalSet.of(rows)
    except ValueError as odd:
        raise errors.InvalidRequestError(str(odd)) from odd


def filled(prompt: Prompt, case: Case) -> Filled:
    """The prompt with a case's input in it: a text fills the only variable, an object those of its names."""
    where = f"case {case.id}" + (f" (line {case.line})" if case.line else "")
    try:
        if isinstance(case.input, str):
            if len(prompt.variables) != 1:
                names = ", ".join(prompt.variables) or "none"
                raise errors.InvalidRequestError(
                    f"prompt {prompt.name} has the variables {names}: the input must be an object of them"
                )
            return prompt.fill(**{prompt.variables[0]: case.input})
        return prompt.fill(**{name: value for name, value in case.input.items() if name in prompt.variables})
    except errors.InvalidRequestError as odd:
        raise errors.InvalidRequestError(f"{where}: {odd}") from odd


def grid(
    prompts: Sequence[Prompt],
    models: Sequence[str],
    cases: EvalSet,
    repeats: int,
    asked: Mapping[str, Any],
    more: Iterable[str] = (),
) -> list[Cell]:
    """Every cell, prompts first. `asked` are parameters, `more` what else belongs to the question: schema, checks."""
    params = {name: value for name, value in asked.items() if name not in HOW}
    rest = json.dumps([params, list(more)], sort_keys=True, default=str)
    return list(_cells(prompts, models, cases, repeats, rest))


def _cells(prompts: Sequence[Prompt], models: Sequence[str], cases: EvalSet, repeats: int, rest: str) -> Iterator[Cell]:
    place = 0
    for prompt in prompts:
        for case in cases:
            asked = filled(prompt, case)
            head = json.dumps([prompt.name, prompt.hash, case.id, asked.messages], sort_keys=True, ensure_ascii=False)
            begun = hashlib.sha256(f"{head}|{rest}".encode("utf-8", "replace"))
            for model in models:
                for repeat in range(repeats):
                    whole = begun.copy()
                    whole.update(f"|{model}|{repeat}".encode())
                    identity = whole.hexdigest()[:24]
                    yield Cell(id=identity, place=place, prompt=asked, model=model, case=case, repeat=repeat)
                    place += 1


def shuffled(cells: Sequence[Cell], seed: int) -> list[Cell]:
    """The cells in an order drawn by the seed, so that the time of day favours no prompt and no model."""
    order = list(cells)
    Random(seed).shuffle(order)
    return order
