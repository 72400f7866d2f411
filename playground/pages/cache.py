"""Cache: how near hits stand, and answers that a person is to compare."""

from __future__ import annotations

import streamlit as st

from lab import Lab
from lab.ledger import cached
from playground.parts import backend, drawing, filters, saved


def page() -> None:
    """Figures, lanes, what waits for a person, what was wrong."""
    lab, narrow = backend.lab(), filters.chosen()
    found = lab.cache(**narrow)
    if not (found.exact + found.near or len(found.lanes)):
        st.info(
            "Nothing came out of the cache yet. `Policy(cache=Cache())` keeps answers and gives them again to the same"
            " request; `Cache(near=Near(false_hits=0.02))` to the same in other words, too, once labels certify that at"
            " most so many are wrong.",
            icon=":material/inventory_2:",
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
