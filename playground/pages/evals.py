"""Evals: the sets, the runs, and a candidate against a baseline, with the cases that changed side by side."""

from __future__ import annotations

from typing import Literal

import pandas as pd
import streamlit as st

from lab import EvalSet, Lab, stats
from lab.metrics import routing
from lab.show import charts, tables
from playground.parts import backend, choices, drawing, escape, filters

COLOUR: dict[str, Literal["green", "red", "orange"]] = {"pass": "green", "fail": "red", "inconclusive": "orange"}


def page() -> None:
    """Runs, verdict, changes, sets."""
    lab = backend.lab()
    runs(lab)
    gate(lab)
    routers(lab)
    sets()


def runs(lab: Lab) -> None:
    """The experiments on the ledger; one opens to its table."""
    drawing.section("Experiments", "Select one to see its table.")
    listed = lab.experiments()
    chosen = filters.chosen()["experiment"]
    listed = listed[listed["experiment"] == chosen] if chosen else listed
    if listed.empty:
        st.caption("None yet: run one over a set on the Compare page, or with `lab.evaluate(...)`.")
        return
    shown = listed.assign(created_at=listed["created_at"].dt.strftime("%Y-%m-%d %H:%M"))
    shown = shown.rename(columns={"created_at": "planned (UTC)", "eval_set": "eval set", "held_out": "held out"})
    height = min(260, 40 + 35 * len(shown))
    event = drawing.table(shown, "experiments", listed, on_select="rerun", selection_mode="single-row", height=height)
    if rows := event.selection.rows:
        experiment = lab.experiment(listed["experiment"].iloc[rows[0]])
        summary = experiment.summary()
        drawing.table(experiment.table(), "summary", summary, tables.beneath(summary))
        drawn = summary[summary["score"].notna()]
        if not drawn.empty:
            named = drawn.assign(
                name=drawn["prompt"] + " v" + drawn["version"].astype(int).astype(str) + " · " + drawn["model"],
                estimate=drawn["score"],
                low=drawn["score_low"],
                high=drawn["score_high"],
                group=drawn["model"],
            )
            st.altair_chart(charts.intervals(named, "score"), key="scores", alt="Scores with intervals")


def gate(lab: Lab) -> None:
    """A candidate against a baseline."""
    drawing.section(
        "Candidate against baseline", "Both answered the same cases of the same set, and were scored alike."
    )
    listed = lab.evaluations()
    names = list(listed["name"])
    if len(names) < 2:
        st.caption("Two evaluations with scores are needed.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        before = st.selectbox("Baseline", names, index=1, key="before", bind="query-params", width=420)
        alike = listed["eval_set"] == listed["eval_set"][listed["name"] == before].iloc[0]
        others = [name for name in listed["name"][alike] if name != before]
        after = st.selectbox("Candidate", others, key="after", bind="query-params", width=420)
        margin = st.number_input("Margin (points)", 0.0, 50.0, 2.0, 0.5, key="margin", bind="query-params", width=130)
    if after is None:
        st.caption(f"No other evaluation was asked the cases of {escape.markdown(before)}.")
        return
    try:
        verdict = lab.gate(before, after, margin / 100, keep=False)
    except ValueError as odd:
        st.info(escape.markdown(odd), icon=":material/compare_arrows:")
        return
    if not verdict.n:
        st.info("No case was answered by both.", icon=":material/compare_arrows:")
        return
    outcome(verdict)
    if st.button("Keep this verdict", help="Fallback(gate=...) goes by the last one that is kept", key="keep"):
        lab.gate(before, after, margin / 100)
        st.toast("The verdict is on the ledger")
    changes(lab, before, after)


def outcome(verdict: stats.Verdict) -> None:
    """The verdict: a word, a picture of the interval, the sentence."""
    st.badge(verdict.verdict, color=COLOUR[verdict.verdict])
    st.text(str(verdict).partition(": ")[2])
    frame = pd.DataFrame(
        [
            {
                "name": "difference",
                "estimate": verdict.difference,
                "low": verdict.low,
                "high": verdict.high,
                "group": "difference",
            }
        ]
    )
    drawn = charts.intervals(frame, "candidate minus baseline", margin=verdict.margin, format="+.1%")
    st.altair_chart(drawn, key="verdict", alt="The difference with its interval and the margin")


def changes(lab: Lab, before: str, after: str) -> None:
    """The cases whose scores changed; one opens to both answers."""
    changed = lab.changed(before, after)
    better, worse = int((changed["difference"] > 0).sum()), int((changed["difference"] < 0).sum())
    drawing.section(
        "The cases that changed", f"{worse:,} answers are worse, {better:,} are better. Select one to read both."
    )
    if changed.empty:
        return
    shown = changed[["case_id", "repeat", "before", "after", "text_before", "text_after"]].rename(
        columns=drawing.column_name
    )
    event = drawing.table(shown, "changed", changed, on_select="rerun", selection_mode="single-row", height=300)
    if rows := event.selection.rows:
        row = changed.iloc[rows[0]]
        st.caption(f"case {escape.markdown(row['case_id'])}")
        question = (lab.texts(row["call_after"]) or {}).get("prompt")
        st.text(question or "")
        for column, name in zip(st.columns(2), ("before", "after"), strict=True):
            with column.container(border=True):
                st.caption(f"{'baseline' if name == 'before' else 'candidate'}, score {row[name]:.2f}")
                st.text(row[f"text_{name}"] if isinstance(row[f"text_{name}"], str) else "no answer")


def routers(lab: Lab) -> None:
    """What each router promises, and what was seen of it since."""
    drawing.section("Routers", "What each promises, and where calls have gone since. `route/<name>` is a model.")
    listed = lab.routers()
    if listed.empty:
        st.caption("None yet: `lab.router(...)` or `lab route fit` learns one from scored cases.")
        return
    newest = listed.drop_duplicates("name")
    for name in newest["name"]:
        st.text(str(lab.router(name)))
    seen = lab.routing()
    seen = seen[seen["router"].isin(newest["name"] + "@" + newest["version"].astype(str))]
    called = seen[seen["calls"] > 0]
    if not called.empty:
        drawn = called.assign(name=called["router"] + " to " + called["model"], estimate=called["share"])
        drawn = drawn.assign(low=drawn["share_low"], high=drawn["share_high"], group=drawn["model"])
        chart = charts.intervals(drawn, "share of the calls; the upright mark is what was promised", format=".0%")
        st.altair_chart(chart, key="routed", alt="Shares of calls by model, with intervals, beside what was promised")
    drawing.table(routing.readable(seen), "routing", seen, routing.beneath(seen))


def sets() -> None:
    """The eval sets that come with the lab."""
    drawing.section("Eval sets")
    rows = []
    for path in sorted(choices.SETS.glob("*.jsonl")):
        eval_set = EvalSet.load(path)
        clusters = len({case.cluster for case in eval_set})
        row = {"set": eval_set.name, "cases": len(eval_set), "clusters": clusters, "held out": eval_set.held_out}
        rows.append({**row, "about": eval_set.about, "hash": eval_set.hash})
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="sets")


page()
