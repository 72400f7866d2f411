"""`lab`: thin verbs over the package. A failure is one sentence on standard error, and exit status 1."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab import display, errors, tables
from lab.client import Lab
from lab.ledger import Ledger
from lab.prompts import Prompt
from lab.settings import default_path, load_env

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(
    help="See what your AI API calls do, and decide with evidence.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Db = Annotated[Path | None, typer.Option("--db", help="The ledger's file. [default: $LAB_DB or data/lab.db]")]


@contextmanager
def plainly() -> Iterator[None]:
    """Failures end the command in one sentence."""
    try:
        yield
    except (errors.LabError, errors.LedgerError, ValueError) as failure:
        kind = getattr(failure, "kind", "ledger" if isinstance(failure, errors.LedgerError) else "usage")
        err.print(Text.assemble((f"{kind}: ", "bold red"), str(failure)))
        raise typer.Exit(1) from None


@app.command()
def ask(
    prompt: Annotated[str, typer.Argument(help="What to ask; - reads it from standard input.")],
    model: Annotated[str, typer.Option("-m", "--model", help="A LiteLLM model name, local/... or sim/...")],
    system: Annotated[str | None, typer.Option("-s", "--system", help="A system message.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens the answer may have.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Sampling temperature.")] = None,
    db: Db = None,
) -> None:
    """Ask one model; the answer streams to the terminal, what it took follows on standard error."""
    said = sys.stdin.read() if prompt == "-" else prompt
    params = {"max_tokens": max_tokens, "temperature": temperature}
    with plainly(), Lab(db) as lab:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": said}] if system else said
        stream = lab.stream(
            messages, model=model, **{name: value for name, value in params.items() if value is not None}
        )
        wrote = False
        try:
            for piece in stream:
                sys.stdout.write(_printable(piece))
                sys.stdout.flush()
                wrote = True
        finally:
            if wrote:
                sys.stdout.write("\n")
        err.print(Text(display.facts(stream.reply), style="dim"))


@app.command()
def calls(
    search: Annotated[str | None, typer.Argument(help="Words in the prompt or the answer.")] = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="Only this model.")] = None,
    status: Annotated[str | None, typer.Option(help="Only: ok, failed, cancelled or running.")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many.")] = 20,
    page: Annotated[int, typer.Option(min=1, help="Which page of that many.")] = 1,
    db: Db = None,
) -> None:
    """The calls on the ledger, newest first."""
    with plainly(), closing(Ledger(db or default_path())) as ledger:
        filters = {"search": search, "model": model, "status": status}
        total = tables.count(ledger, **filters)
        found = tables.calls(ledger, **filters, limit=limit, offset=(page - 1) * limit)
        if found.empty:
            again = "no call matches" if search or model or status else "no calls yet: lab ask 'Hello' -m local/smollm2"
            out.print(Text(f"{again} ({ledger.path})"))
            return
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in ("when", "model", "outcome", "first token", "total", "tokens", "cost", "prompt"):
            table.add_column(name, no_wrap=True, overflow="ellipsis", justify="left" if name in _LEFT else "right")
        for row in found.to_dict("records"):
            table.add_row(*(Text(cell) for cell in _cells(row)))
        Console(highlight=False, width=None if out.is_terminal else 160).print(table)
        out.print(Text(f"{len(found)} of {total} calls in {ledger.path}", style="dim"))


Models = Annotated[list[str], typer.Option("-m", "--model", help="A model; several times for several.")]
Set = Annotated[Path, typer.Option("--set", help="An eval set: a JSONL file of cases.")]
Scorers = Annotated[
    list[str],
    typer.Option("--scorer", help="exact, label, contains, number or fields; with a part of the answer: exact:answer."),
]
Repeats = Annotated[int, typer.Option(min=1, help="How often each cell is asked.")]
AtOnce = Annotated[int, typer.Option(min=1, help="Calls at once.")]
Name = Annotated[str | None, typer.Option(help="The experiment's name. [default: made of what is asked]")]
Dollars = Annotated[float | None, typer.Option("--budget", min=0, help="US dollars, at most.")]
Longest = Annotated[int | None, typer.Option(help="Tokens an answer may have.")]
Markdown = Annotated[Path | None, typer.Option(help="Write the report here, in Markdown.")]
Junit = Annotated[Path | None, typer.Option(help="Write the report here, as JUnit XML.")]


@app.command()
def compare(
    prompts: Annotated[list[Path], typer.Argument(help="Files of prompts; {{name}} is a variable.")],
    model: Models,
    set_: Set,
    scorer: Scorers = (),
    repeats: Repeats = 1,
    concurrency: AtOnce = 8,
    name: Name = None,
    budget: Dollars = None,
    max_tokens: Longest = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what it would take, and stop.")] = False,
    markdown: Markdown = None,
    junit: Junit = None,
    db: Db = None,
) -> None:
    """Ask every prompt of every model with every case, and print a row for each with intervals.

    Stopped and run again, it asks only what has no answer yet.
    """
    _compared(prompts, model, set_, scorer, repeats, concurrency, name, budget, max_tokens, plan, markdown, junit, db)


@app.command("eval")
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
    markdown: Markdown = None,
    junit: Junit = None,
    db: Db = None,
) -> None:
    """Score one prompt and one model over an eval set; two evaluations go through `lab gate`."""
    _compared(
        [prompt], [model], set_, scorer, repeats, concurrency, name, budget, max_tokens, False, markdown, junit, db
    )


def _compared(
    prompts: list[Path],
    models: list[str],
    set_: Path,
    scorers: Sequence[str],
    repeats: int,
    concurrency: int,
    name: str | None,
    budget: float | None,
    max_tokens: int | None,
    plan: bool,
    markdown: Path | None,
    junit: Path | None,
    db: Path | None,
) -> None:
    from lab import report  # reads numpy and pandas, which takes a second

    with plainly(), Lab(db) as lab:
        made = lab.compare(
            [Prompt.load(path) for path in prompts],
            models,
            set_,
            repeats=repeats,
            scorers=scorers,
            concurrency=concurrency,
            name=name,
            budget=budget,
            run=False,
            **({} if max_tokens is None else {"max_tokens": max_tokens}),
        )
        err.print(Text(_printable(str(made.plan)), style="dim"))
        if plan:
            return
        made.run()
        assert made.progress is not None
        _print_frame(made.table())
        if made.progress.stopped:
            err.print(Text(f"stopped: {_printable(made.progress.stopped)}", style="bold red"))
        out.print(Text(f"experiment: {made.name}"))
        _write(markdown, lambda: report.evaluation_markdown(made))
        _write(junit, lambda: report.evaluation_junit(made))
        left = made.progress.total - made.progress.done
        if made.progress.first is not None:
            err.print(Text(f"the first of {made.progress.failed:,} failures: {_printable(made.progress.first)}"))
        if left or made.progress.failed == made.progress.total:
            err.print(Text(f"{left:,} cells have no answer", style="bold red"))
            raise typer.Exit(1)


@app.command()
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
    from lab import report  # reads numpy and pandas, which takes a second

    try:
        with plainly(), Lab(db) as lab:
            verdict = lab.gate(baseline, candidate, margin, level=level)
    except typer.Exit:
        raise typer.Exit(2) from None
    colour = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}[verdict.verdict]
    head, _, rest = str(verdict).partition(":")
    out.print(Text.assemble((head, colour), _printable(f":{rest}")))
    _write(markdown, lambda: report.verdict_markdown(verdict))
    _write(junit, lambda: report.verdict_junit(verdict))
    raise typer.Exit({"pass": 0, "fail": 1, "inconclusive": 3}[verdict.verdict])


def _write(path: Path | None, text: Callable[[], str]) -> None:
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(), encoding="utf-8")
    except OSError as failed:
        err.print(Text.assemble(("usage: ", "bold red"), f"{path} can't be written: {failed.strerror}"))
        raise typer.Exit(2) from None


def _print_frame(frame: pd.DataFrame) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in frame.columns:
        table.add_column(column, no_wrap=True, overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(Text(_printable(str(cell))) for cell in row))
    Console(highlight=False, width=None if out.is_terminal else 220).print(table)


@app.command()
def models(
    words: Annotated[str, typer.Argument(help="Words in the name, such as 'claude haiku'; or a whole name.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Also those whose key is missing.")] = False,
) -> None:
    """The models that can be called: which way each goes, its prices, its context window and whether its key is there.

    Any other name that LiteLLM knows can be called too.
    """
    from lab import catalogue  # reads LiteLLM's list, which takes seconds

    with plainly():
        found = catalogue.listing(words, everything=everything)
    if not found:
        err.print(Text(f"no model is known by {words!r}: write provider/model, or see `lab models --all`"))
        raise typer.Exit(1)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("model", "way", "key", "in $/M", "out $/M", "context"):
        justify = "left" if name in ("model", "way", "key") else "right"
        table.add_column(name, no_wrap=True, overflow="fold", justify=justify)
    for one in found:
        prices = ("–" if price is None else f"{price * 1e6:.4g}" for price in (one.input, one.output))
        context = f"{one.context:,}" if one.context else "–"
        table.add_row(Text(_printable(one.model)), one.way, one.key, *prices, context)
    Console(highlight=False, width=None if out.is_terminal else 160).print(table)


_LEFT = ("when", "model", "outcome", "prompt")


def _cells(row: dict) -> list[str]:
    bad = row["kind"] if isinstance(row["kind"], str) else row["status"]
    tokens = "–" if _missing(row["input_tokens"]) else f"{row['input_tokens']:.0f}→{row['output_tokens']:.0f}"
    return [
        f"{row['started_at'].tz_convert(None):%Y-%m-%d %H:%M:%S}",
        row["model"],
        "ok" if row["status"] == "ok" else bad,
        display.seconds(None if _missing(row["ttft"]) else row["ttft"]),
        display.seconds(None if _missing(row["latency"]) else row["latency"]),
        tokens,
        display.dollars(None if _missing(row["cost"]) else row["cost"]),
        _printable(display.shorten(row["prompt"] if isinstance(row["prompt"], str) else "", 60)),
    ]


def _missing(value: object) -> bool:
    return value is None or value != value


def _printable(text: str) -> str:
    """Without the control characters by which an answer could drive the terminal."""
    return "".join(one for one in text if one in "\n\t" or (one.isprintable() or one == "\u00a0"))


@app.command()
def sim(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1; 0 takes a free one.")] = 8090,
    seed: Annotated[int, typer.Option(help="The same seed and requests give the same answers and times.")] = 0,
    speed: Annotated[float, typer.Option(min=0.001, help="Divides every wait: 10 is ten times faster.")] = 1.0,
    list_: Annotated[bool, typer.Option("--list", help="Print the simulated models and faults, and stop.")] = False,
) -> None:
    """Run the simulated provider alone, for any client of OpenAI's, Anthropic's or Gemini's protocol."""
    from lab.sim.catalogue import MODELS  # the simulation is not the calling side's to import
    from lab.sim.faults import FAULTS

    if list_:
        for name, model in MODELS.items():
            out.print(Text.assemble((f"sim/{name}".ljust(18), "bold"), model.about))
        out.print(
            "\nfaults, as in sim/steady+http_500:0.1 (a share) or sim/steady+http_500:0.1x20 (in bursts of about 20):"
        )
        for name, fault in FAULTS.items():
            out.print(Text.assemble((f"+{name}".ljust(18), "bold"), f"{fault.kind.ljust(10)}{fault.about}"))
        return
    _refuse_used_port(port)
    _become([sys.executable, "-m", "lab.sim", "--port", str(port), "--seed", str(seed), "--speed", str(speed)])


