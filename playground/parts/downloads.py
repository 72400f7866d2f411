"""What can be taken along: figures as CSV, a long text, and what was just done as Python."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from lab.evals import code
from lab.ledger import archive


def csv(frame: pd.DataFrame, name: str) -> None:
    """A button that downloads the data; the file is made when it is pressed."""
    st.download_button(
        "CSV",
        lambda: archive.to_csv(frame),
        f"{name}.csv",
        "text/csv",
        key=f"download-{name}",
        type="tertiary",
        icon=":material/download:",
        on_click="ignore",
        help="The data as CSV, safe to open in a spreadsheet",
    )


def text(words: str, name: str) -> None:
    """A button that downloads all of a text of which a page shows the beginning."""
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
