"""Jobs: what runs, waits and failed; one opens to its trace, is stopped, gone on with, run again."""

from __future__ import annotations

import json
import time
from typing import Any

import pandas as pd
import streamlit as st

from lab import Job, Lab, errors
from lab.jobs import readable
from lab.jobs.status import OVER, STATES
from lab.show import units
from lab.show.text import one_line
from playground.parts import backend, drawing, escape

EVERY = 2.0
"""Seconds between two looks while something runs."""
MOST = 200
SHOWN = ("running", "waiting", "failed")
_COLUMNS = {
    "state": st.column_config.TextColumn("State", width=80),
    "flow": st.column_config.TextColumn("Flow", width=150),
    "job": st.column_config.TextColumn("Job", width=185),
    "share": st.column_config.ProgressColumn("Progress", width=100, min_value=0.0, max_value=100.0, format="%.0f %%"),
    "far": st.column_config.TextColumn("How far", width=80),
    "waited": st.column_config.NumberColumn("Waited", width=65),
    "ran": st.column_config.NumberColumn("Ran", width=65),
    "lane": st.column_config.TextColumn("Lane", width=78),
    "user": st.column_config.TextColumn("User", width=60),
    "starts": st.column_config.NumberColumn("Begun", width=50, help="How often: again after its worker died"),
    "message": st.column_config.TextColumn("What there is to say", width=230),
}


def page() -> None:
    """The list, looked at again while something runs; the job that was opened; webhooks that were given up."""
    lab = backend.lab()
    if backend.looking_around():
        st.info(
            "What runs in the background is listed here: experiments, flows, batches. A made-up month has none; leave"
            " it to see yours.",
            icon=":material/deployed_code_history:",
        )
        return
    if why := backend.work():
        st.warning(escape.markdown(why), icon=":material/engineering:")
    try:
        active = bool(len(lab.jobs(state=("running", "waiting"), limit=1)))
        st.fragment(overview, run_every=EVERY if active else None)(lab, active)
        if job := st.query_params.get("job"):
            st.fragment(detail, run_every=EVERY if active else None)(lab, job)
        dead(lab)
    except errors.LabError as away:  # the database, most likely: jobs wait there
        st.warning(escape.markdown(away), icon=":material/database_off:")


def overview(lab: Lab, active: bool) -> None:
    """Figures, then a row a job, the oldest first."""
    everything = lab.jobs(limit=10 * MOST)
    if everything.empty:
        st.info(
            "No job yet. `lab.submit(flow, ...)` puts one in line and returns at once; an experiment started on the"
            " Compare page is one, too. A flow is a function with `@lab.flow` above it, in a module of its own:"
            " `lab worker my_flows` runs it.",
            icon=":material/deployed_code_history:",
        )
        return
    tiles(lab, everything)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        there = [state for state in SHOWN if state in set(everything["state"])]
        states = st.pills("State", STATES, selection_mode="multi", default=there or STATES, key="states")
        users = sorted(everything["user"].dropna().unique())
        user = st.selectbox("User", users, index=None, placeholder="all", key="job_user", width=180)
        lane = st.selectbox("Lane", ("interactive", "batch"), index=None, placeholder="both", key="job_lane", width=160)
    chosen = everything[everything["state"].isin(states or STATES)]
    for name, value in (("user", user), ("lane", lane)):
        chosen = chosen if value is None else chosen[chosen[name] == value]
    groups(chosen)
    listed(chosen.sort_values("submitted_at", kind="stable").head(MOST), len(chosen))
    if active and not everything["state"].isin(("running", "waiting")).any():
        st.rerun()


def tiles(lab: Lab, jobs: pd.DataFrame) -> None:
    """What runs, what waits and for how long, what failed today, who works."""
    waiting = jobs[jobs["state"] == "waiting"]
    oldest = None if waiting.empty else time.time() - waiting["submitted_at"].min().timestamp()
    failed = jobs[(jobs["state"] == "failed") & (jobs["ended_at"] > pd.Timestamp.now("UTC") - pd.Timedelta(days=1))]
    workers = lab.workers()
    cells = st.columns(4)
    cells[0].metric("Running", f"{(jobs['state'] == 'running').sum():,}")
    since = None if oldest is None else f"the oldest for {units.duration(oldest)}"
    cells[1].metric("Waiting", f"{len(waiting):,}", delta=since, delta_color="off", delta_arrow="off")
    cells[2].metric("Failed in 24 h", f"{len(failed):,}")
    names = "\n".join(
        f"- {escape.markdown(row['worker'])}: {escape.markdown(', '.join(row['modules']))}"
        for row in workers.to_dict("records")
    )
    cells[3].metric("Workers", f"{len(workers):,}", help=names or "None: jobs wait")
    served = {module for modules in workers["modules"] for module in modules}
    lost = sorted({flow.partition(":")[0] for flow in waiting["flow"] if ":" in flow} - served)
    if lost:
        st.warning(
            f"Nobody runs these flows yet. In a shell: lab worker {escape.markdown(' '.join(lost))}",
            icon=":material/engineering:",
        )


