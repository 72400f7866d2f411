"""Failures: which, when and whose; what was recovered; and a bench to try a policy against faults on."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from lab import Breaker, Fallback, Hedge, Lab, Policy, Retry, Timeout, errors, metrics
from lab.show import charts
from lab.sim.faults import FAULTS
from playground.parts import backend, drawing, empty, filters, state

MOST = 20
"""Calls of one try."""


def page() -> None:
    """Kinds over time and by model, rate limits, breakers, the bench."""
    lab, narrow = backend.lab(), filters.chosen()
    failures = metrics.failures(lab.ledger, **narrow)
    if failures.empty:
        if lab.count():
            st.info(f"Nothing failed ({filters.words()}).", icon=":material/check:")
        else:
            empty.nothing("No call yet, and so no failure. Try a policy below, or run a prompt.", narrowed=False)
    else:
        kinds(lab, failures, narrow)
    limits(lab, metrics.rate_limits(lab.ledger, **narrow))
    state.table(lab)
    bench()


def kinds(lab: Lab, failures: pd.DataFrame, narrow: dict[str, Any]) -> None:
    """What users felt, over time, and beside it what retries recovered."""
    over = metrics.failures_over_time(lab.ledger, **narrow)
    if not over.empty:
        drawing.section("Calls that failed in the end", "By kind; failures that a retry recovered are not in it.")
        drawn = charts.stacked(over, "calls", "kind", "failed calls", format="~d", colours=drawing.KINDS)
        drawing.chart(drawn, over, "failures-over-time", "Failed calls over time by kind")
    drawing.section("By model and kind", "`recovered` counts requests that failed so in calls that ended well.")
    shown = failures.assign(
        kind=failures["kind"].str.replace("_", " "), detail=failures["detail"].str.replace("_", " ")
    )
    drawing.table(shown, "failures", failures, height=280)


def limits(lab: Lab, limited: pd.DataFrame) -> None:
    """Requests that were told to come more slowly."""
    drawing.section("Rate limits", "Requests that were answered with 429.")
    if limited.empty:
        st.caption("None.")
        return
    colours = lab.colours(*limited["model"].drop_duplicates())
    drawn = charts.stacked(limited, "requests", "model", "requests", format="~d", colours=colours)
    drawing.chart(drawn, limited, "rate-limits", "Requests over the rate limit, over time by model")


@st.cache_resource(show_spinner=False)
def aside() -> Lab:
    """A Lab for trials, on a ledger of its own: made-up failures are not to be found among real ones."""
    return Lab(Path(tempfile.mkdtemp(prefix="lab-trial-")) / "trial.db", policy=Policy(retry=None, breaker=None))


def bench() -> None:
    """A policy against faults: each call, each attempt."""
    drawing.section(
        "Try a policy", "Simulated calls with the faults you choose, on a ledger of their own: they are in no figure."
    )
    with st.form("bench", border=True):
        left, right = st.columns(2)
        faults = left.multiselect(
            "Faults",
            list(FAULTS),
            default=["http_500"],
            format_func=_fault,
            key="faults",
        )
        share = left.slider("Share of requests", 0.0, 1.0, 0.4, 0.05, key="share")
        many = left.slider("Calls", 1, MOST, 6, key="many")
        attempts = right.slider("Attempts (retry)", 1, 6, 3, key="attempts")
        limit = right.number_input("Seconds for an attempt", 0.2, 60.0, 4.0, 0.2, key="limit")
        with right.container(horizontal=True):
            hedge = st.checkbox("Hedge after 1 s", key="hedge")
            fallback = st.checkbox("Fall back to sim/steady", key="fallback")
            breaker = st.checkbox("Breaker", key="breaker")
        sent = st.form_submit_button("Run", icon=":material/play_arrow:", type="primary")
    if sent:
        policy = Policy(
            timeout=Timeout(attempt=limit, total=30),
            retry=Retry(attempts=attempts) if attempts > 1 else None,
            hedge=Hedge(after=1.0, budget=1.0) if hedge else None,
            fallback=Fallback("sim/steady") if fallback else None,
            breaker=Breaker(min_calls=4, cooldown=2) if breaker else None,
        )
        model = "sim/heavy-tail" + "".join(f"+{name}:{share / len(faults):.3f}" for name in faults)
        with st.spinner("Running …"):
            st.session_state["trial"] = trial(policy, model, many)
        st.session_state["trial_policy"] = policy
    if "trial" in st.session_state:
        outcome(st.session_state["trial"], st.session_state["trial_policy"])


def _fault(name: str) -> str:
    """A fault as a person reads it: what it is, and no number twice."""
    words, about = name.replace("_", " ").replace("http", "HTTP"), FAULTS[name].about
    number, _, rest = about.partition(", ")
    if number in words:
        about = rest
    return f"{words}: {about}" if about else words


def trial(policy: Policy, model: str, many: int) -> list[str]:
    """Run the calls at once; their identifiers."""
    lab = aside()
    streams = [lab.stream(f"call {number}", model=model, policy=policy) for number in range(1, many + 1)]
    calls: list[str | None] = []
    for stream in streams:
        try:
            list(stream)
            calls.append(stream.reply.call_id)
        except errors.LabError as failure:
            calls.append(failure.call_id)  # it is on the ledger, and shown from there
    return [call for call in calls if call]


def outcome(calls: list[str], policy: Policy) -> None:
    """How it went, in a line; then every call with its attempts."""
    traces = [aside().trace(call) for call in calls]
    good = sum(trace.call["status"] == "ok" for trace in traces)
    requests = sum(len(trace.attempts) for trace in traces)
    st.markdown(f"**{good} of {len(traces)} calls succeeded, with {requests} requests.**")
    with st.expander("The policy, outermost first"):
        st.html(policy.explain()._repr_html_())
    for trace in traces:
        st.html(trace._repr_html_())


page()
