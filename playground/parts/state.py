"""What the policies of this server hold now."""

from __future__ import annotations

import streamlit as st

from lab import Lab
from playground.parts import drawing


def table(lab: Lab) -> None:
    """Breakers, queues and pauses by model. Other processes have their own."""
    drawing.section(
        "Breakers, queues, pauses",
        "Of this server, right now; scripts and notebooks have their own. `opens_in` and `paused` are seconds: until a"
        " model is asked again, and for which its provider asked to be left alone.",
    )
    state = lab.state()
    if state.empty:
        st.caption("No model was called from here yet.")
    else:
        drawing.table(state, "state")
