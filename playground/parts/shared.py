"""What the pages share: the Lab, and how figures and model output are drawn."""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from lab import Lab, Prompt, errors
from lab.evals import code
from lab.jobs.background import Jobs
from lab.ledger import archive
from lab.ledger.settings import default_path
from lab.provider import catalogue
from lab.show import charts

if TYPE_CHECKING:
    import altair as alt
    from streamlit.navigation.page import StreamlitPage

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
        st.error(said(failure), icon=":material/database_off:")
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


@st.cache_resource(show_spinner=False)
def _jobs(_lab: Lab) -> Jobs:
    return Jobs(_lab)


def jobs() -> Jobs:
    """The one worker of this server."""
    return _jobs(get_lab())


@st.cache_data(show_spinner=False, ttl=15)
def _names(path: str, _lab: Lab) -> dict[str, list[str]]:
    return _lab.names()


def names() -> dict[str, list[str]]:
    """What there is to choose from, as it was at most 15 seconds ago."""
    lab = get_lab()
    return _names(str(lab.path), lab)


def plain(name: str) -> str:
    """A column's name as a person would say it."""
    return {"prompt_name": "prompt", "prompt_version": "version"}.get(name, name.replace("_", " "))


def section(title: str, about: str = "") -> None:
    """A heading, and a line on how to read what follows. `about` is Markdown."""
    st.html(f'<div class="lab-section">{html.escape(title)}</div>')
    if about:
        st.caption(about)


def run(page: StreamlitPage) -> None:
    """Draw the page. An error is on the server's log, and on the page a sentence."""
    try:
        page.run()
    except Exception:
        logging.getLogger("playground").exception("the page %s", page.title)
        st.error("This page met an error of its own. What it was is in the server's log.", icon=":material/bug_report:")


def warm() -> None:
    """A chart of nothing that nobody sees: the browser loads what draws charts before it is waited for."""
    with st.container(key="warm"):
        st.altair_chart(charts.over_time(pd.DataFrame(columns=["seconds", "what", "value"]), width=1), key="chart-warm")


def download(frame: pd.DataFrame, name: str, label: str = "CSV") -> None:
    """A button that downloads the data; the file is made when it is pressed."""
    st.download_button(
        label,
        lambda: archive.to_csv(frame),
        f"{name}.csv",
        "text/csv",
        key=f"download-{name}",
        type="tertiary",
        icon=":material/download:",
        on_click="ignore",
        help="The data as CSV, safe to open in a spreadsheet",
    )


def chart(drawn: alt.Chart | alt.LayerChart, frame: pd.DataFrame, name: str, alt_text: str) -> None:
    """A chart, with its data to download."""
    st.altair_chart(drawn, key=f"chart-{name}", alt=alt_text)
    download(frame, name)


def table(frame: pd.DataFrame, name: str, data: pd.DataFrame | None = None, **more: Any) -> Any:
    """A table, with its data (or other `data`, such as the figures behind its texts) to download."""
    event = st.dataframe(frame, hide_index=True, key=f"table-{name}", **more)
    download(frame if data is None else data, name)
    return event


def open_call(call_id: str) -> None:
    """Go to the Calls page, with this call opened."""
    st.switch_page("calls.py", query_params={"call": call_id})


def path() -> str | None:
    """The ledger's path, where a script has to say it."""
    ledger = get_lab().path
    return None if ledger == default_path().expanduser().absolute() else str(ledger)


FILES = Path(__file__).resolve().parents[2] / "data" / "prompts"


@st.cache_data(show_spinner=False, ttl=15)
def _prompts(path: str, _lab: Lab) -> dict[str, Prompt]:
    listed = _lab.prompts()
    versions = {
        f"{name} v{version}": _lab.prompt(name, version=int(version))
        for name, version in listed[["name", "version"]].head(200).itertuples(index=False)
    }
    known = {(prompt.name, prompt.hash) for prompt in versions.values()}
    files = [Prompt.load(file) for file in sorted(FILES.glob("*.md"))]
    return versions | {f"{prompt.name} (file)": prompt for prompt in files if (prompt.name, prompt.hash) not in known}


def saved_prompts() -> dict[str, Prompt]:
    """The versions on the ledger, and the files that come with the lab, by name."""
    lab = get_lab()
    return _prompts(str(lab.path), lab)


LONG = 20_000
"""Characters of a text that are drawn; the rest is for the download."""


def said(value: object) -> str:
    """Words for a place that reads Markdown, so that nothing of them is markup: no picture, no link, no colour."""
    plain = " ".join("".join(char if char.isprintable() else " " for char in str(value)).split())
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", plain.encode("utf-8", "replace").decode())


def text(words: str, name: str) -> None:
    """Words of a model or a user, as text alone. Of a very long one the beginning, and all of it to download."""
    st.text(words[:LONG])
    if len(words) > LONG:
        st.caption(f"The first {LONG:,} of {len(words):,} characters.")
        st.download_button(
            "All of it",
            lambda: words,
            f"{name}.txt",
            "text/plain",
            key=f"text-{name}",
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
        )


def as_code(cells: Sequence[str], name: str) -> None:
    """What was just done, as Python."""
    with st.expander("As code, or as a notebook"):
        st.code(code.script(cells), language="python", wrap_lines=True)
        with st.container(horizontal=True):
            for label, ending, data in (
                ("Script", "py", lambda: code.script(cells)),
                ("Notebook", "ipynb", lambda: code.notebook(cells, name.replace("-", " ").capitalize())),
            ):
                st.download_button(
                    label,
                    data,
                    f"{name}.{ending}",
                    key=f"{name}-{ending}",
                    on_click="ignore",
                    icon=":material/download:",
                )
