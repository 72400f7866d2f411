"""What is around every page: it is drawn, or says that it can't be; and what the browser loads beforehand."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from lab.show import charts

if TYPE_CHECKING:
    from streamlit.navigation.page import StreamlitPage


def run(page: StreamlitPage) -> None:
    """Draw the page. An error is on the server's log, and on the page a sentence."""
    st.session_state["arrived"] = st.session_state.get("_page") != page.title
    st.session_state["_page"] = page.title
    try:
        page.run()
    except Exception:
        logging.getLogger("playground").exception("the page %s", page.title)
        st.error("This page met an error of its own. What it was is in the server's log.", icon=":material/bug_report:")


def warm() -> None:
    """A chart of next to nothing that nobody sees: the browser loads what draws charts before it is waited for."""
    with st.container(key="warm"):
        frame = pd.DataFrame({"seconds": [0.0, 1.0], "what": "", "value": [0.0, 1.0]})
        st.altair_chart(charts.over_time(frame, width=1), key="chart-warm")
