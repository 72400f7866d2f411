"""The little CSS that the theme has no setting for."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

SHEET = Path(__file__).with_suffix(".css")


def apply() -> None:
    """Put it on the page. Dialogs and menus stand outside of the part that has the theme's colour scheme: they are told
    it."""
    st.html(SHEET)
    dark = st.context.theme.type == "dark"
    st.html(f"<style>body {{color-scheme: {'dark' if dark else 'light'}}}</style>")
