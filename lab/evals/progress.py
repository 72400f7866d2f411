"""A run's progress where the user is: a bar in a notebook or in a terminal, or a function of one's own for a page."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Literal

from lab.evals.run import Progress
from lab.show import units

Show = Callable[[Progress], None]
EVERY = 0.25
"""Seconds between two looks."""


def shown(where: Literal["auto"] | Show | None) -> tuple[Show, Callable[[], None]]:
    """What to call with the progress now and then, and what to call at the end. `auto` is a bar in a notebook or a
    terminal, and nothing elsewhere; None is nothing."""
    if callable(where):
        return where, lambda: None
    if where is None:
        return (lambda _progress: None), (lambda: None)
    if _in_notebook():
        return _notebook(), (lambda: None)
    return _terminal() if sys.stderr.isatty() else ((lambda _progress: None), (lambda: None))


def line(progress: Progress) -> str:
    """Rate, cost so far and time left, in words."""
    left = "" if progress.left is None or progress.ended else f" · {units.seconds(progress.left)} left"
    failed = f" · {progress.failed:,} failed" if progress.failed else ""
    known = f" ({progress.known:,} from before)" if progress.known else ""
    sent = f" · at the provider {progress.sent}" if progress.sent and not progress.ended else ""
    stopped = " · stopped: the budget is spent" if progress.stopped else ""
    return (
        f"{progress.done:,} of {progress.total:,} cells{known} · {progress.rate:.1f}/s · "
        f"{units.dollars(progress.cost)}{failed}{left}{sent}{stopped}"
    )


def bar_html(progress: Progress) -> str:
    """The same as a bar, in the page's own colours."""
    share = progress.done / progress.total if progress.total else 1.0
    return (
        '<div style="max-width:48rem"><div style="background:rgba(128,128,128,.25);border-radius:3px;height:.5em">'
        f'<div style="background:#2a9d8f;border-radius:3px;height:.5em;width:{share:.1%}"></div></div>'
        f'<div style="opacity:.75;font-size:90%">{line(progress)}</div></div>'
    )


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def _notebook() -> Show:
    from IPython.display import HTML  # there, since this runs in it
    from IPython.display import display as put

    handle: list[Any] = []

    def show(progress: Progress) -> None:
        if handle:
            handle[0].update(HTML(bar_html(progress)))
        else:
            handle.append(put(HTML(bar_html(progress)), display_id=True))

    return show


def _terminal() -> tuple[Show, Callable[[], None]]:
    from rich.console import Console  # slow to import, and only for a person at a terminal
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    bars = Bars(BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True))
    task = bars.add_task("", total=None)
    bars.start()

    def show(progress: Progress) -> None:
        bars.update(task, total=progress.total, completed=progress.done, description=line(progress))

    return show, bars.stop
