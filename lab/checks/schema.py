"""A schema that an answer must keep to: a pydantic model, any type pydantic knows, or a JSON schema."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from pydantic import BaseModel, PydanticUserError, TypeAdapter
from pydantic import ValidationError as Invalid

from lab.checks.kernel import shown
from lab.checks.parsing import Unreadable, parsed
from lab.values import Checked

MOST = 8
"""Problems that one message names."""


class Schema:
    """What an answer is to be, and how it is read. Make one with `Schema.of(...)`, or hand the model itself to `ask`.

    `json` is the JSON schema that is sent; where the root is no object it is wrapped as `{"value": ...}`, which many
    providers ask for. `native=True` refuses a model that can't be held to it; by default such a model is told in words.
    """

    def __init__(self, given: Any, *, native: bool | None = None):
        self.given, self.native = given, native
        self._adapter: TypeAdapter[Any] | None = None
        if isinstance(given, Mapping):
            inner = _checked(json.loads(json.dumps(given)))
            self._validator = _validator()(inner, registry=importlib.import_module("referencing").Registry())
        else:
            self._adapter, inner = _adapted(given)
        title = inner.get("title") or getattr(given, "__name__", "answer")
        self.name = re.sub(r"\W+", "_", str(title))[:60] or "answer"
        self.wrapped = not _is_object(inner)
        self.inner = inner
        self.json = _wrapped(inner) if self.wrapped else inner
        self.strict, self.sent = strict_form(self.json, close=self._adapter is not None)

    @classmethod
    def of(cls, given: Any) -> Schema:
        """A schema out of what `ask(schema=...)` takes. Raises `ValueError` for one that nothing can be held to."""
        if isinstance(given, cls):
            return given
        if isinstance(given, Mapping):
            return _of_json(json.dumps(given))
        try:
            return _of_type(given)
        except TypeError:  # not hashable
            return cls(given)

    def instruction(self) -> str:
        """What a model is told that can't be held to it."""
        said = json.dumps(self.json, ensure_ascii=False)
        return f"Answer with one JSON value that fits this JSON schema, and with nothing else around it:\n{said}"

    def read(self, text: str) -> tuple[Any, Checked]:
        """The value in `text` (None where there is none), and what was found on the way."""
        try:
            found = parsed(text.strip())
        except Unreadable as odd:
            return None, Checked(name="schema", passed=False, message=str(odd))
        value = found.value
        if self.wrapped and isinstance(value, Mapping) and set(value) == {"value"}:
            value = value["value"]
        value, problems = self._fitted(value)
        more = [f"and {len(problems) - MOST} more"] if len(problems) > MOST else []
        message = "; ".join([*problems[:MOST], *more])
        return value, Checked(name="schema", passed=not problems, message=message, step=found.step)

    def content(self) -> str:
        """The schema as JSON, the same for the same schema."""
        return json.dumps(self.inner, sort_keys=True)

    def _fitted(self, value: Any) -> tuple[Any, list[str]]:
        if self._adapter is None:
            found = sorted(self._validator.iter_errors(value), key=lambda one: list(map(str, one.absolute_path)))
            return (value, []) if not found else (None, [_said(one.absolute_path, one.message) for one in found])
        try:
            return self._adapter.validate_json(json.dumps(value)), []
        except Invalid as wrong:
            return None, [_said(one["loc"], one["msg"], one.get("input")) for one in wrong.errors(include_url=False)]

    def __repr__(self) -> str:
        return f"Schema({self.name})"


_NOTHING = object()


def _said(path: Any, message: str, got: Any = _NOTHING) -> str:
    where = ".".join(str(step) for step in path) or "the answer"
    value = "" if got is _NOTHING or isinstance(got, dict | list) else f" (it is {shown(got)})"
    return f"{where}: {message[:200]}{value}"


@lru_cache(maxsize=128)
def _of_json(said: str) -> Schema:
    return Schema(json.loads(said))


@lru_cache(maxsize=128)
def _of_type(given: Any) -> Schema:
    return Schema(given)


