"""Checks as JSON, so that what they are part of can be written down, and read back in another process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from lab.checks.constraints import Between, Contains, Length, Matches, OneOf
from lab.checks.filesystem import Files
from lab.checks.grounding import Citations, Figures, Grounded, Overlap, Quotes, Variable
from lab.checks.kernel import Check

KINDS: Mapping[str, type[Check]] = {
    "between": Between,
    "citations": Citations,
    "contains": Contains,
    "figures": Figures,
    "files": Files,
    "grounded": Grounded,
    "length": Length,
    "matches": Matches,
    "one_of": OneOf,
    "overlap": Overlap,
    "quotes": Quotes,
}
"""The checks that are made of plain data, by the name they are written under."""


def written(check: Check) -> dict[str, Any]:
    """The check as JSON values: `check`, its name in `KINDS`, and its settings. Raises `ValueError` for one that is a
    function or asks a model: nothing but data can be written down."""
    name = next((name for name, kind in KINDS.items() if type(check) is kind), None)
    if name is None:
        raise ValueError(f"the check {check.name!r} is no data, and can't be written down: run it where it is defined")
    data: Any = check  # each of them is a dataclass
    settings = {field.name: getattr(check, field.name) for field in fields(data) if field.init}
    if any(callable(setting) for setting in settings.values()):
        raise ValueError(f"the check {check.name!r} holds a function, which can't be written down")
    return {"check": name} | {setting: _plain(value) for setting, value in settings.items()}


def read(data: Mapping[str, Any]) -> Check:
    """The check that `written` has written. Raises `ValueError` for what is none."""
    settings = dict(data) if isinstance(data, Mapping) else {}
    name = settings.pop("check", None)
    kind: Any = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"check {name!r}: one of {', '.join(KINDS)}")
    known = {field.name for field in fields(kind) if field.init}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise ValueError(f"check {name}: no setting {unknown[0]!r}: one of {', '.join(sorted(known))}")
    if kind is Files and isinstance(settings.get("root"), str):
        settings["root"] = Path(settings["root"])
    try:
        check: Check = kind(**{setting: _made(value) for setting, value in settings.items()})
    except TypeError as wrong:
        raise ValueError(f"check {name}: {wrong}") from wrong
    return check


_VARIABLE = "$variable"
"""Marks a source that is what a variable of the prompt was filled with."""


def _plain(value: Any) -> Any:
    if isinstance(value, Variable):
        return {_VARIABLE: value.name}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list | frozenset) else value


def _made(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Variable(value[_VARIABLE]) if set(value) == {_VARIABLE} else dict(value)
    return tuple(_made(inner) for inner in value) if isinstance(value, list) else value
