"""What was asked before, on this server and by anybody: opened again under its own address, pinned, named, noted."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from lab import Lab
from lab.evals import asks
from lab.show.text import one_line
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
    return f"{when}  {kept.name or words(kept)}  ({many} answer{'' if many == 1 else 's'})"


def words(kept: asks.Kept) -> str:
    """The beginning of what was asked."""
    if kept.request is None or not kept.request.prompts:
        return "words not kept"
    name, asked = kept.request.prompts[0]
    if name:
        return name + (f" and {len(kept.request.prompts) - 1} more" if len(kept.request.prompts) > 1 else "")
    last = asked[-1].get("content") if isinstance(asked, tuple) and asked else ""
    text = last if isinstance(last, str) else " ".join(str(part.get("text", "")) for part in last or ())
    return one_line(text, 60)


def bar(lab: Lab, kept: asks.Kept) -> bool:
    """The one that is open: its name, note, pin and address; whether it is to be run again."""
    with st.container(horizontal=True, vertical_alignment="center", key="ask-bar"):
        when = datetime.fromtimestamp(kept.asked_at, UTC)
        st.caption(f"Asked {when:%Y-%m-%d %H:%M} UTC", width="content")
        name = st.text_input(
            "Name", kept.name, key=f"ask-name-{kept.ask}", placeholder="a name", label_visibility="collapsed", width=220
        )
        if name.strip() != kept.name:
            asks.change(lab.ledger, kept.ask, name=name.strip()[:200])
        pinned = st.button("Pinned" if kept.pinned else "Pin", icon=":material/keep:", key="ask-pin", type="tertiary")
        if pinned:
            asks.change(lab.ledger, kept.ask, pinned=int(not kept.pinned))
            st.rerun()
        with st.popover("Note" if not kept.note else "Note ●", type="tertiary"):
            note = st.text_area("Note", kept.note, key=f"ask-note-{kept.ask}", max_chars=5000)
            if note != kept.note:
                asks.change(lab.ledger, kept.ask, note=note)
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


def address(ask: str) -> str:
    """Where it is found again."""
    return f"{(st.context.url or '').partition('?')[0]}?ask={ask}"
