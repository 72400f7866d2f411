"""Calls: every call so far, newest first; one opens beside the list."""

from __future__ import annotations

import math
from typing import Any, get_args

import pandas as pd
import streamlit as st

from lab import Lab, errors, metrics
from lab.ledger import notes
from lab.ledger.queries import ORDERS, STATUSES
from lab.show import charts, palette
from lab.show.text import one_line
from playground.parts import backend, drawing, empty, escape, filters, opened

PAGE = 50
KINDS = get_args(errors.Kind)
_ALWAYS = ("when", "model", "outcome", "total")
_USUAL = ("first token", "cost", "tokens", "prompt", "answer")
_MORE = ("thinking", "attempts", "user", "tags", "prompt version", "experiment", "job", "note")
_WIDTHS = {"when": 128, "model": 150, "outcome": 118, "total": 120, "first token": 85, "cost": 85, "tokens": 75}
_WIDTHS |= {"attempts": 75, "user": 100, "tags": 120, "prompt version": 110, "experiment": 130, "prompt": 300}
_WIDTHS |= {"answer": 420, "thinking": 85, "note": 180, "job": 110}


def page() -> None:
    """Filters, when it was, one page of the list, and beside it the call that was opened."""
    lab = backend.lab()
    narrow, order, columns = asked()
    total = lab.count(**narrow)
    call_id = st.query_params.get("call")
    brush(lab, narrow)
    if not total:
        nothing(narrow)
        if call_id:
            opened.detail(lab, call_id)
        return
    if call_id is None:
        listing(lab, narrow, total, order, columns)
        return
    left, right = st.columns([9, 11], gap="medium")
    with left:
        listing(lab, narrow, total, order, _ALWAYS)
    with right.container(border=True):
        beside(lab, call_id)


def nothing(narrow: dict[str, Any]) -> None:
    """Why nothing is listed."""
    if any(narrow.values()):
        st.info("No call matches. Clear a filter, or search for other words.", icon=":material/search_off:")
    else:
        empty.nothing("No calls yet. Run a prompt on the Compare page, and it is listed here.", ":material/list:")