@app.command()
def local() -> None:
    """Run the local model alone, for any OpenAI client."""
    _become([sys.executable, "-m", "lab.local"])


@app.command()
def playground(
    port: Annotated[int, typer.Option(envvar="PORT", min=1, max=65535, help="The port on 127.0.0.1.")] = 8501,
    headless: Annotated[bool, typer.Option(envvar="HEADLESS", help="Open no browser.")] = False,
    db: Db = None,
) -> None:
    """Open the playground in the browser."""
    page = Path(__file__).resolve().parent.parent / "playground" / "app.py"
    if not page.exists() or importlib.util.find_spec("streamlit") is None:
        err.print("the playground runs from a checkout of the project: `make playground` there")
        raise typer.Exit(1)
    _refuse_used_port(port)
    with plainly():
        load_env()  # before the folder changes
    with plainly(), closing(Ledger(db or default_path())) as ledger:  # what is wrong with it is said in the shell
        os.environ["LAB_DB"] = str(ledger.path)
    out.print(f"playground: http://127.0.0.1:{port}   ledger: {os.environ['LAB_DB']}")
    os.chdir(page.parent.parent)  # where .streamlit/config.toml is
    options = ["--server.port", str(port), "--server.headless", str(headless).lower()]
    _become([sys.executable, "-m", "streamlit", "run", str(page), *options])


def _refuse_used_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as taken:
            err.print(f"port {port} can't be used: {taken.strerror}. Take another: --port N, or PORT=N make playground")
            raise typer.Exit(1) from None


def _become(command: list[str]) -> None:
    """Run `command` in this process's place, so that signals reach it."""
    sys.stdout.flush()
    if os.name == "posix":
        os.execv(command[0], command)
    raise typer.Exit(subprocess.call(command))


def main() -> None:
    """The entry point."""
    app()


if __name__ == "__main__":
    main()
