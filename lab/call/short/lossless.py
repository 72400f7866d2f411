"""Shorter forms of a text that lose nothing: JSON without blanks, and records as CSV where every value comes back."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

_PART = re.compile(r'"(?:[^"\\]|\\.)*"|\s+')
MOST = 2_000_000
"""Characters beyond which a text stays as it is: to look at it would take longer than it saves."""
LEAST = 3
"""Records below which a header is not worth its line."""


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


def shorter(text: str) -> str:
    """The shortest of these forms; the text itself where it is no JSON, or nothing is gained."""
    if text.lstrip()[:1] not in ("{", "[") or len(text) > MOST:
        return text
    twice: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        twice.extend([] if len(value) == len(pairs) else ["a name"])
        return value

    reading: dict[str, Any] = {"parse_int": _Number, "parse_float": _Number, "parse_constant": _refused}
    try:
        value = json.loads(text, object_pairs_hook=once, **reading)
    except (ValueError, RecursionError):
        return text
    forms = [text, _PART.sub(lambda part: part[0] if part[0][0] == '"' else "", text)]
    if not twice and (table := as_csv(value)) is not None:
        forms.append(table)
    return min(forms, key=len)


def _refused(name: str) -> Any:
    raise ValueError(name)


def as_csv(value: Any) -> str | None:
    """Records (a list of flat objects with the same names) as CSV, with a header; None where that isn't what it is, or
    a value would not come back. Texts that could be taken for something else stand in JSON's quotation marks."""
    if not isinstance(value, list) or len(value) < LEAST or not all(isinstance(row, dict) for row in value):
        return None
    names = list(value[0])
    if not names or any(list(row) != names for row in value):
        return None
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    for row in value:
        cells = [_cell(row[name]) for name in names]
        if any(cell is None for cell in cells):
            return None
        writer.writerow(cells)
    table = file.getvalue()
    try:
        table.encode("utf-8")
        same = from_csv(table) == [_typed(row) for row in value]
    except (csv.Error, ValueError):  # a field too long, a lone surrogate, a line end that csv takes for its own
        return None
    return table if same else None


def _cell(value: Any) -> str | None:
    """A value as a cell; None for what is no plain value."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, str):
        return value if _read(value) == ("text", value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if value is None or isinstance(value, bool) else None


_WRITTEN = re.compile(r'true|false|null|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|"(?:[^"\\]|\\.)*"')


def _read(cell: str) -> tuple[str, str]:
    """What a cell says: its kind (`text`, `number`, or `constant`), and what it is."""
    if not _WRITTEN.fullmatch(cell):
        return ("text", cell)
    if cell[0] == '"':
        try:
            return ("text", str(json.loads(cell, strict=False)))
        except ValueError:
            return ("text", cell)
    return ("constant" if cell in ("true", "false", "null") else "number", cell)


def _typed(row: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {
        name: ("number", str(value))
        if isinstance(value, _Number)
        else ("text", value)
        if isinstance(value, str)
        else ("constant", json.dumps(value))
        for name, value in row.items()
    }


def from_csv(table: str) -> list[dict[str, tuple[str, str]]]:
    """The records in such a table, each value with its kind."""
    head, *lines = csv.reader(io.StringIO(table, newline=""))
    return [{name: _read(cell) for name, cell in zip(head, line, strict=True)} for line in lines]
