"""What is read out of files and of other processes, as pydantic checks it: a case, a set's first line, a specification.

What is wrong is told in words of the lab's own, one sentence a field. Imported when something is read: pydantic takes a
moment to load.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError


def _written(text: str) -> str:
    if not text.strip():
        raise ValueError
    return text


def _identifier(name: str) -> str:
    if not name.isidentifier():
        raise ValueError
    return name


Text = Annotated[str, AfterValidator(_written)]


class Form(BaseModel):
    """A JSON object whose every field is known."""

    model_config = ConfigDict(extra="forbid", strict=True)


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
    repeats: int | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    checks: list[dict[str, Any]] | None = None
    scorers: list[str | dict[str, Any]] | None = None
    concurrency: int | None = None
    name: str | None = None
    budget: float | None = None
    seed: int | None = None
    policy: dict[str, Any] | None = None
    params: dict[str, Any] | None = None


def problems(form: type[Form], data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The fields that don't fit, each once and in the form's order, with what pydantic says; unknown ones come first,
    with `unknown`."""
    try:
        form.model_validate(data)
    except ValidationError as wrong:
        told: dict[str, str] = {}
        for error in wrong.errors(include_url=False, include_input=False):
            field = str(error["loc"][0]) if error["loc"] else ""
            told.setdefault(field, "unknown" if error["type"] == "extra_forbidden" else error["msg"])
        names = [field.alias or name for name, field in form.model_fields.items()]
        yield from ((field, why) for field, why in told.items() if field not in names)
        yield from ((field, told[field]) for field in names if field in told)