def asked() -> tuple[dict[str, Any], str, tuple[str, ...]]:
    """The filters, the order, and the columns; they are in the page's address, so that a view can be sent on."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        search = st.text_input(
            "Search", key="search", bind="query-params", placeholder="words of the prompt, the answer, or a thought"
        )
        status = st.selectbox(
            "Outcome", STATUSES, index=None, placeholder="all", key="status", bind="query-params", width=140
        )
        kind = st.selectbox(
            "Kind of failure",
            KINDS,
            index=None,
            placeholder="all",
            key="kind",
            bind="query-params",
            width=170,
            format_func=palette.outcome,
        )
        order = st.selectbox(
            "Order",
            list(ORDERS),
            format_func=_ordered,
            key="order",
            bind="query-params",
            width=170,
            help="Over all calls. A click on a column's head sorts what is shown.",
        )
        starred = st.toggle("Starred", key="starred", bind="query-params")
        with st.popover("Columns", icon=":material/view_week:"):
            st.session_state.setdefault("call_columns", list(_USUAL))
            columns = st.multiselect("Columns", [*_USUAL, *_MORE], key="call_columns", persist_state="session")
    narrow = {**filters.chosen(), "search": search, "status": status, "kind": kind, "starred": starred or None}
    if (span := between()) is not None:
        narrow |= {"since": span[0], "until": span[1]}
    return narrow, order, (*_ALWAYS, *columns)


def between() -> tuple[float, float] | None:
    """The time that was brushed, as the address has it; Unix seconds."""
    try:
        start, end = (float(part) for part in st.query_params.get("between", "").split("-"))
    except ValueError:
        return None
    return (start, end) if 0 <= start < end < 1e11 else None


def brush(lab: Lab, narrow: dict[str, Any]) -> None:
    """How many there were, and how they ended, over time; what is brushed is listed."""
    span = between()
    outside = {name: value for name, value in narrow.items() if name not in (("since", "until") if span else ())}
    outside |= {"since": filters.chosen()["since"]} if span else {}
    counts = metrics.calls_over_time(lab.ledger, **outside)
    if counts.empty:
        over(span)
        return
    chart = charts.counts(counts, span)
    event = st.altair_chart(
        chart,
        key=f"brush-{st.session_state.get('brushed', 0)}",
        on_select="rerun",
        selection_mode="brush",
        alt="Calls over time by outcome; drag over it to list those of that time",
    )
    chosen = event.selection.get("brush", {}).get("start") if event else None
    if chosen:
        # the browser is told of UTC as if it were its own time, and so it tells of it
        offset = 60 * (st.context.timezone_offset or 0)
        st.query_params["between"] = "-".join(f"{moment / 1000 - offset:.0f}" for moment in chosen)
        st.session_state["brushed"] = st.session_state.get("brushed", 0) + 1
        st.session_state["page"] = 1
        st.rerun()
    over(span)


def over(span: tuple[float, float] | None) -> None:
    """Which time was brushed, and the way back to all of it."""
    if span is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            first, last = (pd.Timestamp(moment, unit="s") for moment in span)
            st.caption(f"Those between {first:%m-%d %H:%M} and {last:%m-%d %H:%M} UTC.", width="content")
            if st.button("All times", icon=":material/close:", type="tertiary"):
                st.query_params.pop("between", None)
                st.rerun()


def listing(lab: Lab, narrow: dict[str, Any], total: int, order: str, columns: tuple[str, ...]) -> None:
    """One page of calls, fetched as one page; a click on one opens it."""
    pages = math.ceil(total / PAGE)
    number = min(pages, st.session_state.get("page") or 1)
    listed = lab.calls(**narrow, limit=PAGE, offset=(number - 1) * PAGE, order=order)
    st.session_state["listed"] = list(listed["call_id"])
    shown, numbers = texts(lab, listed)
    now = st.query_params.get("call")
    config: dict[str, Any] = {
        name: st.column_config.Column(name.capitalize(), width=_WIDTHS[name]) for name in shown.columns
    }
    if now:  # beside the call there is no room for bars
        shown["total"] = [drawing.seconds(value) for value in listed["elapsed"]]
        numbers["total"] = listed["elapsed"]
    longest = float(listed["elapsed"].max()) if listed["elapsed"].notna().any() else 1.0
    bars = st.column_config.ProgressColumn(
        "Total",
        width=_WIDTHS["total"],
        format="%.2f s",
        min_value=0.0,
        max_value=max(longest, 0.001),
        help="What its caller waited, retries and waits included; bars are as long as on this page",
    )
    config |= _beside() if now else {"total": bars}
    view = [order, *(value for name, value in narrow.items() if name != "since"), st.query_params.get("between")]
    key = f"list-{st.session_state.get('closed', 0)}-{number}-{view}"
    st.dataframe(
        dyed(shown, numbers),
        column_order=[name for name in columns if name in shown.columns],
        column_config=config,
        hide_index=True,
        on_select=lambda: chosen(key),
        selection_mode="single-row",
        height=min(620 if st.query_params.get("call") else 460, 40 + 35 * len(listed)),
        key=key,
    )
    first = (number - 1) * PAGE + 1
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{first:,} to {first + len(listed) - 1:,} of {total:,} calls in {escape.markdown(lab.path.name)}")
        if pages > 1:
            st.number_input(f"Page, of {pages:,}", 1, pages, number, key="page", bind="query-params", width=160)
    if not st.query_params.get("call"):
        st.caption("Select a row to open the call.")


def chosen(key: str) -> None:
    """A row was clicked: its call is opened, in the address; the same row again closes it."""
    rows = st.session_state[key].selection.rows
    listed = st.session_state.get("listed") or []
    if rows and rows[0] < len(listed):
        st.query_params["call"] = listed[rows[0]]
    else:
        st.query_params.pop("call", None)


def texts(lab: Lab, listed: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What is shown of each call, and the numbers that texts are sorted by."""
    now, ids, times = st.query_params.get("call"), list(listed["call_id"]), list(listed["started_at"])
    noted = notes.of(lab.ledger, ids)
    tokens = listed["input_tokens"] + listed["output_tokens"]
    outcome = listed["kind"].where(listed["kind"].notna(), listed["status"])
    stars = ["★ " if noted.get(call, (False, ""))[0] else "" for call in listed["call_id"]]
    version = listed["prompt_version"].map(lambda value: "" if value != value or value is None else f" v{value:.0f}")
    shown = pd.DataFrame(
        {
            "when": [_when(at, call, now) for call, at in zip(ids, times, strict=True)],
            "model": [star + model for star, model in zip(stars, listed["model"], strict=True)],
            "outcome": [
                palette.outcome(name) + (", cached" if kept else "")
                for name, kept in zip(outcome, listed["cached"], strict=True)
            ],
            "total": listed["elapsed"],
            "first token": [drawing.seconds(value) for value in listed["ttft"]],
            "thinking": [drawing.seconds(value) for value in listed["thinking"].astype(float)],
            "cost": [drawing.dollars(value) for value in listed["cost"]],
            "tokens": [drawing.whole(value) for value in tokens],
            "prompt": [one_line(text, 160) if isinstance(text, str) else "" for text in listed["prompt"]],
            "answer": [one_line(text, 160) if isinstance(text, str) else "" for text in listed["answer"]],
            "attempts": listed["n_attempts"],
            "user": listed["user"].fillna(""),
            "tags": [", ".join(tags) for tags in listed["tags"]],
            "prompt version": listed["prompt_name"].fillna("") + version,
            "experiment": listed["experiment"].fillna(""),
            "job": listed["job"].fillna(""),
            "note": [one_line(noted.get(call, (False, ""))[1], 80) for call in listed["call_id"]],
        }
    )
    numbers = {"first token": listed["ttft"], "thinking": listed["thinking"], "cost": listed["cost"], "tokens": tokens}
    return shown, pd.DataFrame(numbers)


