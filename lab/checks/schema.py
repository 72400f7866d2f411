"""A schema that an answer must keep to: a pydantic model, any type pydantic knows, or a JSON schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, PydanticUserError, TypeAdapter
from pydantic import ValidationError as Invalid

from lab.checks.kernel import shown
from lab.checks.parsing import Unreadable, parsed
from lab.checks.validator import DEEPEST, Validator, is_deeper, parts, plain, told
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
            inner = json.loads(plain(given))
            self._validator = Validator(inner)
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
            return _of_json(plain(given))
        try:
            return _of_type(given)
        except TypeError:  # not hashable
            return cls(given)

    def instruction(self) -> str:
        """What a model is told that can't be held to it."""
        text = json.dumps(self.json, ensure_ascii=False)
        return f"Answer with one JSON value that fits this JSON schema, and with nothing else around it:\n{text}"

    def read(self, text: str) -> tuple[Any, Checked]:
        """The value in `text` (None where there is none), and what was found on the way."""
        try:
            answer = parsed(text.strip())
        except Unreadable as odd:
            return None, Checked(name="schema", passed=False, message=str(odd))
        value = answer.value
        if self.wrapped and isinstance(value, Mapping) and set(value) == {"value"}:
            value = value["value"]
        value, problems = self._fitted(value)
        more = [f"and {len(problems) - MOST} more"] if len(problems) > MOST else []
        message = "; ".join([*problems[:MOST], *more])
        return value, Checked(name="schema", passed=not problems, message=message, step=answer.step)

    def content(self) -> str:
        """The schema as JSON, the same for the same schema."""
        return json.dumps(self.inner, sort_keys=True)

    def _fitted(self, value: Any) -> tuple[Any, list[str]]:
        if self._adapter is None:
            if is_deeper(value, DEEPEST):
                return None, [told((), f"it is nested more than {DEEPEST} levels deep")]
            problems = self._validator.problems(value)
            return (None, problems) if problems else (value, [])
        try:
            return self._adapter.validate_json(json.dumps(value)), []
        except Invalid as wrong:
            errors = wrong.errors(include_url=False)
            return None, [told(error["loc"], error["msg"], error.get("input")) for error in errors]

    def __repr__(self) -> str:
        return f"Schema({self.name})"


@lru_cache(maxsize=128)
def _of_json(text: str) -> Schema:
    return Schema(json.loads(text))


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


def _is_object(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "object" or ("properties" in schema and "type" not in schema)


def _wrapped(inner: dict[str, Any]) -> dict[str, Any]:
    inner = json.loads(json.dumps(inner))
    for _, part in parts(inner, ""):
        target = part.get("$ref")
        if isinstance(target, str) and not target.startswith(("#/$defs/", "#/definitions/")):
            part["$ref"] = f"#/properties/value{target[1:]}"
    definitions: dict[str, Any] = {name: inner.pop(name) for name in ("$defs", "definitions") if name in inner}
    outer = {"type": "object", "properties": {"value": inner}, "required": ["value"], "additionalProperties": False}
    return {**outer, **definitions}


def strict_form(schema: dict[str, Any], *, close: bool) -> tuple[bool, dict[str, Any]]:
    """Whether OpenAI's strict mode takes the schema, and the schema as it is sent.

    Strict mode wants every object closed and every property required. For a type of pydantic's that is done (`close`)
    where what may be left out may also be null. Where a default is anything else nobody but the type knows it, and the
    schema is sent as it is, as a JSON schema always is.
    """
    sent = json.loads(json.dumps(schema))
    objects = [part for _, part in parts(sent, "") if part.get("type") == "object" and "properties" in part]
    if close and all(_may_be_closed(part) for part in objects):
        for part in objects:
            part.setdefault("additionalProperties", False)
            part["required"] = list(part["properties"])
            for inner in part["properties"].values():
                inner.pop("default", None)
    return all(_is_strict(part) for _, part in parts(sent, "")), sent


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
