"""Prompts: versions, what changed between them, how each does, and where the labels point; edited, and tried."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from lab import Lab, metrics
from lab.show import charts
from playground.parts import backend, choices, drawing, empty, escape, places, templates

FIGURES = {"score": ("Score", ".0%"), "p95": ("p95, seconds", ".2~f"), "cost": ("US dollars a call", "$~g")}


def page() -> None:
    """One prompt: versions, its template, results, changes, labels."""
    lab = backend.lab()
    listed = lab.prompts()
    if listed.empty:
        empty.nothing(
            "No prompt has a version yet. Write one on the Compare page, under Over a set, or take one of the examples"
            " there: the first run gives it version 1.",
            ":material/description:",
            mode="Over a set",
            narrowed=False,
        )
        return
    names = list(dict.fromkeys(listed["name"]))
    left, right = st.columns([2, 3], gap="large")
    with left:
        name = st.selectbox("Prompt", names, key="name", bind="query-params")
        mine = listed[listed["name"] == name].reset_index(drop=True)
        versions(mine)
        labels(lab, name, list(mine["version"]))
    with right:
        template(lab, name, list(mine["version"]))
    results(lab, name)
    changes(lab, name, list(mine["version"]))


def versions(mine: pd.DataFrame) -> None:
    """A row a version, newest first."""
    drawing.section("Versions", "A version is its content: edited in place, it is a new one.")
    shown = pd.DataFrame(
        {
            "version": mine["version"],
            "labels": mine["labels"],
            "first used (UTC)": mine["created_at"].dt.strftime("%Y-%m-%d %H:%M"),
            "calls": mine["calls"],
        }
    )
    drawing.table(shown, "versions", mine, height=min(248, 40 + 35 * len(mine)))


def template(lab: Lab, name: str, numbers: list[int]) -> None:
    """The template of one version, to be read, edited, saved and tried."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        key = f"edited-{name}"
        if "saved_version" in st.session_state:
            st.session_state[key] = st.session_state.pop("saved_version")
        number = st.selectbox("Version", numbers, key=key, width=120)
        tried = st.button("Try in Compare", icon=":material/view_column:")
        set_tried = st.button("Try over a set", icon=":material/fact_check:")
    old = lab.prompt(name, version=number)
    new = templates.edited(old, "page")
    saved = templates.save(lab, old, new, "page")
    if saved is not None:
        st.session_state["saved_version"] = saved
        st.toast(f"Saved as version {saved:d}")
        st.rerun()
    if tried:
        places.try_prompt(f"{name} v{number}", "saved", "Ask once")
    if set_tried:
        places.try_prompt(f"{name} v{number}", "grid_prompts", "Over a set")


def results(lab: Lab, name: str) -> None:
    """Score, p95 and cost of each version, model by model."""
    drawing.section("Results by version", "Dots, with their 95 % intervals; a colour a model, the same on every page.")
    figures = metrics.by_version(lab.ledger, name)
    if figures.empty:
        st.caption("No call yet, or too few.")
        return
    colours = lab.colours(*figures["model"].drop_duplicates())
    models = sorted(figures["model"].unique())
    st.html(drawing.legend({model: colours[model] for model in models}))
    for (figure, (title, format)), column in zip(FIGURES.items(), st.columns(3), strict=True):
        mine = figures[figures["figure"] == figure]
        with column:
            if mine.empty:
                st.caption(title)
                st.caption("None yet, or too few answers.")
                continue
            chart = charts.versions(mine, title, format, colours=colours)
            st.altair_chart(chart, key=f"by-version-{figure}", alt=f"{title} by version and model, with intervals")
    whole(lab, name)


def whole(lab: Lab, name: str) -> None:
    """All figures, for who wants them."""
    with st.expander("All figures"):
        by = ("prompt_version", "model")
        every = metrics.metrics(lab.ledger, by=by, prompt=name)
        every = every.sort_values(["prompt_version", "model"], ascending=[False, True])
        shown = metrics.readable(every, by).rename(columns=drawing.column_name)
        drawing.table(shown, "results-by-version", every, metrics.beneath(every))


def changes(lab: Lab, name: str, numbers: list[int]) -> None:
    """Two versions against each other, word by word."""
    if len(numbers) < 2:
        return
    drawing.section("What changed", "Struck out: no longer there. Underlined: new.")
    with st.container(horizontal=True):
        new = st.selectbox("Version", numbers, key="new", width=120)
        old = st.selectbox("against", [number for number in numbers if number != new], key="old", width=120)
    before, now = lab.prompt(name, version=old), lab.prompt(name, version=new)
    with st.container(border=True):
        if before.text() == now.text():
            st.caption("nothing")
        st.html(drawing.differing(before.text(), now.text()))


def labels(lab: Lab, name: str, numbers: list[int]) -> None:
    """Let a label point somewhere."""
    with st.expander("Move a label", icon=":material/sell:"):
        st.caption("A label, such as production, points at a version: `lab.prompt(name, label=...)` gets that one.")
        with st.form("label", border=False):
            with st.container(horizontal=True, vertical_alignment="bottom"):
                label = st.text_input("Label", "production", key="label", width=150)
                version = st.selectbox("points at version", numbers, key="version", width=130)
                sent = st.form_submit_button("Move")
        if sent:
            try:
                lab.label(name, label, version=version)
            except ValueError as odd:
                st.warning(escape.markdown(odd))
            else:
                choices.forget()
                st.toast(f"{escape.markdown(label)} points at version {version} now")
                st.rerun()


page()
