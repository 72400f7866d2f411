"""What the pages share: the Lab, and how figures and model output are drawn."""

from __future__ import annotations

import html
from collections.abc import Mapping

import streamlit as st

from lab import Lab, catalogue, errors

_CSS = """
<style>
.block-container {padding-top: 4.5rem; padding-bottom: 2rem; max-width: 1500px}
.lab-model {font-weight: 650; overflow-wrap: anywhere; line-height: 1.3}
.lab-facts {display: grid; grid-template-columns: auto 1fr; gap: .15rem .9rem; font-size: .88rem}
.lab-facts .label {opacity: .72}
.lab-facts .value {text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: anywhere}
.lab-facts .bad {color: light-dark(#b3261e, #ff8a80); font-weight: 600}
.lab-why {font-size: .88rem; margin-top: .5rem; overflow-wrap: anywhere}
[data-testid="stText"] {overflow-wrap: anywhere; white-space: pre-wrap; unicode-bidi: plaintext}
</style>
"""


def style() -> None:
    """The little CSS that the theme has no setting for."""
    st.html(_CSS)


@st.cache_resource(show_spinner=False)
def _open() -> Lab:
    return Lab()


def get_lab() -> Lab:
    """The one Lab of this server, or a page that says in one sentence why there is none."""
    try:
        return _open()
    except errors.LedgerError as failure:
        st.error(str(failure), icon=":material/database_off:")
        st.stop()


@st.cache_data(show_spinner="Looking up the models whose keys are set …")
def models() -> list[str]:
    """Models to offer; any other name may be typed."""
    return catalogue.available()


def name(model: str) -> None:
    """A model's name, as a heading."""
    st.html(f'<div class="lab-model">{html.escape(model)}</div>')


def facts(rows: Mapping[str, str], *, bad: tuple[str, ...] = (), why: str = "") -> str:
    """Labels left, figures right; those in `bad` marked; `why` below. Everything is escaped."""
    cells = "".join(
        f'<span class="label">{html.escape(label)}</span>'
        f'<span class="value{" bad" if label in bad else ""}">{html.escape(value)}</span>'
        for label, value in rows.items()
    )
    return f'<div class="lab-facts">{cells}</div><div class="lab-why">{html.escape(why)}</div>'
