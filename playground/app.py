"""The playground's navigation, and nothing else."""

from pathlib import Path

import streamlit as st

from playground import parts

st.set_page_config(page_title="lab playground", page_icon=str(Path(__file__).parent / "icon.png"), layout="wide")
parts.style()
st.navigation(
    [
        st.Page("compare.py", title="Compare", icon=":material/view_column:", default=True),
        st.Page("calls.py", title="Calls", icon=":material/list:"),
    ],
    position="top",
).run()
