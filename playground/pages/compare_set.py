"""Prompts x models x cases: planned and priced first, then run in the background, stopped and gone on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from lab import EvalSet, Lab, Prompt, errors
from lab.evals import code
from lab.evals.spec import Spec, written_prompt
from lab.ledger import batches, evalsets
from lab.show import tables, units
from lab.show.text import one_line
from playground.parts import backend, cases, choices, downloads, drawing, escape, owndata, scores, templates

SCORERS = ("label", "exact", "contains", "number", "fields")
UPLOAD = "a file of yours"
DEFAULT_SET = "triage"
ACTIVE = ("waiting", "running")
OVER = ("cancelled", "failed")


def page() -> None:
    """The form, the plan, what runs, what came."""
    lab = backend.lab()
    form(lab)
    planned(lab)
    progress(lab)
    sent_batches(lab)
    results(lab)


def form(lab: Lab) -> None:
    """What to ask; pressing Plan makes a specification of it."""
    if "grid_picking" in st.session_state:  # what was just saved
        st.session_state["grid_prompts"] = st.session_state.pop("grid_picking")
    saved = choices.prompts()
    if "grid_prompts" in st.session_state:  # a file that was asked is a version now
        picked_before = st.session_state["grid_prompts"]
        st.session_state["grid_prompts"] = choices.still(picked_before, saved)
    st.session_state.setdefault("grid_set", DEFAULT_SET)
    left, right = st.columns(2)
    with left:
        picked = st.multiselect("Prompts", list(saved), key="grid_prompts", persist_state="session")
        written = st.text_area(
            "Or a new one",
            key="grid_text",
            height=96,
            persist_state="session",
            placeholder="Which label fits this ticket? {{ticket}}",
        )
        named = st.text_input("Its name", "draft", key="grid_name", persist_state="session") if written.strip() else ""
    with right:
        models = st.multiselect(
            "Models",
            choices.models(),
            accept_new_options=True,
            key="grid_models",
            persist_state="session",
            placeholder="Pick, or type any LiteLLM model name",
        )
        offered = [path.stem for path in sorted(choices.SETS.glob("*.jsonl"))]
        mine = evalsets.sets(lab.ledger)
        chosen = st.selectbox(
            "Cases",
            [*mine, *offered, UPLOAD],
            key="grid_set",
            persist_state="session",
            format_func=lambda name: f"{name} (yours, {mine[name]:,})" if name in mine else name,
        )
        scorers = st.multiselect(
            "Scorers",
            SCORERS,
            default=["label"],
            accept_new_options=True,
            key="grid_scorers",
            persist_state="session",
            help="How well an answer did against `expected`; `exact:answer` looks at a field of it",
        )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        repeats = st.number_input("Repeats", 1, 100, 1, key="grid_repeats", persist_state="session", width=110)
        at_once = st.number_input("At once", 1, 500, 16, key="grid_at_once", persist_state="session", width=110)
        budget = st.number_input(
            "Budget ($)",
            0.0,
            None,
            1.0,
            0.5,
            key="grid_budget",
            persist_state="session",
            width=130,
            help="0 is no limit",
        )
        limit = st.number_input(
            "Max tokens",
            1,
            100_000,
            None,
            placeholder="no limit",
            key="grid_limit",
            persist_state="session",
            width=160,
        )
        batch = st.toggle(
            "In batches",
            key="grid_batch",
            persist_state="session",
            help="Through the providers' batch services: half the price, and an answer within a day",
        )
        go = st.button("Plan", type="primary", icon=":material/calculate:")
    given, wrong = templated(lab, saved, [name for name in picked if name in saved], named.strip(), written)
    cases, odd_file = own(given) if chosen == UPLOAD else (None, None)
    if not go:
        return
    st.session_state.pop("plan", None)
    why = wrong or ("" if given and models else "Pick a prompt, a model, and cases.") or odd_file
    if why:
        st.warning(escape.markdown(why), icon=":material/edit:")
        return
    prompts = [written_prompt(prompt) for prompt in given]
    if chosen in mine:
        cases = lab.evalset(chosen)
    content: dict[str, Any] = {"prompts": prompts, "models": models, "scorers": scorers, "repeats": repeats}
    content |= {
        "concurrency": at_once,
        "budget": budget or None,
        "batch": batch,
        "params": {} if limit is None else {"max_tokens": limit},
    }
    if cases is not None:
        content |= {"rows": [case.content() for case in cases], "set_name": cases.name}
    else:
        content |= {"set": str(choices.SETS / f"{chosen}.jsonl")}
    try:
        spec = Spec.read(content)
        plan = lab.planned(spec).plan
    except (errors.LabError, ValueError) as odd:
        st.warning(escape.markdown(odd), icon=":material/edit:")
        return
    st.session_state["plan"] = (spec, plan)


def templated(
    lab: Lab, saved: Mapping[str, Prompt], picked: Sequence[str], named: str, written: str
) -> tuple[list[Prompt], str | None]:
    """The prompts that were picked, a single one as it is edited here, and the one that was written; and what is wrong
    with that."""
    prompts = [saved[name] for name in picked]
    if len(prompts) == 1:
        with st.expander("The template", icon=":material/edit_note:"):
            old = prompts[0]
            prompts = [templates.edited(old, "set")]
            number = templates.save(lab, old, prompts[0], "set")
        if number is not None:
            st.session_state["grid_picking"] = [f"{old.name} v{number}"]
            st.rerun()
    if not written.strip():
        return prompts, None
    try:
        new = Prompt(named, written)
    except ValueError as odd:
        return prompts, str(odd)
    st.caption(f"Variables: {escape.markdown(', '.join(new.variables) or 'none')}")
    return [*prompts, new], None


def own(prompts: Sequence[Prompt]) -> tuple[EvalSet | None, str | None]:
    """A file of one's own, for the variables of these prompts."""
    names = list(dict.fromkeys(variable for prompt in prompts for variable in prompt.variables))
    with st.container(border=True):
        return owndata.upload(names, "grid")


