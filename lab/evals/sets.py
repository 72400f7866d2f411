"""Eval sets: fixed inputs with known good outputs, a JSON object a line.

    {"set": "triage", "about": "...", "held_out": false}            the first line, if it has no id
    {"id": "t001", "input": "...", "expected": "billing", "cluster": "c17", "tags": ["hard"]}

`input` is a text, or an object whose fields are the prompt's variables. `expected` is whatever the scorers compare
with. Cases of one `cluster` (a customer, a document) go together, and statistics know it; by default each case is its
own. A set that is `held_out` is for gates: whoever tunes a prompt on it has nothing left to judge it by.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

FIELDS = ("id", "input", "expected", "cluster", "tags", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One input and what a good output is. `line` is where it stands in its file."""

    id: str
    input: str | Mapping[str, Any]
    expected: Any = None
    cluster: str = ""
    tags: tuple[str, ...] = ()
    line: int = 0

    def content(self) -> dict[str, Any]:
        """What makes it this case."""
        return {
            "id": self.id,
            "input": self.input,
            "expected": self.expected,
            "cluster": self.cluster,
            "tags": list(self.tags),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSet:
    """Cases under a name. Load one with `EvalSet.load(path)`, or make one of rows with `EvalSet.of(rows)`."""

    name: str
    cases: tuple[Case, ...]
    about: str = ""
    held_out: bool = False

    @classmethod
    def load(cls, path: str | Path) -> EvalSet:
        """The set in a JSONL file, named after it unless its first line says otherwise.

        Raises `ValueError` with the line numbers of what is wrong, up to ten of them.
        """
        path = Path(path)
        try:
            return cls.parse(path.read_bytes(), path.name, where=str(path))
        except OSError as odd:
            raise ValueError(f"{path}: no eval set can be read from it: {odd.strerror}") from odd

    @classmethod
    def parse(cls, data: bytes, name: str, *, where: str = "") -> EvalSet:
        """The set in the bytes of a file of this name: JSONL, or CSV where the name ends so.

        A CSV has a column `input`, or one for each variable of the prompt, and may have `id` (else the row's number),
        `expected`, `cluster`, `tags` (words) and `note`. Raises `ValueError` with the lines of what is wrong.
        """
        where, stem = where or name, Path(name).stem
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as odd:
            raise ValueError(f"{where}: no eval set can be read from it: it is not UTF-8 text") from odd
        if name.lower().endswith(".csv"):
            return _set_of(stem, *_of_csv(text), where)
        problems: list[str] = []
        rows: list[tuple[int, Any]] = []
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                try:
                    rows.append((number, json.loads(line)))
                except (ValueError, RecursionError) as odd:
                    problems.append(f"line {number}: not JSON: {odd}")
        return _set_of(stem, rows, problems, where)

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any] | Case], name: str = "cases", *, held_out: bool = False) -> EvalSet:
        """A set of rows as a file's lines would have them; without `input` what is no field of a case is a variable of
        the prompt, without `id` a row's number is it. Raises `ValueError` for what is wrong with them."""
        numbered = [
            (number, row.content() if isinstance(row, Case) else _of_row(row, number))
            for number, row in enumerate(rows, 1)
        ]
        return replace(_set_of(name, numbered, [], name), held_out=held_out)

    @property
    def hash(self) -> str:
        """Of the cases' content: a set with a changed case is another one."""
        content = json.dumps([case.content() for case in self.cases], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:16]

    def where(self, keep: Callable[[Case], bool] | str) -> EvalSet:
        """The cases with this tag, or those that a function of the case keeps."""
        chosen = (lambda case: keep in case.tags) if isinstance(keep, str) else keep
        return replace(self, cases=tuple(case for case in self.cases if chosen(case)))

    def expecting(self, variable: str) -> EvalSet:
        """The same, where this variable of each case is what is expected of it. Raises `ValueError` where one has
        none."""
        cases = []
        for case in self.cases:
            if isinstance(case.input, str) or variable not in case.input:
                raise ValueError(f"{self.name}: case {case.id} has no variable {variable!r}")
            others = {name: value for name, value in case.input.items() if name != variable}
            cases.append(replace(case, input=others, expected=case.input[variable]))
        return replace(self, cases=tuple(cases))

    def unexpecting(self) -> tuple[str, ...]:
        """Where no case says what is expected: the variables of the first, one of which it may be."""
        if not self.cases or any(case.expected is not None for case in self.cases):
            return ()
        first = self.cases[0].input
        return () if isinstance(first, str) else tuple(first)

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    def __repr__(self) -> str:
        clusters = len({case.cluster for case in self.cases})
        held = ", held out" if self.held_out else ""
        return f"<EvalSet {self.name}: {len(self)} cases in {clusters} clusters, {self.hash[:8]}{held}>"


