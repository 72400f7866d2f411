"""Calls: every call so far, newest first; one opens to its attempts."""

from __future__ import annotations

import math
from typing import Any, get_args

import streamlit as st

from lab import Lab, errors
from lab.ledger import batches
from lab.ledger.queries import ORDERS, STATUSES
from lab.show.text import one_line
from playground.parts import backend, drawing, escape, filters

PAGE = 50
KINDS = get_args(errors.Kind)
_COLUMNS = {
    "started_at": st.column_config.DatetimeColumn("When (UTC)", format="YYYY-MM-DD HH:mm:ss", width=150),
    "model": st.column_config.TextColumn("Model", width=130),
    "outcome": st.column_config.TextColumn("Outcome", width=90),
    "ttft": st.column_config.NumberColumn("First token", width=85),
    "elapsed": st.column_config.NumberColumn(
        "Total", width=75, help="What its caller waited, retries and waits included"
    ),
    "cost": st.column_config.NumberColumn("Cost", width=85),
    "tokens": st.column_config.NumberColumn("Tokens", width=75, help="Of the prompt and of the answer"),
    "n_attempts": st.column_config.NumberColumn("Attempts", width=75),
    "prompt": st.column_config.TextColumn("Prompt", width=300),
    "answer": st.column_config.TextColumn("Answer", width=500),
}
_SHOWN: dict[Any, Any] = {
    "ttft": drawing.seconds,
    "elapsed": drawing.seconds,
    "cost": drawing.dollars,
    "tokens": drawing.whole,
}
_ATTEMPTS = """
    number role status kind http_status wait connect ttft latency cost input_tokens output_tokens way loop_lag saturated
""".split()


def page() -> None:
    """Filters, one page of the list, and the call that was opened."""
    lab = backend.lab()
    narrow, order = asked()
    total = lab.count(**narrow)
    if total:
        chosen = listing(lab, narrow, total, order)
        if chosen:
            st.query_params["call"] = chosen
    elif any(narrow.values()):
        st.info("No call matches. Clear a filter, or search for other words.", icon=":material/search_off:")
    else:
        st.info("No calls yet. Run a prompt on the Compare page, and it is listed here.", icon=":material/list:")
    if call_id := st.query_params.get("call"):
        detail(lab, call_id)
    elif total:
        st.caption("Select a row to open the call.")


