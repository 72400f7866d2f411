"""What the verbs share: where they print, how they fail, how a table looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab import errors
from lab.ledger.file import Ledger
from lab.ledger.settings import default_path

if TYPE_CHECKING:
    import pandas as pd

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Db = Annotated[Path | None, typer.Option("--db", help="The ledger's file. [default: $LAB_DB or data/lab.db]")]


@contextmanager
def plainly() -> Iterator[None]:
    """Failures end the command in one sentence."""
    try:
        yield
    except (errors.LabError, errors.LedgerError, errors.JobError, ValueError) as failure:
        others = {errors.LedgerError: "ledger", errors.JobError: "job"}
        kind = getattr(failure, "kind", others.get(type(failure), "usage"))
        err.print(Text.assemble((f"{kind}: ", "bold red"), printable(str(failure))))
        raise typer.Exit(1) from None


def write(path: Path | None, text: Callable[[], str]) -> None:
    """A report into a file, if one is named."""
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(), encoding="utf-8")
    except OSError as failed:
        err.print(Text.assemble(("usage: ", "bold red"), f"{path} can't be written: {failed.strerror}"))
        raise typer.Exit(2) from None


def print_frame(frame: pd.DataFrame) -> None:
    """A DataFrame of texts as a table."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in frame.columns:
        table.add_column(column, no_wrap=True, overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    Console(highlight=False, width=None if out.is_terminal else 220).print(table)


def missing(value: object) -> bool:
    """Whether there is nothing in a cell of a DataFrame."""
    return value is None or value != value


def printable(text: str) -> str:
    """Without the control characters by which an answer could drive the terminal."""
    return "".join(char for char in text if char in "\n\t" or (char.isprintable() or char == "\u00a0"))


def existing(db: Path | None) -> Ledger:
    """The ledger to be read. Raises `ValueError` where there is none: a mistyped path must not be an empty answer."""
    path = Path(db or default_path()).expanduser()
    if not path.exists():
        raise ValueError(f"there is no ledger at {path}")
    return Ledger(path)
