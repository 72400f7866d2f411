"""What was asked and answered, as it was meant: messages with their pictures, answers with their thinking folded."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from playground.parts import drawing, escape, markdown, places


def both(texts: Mapping[str, Any], *, embeds: bool = False) -> None:
    """What was asked and answered; `embeds`: texts that were made vectors of."""
    if not texts["kept"]:
        st.caption("The words of this call were not kept: their hashes and sizes (characters) are.")
        st.json(texts["digest"] or {}, expanded=2)
    with st.container(border=True):
        st.caption("Input")
        tools = names_of(texts["messages"] or ())
        for number, message in enumerate(texts["messages"] or (), 1):
            said(message, f"input-{number}", tools)
        if texts["left_out"]:
            with st.expander(f"{len(texts['left_out']):,} passages of it were left out when it was sent"):
                for number, passage in enumerate(texts["left_out"]):
                    drawing.text(passage, f"left-out-{number}")
    if embeds:
        st.caption(f"{len(texts['messages'] or ()):,} texts were made vectors of: `lab.embed` returned them.")
        return
    with st.container(border=True):
        st.caption("Output")
        thoughts(str(texts["reasoning"] or ""), "output-thinking")
        if texts["answer"] or not texts["tool_calls"]:
            answer(str(texts["answer"] or ""), "output")
        called(texts["tool_calls"] or (), "output")


LONG, TALL = 1_200, 320
"""Characters of thoughts beyond which they get a box of so many pixels to be read in."""


def thoughts(text: str, name: str) -> None:
    """What a model has thought, folded."""
    if text:
        with st.expander(f"Thinking, {len(text.split()):,} words", icon=":material/psychology:"):
            with st.container(height=TALL if len(text) > LONG else "content", border=False):
                drawing.text(text, name)


def called(calls: Sequence[Mapping[str, Any]], name: str) -> None:
    """Calls of tools, each with what it is given."""
    for place, call in enumerate(calls):
        function = call.get("function")
        if not isinstance(function, Mapping):
            st.json(call, expanded=2)
            continue
        st.caption(f":material/build: {escape.markdown(function.get('name'))}")
        try:
            given = json.loads(function.get("arguments") or "{}")
        except (TypeError, ValueError):  # as the model wrote it, which is no JSON
            drawing.text(str(function.get("arguments")), f"{name}-call-{place}")
        else:
            st.json(given if isinstance(given, dict | list) else {"arguments": given}, expanded=2)


def names_of(messages: Sequence[Mapping[str, Any]]) -> dict[Any, str]:
    """The tools that were called in a conversation, by the calls' identifiers."""
    calls = [call for message in messages for call in message.get("tool_calls") or () if isinstance(call, Mapping)]
    return {call.get("id"): str((call.get("function") or {}).get("name")) for call in calls}


def said(message: Mapping[str, Any], name: str, tools: Mapping[Any, str] | None = None) -> None:
    """One message: who says it, its text, and what else is in it. `tools`: the names of those that were called."""
    tool = (tools or {}).get(message.get("tool_call_id"))
    who = f"{message.get('role')}, {tool} answers" if tool else message.get("role")
    st.caption(escape.markdown(who))
    content = message.get("content")
    thoughts(str(message.get("reasoning_content") or ""), f"{name}-thinking")
    called(message.get("tool_calls") or (), name)
    if isinstance(content, str) or content is None:
        if content or not message.get("tool_calls"):
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
    thoughts(thinking, f"{name}-tagged")
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