def asked() -> tuple[dict[str, Any], str]:
    """The filters and the order; they are in the page's address, so that a view can be sent to a colleague."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        search = st.text_input(
            "Search", key="search", bind="query-params", placeholder="words in the prompt or the answer"
        )
        status = st.selectbox(
            "Outcome", STATUSES, index=None, placeholder="all", key="status", bind="query-params", width=150
        )
        kind = st.selectbox(
            "Kind of failure", KINDS, index=None, placeholder="all", key="kind", bind="query-params", width=180
        )
        order = st.selectbox(
            "Order",
            list(ORDERS),
            format_func=_ordered,
            key="order",
            bind="query-params",
            width=180,
            help="Over all calls. A click on a column's head sorts what is shown.",
        )
    return {**filters.chosen(), "search": search, "status": status, "kind": kind}, order


def listing(lab: Lab, narrow: dict[str, Any], total: int, order: str) -> str | None:
    """One page of calls, fetched as one page; the identifier of the selected one."""
    pages = math.ceil(total / PAGE)
    number = min(pages, st.session_state.get("page") or 1)
    listed = lab.calls(**narrow, limit=PAGE, offset=(number - 1) * PAGE, order=order)
    listed["outcome"] = listed["kind"].where(listed["kind"].notna(), listed["status"])
    listed["tokens"] = listed["input_tokens"] + listed["output_tokens"]
    for name in ("prompt", "answer"):
        listed[name] = [one_line(text, 160) if isinstance(text, str) else "" for text in listed[name]]
    texts = listed[[*_COLUMNS]].assign(**{name: listed[name].map(say) for name, say in _SHOWN.items()})
    view = [order, *(value for name, value in narrow.items() if name != "since")]
    event = st.dataframe(
        drawing.sortable(texts, listed[[*_SHOWN]]),
        column_order=list(_COLUMNS),
        column_config=_COLUMNS,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        height=min(460, 40 + 35 * len(listed)),
        key=f"list-{st.session_state.get('closed', 0)}-{number}-{view}",
    )
    first = (number - 1) * PAGE + 1
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{first:,} to {first + len(listed) - 1:,} of {total:,} calls in {escape.markdown(lab.path.name)}")
        if pages > 1:
            st.number_input(f"Page, of {pages:,}", 1, pages, number, key="page", bind="query-params", width=160)
    rows = event.selection.rows
    return listed["call_id"].iloc[rows[0]] if rows and rows[0] < len(listed) else None


def detail(lab: Lab, call_id: str) -> None:
    """One call: its timeline, attempts, checks, input, output, prompt version, configuration."""
    try:
        trace = lab.trace(call_id)
    except ValueError:
        st.warning(f"No call {escape.markdown(call_id)} in this ledger.", icon=":material/search_off:")
        return
    call, texts, attempts = trace.call, trace.said, trace.attempts
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader(f"Call {escape.markdown(call['call_id'])}", anchor=False)
        if st.button("Close", icon=":material/close:"):
            st.query_params.pop("call", None)
            st.session_state["closed"] = st.session_state.get("closed", 0) + 1  # the list forgets what was selected
            st.rerun()
    st.html(trace._repr_html_())
    if attempts.empty:
        st.caption("No request was sent: the call was refused before that.")
    else:
        shown = attempts[_ATTEMPTS].dropna(axis="columns", how="all")
        drawing.table(shown.rename(columns=_plain), "attempts", attempts)
        for error in attempts["error"].dropna():
            st.text(error)
    if not trace.checks.empty:
        checks = trace.checks.drop(columns="parts")
        drawing.table(checks.dropna(axis="columns", how="all"), "checks", checks)
    words(texts)
    belongs(call)
    with st.expander("Configuration"):
        st.json(texts["config"] or {})


def words(texts: dict[str, Any]) -> None:
    """What was asked and answered, as text and nothing else."""
    if not texts["kept"]:
        st.caption("The words of this call were not kept: their hashes and sizes (characters) are.")
        st.json(texts["digest"] or {}, expanded=2)
    left, right = st.columns(2)
    with left.container(border=True):
        st.caption("Input")
        for number, message in enumerate(texts["messages"], 1):
            st.caption(escape.markdown(message.get("role")))
            content = message.get("content")
            drawing.text(content if isinstance(content, str) else str(content), f"input-{number}")
        if texts["left_out"]:
            with st.expander(f"{len(texts['left_out']):,} passages of it were left out when it was sent"):
                for number, passage in enumerate(texts["left_out"]):
                    drawing.text(passage, f"left-out-{number}")
    with right.container(border=True):
        st.caption("Output")
        drawing.text(texts["answer"] or "nothing", "output")


def belongs(call: dict[str, Any]) -> None:
    """What it was part of, and for whom."""
    prompt = None if call["prompt_name"] is None else f"{call['prompt_name']} version {call['prompt_version']}"
    facts = {"Prompt": prompt, "Experiment": call["experiment"], "User": call["user"], "Lane": call["lane"]}
    facts |= {"Tags": ", ".join(call["tags"]) or None, "Answered by": call["answered_by"]}
    if call["router"] is not None:
        facts["Sent by"] = way(call)
    if (batch := batches.of_call(backend.lab().ledger, call["call_id"])) is not None:
        facts["Out of a batch"] = f"{batch['name']} ({batch['service']}, {batch['model']})"
    if call["tokens_before"] is not None:
        sent, before = call["input_tokens"], call["tokens_before"]
        facts["Made shorter"] = f"{before:,.0f} → {sent:,.0f} tokens, {before / max(1, sent):.1f} times fewer"
    facts |= {"Finish reason": call["finish_reason"], "Started (Unix)": f"{call['started_at']:.3f}"}
    st.html(drawing.facts({name: str(value) for name, value in facts.items() if value is not None}))


def way(call: dict[str, Any]) -> str:
    """Where its router has sent it, and why."""
    if call["route_score"] is None:
        return f"{call['router']} to {call['routed_to']}: {call['routed_why']}"
    side = "the other way, to look" if call["routed_why"] == "other way" else f"{call['route_cut']:+.3f} is the cut"
    return f"{call['router']} to {call['routed_to']}: {call['route_score']:+.3f} gain predicted, {side}"


def _ordered(order: str) -> str:
    """An order as a person reads it."""
    by = {"slowest": "total", "fastest": "total", "longest": "tokens", "shortest": "tokens"}
    return f"{order} ({by[order]})" if order in by else order


def _plain(column: str) -> str:
    """A column's name as a person reads it, with its unit."""
    unit = (
        " (s)" if column in ("wait", "connect", "ttft", "latency", "loop_lag") else " ($)" if column == "cost" else ""
    )
    return {"ttft": "first token"}.get(column, column.replace("_", " ")) + unit


page()
