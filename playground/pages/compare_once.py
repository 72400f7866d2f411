"""One question, several models and prompts, side by side as they answer; and what was asked before."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from lab import Lab, errors
from lab.evals import asks, code
from lab.evals.asks import Ask
from lab.ledger import queries
from lab.show import charts
from playground.parts import backend, cards, downloads, empty, escape, history, question, request
from playground.parts.lanes import Lane

MOST = 24
"""Answers on the page at once."""


def page() -> None:
    """The request, the history, the answers."""
    lab = backend.lab()
    begun = arrive(lab)
    ask, ran = request.form(lab, history.menu)
    if st.session_state.pop("stopping", False):
        stop()
    if begun is not None:
        start(lab, *begun)
    elif ran and ask is not None:
        start(lab, ask)
    lanes: list[Lane] = st.session_state.get("lanes", [])
    if not lanes:
        st.caption("Pick two or more models and run: the answers stream side by side, and every call is recorded.")
        empty.offer()
        return
    kept = opened(lab)
    if kept is not None and history.bar(lab, kept) and kept.request is not None:
        start(lab, kept.request)
        st.rerun()
    asked = kept.request if kept is not None else None
    cards.draw(lab, lanes, asked, go_on)
    st.toggle("As they came", key="raw_answers", persist_state="session", help="To the letter, instead of as Markdown")
    cards.differing(lanes)
    times(lanes)
    if asked is not None:
        downloads.as_code(code.asking_again(asked, lab.policy, ledger=backend.ledger_path()), "ask-once")


def arrive(lab: Lab) -> tuple[Ask, list[Lane]] | None:
    """What the address asks for: one of the history, or a call to be asked again; what is to begin at once, if
    anything."""
    state, query = st.session_state, st.query_params
    if "call" in query:
        return from_call(lab, query.pop("call"), query.pop("again", None))
    wanted = query.get("ask")
    if wanted is None and state.get("arrived") and state.get("ask_id"):
        query["ask"] = state["ask_id"]  # back from another page: what was here still is
        return None
    if wanted is None or wanted == state.get("ask_id"):
        return None
    stop()
    try:
        kept = asks.get(lab.ledger, wanted)
    except ValueError as odd:
        st.warning(escape.markdown(odd), icon=":material/search_off:")
        query.pop("ask", None)
        return None
    state["ask_id"] = wanted
    lanes = [Lane.kept(lab, call, label) for call, label in kept.calls]
    state["lanes"] = [lane for lane in lanes if lane is not None]
    if kept.request is not None:
        request.load(kept.request)
    if len(state["lanes"]) < len(kept.calls):
        st.info(f"{len(kept.calls) - len(state['lanes'])} of its calls are no longer on the ledger.")
    return None


def from_call(lab: Lab, call_id: str, again: str | None) -> tuple[Ask, list[Lane]] | None:
    """What one call has asked, in the form, with its answer; `again`: asked of this model at once, beside it."""
    lane = Lane.kept(lab, call_id)
    asked = asks.of_call(lane.row or {}, queries.texts(lab.ledger, call_id) or {}) if lane is not None else None
    if lane is None or asked is None:
        st.warning("What this call asked is not on the ledger (any more).", icon=":material/search_off:")
        return None
    stop()
    st.session_state["lanes"], st.session_state["ask_id"] = [lane], None
    st.query_params.pop("ask", None)
    if again is None:
        request.load(asked)
        return None
    both = asks.elsewhere(asked, again)
    request.load(both)
    return both, [lane]


def opened(lab: Lab) -> asks.Kept | None:
    """The one of the history that is on the page."""
    ask = st.session_state.get("ask_id")
    if ask is None:
        return None
    try:
        return asks.get(lab.ledger, ask)
    except ValueError:
        return None


def start(lab: Lab, ask: Ask, beside: Sequence[Lane] = ()) -> None:
    """Send each prompt to every model at once; `beside` stay where they are."""
    stop()
    st.session_state["lanes"] = lanes = list(beside)
    st.session_state["ask_id"] = None
    st.query_params.pop("ask", None)  # what is in the form now is another one
    if backend.looking_around():
        st.warning("Leave the made-up month to ask something.", icon=":material/travel_explore:")
        return
    if not ask.models:
        st.warning("Pick a model first.", icon=":material/view_column:")
        return
    if len(ask.prompts) * len(ask.models) > MOST:
        st.warning(f"{len(ask.prompts) * len(ask.models)} at once: at most {MOST} here. Compare so many over a set.")
        return
    try:
        policy = ask.bounded(lab.policy)
    except errors.LabError as odd:
        st.warning(escape.markdown(odd), icon=":material/edit:")
        return
    for label, asked in ask.prompts:
        given = [dict(message) for message in asked] if isinstance(asked, tuple) else asked
        for model in ask.models:
            try:
                stream = lab.stream(
                    given, model=model, schema=ask.schema, policy=policy, tags=["playground"], **dict(ask.params)
                )
            except (errors.LabError, TypeError) as failure:
                st.warning(escape.markdown(failure), icon=":material/edit:")
            else:
                messages = asked if isinstance(asked, tuple) else asked.messages
                lanes.append(Lane(model, stream.call_id, label, stream, asked=messages))
    if lanes[len(beside) :]:
        st.session_state["ask_id"] = asks.put(
            lab.ledger, lab.payload, ask, [(lane.call_id, lane.prompt) for lane in lanes]
        )
        st.query_params["ask"] = st.session_state["ask_id"]


def stop() -> None:
    """Close whatever still runs; what had arrived stays on the page."""
    for lane in st.session_state.get("lanes", []):
        lane.close()


def go_on(lane: Lane) -> None:
    """The next question of this conversation: what was said becomes the turns before it."""
    messages, state = list(lane.asked), st.session_state
    if not messages:
        st.toast("What was asked was not kept: this conversation can't go on.")
        return
    rest = messages[1:] if messages[0].get("role") == "system" else messages
    state["system"] = str(messages[0].get("content") or "") if rest is not messages else ""
    state["turns"] = [*rest, {"role": "assistant", "content": lane.text}]
    state["turns_of"] = lane.model
    state["saved"], state["question_text"] = [], ""
    question.show_pictures([])


def times(lanes: Sequence[Lane]) -> None:
    """Where the time went, side by side."""
    rows = [lane.row for lane in lanes if lane.good and lane.row and lane.row.get("latency") is not None]
    if len(rows) > 1:
        frame = pd.DataFrame(
            [{name: row[name] for name in ("model", "elapsed", "ttft", "thinking", "latency")} for row in rows]
        )
        st.caption("Where the time went")
        st.altair_chart(charts.timeline(frame), key="chart-times")
