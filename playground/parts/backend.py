"""What stands behind the pages: the one Lab of this server, and its worker, which runs experiments and webhooks."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import streamlit as st

from lab import Lab, errors
from lab.jobs.worker import Worker
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
def _working(_lab: Lab) -> Future[Worker]:
    made: Future[Worker] = Future()

    def make() -> None:
        try:
            made.set_result(_lab.worker(concurrency=4))
        except errors.LabError as failure:
            made.set_exception(failure)

    threading.Thread(target=make, name="playground-worker", daemon=True).start()
    return made


def begin() -> None:
    """Let this server run jobs, in a moment."""
    _working(lab())


def work() -> str | None:
    """Let this server run jobs, if it doesn't yet; why it can't."""
    try:
        _working(lab()).result()
    except errors.LabError as failure:
        return str(failure)
    return None


def ledger_path() -> str:
    """The ledger's path, for scripts: wherever they are run, they open the one that was looked at."""
    return str(lab().path)