def _when(at: pd.Timestamp, call: str, now: str | None) -> str:
    """A moment (UTC); shorter where a call is open, and marked if it is this one."""
    return f"{at:%m-%d %H:%M:%S}" if now is None else f"{'▸ ' if call == now else ''}{at:%m-%d %H:%M}"


def _beside() -> dict[str, Any]:
    """The columns where a call is open beside them."""
    widths = {"when": 98, "model": 128, "outcome": 104, "total": 68}
    return {name: st.column_config.Column(name.capitalize(), width=width) for name, width in widths.items()}


def dyed(shown: pd.DataFrame, numbers: pd.DataFrame) -> Any:
    """The table, each outcome on its colour."""
    colours = {palette.outcome(name): colour for name, (_sign, colour) in palette.OUTCOMES.items()}
    styled = drawing.sortable(shown, numbers)
    return styled.map(
        lambda text: f"background-color: {colours.get(text.removesuffix(', cached'), palette.GREY)}40",
        subset=["outcome"],
    )


def beside(lab: Lab, call_id: str) -> None:
    """The call that is open, with the ones before and after it in the list; Back closes it."""
    listed = st.session_state.get("listed") or []
    place = listed.index(call_id) if call_id in listed else None
    st.subheader(f"Call {escape.markdown(call_id)}", anchor=False)
    with st.container(horizontal=True, vertical_alignment="center"):
        for label, icon, step, key in (("Previous", "arrow_upward", -1, "K"), ("Next", "arrow_downward", 1, "J")):
            there = place is not None and 0 <= place + step < len(listed)
            st.button(
                label,
                icon=f":material/{icon}:",
                shortcut=key,
                key=f"step-{label}",
                disabled=not there,
                on_click=go,
                args=(listed[place + step] if place is not None and there else call_id,),
            )
        st.button("Close", icon=":material/close:", on_click=close)
    opened.detail(lab, call_id)


def go(call_id: str) -> None:
    """To another call."""
    st.query_params["call"] = call_id
    st.session_state["closed"] = st.session_state.get("closed", 0) + 1


def close() -> None:
    """Back to the list alone; it forgets what was selected."""
    st.query_params.pop("call", None)
    st.session_state["closed"] = st.session_state.get("closed", 0) + 1


def _ordered(order: str) -> str:
    """An order as a person reads it."""
    by = {"slowest": "total", "fastest": "total", "longest": "tokens", "shortest": "tokens"}
    return f"{order} ({by[order]})" if order in by else order


page()
