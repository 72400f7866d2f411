"""A JSON schema as a validator, read by the draft that its `$schema` names (2020-12 where it names none).

Nothing is fetched, and nothing takes for ever: what a schema may ask of one value is counted when it is made, a pattern
may try so many ways and no more, and an answer is only so deep.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from jsonschema_rs import FancyRegexOptions, ValidationError, ValidationErrorKind, validator_for

from lab.checks.kernel import shown
from lab.show.text import shortened

DEEPEST = 200
"""Levels of an answer that are looked at: each may take a hundred steps of the stack (`_STEPS`)."""
LONGEST = 300
"""Characters of one problem's sentence."""
DRAFTS = "draft-04, draft-06, draft-07, 2019-09, 2020-12"
_ALTERNATIVES = 4
"""Alternatives of which a sentence says why they don't fit."""
_STEPS = 100
"""Schemas within schemas, or behind a `$ref`, that look at the same value."""
_LOOKS = 10_000
"""Schemas in all that look at the same value."""
_TARGETS = 10_000
"""Parts of a schema that it refers to by `$ref`."""
_PATTERNS = FancyRegexOptions(backtrack_limit=100_000, size_limit=10 << 20, dfa_size_limit=10 << 20)
"""A pattern without lookaround and backreferences takes time in proportion to the text. One with them may go back so
often (about 5 ms)."""
_EXAMPLES = {
    "date-time": "2026-03-01T12:30:00Z",
    "date": "2026-03-01",
    "time": "12:30:00Z",
    "duration": "P1DT2H",
    "email": "ann@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/a",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
}
"""What a format looks like, for those who have missed it."""
_ITSELF = "it"
"""How the validator names the value in its sentences: it may be long, and is quoted after them."""


class UnboundedPatternError(Exception):
    """A pattern that takes more than its bound on a text: nobody knows whether it matches."""


class Validator:
    """A JSON schema that values are held to. Raises `ValueError` for one that nothing can be held to."""

    def __init__(self, schema: dict[str, Any]):
        self._schema = schema
        self._validator = _compiled(schema)
        targets = _checked(schema)
        if targets > _TARGETS:
            raise ValueError(f"schema: it refers to {targets:,} of its parts: {_TARGETS:,} at most")
        _Weights(schema).check()
        self._refers = bool(targets)

    def problems(self, value: Any) -> list[str]:
        """What is wrong with a value of JSON's kinds, a sentence each, by their places; none where it fits. Raises
        `UnboundedPatternError`."""
        try:
            if self._validator.is_valid(value):
                return []
            if self._refers and _Visits(self._schema).too_many(value):
                return [told((), "it fits the schema in none of the many ways that the schema allows")]
            errors = self._validator.iter_errors(value)
        except UnicodeEncodeError as odd:
            half = odd.object[odd.start : odd.start + 1]
            return [told((), f"half of a character ({half!a}) stands in it: write the character itself")]
        ordered = sorted(errors, key=lambda error: list(map(str, error.instance_path)))
        return [told(error.instance_path, self._sentence(error), _quotable(error)) for error in ordered]

    def _sentence(self, error: ValidationError) -> str:
        kind = error.kind
        if isinstance(kind, ValidationErrorKind.BacktrackLimitExceeded | ValidationErrorKind.RegexEngineFailure):
            pattern = _at(self._schema, error.schema_path)
            pattern = pattern if isinstance(pattern, str) else error.schema_path[-1]
            raise UnboundedPatternError(
                f"{_place(error.instance_path)}: the pattern {shown(pattern)} takes too long on it"
            )
        if isinstance(kind, ValidationErrorKind.Contains):
            return _contains(error, self._schema)
        return sentence(error)


NOTHING = object()
"""There is no value to quote."""


_NO_KEYS = (["additionalProperties"], ["propertyNames"])


def _quotable(error: ValidationError) -> Any:
    """The value at the error's place; of an object that must have no keys the validator hands out another one."""
    return NOTHING if error.schema_path[-1:] in _NO_KEYS else error.instance


def told(path: Iterable[Any], message: str, got: Any = NOTHING) -> str:
    """One problem: where, what, and the value that was there unless it is a whole object or list."""
    value = "" if got is NOTHING or isinstance(got, dict | list) else f" (it is {shown(got)})"
    return f"{_place(path)}: {shortened(message, LONGEST)}{value}"


def _place(path: Iterable[Any], otherwise: str = "the answer") -> str:
    return shortened(".".join(str(step) for step in path), LONGEST) or otherwise


