"""One question, several models and prompts, side by side as they answer."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lab import Lab, errors
from lab.call.stream import Stream
from lab.client import Asked
from lab.evals import code
from lab.ledger import queries
from lab.show import charts, units
from lab.values import Reply
from playground.parts import backend, choices, downloads, drawing, escape

PER_ROW = 4
MOST = 24
"""Answers on the page at once."""
REFRESH = 0.06  # seconds between two looks at the streams
LOOKS = 50
"""Looks at the ledger, at most, for the end of a call that was stopped."""


@dataclass
class Lane:
    """One model's column: its stream, and since when it runs. `prompt` is the saved prompt's version, if it is one."""

    model: str
    stream: Stream[None]
    prompt: str = ""
    since: float = field(default_factory=time.monotonic)
    row: dict[str, Any] | None = None
    looks: int = 0

    def runs(self) -> bool:
        """Whether more is to come. Once nothing is, `row` is the call as the ledger has it, if it has."""
        if not self.stream.done:
            return True
        if self.row is None:
            try:
                self.row = queries.call(backend.lab().ledger, self.stream.call_id)
            except (ValueError, errors.LedgerError):
                self.row = {}
        self.looks += 1
        if self.row.get("status") == "running" and self.looks < LOOKS:  # stopped this moment: its end is being written
            self.row = None
        return self.row is None


def page() -> None:
    """The whole page: the question, then the answers, drawn again until all have ended."""
    lab = backend.lab()
    asked = question()
    if asked is not None:
        start(lab, *asked)
    lanes: list[Lane] = st.session_state.get("lanes", [])
    if not lanes:
        st.caption("Pick two or more models and run: the answers stream side by side, and every call is recorded.")
        return
    places = layout(lanes)
    while True:
        running = [draw(lane, *place) for lane, place in zip(lanes, places, strict=True)]
        if not any(running):
            break
        time.sleep(REFRESH)
    summary([lane.stream.reply for lane in lanes if answered(lane)])
    if "asked" in st.session_state:
        texts, models, params = st.session_state["asked"]
        downloads.as_code(code.asking(texts, models, params, ledger=backend.ledger_path()), "ask-once")


def answered(lane: Lane) -> bool:
    """Whether a lane ended with a reply, neither failed nor stopped."""
    return lane.stream.done and lane.stream.error is None and not lane.stream.closed


def summary(replies: list[Reply[None]]) -> None:
    """Where the time went, side by side."""
    if len(replies) > 1:
        times = pd.DataFrame(
            [
                {"model": reply.model, "elapsed": reply.elapsed, "ttft": reply.ttft, "latency": reply.latency}
                for reply in replies
            ]
        )
        st.caption("Where the time went")
        st.altair_chart(charts.timeline(times))


def question() -> tuple[list[tuple[str, Asked]], list[str], dict[str, Any]] | None:
    """The form; what was asked, if it was just sent: texts or filled prompts, each with its name, models, params."""
    saved = choices.prompts()
    picked = []
    if saved:
        picked = st.multiselect(
            "Saved prompts",
            list(saved),
            key="saved",
            placeholder="none: what is written below",
            persist_state="session",
        )
    chosen = [saved[name] for name in picked]
    names = list(dict.fromkeys(variable for prompt in chosen for variable in prompt.variables))
    with st.form("question", border=False):
        if chosen:
            values = {variable: st.text_area(variable, height=96, key=f"variable-{variable}") for variable in names}
        else:
            written = st.text_area(
                "Prompt", "What is the capital of France?", height=96, key="question_text", persist_state="session"
            )
        offered = choices.models()
        models = st.multiselect(
            "Models",
            offered,
            default=offered[:3],
            accept_new_options=True,
            placeholder="Pick, or type any LiteLLM model name",
            help="Offered: the local model, simulated ones, and models whose key is in the environment or `.env`.",
            key="models",
            persist_state="session",
        )
        with st.expander("System message and parameters"):
            system = st.text_area(
                "System message", height=68, key="system", persist_state="session", disabled=bool(chosen)
            )
            left, right = st.columns(2)
            limit = left.number_input(
                "Max tokens", 1, 100_000, None, placeholder="the model's own", key="max_tokens", persist_state="session"
            )
            heat = right.number_input(
                "Temperature", 0.0, 2.0, None, 0.1, placeholder="the model's own", key="heat", persist_state="session"
            )
        with st.container(horizontal=True):
            sent = st.form_submit_button("Run", type="primary", icon=":material/play_arrow:")
            st.form_submit_button("Stop", icon=":material/stop:", on_click=stop)
    if not sent:
        return None
    params = {"max_tokens": limit, "temperature": heat}
    params = {key: value for key, value in params.items() if value is not None}
    if not chosen:
        both: list[dict[str, Any]] = [{"role": "system", "content": system}, {"role": "user", "content": written}]
        return [("", both if system.strip() and written.strip() else written)], models, params
    asked: list[tuple[str, Asked]] = []
    for name, prompt in zip(picked, chosen, strict=True):
        try:
            asked.append((name, prompt.fill(**{variable: values[variable] for variable in prompt.variables})))
        except errors.InvalidRequestError as odd:
            st.warning(escape.markdown(odd), icon=":material/edit:")
    return asked, models, params


def start(lab: Lab, asked: list[tuple[str, Asked]], models: list[str], params: dict[str, Any]) -> None:
    """Send each prompt to every model at once."""
    stop()
    st.session_state["lanes"] = lanes = []
    if not models:
        st.warning("Pick a model first.", icon=":material/view_column:")
    if len(asked) * len(models) > MOST:
        st.warning(f"{len(asked) * len(models)} at once: at most {MOST} here. Compare so many over a set.")
        return
    for name, prompt in asked:
        for model in dict.fromkeys(models):
            try:
                lanes.append(Lane(model, lab.stream(prompt, model=model, tags=["playground"], **params), name))
            except errors.LabError as failure:
                st.warning(escape.markdown(failure), icon=":material/edit:")
    st.session_state["asked"] = ([prompt for _name, prompt in asked], list(dict.fromkeys(models)), params)


def stop() -> None:
    """Close whatever still runs; what had arrived stays on the page."""
    for lane in st.session_state.get("lanes", []):
        lane.stream.close()


def layout(lanes: list[Lane]) -> list[tuple[DeltaGenerator, DeltaGenerator]]:
    """A card for each lane, its answer above its figures, in rows of equal columns."""
    places = []
    for first in range(0, len(lanes), PER_ROW):
        row = lanes[first : first + PER_ROW]
        for lane, column in zip(row, st.columns(len(row)), strict=True):
            with column.container(border=True):
                drawing.model_name(f"{lane.prompt} · {lane.model}" if lane.prompt else lane.model)
                with st.container(height=200, border=False):
                    answer = st.empty()
                places.append((answer, st.empty()))
    return places


def draw(lane: Lane, answer: DeltaGenerator, figures: DeltaGenerator) -> bool:
    """One lane as it stands; whether more is to come of it."""
    running = lane.runs()
    text = lane.stream.text
    if text:
        answer.text(text)
    elif running:
        answer.caption("waiting for the first token …")
    else:
        answer.caption("no answer")
    rows, bad, why = figures_of(lane, running)
    figures.html(drawing.facts(rows, bad=bad, why=why))
    return running


def figures_of(lane: Lane, running: bool) -> tuple[dict[str, str], tuple[str, ...], str]:
    """What the call took: labels and values, which of them are bad, and why it failed."""
    blank = dict.fromkeys(("First token", "Total", "Tokens in → out", "Cost", "Attempts", "Outcome"), "–")
    if running:
        return blank | {"Total": f"{time.monotonic() - lane.since:.1f} s", "Outcome": "running"}, (), ""
    failure, row = lane.stream.error, lane.row or {}
    measured = blank | {
        "First token": units.seconds(row.get("ttft")),
        "Total": units.seconds(row.get("elapsed")),
        "Cost": units.dollars(row.get("cost")),
        "Attempts": str(row.get("n_attempts") or "–"),
    }
    if row.get("output_tokens") is not None:
        measured["Tokens in → out"] = f"{row['input_tokens']} → {row['output_tokens']}"
    if isinstance(failure, errors.LabError):
        detail = failure.phase or failure.reason
        kind = failure.kind.replace("_", " ") + (f" ({detail})" if detail else "")
        return measured | {"Outcome": kind}, ("Outcome",), str(failure)
    if failure is not None:
        kind = "not recorded" if isinstance(failure, errors.LedgerError) else "error"
        return measured | {"Outcome": kind}, ("Outcome",), str(failure)
    if lane.stream.closed:
        return measured | {"Outcome": "stopped"}, (), ""
    queued = lane.stream.reply.queue
    why = f"{units.seconds(queued)} of it went by before the first request." if queued > 0.5 else ""
    return measured | {"Outcome": "ok"}, (), why
