"""What is wrong with what was read, field by field, as pydantic finds it.

Imported when something is read: pydantic takes a moment to load.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError


def _written(text: str) -> str:
    if not text.strip():
        raise ValueError
    return text


Text = Annotated[str, AfterValidator(_written)]
"""A text with something in it."""


class Form(BaseModel):
    """An object whose every field is known."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def problems(form: type[Form], data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The fields that don't fit, each once and in the form's order, with what pydantic says; unknown ones come first,
    with `unknown`."""
    try:
        form.model_validate(data)
    except ValidationError as wrong:
        reasons: dict[str, str] = {}
        for error in wrong.errors(include_url=False, include_input=False):
            field = str(error["loc"][0]) if error["loc"] else ""
            reasons.setdefault(field, "unknown" if error["type"] == "extra_forbidden" else error["msg"])
        names = [field.alias or name for name, field in form.model_fields.items()]
        yield from ((field, why) for field, why in reasons.items() if field not in names)
        yield from ((field, reasons[field]) for field in names if field in reasons)
