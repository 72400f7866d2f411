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
        except Exception as failure:  # said on the pages that stand on it
            made.set_exception(failure)

    threading.Thread(target=make, name="playground-worker", daemon=True).start()
    return made


def begin() -> None:
    """Let this server run jobs, in a moment; anew where its worker has lost its lock, or could not begin."""
    made = _working(lab())
    if made.done() and (made.exception() is not None or not made.result().alive):
        _working.clear()
        _working(lab())


def work() -> str | None:
    """Let this server run jobs, if it doesn't yet; why it can't."""
    begin()
    failure = _working(lab()).exception()
    return None if failure is None else str(failure)


def ledger_path() -> str:
    """The ledger's path, for scripts: wherever they are run, they open the one that was looked at."""
    return str(lab().path)
