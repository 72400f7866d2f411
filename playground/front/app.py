"""The playground's navigation, and nothing else.

It stands apart from the folder `pages`: Streamlit runs the files of a folder of that name beside its script by
themselves, without this one, and so without asking who is there.
"""

from pathlib import Path

import streamlit as st

from playground.front import access, shell, style
from playground.parts import backend, empty, filters

PAGES = Path(__file__).parents[1] / "pages"

st.set_page_config(page_title="lab playground", page_icon=str(Path(__file__).parent / "icon.png"), layout="wide")
style.apply()
access.guard()  # before any page is named
pages = {
    "compare": st.Page(PAGES / "compare.py", title="Compare", icon=":material/view_column:", default=True),
    "tails": st.Page(PAGES / "tails.py", title="Tails", icon=":material/show_chart:"),
    "cost": st.Page(PAGES / "cost.py", title="Cost", icon=":material/payments:"),
    "cache": st.Page(PAGES / "cache.py", title="Cache", icon=":material/inventory_2:"),
    "failures": st.Page(PAGES / "failures.py", title="Failures", icon=":material/error:"),
    "calls": st.Page(PAGES / "calls.py", title="Calls", icon=":material/list:"),
    "jobs": st.Page(PAGES / "jobs.py", title="Jobs", icon=":material/deployed_code_history:"),
    "prompts": st.Page(PAGES / "prompts.py", title="Prompts", icon=":material/description:"),
    "evals": st.Page(PAGES / "evals.py", title="Evals", icon=":material/fact_check:"),
    "health": st.Page(PAGES / "health.py", title="Health", icon=":material/monitor_heart:"),
}
page = st.navigation(list(pages.values()), position="top")
empty.banner()
narrowed = page.title not in ("Compare", "Prompts", "Jobs")
filters.bar(shown=narrowed, span="last 1 h" if page.title == "Health" else "all")
shell.run(page)
shell.warm()
backend.begin()
