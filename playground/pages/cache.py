"""Cache: how near hits stand, and answers that a person is to compare."""

from __future__ import annotations

import streamlit as st

from lab import Lab
from lab.ledger import cached
from playground.parts import backend, drawing, empty, filters, saved


def page() -> None:
    """Figures, lanes, what waits for a person, what was wrong."""
    lab, narrow = backend.lab(), filters.chosen()
    found = lab.cache(**narrow)
    if not (found.exact + found.near or len(found.lanes)):
        empty.nothing(
            "Nothing came out of the cache yet. Turn on Cache on the Compare page, under bounds, and the same request"
            " is answered again at once, for nothing; in code it is Policy(cache=Cache()), and with near= requests in"
            " other words are, too, once labels certify how many of those may be wrong.",
            ":material/inventory_2:",
        )
        return
    saved.tiles(found)
    if len(found.lanes):
        drawing.section(
            "Near hits by prompt",
            "Nothing is served before labels certify it (95 %), nor after checks show that it no longer holds.",
        )
        saved.lanes(found)
    compare(lab)
    saved.wrong(found.last_wrong)


def compare(lab: Lab) -> None:
    """The oldest pair of answers that waits for a person."""
    waiting = cached.open_labels(lab.ledger, 1)
    drawing.section("Is it the same answer?", "Would the one on the left have done for the request on the right?")
    if not waiting:
        st.caption("Nothing waits: short answers and values compare themselves, or a judge does.")
        return
    (row,) = waiting
    saved.side_by_side(row)
    with st.container(horizontal=True, horizontal_alignment="center"):
        for label, same in (("The same", True), ("Not the same", False)):
            st.button(label, key=f"same-{same}", on_click=said, args=(lab, row["number"], same))


def said(lab: Lab, number: int, same: bool) -> None:
    """Keep it."""
    if not lab.compared(number, same=same):
        st.toast("Somebody has compared these before.")


page()
