"""What a page says where there is nothing to draw yet, and the ways on from there."""

from __future__ import annotations

import streamlit as st

from playground.parts import backend, escape, filters, places


def nothing(
    what: str,
    icon: str = ":material/inbox:",
    *,
    mode: str = "Ask once",
    narrowed: bool = True,
    label: str = "To the Compare page",
) -> None:
    """`what` is missing: where it comes from, and, where nothing was called at all, a look around. `narrowed`: it may
    be missing because of the filters."""
    if narrowed and filters.words() != "all calls":
        st.info(f"{escape.markdown(what)} Of {filters.words()}: clear a filter.", icon=icon)
        return
    st.info(escape.markdown(what), icon=icon)
    with st.container(horizontal=True, vertical_alignment="center"):
        places.link("compare", label, ":material/view_column:", mode=mode)
        offer()


def offer() -> None:
    """A look around in a month that never was, for who has nothing of their own yet."""
    if not backend.looking_around() and not backend.lab().count():
        st.button(
            "Look around with a made-up month",
            icon=":material/travel_explore:",
            on_click=backend.look_around,
            help="20,000 calls of 30 days that never were, on a ledger of their own",
        )


def banner() -> None:
    """On every page of a made-up month: that it is one, and the way out."""
    if not (backend.looking_around() or backend.MADE_UP in st.query_params):
        return
    with st.container(horizontal=True, vertical_alignment="center", key="made-up-month"):
        st.toggle("Look around", key=backend.MADE_UP, bind="query-params", on_change=_switched)
        st.markdown("**A made-up month.** None of these calls was made; nothing of yours is in it.")
        st.button("Leave it", icon=":material/logout:", on_click=backend.leave)


def _switched() -> None:
    """Turned off, it is left."""
    if not backend.looking_around():
        backend.leave()
