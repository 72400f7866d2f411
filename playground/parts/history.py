"""What was asked before, on this server and by anybody: opened again under its own address, pinned, named, noted."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from lab import Lab
from lab.evals import asks
from playground.parts import copying, escape

SHOWN = 30


def menu(lab: Lab) -> None:
    """The list; a click opens one."""
    with st.popover("History", icon=":material/history:"):
        listed = asks.listing(lab.ledger, SHOWN)
        if not listed:
            st.caption("Nothing was asked yet. Every run is kept here, under an address of its own.")
        for kept in listed:
            st.button(
                escape.markdown(label(kept)),
                key=f"history-{kept.ask}",
                icon=":material/keep:" if kept.pinned else None,
                type="tertiary",
                on_click=_open,
                args=(kept.ask,),
                help=escape.markdown(kept.note) or None,
            )


def _open(ask: str) -> None:
    st.query_params["ask"] = ask


def label(kept: asks.Kept) -> str:
    """One of the history in a line."""
    when = datetime.fromtimestamp(kept.asked_at, UTC).strftime("%m-%d %H:%M")
    many = len(kept.calls)
    return f"{when}  {kept.name or kept.title or 'words not kept'}  ({many} answer{'' if many == 1 else 's'})"


def bar(lab: Lab, kept: asks.Kept) -> bool:
    """The one that is open: its name, note, pin and address; whether it is to be run again."""
    with st.container(horizontal=True, vertical_alignment="center", key="ask-bar"):
        when = datetime.fromtimestamp(kept.asked_at, UTC)
        st.caption(f"Asked {when:%Y-%m-%d %H:%M} UTC", width="content")
        key = f"ask-name-{kept.ask}"
        st.text_input(
            "Name",
            kept.name,
            key=key,
            placeholder="a name",
            label_visibility="collapsed",
            width=220,
            max_chars=200,
            on_change=_changed,
            args=(lab, kept.ask, "name", key),
        )
        pinned = st.button("Pinned" if kept.pinned else "Pin", icon=":material/keep:", key="ask-pin", type="tertiary")
        if pinned:
            asks.change(lab.ledger, lab.payload, kept.ask, pinned=int(not kept.pinned))
            st.rerun()
        with st.popover("Note" if not kept.note else "Note ●", type="tertiary"):
            box = f"ask-note-{kept.ask}"
            st.text_area(
                "Note", kept.note, key=box, max_chars=5000, on_change=_changed, args=(lab, kept.ask, "note", box)
            )
        copying.button(
            address(kept.ask), f"link-{kept.ask}", "Copy link", "The address of these answers, to be sent on"
        )
        again = kept.request is not None and st.button(
            "Ask again", icon=":material/replay:", key="ask-again", type="tertiary"
        )
        if st.button("Forget", icon=":material/delete:", key="ask-forget", type="tertiary", help="Its calls stay"):
            asks.forget(lab.ledger, kept.ask)
            st.session_state["lanes"], st.session_state["ask_id"] = [], None
            st.query_params.pop("ask", None)
            st.rerun()
    if kept.note:
        st.caption(escape.markdown(kept.note))
    return again


def _changed(lab: Lab, ask: str, what: str, key: str) -> None:
    """Somebody has written something: it is kept. What is only looked at stays as it is."""
    asks.change(lab.ledger, lab.payload, ask, **{what: str(st.session_state[key]).strip()})


def address(ask: str) -> str:
    """Where it is found again."""
    return f"{(st.context.url or '').partition('?')[0]}?ask={ask}"
