"""What stands behind the pages: the one Lab of this server, and its one worker for what runs in the background."""

from __future__ import annotations

import streamlit as st

from lab import Lab, errors
from lab.jobs.background import Jobs
from playground.parts import escape


@st.cache_resource(show_spinner=False)
def _open() -> Lab:
    return Lab()


def lab() -> Lab:
    """The one Lab of this server, or a page that says in one sentence why there is none."""
    try:
        return _open()
    except errors.LedgerError as failure:
        st.error(escape.markdown(failure), icon=":material/database_off:")
        st.stop()


@st.cache_resource(show_spinner=False)
def _jobs(_lab: Lab) -> Jobs:
    return Jobs(_lab)


def jobs() -> Jobs:
    """The one worker of this server."""
    return _jobs(lab())


def ledger_path() -> str:
    """The ledger's path, for scripts: wherever they are run, they open the one that was looked at."""
    return str(lab().path)
