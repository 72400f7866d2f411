"""`lab calls` and what else is read out of the record."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab import metrics as figures
from lab.cli.shared import Db, err, existing, missing, out, plainly, print_frame, printable
from lab.jobs.office import Office
from lab.ledger import archive, queries
from lab.ledger import cached as kept
from lab.ledger.file import Ledger
from lab.ledger.settings import default_path
from lab.show import units
from lab.show.text import one_line


def calls(
    search: Annotated[str | None, typer.Argument(help="Words in the prompt or the answer.")] = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="Only this model.")] = None,
    status: Annotated[str | None, typer.Option(help="Only: ok, failed, cancelled or running.")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many.")] = 20,
    page: Annotated[int, typer.Option(min=1, help="Which page of that many.")] = 1,
    order: Annotated[str, typer.Option(help=f"One of: {', '.join(queries.ORDERS)}.")] = "newest",
    db: Db = None,
) -> None:
    """The calls on the ledger, newest first or in another order."""
    with plainly(), closing(Ledger(db or default_path())) as ledger:
        filters = {"search": search, "model": model, "status": status}
        total = queries.count(ledger, **filters)
        listed = queries.listed(ledger, **filters, limit=limit, offset=(page - 1) * limit, order=order)
        if not listed:
            again = "no call matches" if search or model or status else "no calls yet: lab ask 'Hello' -m local/smollm2"
            out.print(Text(f"{again} ({ledger.path})"))
            return
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in ("when", "model", "outcome", "first token", "total", "tokens", "cost", "prompt"):
            table.add_column(name, no_wrap=True, overflow="ellipsis", justify="left" if name in _LEFT else "right")
        for row in listed:
            table.add_row(*(Text(cell) for cell in _cells(row)))
        Console(highlight=False, width=None if out.is_terminal else 160).print(table)
        out.print(Text(f"{len(listed)} of {total} calls in {ledger.path}", style="dim"))


Since = Annotated[str | None, typer.Option(help="Only the last so much: 90 s, 15 min, 24 h, 7 d.")]


def trace(
    call_id: Annotated[str, typer.Argument(help="The call's identifier, or the beginning of it.")],
    words: Annotated[bool, typer.Option("--words", help="Also what was asked and answered.")] = False,
    db: Db = None,
) -> None:
    """One call from intake to outcome: its attempts, when each part of them was, and what the checks found."""
    with plainly(), closing(existing(db)) as ledger:
        call = figures.trace.trace(ledger, call_id)
        out.print(Text(printable(str(call))))
        if words:
            said = [call.said.get(name) or "" for name in ("prompt", "reasoning", "answer")]
            said[1] = f"[thinking]\n{said[1]}" if said[1] else ""
            said += [json.dumps(tool, ensure_ascii=False) for tool in call.said.get("tool_calls") or ()]
            out.print(Text(printable("\n" + "\n\n".join(part for part in said if part))))


def metrics(
    by: Annotated[list[str] | None, typer.Option("--by", help="What to group by; several times for several.")] = None,
    since: Since = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="Only this model.")] = None,
    experiment: Annotated[str | None, typer.Option(help="Only this experiment.")] = None,
    user: Annotated[str | None, typer.Option(help="Only this user.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only calls with this tag.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="All figures, as CSV.")] = False,
    db: Db = None,
) -> None:
    """The figures to watch, a row a group: success, the tail, retries and hedges, cost. Intervals are in brackets."""
    with plainly(), closing(existing(db)) as ledger:
        filters: dict[str, Any] = {"model": model, "experiment": experiment, "user": user, "tag": tag}
        groups = tuple(by or ["model"])
        frame = figures.metrics(ledger, figures.since_of(since), groups, **filters)
        if csv:
            sys.stdout.write(archive.to_csv(frame).decode())
        elif frame.empty:
            out.print(Text(f"no call matches ({ledger.path})"))
        else:
            print_frame(figures.readable(frame, groups))
            left = int(frame["saturated"].sum()), int(frame["cached"].sum())
            if any(left):
                note = f"times leave out {left[0]:,} answers of a saturated client and {left[1]:,} out of the store"
                out.print(Text(note, style="dim"))


def cache(
    since: Since = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="Only this model.")] = None,
    user: Annotated[str | None, typer.Option(help="Only this user.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only calls with this tag.")] = None,
    db: Db = None,
) -> None:
    """What the cache saved and what it spoiled: hits, dollars, seconds, near hits that were wrong."""
    with plainly(), closing(existing(db)) as ledger:
        saved = figures.saved(ledger, since=figures.since_of(since), model=model, user=user, tag=tag)
        out.print(Text(printable(str(saved))))


def sent(db: Db = None) -> None:
    """What was sent through providers' batch services, and how far it is."""
    from lab.ledger import batches  # reads pandas, which takes a second

    with plainly(), closing(existing(db)) as ledger:
        frame = batches.listing(ledger)
        if frame.empty:
            out.print("no batch on this ledger: `lab compare --batch` sends one")
            return
        print_frame(batches.readable(frame))


