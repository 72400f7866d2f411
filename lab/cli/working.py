"""`lab worker`, `lab jobs`: work that outlives its caller."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.text import Text

from lab.cli.shared import Db, existing, out, plainly, print_frame, printable
from lab.client import Lab
from lab.jobs import readable
from lab.jobs.job import Job

LOST = 75
"""Exit status of a worker that has lost its lock: to be started again."""

app = typer.Typer(help="Jobs: what runs, waits, failed; stop them, go on with them.", invoke_without_command=True)
Id = Annotated[str, typer.Argument(help="The job's id.")]


def worker(
    modules: Annotated[
        list[str] | None, typer.Argument(help="Modules that define flows. [default: experiments and webhooks alone]")
    ] = None,
    name: Annotated[str | None, typer.Option(help="A name of its own. [default: made of the machine's]")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Jobs at once, in each lane.")] = 8,
    per_user: Annotated[int | None, typer.Option(min=1, help="Jobs of one user at once, over all workers.")] = None,
    per_minute: Annotated[int | None, typer.Option(min=1, help="Jobs begun a minute, in each lane.")] = None,
    keep: Annotated[float, typer.Option(min=0, help="Days after which a job that is over is forgotten.")] = 30.0,
    grace: Annotated[float, typer.Option(min=0, help="Seconds that jobs have to end in when it is stopped.")] = 10.0,
    db: Db = None,
) -> None:
    """Run jobs until it is stopped: any number of workers, on one machine, or with $LAB_JOBS on many.

    Stopped by SIGTERM or Ctrl-C it takes no more jobs and hands over what doesn't end in time. Exit status 75 where it
    has lost its lock (its database was away): start it again.
    """
    sys.path.insert(0, os.getcwd())
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    if db is not None:
        os.environ["LAB_DB"] = str(db)  # the modules' own Lab() opens it, too
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with plainly(), Lab(db) as lab:
        home = lab.home_of(modules or [])
        settings: dict[str, Any] = {"concurrency": concurrency, "per_user": per_user, "per_minute": per_minute}
        working = home.worker(*(modules or []), name=name, keep=keep * 86_400, **settings)
        out.print(Text(f"worker {working.name}: {', '.join(working.modules)}; jobs in {home.jobs_at}"))
        while not stop.wait(0.2) and working.alive:
            pass
        if not working.alive:
            _gone(LOST)  # what waits for a database that is away would hold it up
        working.close(grace)
        home.ledger.flush()
        _gone(0)  # a plain function may still run: it is left where it is, for others go on with it


def _gone(status: int) -> NoReturn:
    """End this process, whatever runs in it."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@app.callback()
def listed(
    context: typer.Context,
    state: Annotated[
        list[str] | None, typer.Option(help="Only these: waiting, running, done, failed, cancelled.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Only this user's.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    db: Db = None,
) -> None:
    """What runs, waits, failed."""
    context.obj = db
    if context.invoked_subcommand is None:
        with _opened(db) as lab:
            frame = lab.jobs(state=state, user=user, limit=limit)
            if frame.empty:
                out.print(Text("no job", style="dim"))
            else:
                print_frame(readable.jobs(frame))


@app.command()
def submit(
    context: typer.Context,
    flow: Annotated[str, typer.Argument(help="module:function, or compare.")],
    arguments: Annotated[str, typer.Argument(help="A JSON list, or an object of names.")] = "[]",
    id: Annotated[str | None, typer.Option(help="A name of its own: the same again is the same job.")] = None,
    user: Annotated[str | None, typer.Option(help="Whose it is.")] = None,
    lane: Annotated[str | None, typer.Option(help="interactive or batch.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds from its beginning.")] = None,
    webhook: Annotated[str | None, typer.Option(help="An address that is told of its end.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its result, and print it.")] = False,
) -> None:
    """Put a job in line; its id is printed."""
    sys.path.insert(0, os.getcwd())
    with _opened(context.obj, make=True) as lab:
        try:
            given = json.loads(arguments)
        except ValueError as odd:
            raise ValueError(f"arguments: JSON, such as '[\"tides\"]': {odd}") from odd
        home = lab.home_of([flow.partition(":")[0]] if ":" in flow else [])
        args, kwargs = ([], given) if isinstance(given, dict) and ":" in flow else (given, {})
        args = args if isinstance(args, list) else [args]
        how: dict[str, Any] = {"user": user, "lane": lane, "timeout": timeout, "webhook": webhook}
        job = home.submit(flow, *args, id=id, **how, **kwargs)
        out.print(Text(printable(job.id)))
        if wait:
            out.print(Text(printable(json.dumps(job.result(), ensure_ascii=False, indent=2))))


@app.command()
def show(context: typer.Context, id: Id) -> None:
    """One job: what it did on one time axis, and what came of it."""
    with _opened(context.obj) as lab:
        out.print(Text(printable(str(lab.trace(lab.job(id))))))


@app.command()
def events(context: typer.Context, id: Id) -> None:
    """What happens to a job, until it is over."""
    with _opened(context.obj) as lab:
        for event in lab.job(id).events():
            moment = datetime.fromtimestamp(event.at, UTC).astimezone()
            out.print(Text(printable(f"{moment:%H:%M:%S} {event}")))


@app.command()
def cancel(context: typer.Context, id: Id) -> None:
    """Stop a job, wherever it runs."""
    with _job(context, id) as job:
        job.cancel()


@app.command()
def resume(context: typer.Context, id: Id) -> None:
    """Go on with a job that failed or was cancelled: what is done stays done."""
    with _job(context, id) as job:
        job.resume()


@app.command()
def again(context: typer.Context, id: Id) -> None:
    """The same once more, as a job of its own; its id is printed."""
    with _job(context, id) as job:
        out.print(Text(printable(job.again().id)))


@app.command()
def webhooks(
    context: typer.Context, dead: Annotated[bool, typer.Option("--dead", help="Only those that were given up.")] = False
) -> None:
    """Who was told of a job's end, and who couldn't be."""
    with _opened(context.obj) as lab:
        frame = lab.webhooks(dead=dead)
        if frame.empty:
            out.print(Text("no webhook", style="dim"))
        else:
            print_frame(readable.jobs(frame))


@app.command()
def resend(context: typer.Context, id: Id) -> None:
    """Tell a job's webhook again, under the same identifier."""
    with _opened(context.obj) as lab:
        out.print(Text(printable(lab.resend(id).id)))


@app.command()
def prune(
    context: typer.Context, days: Annotated[float, typer.Option(min=0, help="Jobs that were over so long ago.")] = 30.0
) -> None:
    """Forget old jobs. Workers do so by themselves."""
    with _opened(context.obj) as lab:
        out.print(Text(f"{lab.prune_jobs(time.time() - days * 86_400):,} jobs removed"))


@contextmanager
def _opened(db: Path | None, *, make: bool = False) -> Iterator[Lab]:
    with plainly():
        if not make:
            existing(db).close()
        with Lab(db) as lab:
            yield lab


@contextmanager
def _job(context: typer.Context, id: str) -> Iterator[Job]:
    with _opened(context.obj) as lab:
        yield lab.job(id)


def merge(
    into: Annotated[Path, typer.Argument(help="The ledger that gets the rows; made where there is none.")],
    others: Annotated[list[Path], typer.Argument(help="Ledgers whose rows it is to have.")],
) -> None:
    """Put the rows of other ledgers into one: calls by their identifiers, prompt versions by their content. Done twice,
    it is the same."""
    from lab.ledger.merging import merge as merged  # only who merges needs it

    with plainly():
        for other in others:
            out.print(Text(f"{other}: {merged(into, other)}"))