_PLAN = {"seconds": "time", "input_tokens": "tokens in", "output_tokens": "tokens out"}


def _about(seconds: float) -> str:
    """How long something is likely to take."""
    return "a moment" if seconds < 2 else f"{seconds:.0f} s" if seconds < 120 else units.duration(seconds)


def planned(lab: Lab) -> None:
    """What it would take, before anything is spent."""
    if "plan" not in st.session_state:
        return
    spec, plan = st.session_state["plan"]
    with st.container(border=True):
        st.text(str(plan))
        rows = pd.DataFrame(plan.rows()).rename(columns={"usd": "cost", "based_on": "based on"})
        rows["seconds"] = rows["seconds"].astype(float) / plan.concurrency
        texts = {"cost": [drawing.dollars(usd) for usd in rows["cost"].astype(float)]}
        for name in ("input_tokens", "output_tokens"):
            texts[name] = [drawing.whole(tokens) for tokens in rows[name].astype(float)]
        if plan.batch:
            rows["seconds"] = float("nan")
        unknown = "within a day" if plan.batch else "unknown"
        texts["seconds"] = [unknown if left != left else _about(left) for left in rows["seconds"]]
        numbers = rows[["cost", "seconds", "input_tokens", "output_tokens"]].rename(columns=_PLAN)
        shown = rows.assign(**texts).rename(columns=_PLAN)
        st.dataframe(drawing.sortable(shown, numbers), hide_index=True, key="plan-table")
        start = st.button(
            "Start", type="primary", icon=":material/play_arrow:", disabled=plan.left == 0 or backend.looking_around()
        )
        if plan.left == 0:
            st.caption("All of it is answered already.")
            st.session_state["grid_shown"] = plan.name
    if start:
        try:
            lab.submit("compare", spec)
            st.session_state["grid_shown"] = plan.name
        except (errors.LabError, ValueError) as odd:
            st.warning(escape.markdown(odd), icon=":material/edit:")
            return
        del st.session_state["plan"]
        st.rerun()
    downloads.as_code(code.comparing(spec, backend.ledger_path()), "experiment")


def progress(lab: Lab) -> None:
    """What runs in the background, found again whoever started it."""
    if why := backend.work():
        st.warning(escape.markdown(why), icon=":material/engineering:")
    listing = experiments(lab)
    if listing.empty:
        return
    drawing.section("In the background", "They go on when this page is closed.")
    active = bool(listing["state"].isin(ACTIVE).any())
    st.fragment(listed, run_every=1.0 if active else None)(lab, active)


def experiments(lab: Lab) -> pd.DataFrame:
    """Those that run in the background, or did: each as its last job stands."""
    try:
        return lab.jobs(flow="compare").drop_duplicates("experiment")
    except errors.LabError as away:
        st.warning(escape.markdown(away), icon=":material/database_off:")
        return pd.DataFrame({"state": [], "experiment": []})


def sent_batches(lab: Lab) -> None:
    """What was sent through batch services, looked at again while something runs."""
    active = bool(experiments(lab)["state"].isin(ACTIVE).any())
    st.fragment(listed_batches, run_every=2.0 if active else None)(lab)


