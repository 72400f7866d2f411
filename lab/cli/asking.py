"""`lab ask`, `lab models`: one call, and what can be called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from lab.call.prompts import Prompt
from lab.cli.shared import Db, err, out, plainly, printable
from lab.client import Lab


def ask(
    prompt: Annotated[str, typer.Argument(help="What to ask; - reads it from standard input.")],
    model: Annotated[str, typer.Option("-m", "--model", help="A LiteLLM model name, local/... or sim/...")],
    system: Annotated[str | None, typer.Option("-s", "--system", help="A system message.")] = None,
    template: Annotated[
        str | None,
        typer.Option("-p", "--prompt", help="A prompt to be filled in: a file, or a name."),
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens the answer may have.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Sampling temperature.")] = None,
    effort: Annotated[str | None, typer.Option(help="How much is thought first: low, medium, high ...")] = None,
    db: Db = None,
) -> None:
    """Ask one model; the answer streams to the terminal, what it thinks and what it took go to standard error."""
    question = sys.stdin.read() if prompt == "-" else prompt
    params: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature, "reasoning_effort": effort}
    with plainly(), Lab(db) as lab:
        stream = lab.stream(
            _asked(lab, question, system, template),
            model=model,
            **{name: value for name, value in params.items() if value is not None},
        )
        wrote = False
        try:
            for thought in stream.reasoning:
                err.print(Text(printable(thought), style="dim italic"), end="")
            if stream.reasoning:
                err.print()
            for piece in stream:
                sys.stdout.write(printable(piece))
                sys.stdout.flush()
                wrote = True
        finally:
            if wrote:
                sys.stdout.write("\n")
        err.print(Text(stream.reply.facts(), style="dim"))


def _asked(lab: Lab, question: str, system: str | None, template: str | None) -> Any:
    """What is asked: the question, behind a system message or within a prompt. Raises `ValueError`."""
    if template is None:
        return [{"role": "system", "content": system}, {"role": "user", "content": question}] if system else question
    if system is not None:
        raise ValueError("a prompt has its own system message: --prompt or --system")
    prompt = Prompt.load(template) if Path(template).is_file() else lab.prompt(template)
    if len(prompt.variables) != 1:
        raise ValueError(f"prompt {prompt.name} has {len(prompt.variables)} variables: one is filled in here")
    return prompt.fill(**{prompt.variables[0]: question})


def models(
    words: Annotated[str, typer.Argument(help="Words in the name, such as 'claude haiku'; or a whole name.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Also those whose key is missing.")] = False,
    here: Annotated[
        bool, typer.Option("--here", help="Those that Ollama, LM Studio, llama.cpp or vLLM serve on this machine.")
    ] = False,
) -> None:
    """The models that can be called: which way each goes, its prices, its context window and whether its key is there.

    Any other name that LiteLLM knows can be called too.
    """
    from lab.provider import catalogue  # reads LiteLLM's list, which takes seconds

    with plainly():
        listed = (
            [known for _server, known in catalogue.on_this_machine() if words.lower() in known.model.lower()]
            if here
            else catalogue.listing(words, everything=everything)
        )
    if here and not listed:
        err.print(
            Text(
                "no Ollama (port 11434), LM Studio (1234), llama.cpp (8080) or vLLM (8000) answers here: start one, or"
                " pass api_base=... for one that listens elsewhere"
            )
        )
        raise typer.Exit(1)
    if not listed:
        err.print(Text(f"no model is known by {words!r}: write provider/model, or see `lab models --all`"))
        raise typer.Exit(1)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("model", "way", "key", "in $/M", "out $/M", "context"):
        justify: JustifyMethod = "left" if name in ("model", "way", "key") else "right"
        table.add_column(name, no_wrap=True, overflow="fold", justify=justify)
    for known in listed:
        prices = ("–" if price is None else f"{price * 1e6:.4g}" for price in (known.input, known.output))
        context = f"{known.context:,}" if known.context else "–"
        table.add_row(Text(printable(known.model)), known.way, known.key, *prices, context)
    Console(highlight=False, width=None if out.is_terminal else 160).print(table)
