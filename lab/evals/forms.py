"""What is read out of files and of other processes, as pydantic checks it: a case, a set's first line, a specification.

What is wrong is told in words of the lab's own, one sentence a field. Imported when something is read: pydantic takes a
moment to load.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from lab.show.forms import Form, Text


def _identifier(name: str) -> str:
    if not name.isidentifier():
        raise ValueError
    return name


class CaseForm(Form):
    """One line of an eval set."""

    id: Text
    input: (
        Annotated[str, Field(min_length=1)]
        | Annotated[dict[Annotated[str, AfterValidator(_identifier)], Any], Field(min_length=1)]
    )
    expected: Any = None
    cluster: str | int | None = None
    tags: list[str] | None = None
    note: Any = None


class HeadForm(Form):
    """The first line of an eval set, where it has no id."""

    set: Annotated[str, Field(min_length=1)]
    about: Annotated[str, Field(min_length=1)] = "-"
    held_out: bool = False


class SpecForm(Form):
    """A specification of an experiment."""

    prompts: list[list[Any]]
    models: list[str]
    set: str | None = None
    rows: list[dict[str, Any]] | None = None
    set_name: str | None = None
    repeats: int | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    checks: list[dict[str, Any]] | None = None
    scorers: list[str | dict[str, Any]] | None = None
    concurrency: int | None = None
    name: str | None = None
    budget: float | None = None
    seed: int | None = None
    batch: bool | None = None
    policy: dict[str, Any] | None = None
    params: dict[str, Any] | None = None