def groups(jobs: pd.DataFrame) -> None:
    """How many by lane and user, where there are several."""
    if jobs.groupby(["lane", "user"], dropna=False).ngroups < 2:
        return
    counts = jobs.assign(user=jobs["user"].fillna("nobody")).groupby(["lane", "user"])["state"].value_counts()
    table = counts.unstack(fill_value=0).reset_index()
    with st.expander("By lane and user"):
        drawing.table(table, "jobs-groups")


def listed(jobs: pd.DataFrame, total: int) -> None:
    """A row a job; selecting one opens it."""
    if jobs.empty:
        st.caption("No job is in such a state. Choose others above.")
        return
    said = readable.jobs(jobs)
    shares = 100 * (jobs["done"] / jobs["of"]).clip(0, 1)
    view = said.assign(share=shares, far=said["progress"], starts=jobs["starts"])[[*_COLUMNS]]
    view["flow"] = [" · ".join(reversed(flow.partition(":")[::2])) if ":" in flow else flow for flow in view["flow"]]
    view["message"] = [one_line(text, 160) for text in view["message"]]
    event = st.dataframe(
        drawing.sortable(view, readable.beneath(jobs)),
        column_order=list(_COLUMNS),
        column_config=_COLUMNS,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        height=min(420, 40 + 35 * len(view)),
        key=f"jobs-{st.session_state.get('jobs_closed', 0)}",
    )
    if total > len(jobs):
        st.caption(f"The oldest {len(jobs):,} of {total:,}; select one to open it.")
    else:
        st.caption("Oldest first; select one to open it.")
    rows = event.selection.rows
    if rows and rows[0] < len(jobs) and st.query_params.get("job") != jobs["job"].iloc[rows[0]]:
        st.query_params["job"] = jobs["job"].iloc[rows[0]]
        st.rerun()


def detail(lab: Lab, name: str) -> None:
    """One job: its trace, what came of it, what it was given; and what can be done with it."""
    try:
        job = lab.job(name)
    except ValueError:
        st.warning(f"No job {escape.markdown(name)} (any more).", icon=":material/search_off:")
        return
    status = job.status
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader(f"Job {escape.markdown(name)}", anchor=False)
        with st.container(horizontal=True, width="content"):
            if status.state in ("running", "waiting"):
                st.button("Stop", icon=":material/stop:", on_click=do, args=(job.cancel,))
            elif status.state in ("failed", "cancelled"):
                st.button("Go on", icon=":material/play_arrow:", on_click=do, args=(job.resume,))
            if status.state in OVER:
                st.button("Run again", icon=":material/replay:", on_click=again, args=(job,))
            if st.button("Close", icon=":material/close:"):
                st.query_params.pop("job", None)
                st.session_state["jobs_closed"] = st.session_state.get("jobs_closed", 0) + 1
                st.rerun()
    trace = lab.trace(job)
    st.html(trace._repr_html_())
    if status.message:
        st.text(status.message)
    calls = trace.calls
    if not calls.empty:
        shown = calls[["call_id", "model", "status", "elapsed", "cost", "input_tokens", "output_tokens", "step"]]
        drawing.table(shown, "job-calls", calls)
    left, right = st.columns(2)
    with left.container(border=True):
        st.caption("What it was given")
        given = job.arguments
        drawing.text(
            "no longer kept" if given is None else _json([*given[0], *([given[1]] if given[1] else [])]), "given"
        )
    with right.container(border=True):
        st.caption("What came of it")
        drawing.text(_json(job.result(0)) if status.state == "done" else status.state, "result")
    facts = {"Flow": status.flow, "Version": status.facts.get("version"), "User": status.user, "Lane": status.lane}
    facts |= {"Worker": status.worker, "Begun": f"{status.starts} times" if status.starts > 1 else None}
    facts |= {"Experiment": status.facts.get("experiment")}
    st.html(drawing.facts({label: str(value) for label, value in facts.items() if value is not None}))


def do(verb: Any) -> None:
    """Stop it, or go on with it; what stands in the way is said."""
    try:
        verb()
    except (errors.LabError, ValueError) as odd:
        st.toast(escape.markdown(odd))


def again(job: Job) -> None:
    """The same once more, opened."""
    try:
        st.query_params["job"] = job.again().id
    except (errors.LabError, ValueError) as odd:
        st.toast(escape.markdown(odd))


def dead(lab: Lab) -> None:
    """Webhooks that nobody heard, each to be told again."""
    given_up = lab.webhooks(dead=True)
    if given_up.empty:
        return
    drawing.section("Webhooks given up", "Nobody heard them within a day. Told again, they carry the same identifier.")
    for row in given_up.head(20).to_dict("records"):
        name = row["job"].split(":", 1)[1]
        with st.container(horizontal=True, vertical_alignment="center"):
            st.text(f"{one_line(name, 60)}: {one_line(row['message'] or '', 160)}")
            st.button("Tell again", key=f"resend-{row['job']}", on_click=resend, args=(lab, name))


def resend(lab: Lab, job: str) -> None:
    """Tell it again."""
    try:
        lab.resend(job)
    except (errors.LabError, ValueError) as odd:
        st.toast(escape.markdown(odd))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


page()
