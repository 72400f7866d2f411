"""A file of one's own as cases: CSV, JSON or JSONL, read as it is, its columns then picked for what they are."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.evals.sets import EvalSet

ENDINGS = ("csv", "json", "jsonl")
MOST = 100_000
"""Rows of a file."""
_TOLD = 10
"""Problems that are told of at once."""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a file, each with the line it stands in, and the columns that any of them has, in their order."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, Mapping[str, Any]], ...]

    def guessed(self, variables: Sequence[str]) -> dict[str, str | None]:
        """Which column each variable (`input <name>`), and `expected`, `id` and `cluster`, is likely to be: the one of
        its name, or what `input` holds; of a single variable the longest text; None where nothing is."""
        wanted = {name.casefold() for name in variables}
        names = {name.casefold(): name for name in self.columns}
        free = {low: name for low, name in names.items() if low not in wanted}
        taken = {key: free.get(key) for key in ("expected", "id", "cluster")}
        for key, others in _ALSO.items():
            taken[key] = taken[key] or next((free[other] for other in others if other in free), None)
        left = [name for name in self.columns if name not in taken.values()]
        inputs: dict[str, str | None] = {name: names.get(name.casefold()) for name in variables}
        if len(variables) == 1 and inputs[variables[0]] is None:
            inputs[variables[0]] = names.get("input") or max(left, key=self._length, default=None)
        return {f"input {name}": column for name, column in inputs.items()} | taken

    def _length(self, column: str) -> int:
        return sum(len(str(row.get(column, ""))) for _line, row in self.rows[:50])

    def cases(
        self,
        inputs: Mapping[str, str],
        *,
        expected: str | None = None,
        id: str | None = None,
        cluster: str | None = None,
    ) -> EvalSet:
        """The set of it: `inputs` says which column each variable of the prompt is, the others which column is what is
        expected, the case's identifier (else the number of its row), and what goes together. Raises `ValueError` with
        the lines and columns of what is wrong."""
        problems: list[str] = []
        rows, seen = [], dict[str, int]()
        for number, (line, row) in enumerate(self.rows, 1):
            given = {name: _value(row.get(column)) for name, column in inputs.items()}
            problems += [
                f"line {line}, column {column!r}: nothing in it"
                for name, column in inputs.items()
                if given[name] in (None, "")
            ]
            case_id = str(number) if id is None else str(row.get(id) if row.get(id) is not None else "").strip()
            if not case_id:
                problems.append(f"line {line}, column {id!r}: nothing in it")
            elif case_id in seen:
                problems.append(f"line {line}, column {id!r}: {case_id!r} stands in line {seen[case_id]}, too")
            seen.setdefault(case_id, line)
            case: dict[str, Any] = {"id": case_id, "input": given if inputs else ""}
            if expected is not None:
                case["expected"] = _value(row.get(expected))
            if cluster is not None and row.get(cluster) not in (None, ""):
                case["cluster"] = str(row[cluster])
            rows.append(case)
            if len(problems) >= _TOLD:
                break
        if problems:
            raise ValueError(f"{self.name}: {'; '.join(problems[:_TOLD])}")
        return EvalSet.of(rows, Path(self.name).stem or "upload")


_ALSO = {
    "expected": ("label", "answer", "output", "target", "gold", "reference", "ideal"),
    "id": ("case", "case_id", "key"),
    "cluster": ("group", "customer", "document"),
}
"""Names that other tools have for the same."""


def _value(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def read(data: bytes, name: str) -> Table:
    """The rows of a file of this name. Raises `ValueError` that says in which line and column what is wrong."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as odd:
        line = data.count(b"\n", 0, odd.start) + 1
        column = odd.start - data.rfind(b"\n", 0, odd.start)
        raise ValueError(f"{name}: line {line}, column {column}: not UTF-8 text: save it as UTF-8") from odd
    ending = name.lower().rpartition(".")[2]
    if ending not in ENDINGS:
        raise ValueError(f"{name}: one of {', '.join(ENDINGS)}")
    rows = {"csv": _csv, "json": _json, "jsonl": _jsonl}[ending](text, name)
    if not rows:
        raise ValueError(f"{name}: no row in it")
    if len(rows) > MOST:
        raise ValueError(f"{name}: {len(rows):,} rows: at most {MOST:,}")
    rows = [(line, _flat(row)) for line, row in rows]
    columns = tuple(dict.fromkeys(str(column) for _line, row in rows for column in row))
    return Table(name, columns, tuple(rows))


def _flat(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row whose `input` is an object has its variables for columns."""
    inner = row.get("input")
    if not isinstance(inner, Mapping) or set(inner) & (set(row) - {"input"}):
        return row
    return {**inner, **{name: value for name, value in row.items() if name != "input"}}


Rows = list[tuple[int, Mapping[str, Any]]]


def _csv(text: str, name: str) -> Rows:
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t|", key=first.count)  # the header has no text of people's in it
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: Rows = []
    header: list[str] = []
    begun = 1
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                pass
            elif not header:
                header = [cell.strip() for cell in cells]
                _headed(header, name)
            elif len(cells) != len(header):
                raise ValueError(
                    f"{name}: line {reader.line_num}, column {min(len(cells), len(header)) + 1}: {len(cells)} cells,"
                    f" where there are {len(header)} columns"
                )
            else:
                rows.append((reader.line_num, dict(zip(header, cells, strict=True))))
            begun = reader.line_num + 1
    except csv.Error as odd:
        where = f"{begun}" if begun == reader.line_num else f"{begun} to {reader.line_num}"
        raise ValueError(f"{name}: line {where}: {odd}: is a quote left open?") from odd
    return rows


def _headed(header: Sequence[str], name: str) -> None:
    for place, column in enumerate(header, 1):
        if not column:
            raise ValueError(f"{name}: line 1, column {place}: a column without a name")
        if column in header[: place - 1]:
            raise ValueError(f"{name}: line 1, column {place}: two columns are called {column!r}")


def _json(text: str, name: str) -> Rows:
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as odd:
        raise ValueError(f"{name}: line {odd.lineno}, column {odd.colno}: {odd.msg}") from odd
    except RecursionError as odd:
        raise ValueError(f"{name}: nested too deeply") from odd
    if isinstance(whole, Mapping):  # such as {"data": [...]}
        lists = [value for value in whole.values() if isinstance(value, list)]
        whole = lists[0] if len(lists) == 1 else whole
    if not isinstance(whole, list):
        raise ValueError(f"{name}: line 1, column 1: a list of objects is wanted")
    for number, row in enumerate(whole, 1):
        if not isinstance(row, Mapping):
            raise ValueError(f"{name}: row {number}: an object is wanted, not {type(row).__name__}")
    return list(enumerate(whole, 1))


def _jsonl(text: str, name: str) -> Rows:
    rows: Rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as odd:
            raise ValueError(f"{name}: line {number}, column {odd.colno}: {odd.msg}") from odd
        except RecursionError as odd:
            raise ValueError(f"{name}: line {number}: nested too deeply") from odd
        if not isinstance(row, Mapping):
            raise ValueError(f"{name}: line {number}, column 1: an object is wanted, not {type(row).__name__}")
        if number == 1 and "set" in row and "id" not in row and "input" not in row:
            continue  # the first line of an eval set says what it is
        rows.append((number, row))
    return rows
