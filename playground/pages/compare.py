"""Compare: ask once, side by side; over a set of cases; or rate blind what came."""

from __future__ import annotations

import streamlit as st

from playground.pages import compare_blind, compare_once, compare_set

MODES = {"Ask once": compare_once.page, "Over a set": compare_set.page, "Rate blind": compare_blind.page}

mode = st.segmented_control(
    "What to do",
    list(MODES),
    default="Ask once",
    required=True,
    key="mode",
    bind="query-params",
    label_visibility="collapsed",
)
MODES[mode]()
