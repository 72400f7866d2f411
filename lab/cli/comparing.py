"""`lab compare`, `lab eval`, `lab gate`: what an experiment says, and what a build may go by."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from lab.call.prompts import Prompt
from lab.cli.shared import Db, err, existing, out, plainly, print_frame, printable, write
from lab.client import Lab
from lab.evals.spec import Spec

Models = Annotated[list[str], typer.Option("-m", "--model", help="A model; several times for several.")]
Set = Annotated[Path, typer.Option("--set", help="An eval set: a JSONL file of cases.")]
_SCORER = typer.Option(
    "--scorer", help="exact, label, contains, number or fields; with a part of the answer: exact:answer."
)
Scorers = Annotated[list[str], _SCORER]
Unscored = Annotated[list[str] | None, _SCORER]
Repeats = Annotated[int, typer.Option(min=1, help="How often each cell is asked.")]
AtOnce = Annotated[int, typer.Option(min=1, help="Calls at once.")]
Name = Annotated[str | None, typer.Option(help="The experiment's name. [default: made of what is asked]")]
Dollars = Annotated[float | None, typer.Option("--budget", min=0, help="US dollars, at most.")]
Longest = Annotated[int | None, typer.Option(help="Tokens an answer may have.")]
Batch = Annotated[
    bool, typer.Option("--batch", help="Through the provider's batch service: half the price, within a day.")
]
Markdown = Annotated[Path | None, typer.Option(help="Write the report here, in Markdown.")]
Junit = Annotated[Path | None, typer.Option(help="Write the report here, as JUnit XML.")]


def compare(
    prompts: Annotated[list[Path], typer.Argument(help="Files of prompts; {{name}} is a variable.")],
    model: Models,
    set_: Set,
    scorer: Unscored = None,
    repeats: Repeats = 1,
    concurrency: AtOnce = 8,
    name: Name = None,
    budget: Dollars = None,
    max_tokens: Longest = None,
    batch: Batch = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say what it would take, and stop.")] = False,
    markdown: Markdown = None,
    junit: Junit = None,
    db: Db = None,
) -> None:
    """Ask every prompt of every model with every case, and print a row for each with intervals.

    Stopped and run again, it asks only what has no answer yet.
    """
    with plainly():
        spec = Spec.of(
            [Prompt.load(path) for path in prompts],
            model,
            set_,
            repeats=repeats,
            scorers=scorer or (),
            concurrency=concurrency,
            name=name,
            budget=budget,
            batch=batch,
            params={} if max_tokens is None else {"max_tokens": max_tokens},
        )
    _run(spec, db, plan=plan, markdown=markdown, junit=junit)


def evaluate(
    prompt: Annotated[Path, typer.Argument(help="A file with the prompt; {{name}} is a variable.")],
    model: Annotated[str, typer.Option("-m", "--model", help="The model.")],
    set_: Set,
    scorer: Scorers,
    repeats: Repeats = 1,
    concurrency: AtOnce = 8,
    name: Name = None,
    budget: Dollars = None,
    max_tokens: Longest = None,
    batch: Batch = False,
    markdown: Markdown = None,
    junit: Junit = None,
    db: Db = None,
) -> None:
    """Score one prompt and one model over an eval set; two evaluations go through `lab gate`."""
    with plainly():
        spec = Spec.of(
            [Prompt.load(path) for path in [prompt]],
            [model],
            set_,
            repeats=repeats,
            scorers=scorer,
            concurrency=concurrency,
            name=name,
            budget=budget,
            batch=batch,
            params={} if max_tokens is None else {"max_tokens": max_tokens},
        )
    _run(spec, db, markdown=markdown, junit=junit)


def _run(spec: Spec, db: Path | None, *, plan: bool = False, markdown: Path | None, junit: Path | None) -> None:
    from lab.evals import report  # reads numpy and pandas, which takes a second

    with plainly(), Lab(db) as lab:
        experiment = lab.planned(spec)
        err.print(Text(printable(str(experiment.plan)), style="dim"))
        if plan:
            return
        experiment.run()
        assert experiment.progress is not None
        print_frame(experiment.table())
        if experiment.progress.stopped:
            err.print(Text(f"stopped: {printable(experiment.progress.stopped)}", style="bold red"))
        out.print(Text(f"experiment: {experiment.name}"))
        write(markdown, lambda: report.evaluation_markdown(experiment))
        write(junit, lambda: report.evaluation_junit(experiment))
        progress = experiment.progress
        left = progress.total - progress.done
        if progress.first is not None:
            err.print(Text(f"the first of {progress.failed:,} failures: {printable(progress.first)}"))
        if left or progress.failed == progress.total:
            err.print(Text(f"{left:,} cells have no answer", style="bold red"))
            raise typer.Exit(1)


def gate(
    baseline: Annotated[str, typer.Argument(help="An evaluation's name; of a larger one, name/prompt@version/model.")],
    candidate: Annotated[str, typer.Argument(help="The evaluation that is to be no worse.")],
    margin: Annotated[
        float, typer.Option(min=0, max=0.99, help="How much worse it may be: 0.02 is two points.")
    ] = 0.02,
    level: Annotated[float, typer.Option(min=0.5, max=0.999, help="The interval's level.")] = 0.95,
    markdown: Markdown = None,
    junit: Junit = None,
    db: Db = None,
) -> None:
    """Is the candidate no worse than the baseline? Exit status 0 is pass, 1 fail, 3 inconclusive, 2 a mistake."""
    from lab.evals import report  # reads numpy and pandas, which takes a second
    from lab.evals.gate import gated

    try:
        with plainly(), closing(existing(db)) as ledger:  # a Lab would begin to load what asks models
            verdict = gated(ledger, baseline, candidate, margin, level)
    except typer.Exit:
        raise typer.Exit(2) from None
    colour = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}[verdict.verdict]
    head, _, rest = str(verdict).partition(":")
    out.print(Text.assemble((head, colour), printable(f":{rest}")))
    write(markdown, lambda: report.verdict_markdown(verdict))
    write(junit, lambda: report.verdict_junit(verdict))
    raise typer.Exit({"pass": 0, "fail": 1, "inconclusive": 3}[verdict.verdict])
