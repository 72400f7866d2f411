"""Calls: every call so far, newest first; one opens to its attempts."""

from __future__ import annotations

import math

import streamlit as st

from lab import Lab, display
from lab.tables import STATUSES
from playground import parts

PAGE = 50
_COLUMNS = {
    "started_at": st.column_config.DatetimeColumn("When (UTC)", format="YYYY-MM-DD HH:mm:ss", width=150),
    "model": st.column_config.TextColumn("Model", width=130),
    "outcome": st.column_config.TextColumn("Outcome", width=90),
    "first token": st.column_config.TextColumn("First token", width=85),
    "total": st.column_config.TextColumn("Total", width=70),
    "cost": st.column_config.TextColumn("Cost", width=85),
    "n_attempts": st.column_config.NumberColumn("Attempts", width=75),
    "prompt": st.column_config.TextColumn("Prompt", width=300),
    "answer": st.column_config.TextColumn("Answer", width=500),
}
_ATTEMPTS = """
    number role status kind http_status wait connect ttft latency cost input_tokens output_tokens way loop_lag saturated
""".split()


def page() -> None:
    """Filters, one page of the list, and the call that was opened."""
    lab = parts.get_lab()
    filters = asked(lab)
    total = lab.count(**filters)
    if total:
        chosen = listing(lab, filters, total)
        if chosen:
            st.query_params["call"] = chosen
    elif any(filters.values()):
        st.info("No call matches. Clear a filter, or search for other words.", icon=":material/search_off:")
    else:
        st.info("No calls yet. Run a prompt on the Compare page, and it is listed here.", icon=":material/list:")
    if opened := st.query_params.get("call"):
        one(lab, opened)
    elif total:
        st.caption("Select a row to open the call.")


def asked(lab: Lab) -> dict[str, str | None]:
    """The filters; they are in the page's address, so that a view can be sent to a colleague."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        search = st.text_input(
            "Search", key="search", bind="query-params", placeholder="words in the prompt or the answer"
        )
        model = st.selectbox(
            "Model", lab.models(), index=None, placeholder="all", key="model", bind="query-params", width=240
        )
        status = st.selectbox(
            "Outcome", STATUSES, index=None, placeholder="all", key="status", bind="query-params", width=160
        )
    return {"search": search, "model": model, "status": status}


def listing(lab: Lab, filters: dict[str, str | None], total: int) -> str | None:
    """One page of calls, fetched as one page; the identifier of the selected one."""
    pages = math.ceil(total / PAGE)
    number = min(pages, st.session_state.get("page") or 1)
    found = lab.calls(**filters, limit=PAGE, offset=(number - 1) * PAGE)
    found["outcome"] = found["kind"].where(found["kind"].notna(), found["status"])
    for name, source in (("first token", "ttft"), ("total", "latency")):
        found[name] = [display.seconds(None if value != value else value) for value in found[source]]
    found["cost"] = [display.dollars(None if value != value else value) for value in found["cost"]]
    for name in ("prompt", "answer"):
        found[name] = [display.shorten(text, 160) if isinstance(text, str) else "" for text in found[name]]
    event = st.dataframe(
        found,
        column_order=list(_COLUMNS),
        column_config=_COLUMNS,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        height=min(460, 40 + 35 * len(found)),
        key=f"list-{number}-{filters}",
    )
    first = (number - 1) * PAGE + 1
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{first:,} to {first + len(found) - 1:,} of {total:,} calls in {lab.path.name}")
        if pages > 1:
            st.number_input(f"Page, of {pages:,}", 1, pages, number, key="page", bind="query-params", width=160)
    rows = event.selection.rows
    return found["call_id"].iloc[rows[0]] if rows and rows[0] < len(found) else None


def one(lab: Lab, call_id: str) -> None:
    """One call: figures, attempts, input, output, configuration."""
    texts, attempts = lab.texts(call_id), lab.attempts(call_id)
    if texts is None:
        st.warning(f"No call {call_id} in this ledger.", icon=":material/search_off:")
        return
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader(f"Call {call_id}", anchor=False)
        if st.button("Close", icon=":material/close:"):
            st.query_params.pop("call")
            st.rerun()
    if attempts.empty:
        st.caption("No request was sent: the call was refused before that.")
    else:
        shown = attempts[_ATTEMPTS].dropna(axis="columns", how="all")
        st.dataframe(shown.rename(columns=_plain), hide_index=True, key="attempts")
        for error in attempts["error"].dropna():
            st.text(error)
    if not texts["kept"]:
        st.caption("The words of this call were not kept: their hashes and sizes (characters) are.")
        st.json(texts["digest"] or {}, expanded=2)
    left, right = st.columns(2)
    with left.container(border=True):
        st.caption("Input")
        for message in texts["messages"]:
            st.caption(str(message.get("role")))
            content = message.get("content")
            st.text(content if isinstance(content, str) else str(content))
    with right.container(border=True):
        st.caption("Output")
        st.text(texts["answer"] if texts["answer"] else "nothing")
    with st.expander("Configuration"):
        st.json(texts["config"] or {})


def _plain(column: str) -> str:
    """A column's name as a person reads it, with its unit."""
    unit = (
        " (s)" if column in ("wait", "connect", "ttft", "latency", "loop_lag") else " ($)" if column == "cost" else ""
    )
    return {"ttft": "first token"}.get(column, column.replace("_", " ")) + unit


page()
