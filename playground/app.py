"""The playground's navigation, and nothing else."""

from pathlib import Path

import streamlit as st

from playground.parts import access, filters, shell, style

st.set_page_config(page_title="lab playground", page_icon=str(Path(__file__).parent / "icon.png"), layout="wide")
style.apply()
pages = {
    "compare": st.Page("pages/compare.py", title="Compare", icon=":material/view_column:", default=True),
    "tails": st.Page("pages/tails.py", title="Tails", icon=":material/show_chart:"),
    "cost": st.Page("pages/cost.py", title="Cost", icon=":material/payments:"),
    "failures": st.Page("pages/failures.py", title="Failures", icon=":material/error:"),
    "calls": st.Page("pages/calls.py", title="Calls", icon=":material/list:"),
    "prompts": st.Page("pages/prompts.py", title="Prompts", icon=":material/description:"),
    "evals": st.Page("pages/evals.py", title="Evals", icon=":material/fact_check:"),
    "health": st.Page("pages/health.py", title="Health", icon=":material/monitor_heart:"),
}
page = st.navigation(list(pages.values()), position="top" if access.known() else "hidden")
access.guard()
filters.bar(shown=page.title not in ("Compare", "Prompts"))
shell.run(page)
shell.warm()
