"""Cases for sets of one's own, made of calls and of rows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import streamlit as st

from lab import Lab, errors
from lab.ledger import evalsets
from playground.parts import escape


def add(lab: Lab, case_id: str, asked: Any, expected: Any, call_id: str | None) -> None:
    """A case of a set on the ledger, made of a call or a row: what was asked (a text, or an object of variables), and
    what is expected."""
    known = list(evalsets.sets(lab.ledger))
    name = st.selectbox(
        "Set", known, index=0 if known else None, accept_new_options=True, placeholder="a name for it", key="add-set"
    )
    given = st.text_area("Input", _text(asked), key=f"add-input-{case_id}", height=100)
    wanted = st.text_area("Expected", _text(expected), key=f"add-expected-{case_id}", height=80)
    if st.button("Add", type="primary", disabled=not name, key="add-case"):
        try:
            case = {"id": _free(lab, str(name), case_id), "input": _value(given) or "", "expected": _value(wanted)}
            lab.add_case(str(name), case, call_id=call_id)
        except (ValueError, errors.LabError) as odd:
            st.warning(escape.markdown(odd))
        else:
            st.success(f"In {escape.markdown(name)} now: pick it under Cases on the Compare page.")


def variables(lab: Lab, call: Mapping[str, Any], texts: Mapping[str, Any]) -> Any:
    """What was filled into the prompt of a call, found again by its template; the words themselves where it had none,
    or that can't be told."""
    plain = str(texts["prompt"] or "")
    if call["prompt_name"] is None:
        return plain
    try:
        prompt = lab.prompt(call["prompt_name"], version=int(call["prompt_version"]))
    except ValueError:
        return plain
    filled: dict[str, str] = {}
    for template, message in zip(prompt.messages, texts["messages"] or (), strict=False):
        known, spoken = template.get("content"), message.get("content")
        if isinstance(known, str) and isinstance(spoken, str):
            parts = re.split(r"\{\{\s*(\w+)\s*\}\}", known)
            pattern = "".join("(.*?)" if place % 2 else re.escape(part) for place, part in enumerate(parts))
            match = re.fullmatch(pattern, spoken, re.DOTALL)
            if match is None:
                return plain
            filled |= dict(zip(parts[1::2], match.groups(), strict=True))
    return filled or plain


def _free(lab: Lab, name: str, case_id: str) -> str:
    """An identifier that no other case of the set has: another set's case of the same name is another case."""
    taken = {str(case["id"]) for case in evalsets.cases(lab.ledger, name)}
    return next(one for one in (case_id, *(f"{case_id}-{n}" for n in range(2, len(taken) + 3))) if one not in taken)


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)


def _value(text: str) -> Any:
    """What is expected: an object or a list where it is one, else the words as they are."""
    if text.strip()[:1] in ("{", "["):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text or None