def listed_batches(lab: Lab) -> None:
    """A row each, and how far it is."""
    frame = lab.batches().head(20)
    if frame.empty:
        return
    drawing.section("Batches", "Answered for half the price within a day. What is stopped here goes on there.")
    with st.container(key="batches"):
        drawing.table(batches.readable(frame), "batches", frame, batches.beneath(frame))


def listed(lab: Lab, active: bool) -> None:
    """A line each."""
    listing = experiments(lab)
    for row in listing.head(8).to_dict("records"):
        with st.container(horizontal=True, vertical_alignment="center"):
            left = (
                f", {_about(row['seconds_left'])} left"
                if row["state"] == "running"
                and row["seconds_left"] == row["seconds_left"]
                and row["seconds_left"] is not None
                else ""
            )
            name, done, total = row["experiment"], row["done"], row["of"]
            failed = f", {row['failed']:,.0f} failed" if row["failed"] > 0 else ""
            cells = f"{done:,.0f} of {total:,.0f} cells{failed}"
            sent = batches.under_way(lab.ledger, name) if row["state"] == "running" else None
            batched = "" if sent is None else f"; at the provider {sent}"
            line = f"{row['state']}: {cells}, {units.dollars(row['cost'] if row['cost'] >= 0 else 0.0)}{left}{batched}"
            done += sent.done if sent is not None else 0
            share = done / total if total else 0.0
            st.progress(min(1.0, share), text=f"{escape.markdown(name)} · {escape.markdown(line)}", width=640)
            if row["state"] in ACTIVE:
                st.button("Stop", key=f"stop-{name}", on_click=stop, args=(lab, row["job"]))
            elif row["state"] in OVER and st.button("Go on", key=f"resume-{name}"):
                again(lab, row["job"])
                st.rerun()  # the whole page: it looks again by itself from now on
            if st.button("Show", key=f"show-{name}"):
                st.session_state["grid_shown"] = name
                st.rerun()
        if row["message"]:
            st.caption(escape.markdown(one_line(row["message"], 300)))
    if active and not listing["state"].isin(ACTIVE).any():
        st.rerun()


def stop(lab: Lab, job: str) -> None:
    """Stop one, unless it has just ended."""
    try:
        lab.job(job).cancel()
    except (errors.LabError, ValueError) as odd:
        st.toast(escape.markdown(odd))


def again(lab: Lab, job: str) -> None:
    """Go on with one; what stands in the way is said above the list."""
    try:
        lab.job(job).resume()
    except (errors.LabError, ValueError) as odd:
        st.toast(escape.markdown(odd))


def results(lab: Lab) -> None:
    """The table of the one that was picked, with its scores drawn."""
    known = list(lab.experiments()["experiment"])
    planned = st.session_state.get("grid_shown")
    if planned is not None and planned not in known:  # planned, and not begun
        known = [planned, *known]
    if not known:
        return
    name = st.selectbox(
        "Results of", known, index=None, key="grid_shown", bind="query-params", placeholder="pick one", width=420
    )
    if name is None:
        return
    if name not in set(lab.experiments()["experiment"]):
        st.fragment(awaited, run_every=1.0)(lab, name)  # planned, and not begun
        return
    drawing.section(name, "95 % intervals in brackets. The gate, and the cases that changed, are on the Evals page.")
    listing = experiments(lab)
    runs = bool(listing["state"][listing["experiment"] == name].isin(ACTIVE).any())
    st.fragment(figures, run_every=1.0 if runs else None)(lab, name)
    drawing.section("Answer by answer", "A case a row; the colour, and the sign, say what an answer was worth.")
    cases.experiment(lab, name, "grid")
    spec = spec_of(lab, name)
    if spec is not None and "plan" not in st.session_state:
        downloads.as_code(code.comparing(spec, backend.ledger_path()), "experiment")


def awaited(lab: Lab, name: str) -> None:
    """Look whether it has begun."""
    st.caption("Not begun yet.")
    if name in set(lab.experiments()["experiment"]):
        st.rerun()


def figures(lab: Lab, name: str) -> None:
    """The table, and the scores as a picture, as they stand; while it runs they are drawn as often as its bar."""
    experiment = lab.experiment(name)
    summary = experiment.summary()
    drawing.table(experiment.table(), "grid", summary, tables.beneath(summary))
    scores.chart(lab, summary, "grid-scores")


def spec_of(lab: Lab, name: str) -> Spec | None:
    """What an experiment was started with; None where that is not known, not kept, or gone (the file of its cases)."""
    listing = experiments(lab)
    jobs = listing.loc[listing["experiment"] == name, "job"] if "job" in listing else listing["state"]
    given = lab.job(jobs.iloc[0]).arguments if len(jobs) else None
    try:
        return Spec.read(given[0][0]) if given else None
    except errors.InvalidRequestError:
        return None
