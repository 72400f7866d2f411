"""A call, opened: how it went, what was asked and answered, what was found, under which bounds; and what to do with
it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from lab import Lab, Policy
from lab.evals import asks
from lab.ledger import batches, notes
from lab.show import palette, units
from lab.show.text import one_line
from lab.show.timeline import timeline_html
from playground.parts import backend, choices, collecting, drawing, escape, places, words

_ATTEMPTS = """
    number role status kind http_status wait connect ttft thinking latency cost input_tokens output_tokens
    reasoning_tokens way loop_lag saturated
""".split()

_SENT = ("input_tokens", "cache_read_tokens", "cache_write_tokens")

_SECONDS = ("wait", "connect", "ttft", "thinking", "latency", "loop_lag")

_NAMES = {
    "http_status": "HTTP status",
    "ttft": "first token",
    "latency": "total",
    "input_tokens": "tokens in",
    "output_tokens": "tokens out",
    "reasoning_tokens": "thought",
    "loop_lag": "client's lag",
    "saturated": "client saturated",
    "number": "attempt",
}


def drawer(call_id: str) -> None:
    """The call at the side of the page it was met on; closed by Escape, or a click beside it."""

    @st.dialog("Call", width="large", position="right", icon=":material/receipt_long:")
    def drawn() -> None:
        detail(backend.lab(), call_id, aside=True)

    drawn()


def detail(lab: Lab, call_id: str, *, aside: bool = False) -> bool:
    """One call; whether there is one. `aside`: it is shown at the side of another page."""
    try:
        trace = lab.trace(call_id)
    except ValueError:
        st.warning(f"No call {escape.markdown(call_id)} in this ledger.", icon=":material/search_off:")
        return False
    call, texts = trace.call, trace.said
    embeds = "embedding" in set(trace.attempts["form"])
    figures(call, trace.attempts)
    st.html(timeline_html("", trace.head, trace.bars))
    if not embeds:
        tools(lab, call, texts, aside=aside)
    words.both(texts, embeds=embeds)
    found(trace.checks)
    attempts(trace.attempts, cached=bool(call["cached"]))
    belongs(call)
    layers(texts["config"] or {})
    return True


def figures(call: Mapping[str, Any], tried: pd.DataFrame) -> None:
    """How it ended, and its figures, in a line."""
    cached = tried.loc[tried["won"] == 1, "cache_read_tokens"].fillna(0).sum()
    shown = {
        "Outcome": palette.outcome(call["kind"] or call["status"]),
        "First token": _first_token(call),
        **({"Thinking": units.seconds(call["thinking"])} if call["thinking"] is not None else {}),
        "Total": units.seconds(call["elapsed"]),
        "Cost": units.dollars(call["cost"]),
        "Tokens": _tokens(call),
        **({"Read from the provider's cache": f"{cached:,.0f} tokens"} if cached else {}),
        "Tokens a second": _speed(call),
    }
    st.html(drawing.strip(shown, colour=palette.OUTCOMES.get(call["kind"] or call["status"], ("", palette.GREY))[1]))


def _first_token(call: Mapping[str, Any]) -> str:
    return units.seconds(call["ttft"]) if call["ttft"] is not None else "–" if call["streamed"] else "not streamed"


def _tokens(call: Mapping[str, Any]) -> str:
    if call["output_tokens"] is None:
        return "–"
    thought = f" ({drawing.whole(call['reasoning_tokens'])} thought)" if call["reasoning_tokens"] else ""
    return f"{drawing.whole(call['input_tokens'])} → {drawing.whole(call['output_tokens'])}{thought}"


def _speed(call: Mapping[str, Any]) -> str:
    speed = drawing.speed(call)
    return "–" if speed is None else f"{speed:,.0f}"


def tools(lab: Lab, call: Mapping[str, Any], texts: Mapping[str, Any], *, aside: bool) -> None:
    """Ask it again, keep it, say something of it; `aside`: it is shown beside another page."""
    call_id = call["call_id"]
    starred, note = notes.of(lab.ledger, [call_id]).get(call_id, (False, ""))
    request = asks.of_call(call, texts)
    with st.container(horizontal=True, vertical_alignment="center"):
        if aside and st.button("On the Calls page", icon=":material/link:", key="to-calls", help="With its address"):
            places.calls(call=call_id)
        if request is not None and st.button("Open in Compare", icon=":material/view_column:", key="to-compare"):
            places.compare(call_id)
        if request is not None:
            with st.popover("Again with another model", icon=":material/replay:"):
                others = [model for model in choices.models() if model != call["model"]]
                model = st.selectbox("Model", others, index=None, accept_new_options=True, key="again-with")
                if st.button("Run", type="primary", disabled=model is None, key="again-run"):
                    places.compare(call_id, model=str(model))
        with st.popover("Add to a set", icon=":material/playlist_add:"):
            collecting.add(lab, call_id, collecting.variables(lab, call, texts), str(texts["answer"] or ""), call_id)
        if st.button(
            "Starred" if starred else "Star",
            icon=":material/star:" if starred else ":material/star_outline:",
            key="star",
            type="tertiary",
        ):
            notes.note(lab.ledger, call_id, starred=not starred)
            st.rerun(scope="app")
    with st.expander("Note" + (f": {escape.markdown(one_line(note, 80))}" if note else ""), expanded=False):
        st.text_area(
            "Note",
            note,
            key=f"note-{call_id}",
            max_chars=notes.LONGEST,
            label_visibility="collapsed",
            height=80,
            on_change=_noted,
            args=(lab, call_id),
        )


def _noted(lab: Lab, call_id: str) -> None:
    """Somebody has written a note: it is kept. One that is only looked at stays as it is."""
    lab.note(call_id, str(st.session_state[f"note-{call_id}"]))
    st.toast("The note is kept.")


def found(checks: pd.DataFrame) -> None:
    """What the checks found."""
    if checks.empty:
        return
    shown = checks.drop(columns="parts").dropna(axis="columns", how="all").rename(columns={"name": "check"})
    shown.insert(0, "", ["✓" if passed else "✗" for passed in shown.pop("passed")])
    st.caption("Checks")
    drawing.table(shown, "checks", checks)


def attempts(frame: pd.DataFrame, *, cached: bool) -> None:
    """Each request, and what it said."""
    if frame.empty and cached:
        st.caption("No request was sent: the answer was kept, and given again.")
        return
    if frame.empty:
        st.caption("No request was sent: the call was refused before that.")
        return
    frame = frame.assign(input_tokens=frame[list(_SENT)].sum(axis="columns", min_count=1))
    shown = frame[_ATTEMPTS].dropna(axis="columns", how="all")
    shown = shown.drop(columns=[name for name in ("wait", "saturated", "loop_lag") if _nothing(shown, name)])
    texts = shown.assign(
        **{name: [drawing.seconds(value) for value in shown[name]] for name in _SECONDS if name in shown}
    )
    if "cost" in texts:
        texts["cost"] = [drawing.dollars(value) for value in shown["cost"]]
    st.caption("Attempts")
    drawing.table(texts.rename(columns=plain), "attempts", frame)
    for error in frame["error"].dropna():
        st.text(error)


def _nothing(frame: pd.DataFrame, name: str) -> bool:
    """Whether a column says nothing: no wait, no lag that a person would see."""
    return name in frame and bool((frame[name].fillna(0).astype(float) < 0.0005).all())


def plain(column: str) -> str:
    """A column's name as a person reads it."""
    return _NAMES.get(column, column.replace("_", " "))


