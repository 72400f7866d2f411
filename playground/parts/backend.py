"""What stands behind the pages: the one Lab of this server, and its worker, which runs experiments and webhooks; or,
for who looks around, a Lab with a made-up month on a ledger of its own."""

from __future__ import annotations

import atexit
import secrets
import shutil
import tempfile
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from lab import Lab, errors, rehearsal
from lab.jobs.worker import Worker
from lab.lazy import in_background
from playground.parts import escape

MADE_UP = "made_up"
"""Of the switch that is on while one looks around; it is in the address of every page."""
CALLS, SCORED = 20_000, 0.12
"""Of the made-up month: its calls, and the share of them that are cells of experiments."""


@st.cache_resource(show_spinner=False)
def _open() -> Lab:
    return Lab()


@dataclass
class MadeUp:
    """The Lab of the made-up month, and who looks around in it."""

    lab: Lab
    readers: set[str] = field(default_factory=set)


@st.cache_resource(show_spinner="Making up a month …")
def _made_up() -> MadeUp:
    folder = Path(tempfile.mkdtemp(prefix="lab-made-up-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "made-up.db"
    rehearsal.write(path, CALLS, incident=rehearsal.Incident(), hits=rehearsal.Hits(), scored=SCORED)
    return MadeUp(Lab(path))


def lab() -> Lab:
    """The one Lab of this server, or the made-up one of who looks around; or a page that says in one sentence why there
    is none."""
    try:
        return _looked_at() if looking_around() else _open()
    except errors.LedgerError as failure:
        st.error(escape.markdown(failure), icon=":material/database_off:")
        st.stop()


def looking_around() -> bool:
    """Whether this reader sees a made-up month."""
    return bool(st.session_state.get(MADE_UP))


def _looked_at() -> Lab:
    month = _made_up()
    month.readers.add(st.session_state.setdefault("made_up_reader", secrets.token_hex(8)))
    return month.lab


def look_around() -> None:
    """From here on, until `leave`."""
    _forget_views()
    st.session_state[MADE_UP] = True


def leave() -> None:
    """Back to what was called; with its last reader the made-up ledger is gone."""
    _forget_views()
    st.session_state[MADE_UP] = False
    reader = st.session_state.pop("made_up_reader", None)
    month = _made_up()
    month.readers.discard(reader)
    if not month.readers:
        _made_up.clear()
        month.lab.close()
        shutil.rmtree(month.lab.path.parent, ignore_errors=True)


def _forget_views() -> None:
    """What was chosen on one ledger means nothing on the other."""
    for key in ("lanes", "ask_id", "plan", "grid_shown", "listed", "name", "rated", "scored_set", "before", "after"):
        st.session_state.pop(key, None)
    st.query_params.clear()


@st.cache_resource(show_spinner=False)
def _working(_lab: Lab) -> Future[Worker]:
    future: Future[Worker] = Future()

    def make() -> None:
        try:
            future.set_result(_lab.worker(concurrency=4))
        except Exception as failure:  # said on the pages that stand on it
            future.set_exception(failure)

    in_background(make, "playground-worker")
    return future


def begin() -> None:
    """Let this server run jobs, in a moment; anew where its worker has lost its lock, or could not begin."""
    if looking_around():
        return
    working = _working(lab())
    if working.done() and (working.exception() is not None or not working.result().alive):
        _working.clear()
        _working(lab())


def work() -> str | None:
    """Let this server run jobs, if it doesn't yet; why it can't."""
    if looking_around():
        return "Nothing runs in the background on a made-up month: leave it first."
    begin()
    failure = _working(lab()).exception()
    return None if failure is None else str(failure)


def ledger_path() -> str:
    """The ledger's path, for scripts: wherever they are run, they open the one that was looked at."""
    return str(lab().path)
