"""How things are drawn: sections, tables and charts with their data, a card's figures, words as text alone."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from lab.show import difference, palette, units
from playground.parts import downloads

if TYPE_CHECKING:
    import altair as alt
    from pandas.io.formats.style import Styler

KINDS = {name: colour for name, (_sign, colour) in palette.OUTCOMES.items()}
"""The colour of each kind of failure, and of each other outcome."""
SHORT = 5
"""Tokens of an answer that has no speed worth speaking of."""
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


def model_name(model: str, colour: str | None = None) -> None:
    """A model's name, as a heading, with its colour."""
    dot = "" if colour is None else f'<span class="lab-dot" style="background: {html.escape(colour)}"></span>'
    st.html(f'<div class="lab-model">{dot}{html.escape(model)}</div>')


def legend(names: Mapping[str, str]) -> str:
    """Names with their colours, in a line. Everything is escaped."""
    cells = "".join(
        f'<span class="lab-key"><span class="lab-dot" style="background: {html.escape(colour)}"></span>'
        f"{html.escape(name)}</span>"
        for name, colour in names.items()
    )
    return f'<div class="lab-legend">{cells}</div>'


def reason(kind: str, words: str) -> str:
    """Why there is no answer, where the answer would be. Everything is escaped."""
    return (
        f'<div class="lab-reason"><div class="lab-kind">✗ {html.escape(kind)}</div>'
        f"<div>{html.escape(words[:2000].replace('`', ''))}</div></div>"
    )


def checks(findings: Sequence[Mapping[Any, Any]]) -> str:
    """What checks found, a line each. Everything is escaped."""
    lines = []
    for check in findings:
        message = check.get("message")
        why = f": {message}" if not check["passed"] and isinstance(message, str) else ""
        sign = "✓" if check["passed"] else "✗"
        lines.append(f'<div class="lab-check">{sign} {html.escape(str(check["name"]) + why)}</div>')
    return "".join(lines)


def facts(
    rows: Mapping[str, str],
    *,
    bad: tuple[str, ...] = (),
    best: tuple[str, ...] = (),
    why: str = "",
    beside: bool = False,
) -> str:
    """Labels left, figures right (`beside`: close to their labels); those in `bad` marked, those in `best` said to be
    the best; `why` below. Everything is escaped."""
    cells = "".join(
        f'<span class="label">{html.escape(label)}</span>'
        f'<span class="value{" bad" if label in bad else ""}">{html.escape(value)}'
        f"{_BEST if label in best else ''}</span>"
        for label, value in rows.items()
    )
    below = f'<div class="lab-why">{html.escape(why)}</div>' if why else ""
    return f'<div class="lab-facts{" lab-beside" if beside else ""}">{cells}</div>{below}'


_BEST = ' <span class="lab-best">best</span>'


def strip(rows: Mapping[str, str], *, colour: str = "") -> str:
    """Figures in a line, each under its label; the first one's colour. Everything is escaped."""
    cells = "".join(
        f'<div><div class="label">{html.escape(label)}</div>'
        f'<div class="value"{_dyed(colour) if not place else ""}>{html.escape(value)}</div></div>'
        for place, (label, value) in enumerate(rows.items())
    )
    return f'<div class="lab-strip">{cells}</div>'


def _dyed(colour: str) -> str:
    return f' style="border-left: 4px solid {html.escape(colour)}; padding-left: .4rem"' if colour else ""


def chips(texts: Sequence[str]) -> None:
    """What is set, a chip each."""
    if texts:
        cells = "".join(f'<span class="lab-chip">{html.escape(text)}</span>' for text in texts)
        st.html(f'<div class="lab-chips">{cells}</div>')


def speed(call: Mapping[str, Any]) -> float | None:
    """Tokens a second from the first token on, thoughts included where they were seen to come; None where that can't be
    known: of an answer that was not streamed, or is too short."""
    tokens, latency, ttft = (call.get(name) for name in ("output_tokens", "latency", "ttft"))
    if tokens and call.get("thinking") is None:  # what was thought out of sight was thought before
        tokens -= call.get("reasoning_tokens") or 0
    if latency is None or ttft is None or call.get("cached") or not tokens or tokens < SHORT:
        return None
    return float(tokens / (latency - ttft)) if latency - ttft > 0.001 else None


def thinking(text: str, most: int = 400, seconds: float = 0.0) -> str:
    """What is being thought just now, as HTML: for how long, and its last words, paler than an answer."""
    last = text if len(text) <= most else "… " + text[-most:].partition(" ")[2]
    return f'<div class="lab-thinking"><b>Thinking … {seconds:.1f} s</b><br>{html.escape(last)}</div>'


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
    rest(words, name)


def rest(words: str, name: str) -> None:
    """Where more is there than is drawn: how much, and all of it to download."""
    if len(words) > LONG:
        st.caption(f"The first {LONG:,} of {len(words):,} characters.")
        downloads.text(words, name)


def differing(before: str, after: str) -> str:
    """Two texts as one, with what was taken out and put in, word by word. Everything is escaped."""
    return f'<div class="lab-words">{difference.to_html(difference.pieces(before, after))}</div>'
