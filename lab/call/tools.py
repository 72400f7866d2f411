"""Python functions as tools of a model: described by their signature and docstring. Calling them is the caller's."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from lab import errors

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def offered(tools: Any) -> list[dict[str, Any]]:
    """Tools as providers take them, in OpenAI's form: functions are described, what is a mapping stays as it is. Raises
    `InvalidRequestError`, naming what can't be one."""
    if not isinstance(tools, list | tuple):
        raise errors.InvalidRequestError(f"tools={tools!r}: a list of functions, or of tools as the provider has them")
    described: list[dict[str, Any]] = []
    names: set[Any] = set()
    for tool in tools:
        told: dict[str, Any] = dict(tool) if isinstance(tool, Mapping) else {"type": "function", "function": of(tool)}
        name = told["function"].get("name") if isinstance(told.get("function"), Mapping) else None
        if name is not None and name in names:
            raise errors.InvalidRequestError(f"two tools are called {name!r}: a call of it would mean neither")
        names.add(name)
        described.append(told)
    return described


def of(function: Callable[..., Any]) -> dict[str, Any]:
    """One function: its `name`, its docstring as `description`, and the JSON schema of its parameters by their types
    (`Annotated[int, Field(description=...)]` says more of one). Raises `InvalidRequestError`."""
    if not callable(function) or inspect.isclass(function):
        raise errors.InvalidRequestError(f"tools: {function!r} is no function")
    name = getattr(function, "__name__", type(function).__name__)
    if not _NAME.fullmatch(name):
        raise errors.InvalidRequestError(f"tools: {name!r} is no name of a tool: define a function with a name")
    try:
        kinds = {parameter.kind for parameter in inspect.signature(function).parameters.values()}
    except (ValueError, TypeError) as odd:
        raise errors.InvalidRequestError(f"tools: {name} does not say what it takes: {odd}") from odd
    if kinds & {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL}:
        raise errors.InvalidRequestError(f"tools: {name} takes arguments by place: a model gives them by name")
    from pydantic import TypeAdapter  # slow to import, and most calls have no tools
    from pydantic.errors import PydanticUserError

    try:
        adapter: Any = TypeAdapter(cast(Any, function))
        schema = adapter.json_schema()
    except (PydanticUserError, NameError) as odd:
        raise errors.InvalidRequestError(
            f"tools: {name} can't be described: {str(odd).splitlines()[0]}: give its parameters types that JSON has"
        ) from odd
    parameters = {"type": "object", "properties": {}, **_untitled(schema)}
    described = {"name": name, "parameters": parameters}
    return {**described, "description": text} if (text := inspect.getdoc(function)) else described


_GIVEN = ("default", "enum", "const", "examples")
"""What of a schema is no schema."""


def _untitled(schema: Any) -> Any:
    """A schema without the titles that pydantic makes of its names: they are read, and paid for, with every call."""
    if isinstance(schema, list):
        return [_untitled(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: inner if name in _GIVEN else _untitled(inner)
        for name, inner in schema.items()
        if not (name == "title" and isinstance(inner, str))
    }
