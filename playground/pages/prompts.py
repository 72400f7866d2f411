"""Prompts: versions, what changed between them, how each does, and where the labels point."""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st

from lab import Lab, metrics
from playground.parts import backend, drawing, escape


def page() -> None:
    """One prompt: versions, diff, results, labels."""
    lab = backend.lab()
    listed = lab.prompts()
    if listed.empty:
        st.info(
            "No prompt has a version yet. `lab.ask(Prompt(name, template).fill(...))` gives it one, and so does an"
            " experiment on the Compare page.",
            icon=":material/description:",
        )
        return
    names = list(dict.fromkeys(listed["name"]))
    name = st.selectbox("Prompt", names, key="name", bind="query-params", width=320)
    mine = listed[listed["name"] == name].reset_index(drop=True)
    versions(mine)
    results(lab, name)
    left, right = st.columns([3, 2])
    with left:
        changes(lab, name, list(mine["version"]))
    with right:
        labels(lab, name, list(mine["version"]))


def versions(mine: pd.DataFrame) -> None:
    """A row a version, newest first."""
    drawing.section("Versions", "A version is its content: edited in place, it is a new one.")
    shown = pd.DataFrame(
        {
            "version": mine["version"],
            "labels": mine["labels"],
            "first used (UTC)": mine["created_at"].dt.strftime("%Y-%m-%d %H:%M"),
            "calls": mine["calls"],
            "hash": mine["hash"],
        }
    )
    drawing.table(shown, "versions", mine)


def results(lab: Lab, name: str) -> None:
    """The figures of each version, model by model."""
    by = ("prompt_version", "model")
    figures = metrics.metrics(lab.ledger, by=by, prompt=name)
    drawing.section("Results by version", "Of all calls with it. Intervals are in brackets (95 %).")
    if figures.empty:
        st.caption("No call yet.")
        return
    figures = figures.sort_values(["prompt_version", "model"], ascending=[False, True])
    worth = metrics.quality(lab.ledger, prompt=name).set_index(["version", "model"])
    shown = metrics.readable(figures, by).rename(columns=drawing.column_name)
    scores, known = [], []
    for version, model in figures[list(by)].itertuples(index=False):
        row = worth.loc[(version, model)] if (version, model) in worth.index else None
        scores.append("" if row is None else metrics.share(row["score"], row["low"], row["high"]))
        known.append(math.nan if row is None else row["score"])
    if any(scores):
        shown.insert(4, "score", scores)
    numbers = metrics.beneath(figures).assign(score=known)
    drawing.table(shown, "results-by-version", figures, numbers)


def changes(lab: Lab, name: str, numbers: list[int]) -> None:
    """Two versions against each other."""
    drawing.section("What changed")
    with st.container(horizontal=True):
        new = st.selectbox("Version", numbers, key="new", width=120)
        others = [number for number in numbers if number != new]
        old = st.selectbox("against", others, key="old", width=120) if others else None
    now = lab.prompt(name, version=new)
    if old is None:
        st.code(
            "\n".join(f"[{message['role']}]\n{message['content']}" for message in now.messages),
            language=None,
            wrap_lines=True,
        )
        return
    st.code(lab.prompt(name, version=old).diff(now) or "nothing", language="diff", wrap_lines=True)


def labels(lab: Lab, name: str, numbers: list[int]) -> None:
    """Let a label point somewhere."""
    drawing.section("Labels", "`lab.prompt(name, label=...)` gets the version that a label points at.")
    with st.form("label", border=False):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            label = st.text_input("Label", "production", key="label", width=180)
            version = st.selectbox("points at version", numbers, key="version", width=140)
            sent = st.form_submit_button("Move")
    if sent:
        try:
            lab.label(name, label, version=version)
        except ValueError as odd:
            st.warning(escape.markdown(odd))
        else:
            st.toast(f"{escape.markdown(label)} points at version {version} now")
            st.rerun()


page()
