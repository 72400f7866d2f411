"""The little CSS that the theme has no setting for."""

from __future__ import annotations

import streamlit as st

_CSS = """
<style>
.block-container {padding-top: 4.5rem; padding-bottom: 2rem; max-width: 1500px}
.lab-model {font-weight: 650; overflow-wrap: anywhere; line-height: 1.3}
.lab-facts {display: grid; grid-template-columns: auto 1fr; gap: .15rem .9rem; font-size: .88rem}
.lab-facts .label {opacity: .72}
.lab-facts .value {text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: anywhere}
.lab-facts .bad {color: light-dark(#b3261e, #ff8a80); font-weight: 600}
.lab-section {font-weight: 650; font-size: 1.06rem; margin-top: .6rem}
[data-testid="stCaptionContainer"] {color: light-dark(#5d656d, #a7afb6); opacity: 1}
[data-testid="stCaptionContainer"] * {color: inherit}
[data-testid="stMultiSelect"] [data-tag], [data-testid="stMultiSelect"] [data-tag] * {color: light-dark(#fff, #101417)}
[data-testid="stBaseButton-primary"], [data-testid="stBaseButton-primary"] *,
[data-testid="stBaseButton-primaryFormSubmit"], [data-testid="stBaseButton-primaryFormSubmit"] * {
    color: light-dark(#fff, #101417)}
.st-key-warm {height: 0; overflow: hidden; visibility: hidden}
.st-key-filters {border-bottom: 1px solid rgba(128,128,128,.25); padding-bottom: .7rem}
.lab-why {font-size: .88rem; margin-top: .5rem; overflow-wrap: anywhere}
[data-testid="stText"] {overflow-wrap: anywhere; white-space: pre-wrap; unicode-bidi: plaintext}
</style>
"""


def apply() -> None:
    """Put it on the page."""
    st.html(_CSS)
