"""Evals: scores over time, the runs, and a candidate against a baseline, with the cases that changed side by side."""

from __future__ import annotations

from typing import Literal

import pandas as pd
import streamlit as st

from lab import EvalSet, Lab, stats
from lab.evals import pairs
from lab.evals.pairs import Evaluation
from lab.ledger import evalsets
from lab.metrics import routing
from lab.show import charts, tables
from playground.parts import backend, cases, choices, drawing, empty, escape, filters, scores

COLOUR: dict[str, Literal["green", "red", "orange"]] = {"pass": "green", "fail": "red", "inconclusive": "orange"}


def page() -> None:
    """Scores over time, verdict, changes, runs, routers, sets."""
    lab = backend.lab()
    listed = evaluations(stamp(lab), lab)
    over_time(lab, listed)
    gate(lab, listed)
    runs(lab)
    routers(lab)
    sets(lab)


def stamp(lab: Lab) -> str:
    """What changes when an experiment is planned, or an answer scored."""
    (row,) = lab.ledger.rows(
        "SELECT (SELECT count(*) || ' ' || max(created_at) FROM experiments), count(*), total(score) FROM scores"
    )
    return f"{lab.path} {row}"


@st.cache_data(show_spinner=False, max_entries=20)
def evaluations(stamp: str, _lab: Lab) -> list[Evaluation]:
    """Those that can be compared, as they were at this stamp."""
    return pairs.evaluations(_lab.ledger)


@st.cache_data(show_spinner=False, max_entries=20)
def scored(stamp: str, name: str, _lab: Lab) -> pd.DataFrame:
    """The scores of a set over time, as they were at this stamp."""
    return pairs.over_time(_lab.ledger, name)


def over_time(lab: Lab, listed: list[Evaluation]) -> None:
    """The scores of one set, with what changed marked."""
    names = list(dict.fromkeys(evaluation.eval_set for evaluation in listed if evaluation.eval_set))
    if not names:
        return
    drawing.section("Scores over time", "A dot an evaluation, with its 95 % interval; each new version is named.")
    name = st.selectbox("Eval set", names, key="scored_set", bind="query-params", width=320)
    frame = scored(stamp(lab), name, lab)
    if frame.empty:
        st.caption("No answer to it has a score yet.")
        return
    colours = lab.colours(*frame["model"].drop_duplicates())
    drawing.chart(charts.scores_over_time(frame, colours), frame, "scores-over-time", "Scores over time with intervals")


def runs(lab: Lab) -> None:
    """The experiments on the ledger; one opens to its table and its grid."""
    drawing.section("Experiments", "Select one to see its table, and answer by answer.")
    listed = lab.experiments()
    chosen = filters.chosen()["experiment"]
    listed = listed[listed["experiment"] == chosen] if chosen else listed
    if listed.empty:
        empty.nothing("None yet: run one over a set on the Compare page.", ":material/fact_check:", mode="Over a set")
        return
    shown = listed.assign(created_at=listed["created_at"].dt.strftime("%Y-%m-%d %H:%M"))
    shown = shown.rename(columns={"created_at": "planned (UTC)", "eval_set": "eval set", "held_out": "held out"})
    height = min(260, 40 + 35 * len(shown))
    event = drawing.table(shown, "experiments", listed, on_select="rerun", selection_mode="single-row", height=height)
    if rows := event.selection.rows:
        name = listed["experiment"].iloc[rows[0]]
        experiment = lab.experiment(name)
        summary = experiment.summary()
        drawing.table(experiment.table(), "summary", summary, tables.beneath(summary))
        scores.chart(lab, summary, "scores")
        cases.experiment(lab, name, "run")


def gate(lab: Lab, listed: list[Evaluation]) -> None:
    """A candidate against a baseline; only what can be compared is offered."""
    drawing.section(
        "Candidate against baseline", "Both answered the same cases of the same set, and were scored alike."
    )
    able = [evaluation for evaluation in listed if any(evaluation.comparable(other) for other in listed)]
    if not able:
        st.caption("Two evaluations of the same cases, with scores, are needed: run a set with two prompts or models.")
        return
    by_name = {evaluation.name: evaluation for evaluation in able}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        before = st.selectbox(
            "Baseline",
            list(by_name),
            index=_baseline(able),
            key="before",
            bind="query-params",
            width=440,
            format_func=lambda name: by_name[name].said() if name in by_name else name,
        )
        others = [other.name for other in able if before in by_name and by_name[before].comparable(other)]
        after = st.selectbox(
            "Candidate",
            others,
            key="after",
            bind="query-params",
            width=440,
            format_func=lambda name: by_name[name].said() if name in by_name else name,
        )
        margin = st.number_input("Margin (points)", 0.0, 50.0, 2.0, 0.5, key="margin", bind="query-params", width=140)
    if after not in by_name or before not in by_name:
        st.caption("No other evaluation was asked the same cases.")
        return
    try:
        verdict = lab.gate(before, after, margin / 100, keep=False)
    except ValueError as odd:
        st.info(escape.markdown(odd), icon=":material/compare_arrows:")
        return
    outcome(verdict)
    if st.button("Keep this verdict", help="Fallback(gate=...) goes by the last one that is kept", key="keep"):
        lab.gate(before, after, margin / 100)
        st.toast("The verdict is on the ledger")
    changes(lab, by_name[before], by_name[after])