def _of_row(row: Any, number: int) -> Any:
    """A row from Python, with its number for an `id` and its variables for the `input` that it hasn't."""
    if not isinstance(row, Mapping):
        return row
    case: dict[str, Any] = {"id": str(number), **row}
    if "input" not in row and (variables := {name: value for name, value in row.items() if name not in FIELDS}):
        case = {name: value for name, value in case.items() if name in FIELDS} | {"input": variables}
    return case


def _of_csv(text: str) -> tuple[list[tuple[int, Any]], list[str]]:
    """Rows as a JSONL file would have them, with their lines, and what is wrong."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, Any]] = []
    try:
        names = reader.fieldnames or []
        if twice := [name for name in names if names.count(name) > 1]:
            return rows, [f"line 1: two columns are called {twice[0]!r}"]
        for count, row in enumerate(reader, 1):
            if None in row or None in row.values():
                return rows, [f"line {reader.line_num}: as many cells as there are columns are wanted"]
            more = {name: value for name, value in row.items() if name not in FIELDS}
            case = {name: row[name] for name in ("expected", "cluster", "note") if row.get(name)}
            if row.get("tags"):
                case["tags"] = row["tags"].replace(",", " ").split()
            case |= {"id": row["id"] if "id" in row else str(count), "input": more or row.get("input")}
            if more and row.get("input"):
                return rows, [f"line {reader.line_num}: a column `input`, or columns of variables, not both"]
            rows.append((reader.line_num, case))
    except csv.Error as odd:
        return rows, [f"line {reader.line_num}: not CSV: {odd}"]
    return rows, []


def _set_of(name: str, rows: list[tuple[int, Any]], problems: list[str], where: str) -> EvalSet:
    head: dict[str, Any] = {}
    if rows and isinstance(rows[0][1], dict) and "id" not in rows[0][1] and "set" in rows[0][1]:
        (number, head), rows = rows[0], rows[1:]
        problems += _odd_head(number, head)
    cases: list[Case] = []
    seen: dict[str, int] = {}
    for number, row in rows:
        wrong = list(_wrong(row, seen))
        problems += [f"line {number}: {problem}" for problem in wrong]
        if not wrong:
            seen[row["id"]] = number
            cases.append(
                Case(
                    id=row["id"],
                    input=row["input"],
                    expected=row.get("expected"),
                    cluster=row["id"] if row.get("cluster") in (None, "") else str(row["cluster"]),
                    tags=tuple(row.get("tags") or ()),
                    line=number,
                )
            )
    if not cases and not problems:
        problems.append("it has no case")
    if problems:
        more = [f"and {len(problems) - 10} more"] if len(problems) > 10 else []
        raise ValueError(f"{where}: " + "; ".join([*problems[:10], *more]))
    return EvalSet(
        name=head.get("set", name),
        cases=tuple(cases),
        about=head.get("about", ""),
        held_out=head.get("held_out", False),
    )


_HEAD_WRONG = {"set": "a text", "about": "a text", "held_out": "true or false"}


def _odd_head(number: int, head: dict[str, Any]) -> Iterator[str]:
    from lab.evals.forms import HeadForm  # pydantic is slow to import, and only readers of sets need it
    from lab.show.forms import problems

    for name, _ in problems(HeadForm, head):
        if name in _HEAD_WRONG:
            yield f"line {number}: {name!r} must be {_HEAD_WRONG[name]}"
        else:
            yield f"line {number}: no field {name!r}: {', '.join(_HEAD_WRONG)}"


_WRONG = {
    "id": "'id' must be a text",
    "input": "'input' must be a text, or an object of the prompt's variables",
    "tags": "'tags' must be a list of texts",
    "cluster": "'cluster' must be a text",
}


def _wrong(row: Any, seen: Mapping[str, int]) -> Iterator[str]:
    from lab.evals.forms import CaseForm  # pydantic is slow to import, and only readers of sets need it
    from lab.show.forms import problems

    if not isinstance(row, dict):
        yield "a JSON object is wanted"
        return
    odd = [name for name, _ in problems(CaseForm, row)]
    yield from (f"no field {name!r}: one of {', '.join(FIELDS)}" for name in odd if name not in FIELDS)
    if "id" not in odd and row["id"] in seen:
        yield f"the id {row['id']!r} is that of line {seen[row['id']]}"
    yield from (_WRONG[name] for name in odd if name in _WRONG)
    try:
        json.dumps(row, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as unwritable:  # of rows that come from Python
        yield f"it can't be written as JSON: {unwritable}"
