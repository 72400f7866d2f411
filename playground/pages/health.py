"""Health: the figures to watch, over time, and the alerts with how far each is from firing; refreshing by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from lab import Lab, errors, metrics
from lab.metrics import alerts
from lab.show import charts, units
from playground.parts import backend, drawing, empty, escape, filters, state

EVERY = 5
"""Seconds between two looks."""
DEFAULT = "1 h"
BINS = 24
"""Points of the line under a figure."""
MOST = 8
"""Models that have a picture of their own."""


def page() -> None:
    """Alerts, tiles, the figures by model; all of it again every few seconds."""
    figures()


@st.fragment(run_every=EVERY)
def figures() -> None:
    """What is drawn again."""
    lab, narrow = backend.lab(), filters.chosen()
    span = st.session_state.get("span") or DEFAULT
    seconds, now = metrics.parse_span(span), time.time()
    narrow["since"] = now - seconds
    earlier = {**narrow, "since": now - 2 * seconds, "until": now - seconds}
    before = metrics.metrics(lab.ledger, by=("lane",), only=("outcomes", "costs"), **earlier)
    whole = metrics.metrics(lab.ledger, by=("lane",), **narrow)
    by_model = metrics.metrics(lab.ledger, by=("model",), **narrow)
    watch(lab, nothing=by_model.empty)
    try:
        jobs(lab)
    except errors.LabError as away:
        st.warning(escape.markdown(away), icon=":material/database_off:")
    clock = f"{datetime.now(UTC):%H:%M:%S} UTC"
    if by_model.empty:
        st.caption(f"{escape.markdown(clock)}: no call in the last {span} ({filters.words()}).")
        empty.offer()
        rules(lab)
        return
    st.caption(
        f"{escape.markdown(clock)}: the last {span}; {filters.words()}. Looked at again every {EVERY} seconds. Lines"
        f" are of that time, changes against the {span} before it."
    )
    over = metrics.figures_over_time(lab.ledger, until=now, bins=BINS, **narrow)
    tiles(whole, by_model, before, over)
    multiples(lab, narrow, now, by_model)
    rules(lab)
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
def standing(path: str, _lab: Lab) -> tuple[list[alerts.Alert], list[alerts.Standing], str | None]:
    """The alerts that fire, and how far the others are from it, looked for at most every 20 seconds; or why they can't
    be."""
    try:
        return _lab.alerts(), _lab.standing(), None
    except (ValueError, errors.LabError) as odd:
        return [], [], str(odd)


def watch(lab: Lab, *, nothing: bool) -> None:
    """What fires, or that nothing does; where nothing was called, that is no good news."""
    fired, _standing, wrong = standing(str(lab.path), lab)
    if wrong:
        st.warning(f"The alerts can't be looked for: {escape.markdown(wrong)}", icon=":material/rule:")
    for alert in fired:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.badge(escape.markdown(alert.name), icon=":material/notifications_active:", color="red")
            st.text(alert.message)
    if fired or wrong:
        return
    if nothing:
        st.badge("Nothing to go by: no calls", icon=":material/hourglass_empty:", color="gray")
    else:
        st.badge("No alert fires", icon=":material/check:", color="green")


def rules(lab: Lab) -> None:
    """Each rule, and how far it is from firing."""
    _alerts, standings, _wrong = standing(str(lab.path), lab)
    if not standings:
        return
    with st.expander("The rules, and how far each is from firing", icon=":material/rule:"):
        rows = pd.DataFrame(
            {
                "rule": [row.rule.name for row in standings],
                "way to firing": [None if row.value is None else 100 * row.share for row in standings],
                "now": ["fires" if row.fires else row.say() for row in standings],
                "nearest": [row.group or "" for row in standings],
                "looked at": [
                    f"{row.rule.figure.replace('_', ' ')} of the last {units.span(row.rule.over)}" for row in standings
                ],
            }
        )
        bar = st.column_config.ProgressColumn("Way to firing", format="%.0f %%", min_value=0, max_value=100)
        st.dataframe(rows, hide_index=True, key="rules", column_config={"way to firing": bar})


def jobs(lab: Lab) -> None:
    """How deep the queue is, how long the oldest job has waited, and the webhooks that nobody heard."""
    queue = lab.jobs_waiting()
    if queue is None or not (queue["running"] or queue["waiting"] or queue["dead"]):
        return
    cells = st.columns(4)
    waiting, oldest = queue["waiting"], queue["oldest"]
    cells[0].metric("Jobs running", f"{queue['running']:,}")
    cells[1].metric(
        "Jobs waiting",
        f"{waiting:,}",
        delta=f"the oldest for {units.duration(oldest)}" if waiting else None,
        delta_color="off",
        delta_arrow="off",
    )
    cells[2].metric("Workers", f"{queue['workers']:,}")
    cells[3].metric("Webhooks given up", f"{len(queue['dead']):,}", help="In the last 7 days, and not told since")


def tiles(whole: pd.DataFrame, by_model: pd.DataFrame, before: pd.DataFrame, over: pd.DataFrame) -> None:
    """The sums over all models, each with its line and its change."""
    calls, ended = whole["calls"].sum(), whole["ended"].sum()
    was_calls, was_ended = before["calls"].sum(), before["ended"].sum()
    cells = st.columns(4)
    line(cells[0], "Calls", f"{calls:,}", over["calls"], change(calls, was_calls), "off")
    good = 1 - whole["failed"].sum() / ended if ended else None
    was_good = 1 - before["failed"].sum() / was_ended if was_ended else None
    points = None if good is None or was_good is None else f"{100 * (good - was_good):+.1f} points"
    line(cells[1], "Success", "–" if good is None else f"{good:.1%}", over["success"], points, "normal")
    place: Any = by_model["elapsed_p95"].idxmax() if by_model["elapsed_p95"].notna().any() else None
    slow = None if place is None else by_model.loc[place]
    p95 = "too few" if slow is None else units.seconds(slow["elapsed_p95"])
    why = None if slow is None else escape.markdown(slow["model"])
    line(
        cells[2], "Slowest model's p95", p95, over["p95"], None, "off", "The line is that of all calls. " + (why or "")
    )
    spent, was_spent = by_model["cost"].fillna(0).sum(), before["cost"].fillna(0).sum()
    line(cells[3], "Spent", metrics.money(spent), over["cost"], change(spent, was_spent), "inverse")
    more(whole, calls)


def line(
    cell: Any, label: str, value: str, points: pd.Series, delta: str | None, colour: str, help: str | None = None
) -> None:
    """One figure with its line."""
    known = [float(point) for point in points if point == point]
    cell.metric(
        label,
        value,
        delta=delta,
        delta_color=colour,
        help=help,
        border=True,
        height="stretch",
        chart_data=known if len(known) > 1 else None,
        chart_type="line",
    )


def change(now: float, before: float) -> str | None:
    """A change against the period before, in percent."""
    return f"{100 * (now / before - 1):+.0f} %" if before else None


def more(whole: pd.DataFrame, calls: float) -> None:
    """What runs now, and what was done about trouble."""
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


def multiples(lab: Lab, narrow: dict[str, Any], now: float, by_model: pd.DataFrame) -> None:
    """p95 and success of each model over time, small, the busiest models first."""
    models = list(by_model.sort_values("calls", ascending=False)["model"].head(MOST))
    over = metrics.figures_over_time(lab.ledger, "model", until=now, bins=BINS, **narrow)
    span = (float(narrow["since"]), now)
    colours = lab.colours(*models)
    for value, title, format in (("p95", "p95 by model, seconds", ".2~f"), ("success", "Success by model", ".0%")):
        drawn = {model: over[over["group"] == model] for model in models}
        drawn = {model: frame for model, frame in drawn.items() if frame[value].notna().sum() > 1}
        if not drawn:
            continue
        left = len(by_model) - len(drawn)
        few = f"{left:,} more are in the table: too few calls for a picture." if left else ""
        drawing.section(title, few)
        draw = partial(one, value=value, format=format, colours=colours, span=span)
        small(drawn, draw, value)


def one(
    frame: pd.DataFrame,
    model: str,
    *,
    value: str,
    format: str,
    colours: Mapping[str, str],
    span: tuple[float, float],
) -> Any:
    """A model's picture."""
    return charts.multiple(frame, value, model, colours[model], format, span=span)


def small(frames: dict[str, pd.DataFrame], draw: Callable[[pd.DataFrame, str], Any], name: str) -> None:
    """Small charts beside each other, as many as there is room for."""
    with st.container(horizontal=True, key=f"small-{name}"):
        for model, frame in frames.items():
            with st.container(width=250):
                st.altair_chart(draw(frame, model), key=f"{name}-{model}", width="content", alt=f"{name} over time")


page()