def _adapted(given: Any) -> tuple[TypeAdapter[Any], dict[str, Any]]:
    if given is None or isinstance(given, str | bytes | int | float | BaseModel):
        raise ValueError(f"schema={shown(given)}: a pydantic model, a type, or a JSON schema as a dict")
    try:
        adapter = TypeAdapter(given)
        return adapter, adapter.json_schema()
    except (PydanticUserError, TypeError) as odd:
        raise ValueError(f"schema={shown(given)}: pydantic can't make a JSON schema of it: {str(odd)[:200]}") from odd


def _validator() -> Any:
    """JSON Schema's own validator. It takes seconds to import, and most schemas are pydantic models."""
    return importlib.import_module("jsonschema").Draft202012Validator


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    validator = _validator()
    try:
        validator.check_schema(given)
    except importlib.import_module("jsonschema").SchemaError as odd:
        where = ".".join(str(step) for step in odd.absolute_path) or "its root"
        raise ValueError(f"schema: {where}: {odd.message[:200]}") from odd
    for path, part in _parts(given, "schema"):
        target = part.get("$ref")
        if isinstance(target, str) and not _leads(given, target):
            raise ValueError(f"{path}.$ref: {target!r} leads nowhere within the schema")
        if part.get("enum") == []:
            raise ValueError(f"{path}.enum: empty, so nothing fits it")
    return given


def _leads(root: dict[str, Any], target: str) -> bool:
    if target != "#" and not target.startswith("#/"):
        return False
    here: Any = root
    for step in [one.replace("~1", "/").replace("~0", "~") for one in unquote(target[1:]).split("/")[1:]]:
        if isinstance(here, list) and step.isdigit() and int(step) < len(here):
            here = here[int(step)]
        elif isinstance(here, dict) and step in here:
            here = here[step]
        else:
            return False
    return True


_DATA = ("const", "default", "enum", "examples", "example")
"""Keywords whose values are data, not schemas."""


def _parts(value: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield path, value
        for key, one in value.items():
            if key not in _DATA or path.endswith(".properties"):
                yield from _parts(one, f"{path}.{key}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _parts(one, f"{path}.{number}")


def _is_object(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "object" or ("properties" in schema and "type" not in schema)


def _wrapped(inner: dict[str, Any]) -> dict[str, Any]:
    inner = json.loads(json.dumps(inner))
    for _, part in _parts(inner, ""):
        target = part.get("$ref")
        if isinstance(target, str) and not target.startswith(("#/$defs/", "#/definitions/")):
            part["$ref"] = f"#/properties/value{target[1:]}"
    definitions: dict[str, Any] = {name: inner.pop(name) for name in ("$defs", "definitions") if name in inner}
    made = {"type": "object", "properties": {"value": inner}, "required": ["value"], "additionalProperties": False}
    return {**made, **definitions}


def strict_form(schema: dict[str, Any], *, close: bool) -> tuple[bool, dict[str, Any]]:
    """Whether OpenAI's strict mode takes the schema, and the schema as it is sent.

    Strict mode wants every object closed and every property required. For a type of pydantic's that is done (`close`)
    where what may be left out may also be null. Where a default is anything else nobody but the type knows it, and the
    schema is sent as it is, as a JSON schema always is.
    """
    sent = json.loads(json.dumps(schema))
    objects = [part for _, part in _parts(sent, "") if part.get("type") == "object" and "properties" in part]
    if close and all(_may_be_closed(part) for part in objects):
        for part in objects:
            part.setdefault("additionalProperties", False)
            part["required"] = list(part["properties"])
            for one in part["properties"].values():
                one.pop("default", None)
    return all(_is_strict(part) for _, part in _parts(sent, "")), sent


def _may_be_closed(part: dict[str, Any]) -> bool:
    """Whether each property that may be left out may be null instead, and means the same."""
    left = set(part["properties"]) - set(part.get("required") or ())
    return all(part["properties"][name].get("default", "") is None for name in left)


def _is_strict(part: dict[str, Any]) -> bool:
    if part.get("type") != "object":
        return not part.keys() & {"patternProperties", "allOf", "not", "if", "oneOf", "dependentRequired"}
    named = part.get("properties")
    if part.get("additionalProperties") is not False or not isinstance(named, dict):
        return False
    return set(part.get("required") or ()) == set(named)
