"""What an answer is to be: text, or a value of fields or of a JSON schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

TYPES = {"text": "string", "number": "number", "whole number": "integer", "yes or no": "boolean", "texts": "array"}

_EMPTY = {"field": [""], "type": ["text"], "required": [True], "about": [""]}


def schemas() -> tuple[dict[str, Any] | None, str | None]:
    """What the answer is to be, from a form or as JSON; and what is wrong with it."""
    how = st.segmented_control("The answer is", ["text", "fields", "JSON schema"], key="shape", persist_state="session")
    if how == "fields":
        rows = st.data_editor(
            pd.DataFrame(_EMPTY),
            num_rows="dynamic",
            hide_index=True,
            key="fields",
            column_config={
                "field": st.column_config.TextColumn("Field", required=True),
                "type": st.column_config.SelectboxColumn("Type", options=list(TYPES), required=True, default="text"),
                "required": st.column_config.CheckboxColumn("Required", default=True),
                "about": st.column_config.TextColumn("What it is", width="large"),
            },
        )
        return of_fields(rows.to_dict("records"))
    if how == "JSON schema":
        written = st.text_area(
            "JSON schema",
            key="schema_text",
            height=180,
            persist_state="session",
            placeholder='{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}',
        )
        if not written.strip():
            return None, None
        try:
            schema = json.loads(written)
        except ValueError as odd:
            return None, f"the schema: not JSON: {odd}"
        return (schema, None) if isinstance(schema, dict) else (None, "the schema: a JSON object")
    st.caption("Free text. With fields, or a JSON schema, the answer is a value that is checked.")
    return None, None


def of_fields(rows: Sequence[Mapping[Any, Any]]) -> tuple[dict[str, Any] | None, str | None]:
    """The JSON schema of a table of fields; and what is wrong with it."""
    named = [(_said(row.get("field")), row) for row in rows]
    named = [(name, row) for name, row in named if name]
    if not named:
        return None, "the schema: give each field a name, or let the answer be text"
    if len({name for name, _ in named}) < len(named):
        return None, "the schema: two fields have one name"
    properties: dict[str, Any] = {}
    for name, row in named:
        kind = TYPES.get(str(row.get("type")), "string")
        properties[name] = {"type": kind, **({"items": {"type": "string"}} if kind == "array" else {})}
        if about := _said(row.get("about")):
            properties[name]["description"] = about
    required = [name for name, row in named if row.get("required") is not False]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}, None


def _said(cell: Any) -> str:
    """What a cell of a table says; an empty one may be None, or not a number."""
    return cell.strip() if isinstance(cell, str) else ""


def load(schema: Mapping[str, Any] | None) -> None:
    """Put the schema of what was asked into its box. To be called before it is drawn."""
    state = st.session_state
    state["shape"] = "text" if schema is None else "JSON schema"
    state["schema_text"] = "" if schema is None else json.dumps(schema, ensure_ascii=False, indent=2)
