"""`lab route fit`, `lab route show`: routers, and what they promise."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from lab.call.prompts import Prompt
from lab.cli.comparing import AtOnce, Dollars, Longest, Models, Repeats, Set, Unscored
from lab.cli.shared import Db, err, existing, out, plainly, print_frame, printable
from lab.client import Lab

app = typer.Typer(help="Routers: the model of each request, learnt from scored cases.", no_args_is_help=True)


@app.command()
def fit(
    name: Annotated[str, typer.Argument(help="What it is called: the model is route/NAME from then on.")],
    model: Models,
    set_: Set,
    prompt: Annotated[
        Path | None, typer.Option(help="A file with the prompt. [default: the ledger's prompt of this name]")
    ] = None,
    scorer: Unscored = None,
    margin: Annotated[float, typer.Option(help="How much of its score may be lost: 0.02 is two points.")] = 0.02,
    save: Annotated[Literal["cost", "latency"], typer.Option(help="What is to be saved.")] = "cost",
    repeats: Repeats = 1,
    concurrency: AtOnce = 8,
    budget: Dollars = None,
    max_tokens: Longest = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what it would take, and stop.")] = False,
    db: Db = None,
) -> None:
    """Learn which requests a cheaper model answers as well. What has no score on the ledger is asked first."""
    params = {} if max_tokens is None else {"max_tokens": max_tokens}
    with plainly(), Lab(db) as lab:
        template = None if prompt is None else Prompt.load(prompt)
        more = {"repeats": repeats, "concurrency": concurrency, "budget": budget, **params}
        router = lab.router(
            name, model, set_, prompt=template, scorers=scorer or (), margin=margin, save=save, run=False, **more
        )
        if router.plan is not None:
            err.print(Text(printable(str(router.plan)), style="dim"))
        if not plan:
            out.print(Text(printable(str(router.run()))))


@app.command()
def show(
    name: Annotated[str | None, typer.Argument(help="One router. [default: all of them]")] = None, db: Db = None
) -> None:
    """What routers promise, and what was seen of it since."""
    from lab.evals import router  # reads numpy, which takes a moment
    from lab.ledger import routers
    from lab.metrics import routing

    with plainly(), closing(existing(db)) as ledger:
        names = [name] if name else routers.names(ledger)
        for each in names:
            out.print(Text(printable(str(router.opened(ledger, each)))))
        if names:
            print_frame(routing.readable(routing.seen(ledger, name)))
        else:
            out.print("no router on this ledger: `lab route fit` makes one")
