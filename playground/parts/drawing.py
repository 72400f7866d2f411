"""How things are drawn: sections, tables and charts with their data, a card's figures, words as text alone."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from lab.show import units
from playground.parts import downloads

if TYPE_CHECKING:
    import altair as alt
    from pandas.io.formats.style import Styler

LONG = 20_000
"""Characters of a text that are drawn; the rest is for the download."""


def section(title: str, about: str = "") -> None:
    """A heading, and a line on how to read what follows. `about` is Markdown."""
    st.html(f'<div class="lab-section">{html.escape(title)}</div>')
    if about:
        st.caption(about)


def chart(drawn: alt.Chart | alt.LayerChart, frame: pd.DataFrame, name: str, alt_text: str) -> None:
    """A chart, with its data to download."""
    st.altair_chart(drawn, key=f"chart-{name}", alt=alt_text)
    downloads.csv(frame, name)


def table(
    frame: pd.DataFrame,
    name: str,
    data: pd.DataFrame | None = None,
    numbers: pd.DataFrame | Mapping[str, Any] | None = None,
    **more: Any,
) -> Any:
    """A table, with its data (or other `data`, such as the figures behind its texts) to download. `numbers`: columns of
    the same names, a value a row, that texts are sorted by where they say a number."""
    shown = frame if numbers is None or frame.empty else sortable(frame, pd.DataFrame(dict(numbers)))
    event = st.dataframe(shown, hide_index=True, key=f"table-{name}", **more)
    downloads.csv(frame if data is None else data, name)
    return event


def sortable(frame: pd.DataFrame, numbers: pd.DataFrame) -> Styler:
    """A table of texts that is sorted by the `numbers` that they say, where it has a column of the same name."""
    names = [name for name in frame.columns if name in numbers.columns]
    texts = frame.reset_index(drop=True)
    known = numbers[names].astype(float).fillna(math.inf)  # what isn't known has its words, too, and comes last
    styled = texts.assign(**{name: known[name].to_numpy() for name in names}).style
    for name in names:
        for row, words in enumerate(texts[name]):
            styled = styled.format(partial(_said, words), subset=([row], [name]))
    return styled


def _said(words: str, _number: float) -> str:
    return words


def column_name(column: str) -> str:
    """A column's name as a person would say it."""
    return {"prompt_name": "prompt", "prompt_version": "version"}.get(column, column.replace("_", " "))


def model_name(model: str) -> None:
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


def seconds(value: float) -> str:
    """A number of a table, as a person says it; what isn't known is a dash."""
    return units.seconds(None if value != value else value)


def dollars(value: float) -> str:
    """US dollars of a table."""
    return units.dollars(None if value != value else value)


def whole(value: float) -> str:
    """A whole number of a table."""
    return "–" if value != value else f"{value:,.0f}"


def text(words: str, name: str) -> None:
    """Words of a model or a user, as text alone. Of a very long one the beginning, and all of it to download."""
    st.text(words[:LONG])
    if len(words) > LONG:
        st.caption(f"The first {LONG:,} of {len(words):,} characters.")
        downloads.text(words, name)
