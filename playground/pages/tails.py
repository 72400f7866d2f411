"""Tails: how slow the slow ones are, where their time went, which they were, and what was done about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from lab import metrics
from lab.metrics.tails import Measure
from lab.show import charts, units
from lab.show.text import one_line
from playground.parts import backend, downloads, drawing, empty, filters, opened

MEASURES: dict[Measure, str] = {
    "elapsed": "Waited in all",
    "latency": "The answering request",
    "ttft": "First token",
    "answer_ttft": "First token of the answer",
}
TOGETHER = 4
"""Groups that are told apart in one picture."""
READ = "A line that is further left is quicker: at the height of 90%, it stands where 90 of 100 answers were there."
BY = ("model", "prompt_name", "user", "tag", "experiment", "day")


def page() -> None:
    """Curves and percentiles, phases, stragglers, rescues."""
    lab, narrow = backend.lab(), filters.chosen()
    book = lab.ledger
    with st.container(horizontal=True, vertical_alignment="bottom"):
        measure = st.segmented_control(
            "Which time",
            list(MEASURES),
            default="elapsed",
            required=True,
            format_func=MEASURES.__getitem__,
            key="measure",
            bind="query-params",
        )
        by = st.selectbox(
            "A line for each", BY, key="tail_by", bind="query-params", width=180, format_func=drawing.column_name
        )
    curves = metrics.curves(book, measure, by, points=80, **narrow)
    if curves.empty:
        empty.nothing("No answer with a time yet. Run some on the Compare page.", ":material/show_chart:")
        return
    streamed = int(curves.drop_duplicates("group")["n"].sum()) if measure in ("ttft", "answer_ttft") else None
    st.caption(counted(metrics.left_out(book, **narrow), streamed))
    colours = lab.colours(*curves["group"].drop_duplicates()) if by == "model" else None
    ladder = metrics.percentiles(book, measure, by, **narrow)
    ladder = ladder[ladder["group"].isin(curves["group"])]
    if curves["group"].nunique() <= TOGETHER:
        together(curves, ladder, colours)
    else:
        apart(curves, ladder, colours)
    phases = metrics.phases(book, by, **narrow)
    phases = phases[phases["group"].isin(curves["group"])]
    drawing.section("Where the time went", "On average, of all answers and of the slowest twentieth.")
    drawing.chart(charts.phases(phases), phases, "phases", "Average seconds in each phase of a call")
    stragglers(metrics.stragglers(book, measure, **narrow))
    rescues(metrics.rescues(book, **narrow))


def together(curves: pd.DataFrame, ladder: pd.DataFrame, colours: Mapping[str, str] | None) -> None:
    """A few groups: one picture of all, and their percentiles beside it."""
    left, right = st.columns(2)
    with left:
        drawing.section("How many had their answer by when", READ)
        drawing.chart(
            charts.curves(curves, colours=colours), curves, "curves", "Distribution of the time, a line a group"
        )
    with right:
        drawing.section("The percentile ladder", "With 95 % intervals. What too few answers stand behind is left out.")
        drawing.chart(charts.ladder(ladder, colours=colours), ladder, "percentiles", "Percentiles with intervals")


def apart(curves: pd.DataFrame, ladder: pd.DataFrame, colours: Mapping[str, str] | None) -> None:
    """Many groups: a small picture each, the others grey behind it; percentiles as a table."""
    drawing.section("How many had their answer by when", f"{READ} The grey lines are the others: point at one.")
    with st.container(horizontal=True, key="small-curves"):
        for name in curves["group"].drop_duplicates():
            with st.container(width=300):
                drawn = charts.curve(curves, name, colours, width=290)
                st.altair_chart(
                    drawn, key=f"curve-{name}", width="content", alt="Distribution of the time of one group"
                )
    downloads.csv(curves, "curves")
    drawing.section("The percentile ladder", "With 95 % intervals. What too few answers stand behind is left out.")
    rungs = list(ladder.sort_values("share")["percentile"].drop_duplicates())
    texts = ladder.assign(text=[times(row) for row in ladder.to_dict("records")])
    shown = texts.pivot(index="group", columns="percentile", values="text").reindex(columns=rungs).fillna("too few")
    numbers = ladder.pivot(index="group", columns="percentile", values="seconds").reindex(columns=rungs)
    drawing.table(shown.reset_index(), "percentiles", ladder, numbers.reset_index(drop=True))


def times(row: Mapping[Any, Any]) -> str:
    """A percentile with its interval."""
    return f"{units.seconds(row['seconds'])} [{_short(row['low'])}–{_short(row['high'])}]"


def _short(seconds: float) -> str:
    """An end of an interval, in two digits or three."""
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"


def counted(left: dict[str, int], streamed: int | None = None) -> str:
    """What the figures stand on, and what they leave out; `streamed`: only so many of them have this time."""
    out = [f"{left['saturated']:,} timed by a client that was too busy"] if left["saturated"] else []
    out += [f"{left['batched']:,} out of batches"] if left["batched"] else []
    out += [f"{left['cached']:,} out of the store"] if left["cached"] else []
    only = "" if streamed is None else f", {streamed:,} of them streamed and shown here"
    return f"{left['answers']:,} answers{only}" + (f"; left out: {' and '.join(out)}" if out else "; none is left out")


def stragglers(slowest: pd.DataFrame) -> None:
    """The slowest; one that is selected is opened."""
    drawing.section("The slowest", "Select one to open it.")
    shown = pd.DataFrame(
        {
            "when (UTC)": slowest["started_at"].dt.strftime("%Y-%m-%d %H:%M:%S"),
            "model": slowest["model"],
            "seconds": slowest["seconds"].round(2),
            "x its median": slowest["times"].round(1),
            "attempts": slowest["n_attempts"],
            "hedged": slowest["hedged"],
            "prompt": [one_line(text, 120) if isinstance(text, str) else "" for text in slowest["prompt"]],
        }
    )
    st.session_state["slowest"] = list(slowest["call_id"])
    drawing.table(shown, "stragglers", slowest, on_select=picked, selection_mode="single-row", height=300)
    if call := st.session_state.pop("opening", None):
        opened.drawer(call)


def picked() -> None:
    """A row was clicked: its call is opened at the side, once."""
    rows = st.session_state["table-stragglers"].selection.rows
    if rows and rows[0] < len(st.session_state["slowest"]):
        st.session_state["opening"] = st.session_state["slowest"][rows[0]]


def rescues(rescued: pd.DataFrame) -> None:
    """What hedges, timeouts and fallbacks did."""
    drawing.section(
        "What hedges, timeouts and fallbacks did", "How many calls had one, and ended well; and what it cost."
    )
    if rescued.empty:
        st.caption("None was needed.")
        return
    shown = pd.DataFrame(
        {
            **{
                "model": rescued["model"],
                "what": rescued["what"].str.replace("_", " "),
                "requests": rescued["requests"],
                "calls": rescued["calls"],
            },
            "ended well": [f"{share:.1%}" for share in rescued["ok"] / rescued["calls"]],
            "answered": [f"{share:.1%}" for share in rescued["won"] / rescued["requests"]],
            "cost of the others": [metrics.money(cost) for cost in rescued["cost"]],
        }
    )
    shares = {"ended well": rescued["ok"] / rescued["calls"], "answered": rescued["won"] / rescued["requests"]}
    drawing.table(shown, "rescues", rescued, {**shares, "cost of the others": rescued["cost"]})


page()
