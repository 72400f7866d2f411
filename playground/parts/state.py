"""What the policies of this server hold now."""

from __future__ import annotations

import streamlit as st

from lab import Lab
from lab.show import units
from playground.parts import drawing


def table(lab: Lab) -> None:
    """Breakers, queues and pauses by model. Other processes have their own."""
    drawing.section(
        "Breakers, queues, pauses",
        "Of this server, right now; scripts and notebooks have their own.",
    )
    state = lab.state()
    if state.empty:
        st.caption("No model was called from here yet.")
    else:
        seconds = {name: [_left(value) for value in state[name]] for name in ("opens_in", "paused")}
        shown = state.assign(**seconds, breaker=state["breaker"].str.replace("_", " "))
        shown = shown.rename(columns={"opens_in": "asked again in", "paused": "asked to pause for"})
        drawing.table(shown, "state", state)


def _left(seconds: float) -> str:
    """How long something lasts yet."""
    return "" if seconds is None or seconds != seconds or seconds <= 0 else units.duration(float(seconds))