def _baseline(able: list[Evaluation]) -> int:
    """What the newest of all is best compared with: the same model, else the same prompt, as it was last."""
    newest = able[0]
    known = [place for place, other in enumerate(able) if newest.comparable(other)]
    return min(
        known,
        key=lambda place: (able[place].model != newest.model, able[place].prompt != newest.prompt, place),
        default=0,
    )


def outcome(verdict: stats.Verdict) -> None:
    """The verdict: a word, a picture of the interval, the sentence."""
    st.badge(verdict.verdict, color=COLOUR[verdict.verdict])
    st.text(str(verdict).partition(": ")[2])
    row = {"name": "difference", "estimate": verdict.difference, "low": verdict.low, "high": verdict.high}
    drawn = charts.intervals(
        pd.DataFrame([{**row, "group": "difference"}]),
        "candidate minus baseline",
        margin=verdict.margin,
        format="+.1%",
    )
    st.altair_chart(drawn, key="verdict", alt="The difference with its interval and the margin")


def changes(lab: Lab, before: Evaluation, after: Evaluation) -> None:
    """Both side by side, what changed first; by tag, and by label."""
    shown = pairs.pair(lab.ledger, before, after)
    scored = [
        (row.answers[0].score, row.answers[1].score)
        for row in shown.rows
        if row.answers[0] is not None and row.answers[1] is not None
    ]
    known = [(early, late) for early, late in scored if early is not None and late is not None]
    worse, better = sum(late < early for early, late in known), sum(late > early for early, late in known)
    drawing.section(
        "Case by case",
        f"{worse:,} answers are worse, {better:,} are better, of {len(known):,}. Baseline on the left; what changed"
        " comes first.",
    )
    cases.show(lab, shown, "changes", order="disagreement")
    left, right = st.columns(2)
    with left:
        tags = pairs.by_tag(shown)
        if len(tags) > 1:
            drawing.section("By tag", "What became of each kind of case.")
            frame = tags.assign(name=tags["tag"] + " (" + tags["cases"].astype(str) + ")", estimate=tags["difference"])
            frame = frame.assign(group="candidate minus baseline").head(20)
            chart = charts.intervals(frame, "candidate minus baseline", middle=0.0, format="+.0%")
            drawing.chart(chart, tags, "by-tag", "Change of the score by tag, with intervals")
    with right:
        known_labels = pairs.labels(shown)
        if known_labels:
            drawing.section("By label", "What the candidate said, where which label was expected.")
            table = pairs.confusion(shown, 1, known_labels)
            drawing.chart(
                charts.confusion(table, known_labels), table, "confusion", "Expected labels against said ones"
            )


def routers(lab: Lab) -> None:
    """What each router promises, and what was seen of it since."""
    listed = lab.routers()
    if listed.empty:
        return
    drawing.section("Routers", "What each promises, and where calls have gone since. `route/<name>` is a model.")
    newest = listed.drop_duplicates("name")
    for name in newest["name"]:
        st.text(str(lab.router(name)))
    seen = lab.routing()
    seen = seen[seen["router"].isin(newest["name"] + "@" + newest["version"].astype(str))]
    called = seen[seen["calls"] > 0]
    if not called.empty:
        drawn = called.assign(name=called["router"] + " to " + called["model"], estimate=called["share"])
        drawn = drawn.assign(low=drawn["share_low"], high=drawn["share_high"], group=drawn["model"])
        title = "share of the calls; the upright mark is what was promised"
        chart = charts.intervals(drawn, title, format=".0%", colours=lab.colours(*drawn["model"]))
        st.altair_chart(chart, key="routed", alt="Shares of calls by model, with intervals, beside what was promised")
    drawing.table(routing.readable(seen), "routing", seen, routing.beneath(seen))


def sets(lab: Lab) -> None:
    """The eval sets that come with the lab, and those that were made here."""
    drawing.section("Eval sets")
    rows = []
    mine = evalsets.sets(lab.ledger)
    every = [lab.evalset(name) for name in mine] + [EvalSet.load(path) for path in sorted(choices.SETS.glob("*.jsonl"))]
    for place, eval_set in enumerate(every):
        clusters = len({case.cluster for case in eval_set})
        row = {"set": eval_set.name, "cases": len(eval_set), "clusters": clusters, "held out": eval_set.held_out}
        rows.append({**row, "about": "made here" if place < len(mine) else eval_set.about, "hash": eval_set.hash})
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="sets")


page()