def alerts(
    rules: Annotated[
        Path | None,
        typer.Option(
            help="A file of rules. [default: $LAB_ALERTS, or alerts.toml beside the ledger, or the lab's own]"
        ),
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(
            envvar="LAB_WEBHOOK", help="Also POST what fires to this address, signed with $LAB_WEBHOOK_SECRET."
        ),
    ] = None,
    db: Db = None,
) -> None:
    """What is wrong now, by rules over the figures. Exit status 0 where nothing is, 1 where an alert fires, 2 where
    that can't be told, or the webhook was not reached."""
    try:
        with plainly(), closing(existing(db)) as ledger:
            found = figures.alerts.load(rules, ledger.path)
            with closing(Office.at(ledger.path)) as office:
                firing = figures.alerts.firing(ledger, found, jobs=office.figures)
    except typer.Exit:
        raise typer.Exit(2) from None
    for alert in firing:
        out.print(Text.assemble((alert.name, "bold red"), printable(f": {alert.message}")))
    if not firing:
        out.print(Text("nothing fires", style="dim"))
        return
    if webhook:
        from lab.jobs.webhook import post  # what runs in the background is slow to import

        hour = int(firing[0].at // 3600)
        told = hashlib.sha256(
            json.dumps([hour, *([alert.name, alert.group] for alert in firing)]).encode()
        ).hexdigest()[:24]
        body = {"type": "lab.alerts", "ledger": ledger.path.name, "alerts": [alert.as_dict() for alert in firing]}
        try:
            post(webhook, body, message_id=f"msg_{told}", secret=os.environ.get("LAB_WEBHOOK_SECRET"))
        except (ConnectionError, ValueError) as failed:
            err.print(Text.assemble(("webhook: ", "bold red"), str(failed)))
            raise typer.Exit(2) from None
    raise typer.Exit(1)


def export(
    what: Annotated[str, typer.Argument(help="calls, attempts, checks or scores.")],
    path: Annotated[Path, typer.Argument(help="The file: .parquet, .csv or .jsonl.")],
    since: Since = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="Only this model.")] = None,
    experiment: Annotated[str | None, typer.Option(help="Only this experiment.")] = None,
    user: Annotated[str | None, typer.Option(help="Only this user.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only calls with this tag.")] = None,
    db: Db = None,
) -> None:
    """Write a part of the record to a file, oldest first. The CSV is safe to open in a spreadsheet."""
    with plainly(), closing(existing(db)) as ledger:
        filters: dict[str, Any] = {"model": model, "experiment": experiment, "user": user, "tag": tag}
        try:
            many = archive.export(ledger, what, path, since=figures.since_of(since), **filters)
        except OSError as failed:
            raise ValueError(f"{path} can't be written: {failed.strerror}") from failed
        out.print(Text(f"{many:,} {what} in {path}"))


def prune(
    older_than: Annotated[str, typer.Option(help="Remove calls older than this: 90 d, 12 w.")],
    words: Annotated[bool, typer.Option("--words", help="Only what was asked and answered; the figures stay.")] = False,
    experiments: Annotated[bool, typer.Option("--experiments", help="Also calls of experiments.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    cached: Annotated[
        bool, typer.Option("--cached", help="Only what the cache keeps to be given again; the calls stay.")
    ] = False,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Then give the space back to the disk; nobody may write.")
    ] = False,
    db: Db = None,
) -> None:
    """Remove what has grown old. Calls of experiments are evidence, and stay unless you say otherwise."""
    with plainly(), closing(existing(db)) as ledger:
        before = time.time() - figures.parse_span(older_than)
        if cached:
            many = kept.forget(ledger, before, dry_run=dry_run)
            out.print(Text(f"{many:,} kept answers {'would be removed' if dry_run else 'removed'}"))
            return
        more = {"words_only": words, "experiments": experiments, "dry_run": dry_run, "vacuum": vacuum}
        out.print(Text(str(archive.prune(ledger, before, **more))))


_LEFT = ("when", "model", "outcome", "prompt")


def _cells(row: dict[str, Any]) -> list[str]:
    bad = row["kind"] if isinstance(row["kind"], str) else row["status"]
    tokens = "–" if missing(row["input_tokens"]) else f"{row['input_tokens']:.0f}→{row['output_tokens']:.0f}"
    return [
        f"{datetime.fromtimestamp(row['started_at'], UTC):%Y-%m-%d %H:%M:%S}",
        row["model"],
        "ok" if row["status"] == "ok" else bad,
        units.seconds(None if missing(row["ttft"]) else row["ttft"]),
        units.seconds(None if missing(row["elapsed"]) else row["elapsed"]),
        tokens,
        units.dollars(None if missing(row["cost"]) else row["cost"]),
        printable(one_line(row["prompt"] if isinstance(row["prompt"], str) else "", 60)),
    ]
