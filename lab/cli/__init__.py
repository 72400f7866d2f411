"""`lab`: thin verbs over the package. A failure is one sentence on standard error, and exit status 1."""

from __future__ import annotations

import typer

from lab.cli import asking, comparing, record, routing, serving, working

app = typer.Typer(
    help="See what your AI API calls do, and decide with evidence.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for verb in (
    *(asking.ask, comparing.compare, comparing.evaluate, comparing.gate),
    *(
        record.calls,
        record.trace,
        record.metrics,
        record.cache,
        record.sent,
        record.alerts,
        record.export,
        record.prune,
    ),
    *(asking.models, serving.sim, serving.local, serving.playground, working.worker, working.merge),
):
    app.command({comparing.evaluate: "eval", record.sent: "batches"}.get(verb))(verb)

app.add_typer(routing.app, name="route")
app.add_typer(working.app, name="jobs")


def main() -> None:
    """The entry point."""
    app()
