"""What was asked and answered, as it was meant: messages with their pictures, answers with their thinking folded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import streamlit as st

from playground.parts import drawing, escape, markdown, places


def both(texts: Mapping[str, Any]) -> None:
    """What was asked and answered."""
    if not texts["kept"]:
        st.caption("The words of this call were not kept: their hashes and sizes (characters) are.")
        st.json(texts["digest"] or {}, expanded=2)
    with st.container(border=True):
        st.caption("Input")
        for number, message in enumerate(texts["messages"] or (), 1):
            said(message, f"input-{number}")
        if texts["left_out"]:
            with st.expander(f"{len(texts['left_out']):,} passages of it were left out when it was sent"):
                for number, passage in enumerate(texts["left_out"]):
                    drawing.text(passage, f"left-out-{number}")
    with st.container(border=True):
        st.caption("Output")
        answer(str(texts["answer"] or ""), "output")
        if texts["tool_calls"]:
            st.caption("Tool calls")
            st.json(texts["tool_calls"], expanded=3)


def said(message: Mapping[str, Any], name: str) -> None:
    """One message: who says it, its text, and what else is in it."""
    st.caption(escape.markdown(message.get("role")))
    content = message.get("content")
    if isinstance(content, str) or content is None:
        drawing.text(content or "", name)
        return
    for place, part in enumerate(content if isinstance(content, list) else [content]):
        if isinstance(part, Mapping) and isinstance(part.get("text"), str):
            drawing.text(part["text"], f"{name}-{place}")
        elif isinstance(part, Mapping) and (picture := places.picture(part)) is not None:
            st.image(picture, width=220)
        else:
            st.json(part, expanded=1)


def answer(text: str, name: str) -> None:
    """An answer as it was meant, its thinking folded, or to the letter."""
    thinking, rest = thought(text)
    if thinking:
        with st.expander("Thinking", icon=":material/psychology:"):
            drawing.text(thinking, f"{name}-thinking")
    if not rest:
        st.caption("no text")
        return
    raw = st.session_state.get("raw_call", False)
    st.html(markdown.raw_html(rest) if raw else markdown.to_html(rest))
    drawing.rest(rest, name)
    st.toggle("As it came", key="raw_call", persist_state="session", help="To the letter, instead of as Markdown")


_THINKING = re.compile(r"\s*<think>(.*?)(?:</think>|\Z)", re.DOTALL)


def thought(text: str) -> tuple[str, str]:
    """What a model has thought aloud before its answer, where it says so with a tag, and the answer."""
    match = _THINKING.match(text)
    return (match[1].strip(), text[match.end() :].lstrip("\n")) if match else ("", text)
