"""A file of one's own: seen at once, its columns picked for what they are, what is wrong said with line and column."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from lab import EvalSet
from lab.evals import datafile
from lab.show.text import one_line
from playground.parts import escape

SEEN = 6
"""Rows that are shown."""
NONE = "(none)"
_OTHERS = {
    "expected": "What is expected",
    "id": "Identifier of a case",
    "cluster": "What goes together (customer, document)",
}


def upload(variables: Sequence[str], key: str) -> tuple[EvalSet | None, str | None]:
    """The cases of the file that is uploaded here, for prompts with these variables; or what is wrong with it."""
    file = st.file_uploader(
        "CSV, JSON or JSONL, a row a case", list(datafile.ENDINGS), key=f"{key}-file", max_upload_size=20
    )
    if file is None:
        return None, "Upload a file of cases."
    try:
        table = datafile.read(file.getvalue(), file.name)
    except ValueError as odd:
        st.error(escape.markdown(odd), icon=":material/error:")
        return None, str(odd)
    preview(table)
    if not variables:
        st.caption("Pick a prompt first: its variables are then picked among these columns.")
        return None, "Pick a prompt with variables first."
    inputs, others = mapped(table, variables, key)
    missing = [name for name, column in inputs.items() if column is None]
    if missing:
        return None, f"Which column is {', '.join(missing)}?"
    try:
        cases = table.cases({name: str(column) for name, column in inputs.items()}, **others)
    except ValueError as odd:
        st.error(escape.markdown(odd), icon=":material/error:")
        return None, str(odd)
    clusters = len({case.cluster for case in cases})
    grouped = f" in {clusters:,} groups" if clusters < len(cases) else ""
    st.caption(f"{len(cases):,} cases{escape.markdown(grouped)}")
    return cases, None


def preview(table: datafile.Table) -> None:
    """The first rows."""
    rows = [{name: one_line(str(row.get(name, "")), 120) for name in table.columns} for _line, row in table.rows[:SEEN]]
    st.dataframe(pd.DataFrame(rows), hide_index=True, height=40 + 35 * len(rows), key="own-preview")
    st.caption(f"The first {len(rows):,} of {len(table.rows):,} rows.")


def mapped(
    table: datafile.Table, variables: Sequence[str], key: str
) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """Which column is which: of each variable, and of what else a case has."""
    guess = table.guessed(variables)
    columns = list(table.columns)

    def pick(name: str, label: str, offered: list[str]) -> str | None:
        place = offered.index(str(guess[name])) if guess.get(name) in offered else 0 if NONE in offered else None
        picked = st.selectbox(label, offered, index=place, key=f"{key}-{table.name}-{name}", placeholder="pick one")
        return None if picked == NONE else picked

    left, right = st.columns(2)
    with left:
        inputs = {name: pick(f"input {name}", f"Variable {{{{{name}}}}}", columns) for name in variables}
    with right:
        others = {name: pick(name, label, [NONE, *columns]) for name, label in _OTHERS.items()}
    return inputs, others