def sentence(error: ValidationError) -> str:
    """What is wrong, and what would be right."""
    kind = error.kind
    match kind:
        case ValidationErrorKind.Enum():
            return f"it is not one of {_listed(kind.options)}"
        case ValidationErrorKind.AnyOf() | ValidationErrorKind.OneOfNotValid():
            return _alternatives(kind.context, len(error.instance_path))
        case ValidationErrorKind.OneOfMultipleValid():
            fitting = [str(number) for number, errors in enumerate(kind.context, 1) if not errors]
            return f"it fits the alternatives {' and '.join(fitting)} of {len(kind.context)}, and must fit one only"
        case ValidationErrorKind.Not():
            return f"it must not fit {_json(kind.schema)}"
        case ValidationErrorKind.Format(format="regex"):
            return "it is no regular expression (of JavaScript's kind), or too large a one"
        case ValidationErrorKind.Format():
            example = _EXAMPLES.get(kind.format)
            return f'it is not a "{kind.format}"{f", such as {example}" if example else ""}'
        case ValidationErrorKind.PropertyNames():
            return f"its key {shown(kind.error.instance)}: {sentence(kind.error)}"
        case ValidationErrorKind.FalseSchema() if error.schema_path[-1:] in _NO_KEYS:
            return "it must have no properties"
        case ValidationErrorKind.FalseSchema():
            return "it must not be there"
    return error.message


def _alternatives(context: list[list[ValidationError]], depth: int) -> str:
    """Why each alternative doesn't fit, by its first problem: those first that have the fewest."""
    reasons = []
    for number, errors in sorted(enumerate(context, 1), key=lambda numbered: len(numbered[1]))[:_ALTERNATIVES]:
        inner = _place(errors[0].instance_path[depth:], "") if errors else ""
        why = errors[0].message if errors else "it does not fit"
        reasons.append(f"{number}: {shortened(f'{inner}: {why}' if inner else why, 80)}")
    more = [f"and {len(context) - _ALTERNATIVES} more"] if len(context) > _ALTERNATIVES else []
    return f"it fits none of {len(context)} alternatives ({', '.join([*reasons, *more])})"


def _contains(error: ValidationError, schema: dict[str, Any]) -> str:
    keyword, value = error.schema_path[-1], _at(schema, error.schema_path)
    wanted = _json(_at(schema, [*error.schema_path[:-1], "contains"]))
    if keyword == "minContains":
        return f"it must have at least {value} entries that fit {wanted}"
    if keyword == "maxContains":
        return f"it must have at most {value} entries that fit {wanted}"
    return f"it must have an entry that fits {wanted}"


def _listed(values: Iterable[Any]) -> str:
    """The values, as JSON: as many as a sentence has room for."""
    listed: list[str] = []
    left = list(values)
    while left and len(", ".join(listed)) < LONGEST // 2:
        listed.append(_json(left.pop(0)))
    return ", ".join([*listed, *([f"and {len(left)} more"] if left else [])])


def _json(value: Any) -> str:
    return shortened(json.dumps(value, ensure_ascii=False, default=str), 80)


def _at(root: Any, path: Iterable[Any]) -> Any:
    for step in path:
        try:
            root = root[step]
        except (LookupError, TypeError):
            return None
    return root


def plain(given: Mapping[str, Any]) -> str:
    """A schema as JSON. Raises `ValueError` for what is none."""
    try:
        return json.dumps(given, allow_nan=False)
    except RecursionError:
        raise ValueError("schema: it is nested too deeply") from None
    except (TypeError, ValueError) as odd:
        raise ValueError(f"schema: it is no JSON: {shortened(str(odd), LONGEST)}") from odd


def _compiled(schema: dict[str, Any]) -> Any:
    try:
        return validator_for(schema, validate_formats=True, offline=True, pattern_options=_PATTERNS, mask=_ITSELF)
    except ValidationError as odd:
        if isinstance(odd.kind, ValidationErrorKind.Referencing):
            raise ValueError(_unreferred(schema, odd)) from odd
        where = _place(odd.instance_path, "its root")
        raise ValueError(f"schema: {told((where,), sentence(odd), odd.instance)}") from odd
    except ValueError as odd:
        deep = "Recursion limit" in str(odd)
        raise ValueError(f"schema: {'it is nested too deeply' if deep else shortened(str(odd), LONGEST)}") from odd


def _unreferred(schema: dict[str, Any], odd: ValidationError) -> str:
    """Why a `$ref`, or the `$schema`, leads nowhere."""
    if odd.message.startswith("Unknown meta-schema"):
        return f"schema.$schema: {shown(schema.get('$schema'))} is none of the drafts that are known: {DRAFTS}"
    _checked(schema)
    return f"schema: what it refers to is not in it, and nothing is fetched: {shortened(odd.message, LONGEST)}"


def _checked(schema: dict[str, Any]) -> int:
    """How many parts are referred to. Raises `ValueError` for a reference to what isn't there, and for an empty
    `enum`."""
    targets = set()
    for path, part in parts(schema, "schema"):
        target = part.get("$ref")
        if isinstance(target, str):
            if _target(schema, target) is None:
                raise ValueError(f"{path}.$ref: {shown(target)} leads nowhere within the schema")
            targets.add(target)
        if part.get("enum") == []:
            raise ValueError(f"{path}.enum: empty, so nothing fits it")
    return len(targets)


