"""Health: the figures to watch and the alerts, refreshing by themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from lab import Lab, errors, metrics
from lab.metrics import alerts
from lab.show import units
from playground.parts import backend, drawing, escape, filters, state

EVERY = 5
"""Seconds between two looks."""
DEFAULT = "1 h"


def page() -> None:
    """Alerts, tiles, the figures by model; all of it again every few seconds."""
    figures()


@st.fragment(run_every=EVERY)
def figures() -> None:
    """What is drawn again."""
    lab, narrow = backend.lab(), filters.chosen()
    span = st.session_state.get("span") or DEFAULT
    narrow["since"] = metrics.since_of(span)
    watch(lab)
    try:
        jobs(lab)
    except errors.LabError as away:
        st.warning(escape.markdown(away), icon=":material/database_off:")
    whole = metrics.metrics(lab.ledger, by=("lane",), **narrow)
    by_model = metrics.metrics(lab.ledger, by=("model",), **narrow)
    now = f"{datetime.now(UTC):%H:%M:%S} UTC"
    if by_model.empty:
        st.caption(f"{now}: no call in the last {span} ({filters.words()}).")
        return
    st.caption(f"{now}: the last {span}; {filters.words()}. Looked at again every {EVERY} seconds.")
    tiles(whole, by_model)
    drawing.section("By model", "95 % intervals in brackets; times are what callers waited in all.")
    shown = metrics.readable(by_model)
    drawing.table(shown, "health", by_model, metrics.beneath(by_model))
    saturated, batched, cached = (int(by_model[name].sum()) for name in ("saturated", "batched", "cached"))
    st.caption(
        f"Times leave out {saturated:,} answers of a saturated client, {batched:,} out of batches and {cached:,} out of"
        " the store."
    )
    state.table(lab)


@st.cache_data(show_spinner=False, ttl=20)
def firing(path: str, _lab: Lab) -> tuple[list[alerts.Alert], str | None]:
    """The alerts, looked for at most every 20 seconds; or why they can't be."""
    try:
        return _lab.alerts(), None
    except (ValueError, errors.LabError) as odd:
        return [], str(odd)


def watch(lab: Lab) -> None:
    """What fires, or that nothing does."""
    fired, wrong = firing(str(lab.path), lab)
    if wrong:
        st.warning(f"The alerts can't be looked for: {escape.markdown(wrong)}", icon=":material/rule:")
    for alert in fired:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.badge(escape.markdown(alert.name), icon=":material/notifications_active:", color="red")
            st.text(alert.message)
    if not fired and not wrong:
        st.badge("No alert fires", icon=":material/check:", color="green")


def jobs(lab: Lab) -> None:
    """How deep the queue is, how long the oldest job has waited, and the webhooks that nobody heard."""
    found = lab.jobs_waiting()
    if found is None:
        return
    cells = st.columns(4)
    waiting, oldest = found["waiting"], found["oldest"]
    cells[0].metric("Jobs running", f"{found['running']:,}")
    cells[1].metric(
        "Jobs waiting",
        f"{waiting:,}",
        delta=f"the oldest for {units.duration(oldest)}" if waiting else None,
        delta_color="off",
        delta_arrow="off",
    )
    cells[2].metric("Workers", f"{found['workers']:,}")
    cells[3].metric("Webhooks given up", f"{len(found['dead']):,}", help="In the last 7 days, and not told since")


def tiles(whole: pd.DataFrame, by_model: pd.DataFrame) -> None:
    """The sums over all models."""
    calls, ended = whole["calls"].sum(), whole["ended"].sum()
    cells = st.columns(4)
    cells[0].metric("Calls", f"{calls:,}")
    good = 1 - whole["failed"].sum() / ended if ended else float("nan")
    cells[1].metric("Success", f"{good:.1%}" if ended else "–")
    place: Any = by_model["elapsed_p95"].idxmax() if by_model["elapsed_p95"].notna().any() else None
    slow = None if place is None else by_model.loc[place]
    p95 = "too few" if slow is None else units.seconds(slow["elapsed_p95"])
    cells[2].metric("Slowest model's p95", p95, help=None if slow is None else escape.markdown(slow["model"]))
    cells[3].metric("Spent", metrics.money(by_model["cost"].fillna(0).sum()), help="As far as prices are known")
    cells = st.columns(4)
    oldest = whole["oldest_waiting"].max()
    waiting = int(whole["waiting"].sum())
    cells[0].metric(
        "Running, waiting",
        f"{whole['running'].sum():,}, {waiting:,}",
        help="Calls in flight, and those that wait for their first request",
        delta=f"oldest {units.seconds(oldest)}" if waiting else None,
        delta_color="off",
    )
    share = {
        name: (whole[name] * whole["calls"]).sum() / calls for name in ("retry_rate", "hedge_rate", "fallback_rate")
    }
    cells[1].metric("Retried, hedged", f"{share['retry_rate']:.1%}, {share['hedge_rate']:.1%}")
    cells[2].metric("Fell back", f"{share['fallback_rate']:.1%}")
    checked = whole["checked"].sum()
    invalid = (whole["invalid"].fillna(0) * whole["checked"]).sum() / checked if checked else None
    cells[3].metric("Failed their checks", "–" if invalid is None else f"{invalid:.1%}")


page()
