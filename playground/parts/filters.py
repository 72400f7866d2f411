"""What the pages are narrowed to. It is in the address of each page that reads the record, and goes along from one to
the next, so that a view can be sent on."""

from __future__ import annotations

from typing import Any

import streamlit as st

from lab import metrics
from playground.parts import choices, escape

KEYS = ("span", "model", "prompt", "experiment", "user", "tag")
_WIDTHS = {"model": 240, "prompt": 180, "experiment": 190, "user": 140, "tag": 140}
_LABELS = {"model": "Model", "prompt": "Prompt", "experiment": "Experiment", "user": "User", "tag": "Tag"}


def bar(*, shown: bool, span: str = "all") -> None:
    """The choices, in a row above the page; `shown=False` keeps them for the other pages. `span` is what a page shows
    where no time is chosen."""
    names = choices.names() if shown else {}
    if not any(names.values()):  # nothing to narrow: no call yet
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key="filters"):
        st.selectbox(
            "Time",
            metrics.SPANS,
            index=None,
            placeholder=span,
            key="span",
            bind="query-params",
            width=128,
            format_func=lambda span: f"last {span}",
        )
        for key, label in _LABELS.items():
            st.selectbox(
                label,
                names[key],
                index=None,
                placeholder="all",
                key=key,
                bind="query-params",
                width=_WIDTHS[key],
                accept_new_options=True,
            )


def chosen(*but: str) -> dict[str, Any]:
    """The filters as `lab.metrics` takes them, those named apart left out."""
    narrow = {key: st.session_state.get(key) or None for key in _LABELS if key not in but}
    span = st.session_state.get("span") if "span" not in but else None
    return {**narrow, "since": metrics.since_of(span)}


def words() -> str:
    """The filters in words, for a place that reads Markdown."""
    phrases = [f"last {st.session_state['span']}"] if st.session_state.get("span") else []
    phrases += [f"{key} {st.session_state[key]}" for key in _LABELS if st.session_state.get(key)]
    return ", ".join(escape.markdown(phrase) for phrase in phrases) or "all calls"
