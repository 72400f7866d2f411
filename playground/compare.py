"""Compare: ask once, side by side; over a set of cases; or rate blind what came."""

from __future__ import annotations

import streamlit as st

from playground import grid, once, rating

MODES = {"Ask once": once.page, "Over a set": grid.page, "Rate blind": rating.page}

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