def _target(root: Any, reference: str) -> Any:
    """What a `$ref` leads to within the schema, or None."""
    if reference != "#" and not reference.startswith("#/"):
        return None
    for step in [part.replace("~1", "/").replace("~0", "~") for part in unquote(reference[1:]).split("/")[1:]]:
        if isinstance(root, list) and step.isdigit() and int(step) < len(root):
            root = root[int(step)]
        elif isinstance(root, dict) and step in root:
            root = root[step]
        else:
            return None
    return root


_DATA = ("const", "default", "enum", "examples", "example")
"""Keywords whose values are data, not schemas."""


def parts(value: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object within a schema that is no data, with its path."""
    if isinstance(value, dict):
        yield path, value
        for key, inner in value.items():
            if key not in _DATA or path.endswith(".properties"):
                yield from parts(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from parts(inner, f"{path}.{number}")


def _same_value(root: dict[str, Any], part: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas that look at the same value as `part`, one step on."""
    steps: list[Any] = [_target(root, part["$ref"])] if isinstance(part.get("$ref"), str) else []
    for key in ("allOf", "anyOf", "oneOf"):
        steps += part[key] if isinstance(part.get(key), list) else []
    steps += [part.get(key) for key in ("not", "if", "then", "else")]
    for key in ("dependentSchemas", "dependencies"):
        steps += part[key].values() if isinstance(part.get(key), dict) else []
    return [step for step in steps if isinstance(step, dict)]


class _Weights:
    """How many schemas look at one value, from each part of a schema on: a few `$ref`s make millions of them, and one
    that leads back to itself never ends."""

    def __init__(self, root: dict[str, Any]):
        self._root = root
        self._known: dict[int, tuple[int, int]] = {}
        self._open: set[int] = set()

    def check(self) -> None:
        """Raises `ValueError` for a part that asks too much."""
        for path, part in parts(self._root, "schema"):
            looks, steps = self._weigh(part, path, 0)
            if looks > _LOOKS or steps > _STEPS:
                many = f"{_LOOKS:,} schemas" if looks > _LOOKS else f"{_STEPS} schemas within each other"
                raise ValueError(f"{shortened(path, LONGEST)}: more than {many} look at the same value")

    def _weigh(self, part: dict[str, Any], path: str, depth: int) -> tuple[int, int]:
        """Schemas in all, and the most that are within each other."""
        if id(part) in self._open:
            raise ValueError(f"{shortened(path, LONGEST)}: it leads back to itself without a step into the value")
        if depth > _STEPS:
            return 1, 1
        if id(part) not in self._known:
            self._open.add(id(part))
            inner = [self._weigh(step, path, depth + 1) for step in _same_value(self._root, part)]
            self._open.discard(id(part))
            weight = 1 + sum(looks for looks, _ in inner), 1 + max((steps for _, steps in inner), default=0)
            self._known[id(part)] = weight
        return self._known[id(part)]


class _Visits:
    """How often a schema looks at the parts of one value: where it leads to itself in two ways, every level of the
    value doubles it, and naming each problem takes for ever (whether there is one does not)."""

    def __init__(self, root: dict[str, Any]):
        self._root = root
        self._known: dict[tuple[int, int], int] = {}

    def too_many(self, value: Any) -> bool:
        """Whether it looks at each part again and again."""
        try:
            visits = self._count(self._root, value)
        except RecursionError:
            return True
        return visits > max(_LOOKS, 8 * len(self._known))

    def _count(self, part: dict[str, Any], value: Any) -> int:
        if not isinstance(value, dict | list):
            return 0
        key = (id(part), id(value))
        if key not in self._known:
            self._known[key] = 1
            visits = sum(self._count(step, value) for step in _same_value(self._root, part))
            steps = value.items() if isinstance(value, dict) else ((None, inner) for inner in value)
            for name, inner in steps:
                if isinstance(inner, dict | list):
                    visits += sum(self._count(schema, inner) for schema in _inner(part, name))
            self._known[key] += visits
        return self._known[key]


def _inner(part: dict[str, Any], name: str | None) -> Iterator[dict[str, Any]]:
    """The schemas that look at what is under the key `name` of an object, or at an entry of a list (None)."""
    if name is None:
        keys = ("items", "prefixItems", "additionalItems", "contains", "unevaluatedItems")
        schemas = [schema for key in keys for schema in _entries(part.get(key))]
    else:
        properties, patterns = part.get("properties"), part.get("patternProperties")
        schemas = [properties.get(name)] if isinstance(properties, dict) else []
        schemas += patterns.values() if isinstance(patterns, dict) else []
        schemas += [part.get("additionalProperties"), part.get("unevaluatedProperties")]
    yield from (schema for schema in schemas if isinstance(schema, dict))


def _entries(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def is_deeper(value: Any, most: int) -> bool:
    """Whether a value has more than `most` levels of objects and lists."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(most):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
