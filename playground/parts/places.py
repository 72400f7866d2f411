"""Ways from one page to another, and what is carried along."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import streamlit as st

PAGES = Path(__file__).parents[1] / "pages"
PICTURES = ("data:image/png;base64,", "data:image/jpeg;base64,", "data:image/webp;base64,", "data:image/gif;base64,")


def compare(call_id: str, *, model: str | None = None) -> NoReturn:
    """To the Compare page, with what this call has asked; `model`: asked again of this one, at once, beside it."""
    more = {} if model is None else {"again": model}
    st.switch_page(PAGES / "compare.py", query_params={"mode": "Ask once", "call": call_id, **more})


def try_prompt(label: str, key: str, mode: str) -> NoReturn:
    """To the Compare page, with a saved prompt picked there."""
    st.session_state[key] = [label]
    st.switch_page(PAGES / "compare.py", query_params={"mode": mode})


def calls(**query: str) -> NoReturn:
    """To the Calls page, narrowed like this or with a call opened."""
    st.switch_page(PAGES / "calls.py", query_params=query)


def link(page: str, label: str, icon: str | None = None, **query: str) -> None:
    """A way to a page of the playground."""
    if st.button(label, icon=icon, key=f"to-{page}", type="primary"):
        st.switch_page(PAGES / f"{page}.py", query_params=query or None)


def picture(part: Mapping[str, Any]) -> str | None:
    """The picture in a part of a message, if it is one that is here whole: nothing is loaded from elsewhere."""
    inner = part.get("image_url")
    url = inner.get("url") if isinstance(inner, Mapping) else inner
    return url if isinstance(url, str) and url.startswith(PICTURES) and len(url) < 15_000_000 else None