def belongs(call: Mapping[str, Any]) -> None:
    """What it was part of, and for whom."""
    prompt = None if call["prompt_name"] is None else f"{call['prompt_name']} version {call['prompt_version']}"
    facts = {"Prompt": prompt, "Experiment": call["experiment"], "User": call["user"], "Lane": call["lane"]}
    facts |= {"Tags": ", ".join(call["tags"]) or None, "Answered by": call["answered_by"]}
    if call["router"] is not None:
        facts["Sent by"] = way(call)
    if (batch := batches.of_call(backend.lab().ledger, call["call_id"])) is not None:
        facts["Out of a batch"] = f"{batch['name']} ({batch['service']}, {batch['model']})"
    if call["tokens_before"] is not None:
        sent, before = call["input_tokens"], call["tokens_before"]
        facts["Made shorter"] = f"{before:,.0f} → {sent:,.0f} tokens, {before / max(1, sent):.1f} times fewer"
    started = pd.Timestamp(call["started_at"], unit="s").strftime("%Y-%m-%d %H:%M:%S UTC")
    facts |= {"Finish reason": call["finish_reason"], "Started": started, "Identifier": call["call_id"]}
    st.html(drawing.facts({name: str(value) for name, value in facts.items() if value is not None}, beside=True))


def way(call: Mapping[str, Any]) -> str:
    """Where its router has sent it, and why."""
    if call["route_score"] is None:
        return f"{call['router']} to {call['routed_to']}: {call['routed_why']}"
    side = "the other way, to look" if call["routed_why"] == "other way" else f"{call['route_cut']:+.3f} is the cut"
    return f"{call['router']} to {call['routed_to']}: {call['route_score']:+.3f} gain predicted, {side}"


def layers(config: Mapping[str, Any]) -> None:
    """Under which bounds it ran, and with which parameters."""
    with st.expander("Layers and parameters"):
        try:
            st.html(Policy.of(config.get("policy") or {}).explain()._repr_html_())
        except (ValueError, TypeError):  # of an older lab, or another one
            st.caption("Its policy is one that this lab doesn't know.")
        st.json({name: part for name, part in config.items() if name != "policy"}, expanded=2)
