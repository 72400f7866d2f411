"""Cards: each answer with its figures, the best of each marked, prompts down and models across."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lab import Lab
from lab.evals.asks import Ask
from lab.show import palette, units
from playground.parts import copying, drawing, markdown, opened, words
from playground.parts.lanes import Lane

REFRESH = 0.06  # seconds between two looks at the streams
SEEN = 400
"""Characters of what is being thought that are shown while it is."""
LIVE = 8_000
"""Characters up to which an answer is drawn as Markdown while it arrives: what draws is not to slow what is timed."""
BEGINS = "Answer begins"
"""The time to the first token of the answer, where some think before it."""
_FIGURES = ("First token", "Total", "Tokens a second", "Tokens in → out", "Cost", "Attempts", "Outcome")


@dataclass
class Card:
    """Where a lane is drawn: its answer, its figures, and what can be done with it."""

    lane: Lane
    answer: DeltaGenerator
    figures: DeltaGenerator
    tools: DeltaGenerator
    drawn: str | None = None
    first: float | None = None
    """Seconds after which the first words were seen here: about when they came."""
    thinks: float | None = None
    """When the first thought was seen here."""


def draw(lab: Lab, lanes: Sequence[Lane], ask: Ask | None, go_on: Callable[[Lane], None]) -> None:
    """All of them, drawn again until each has ended."""
    cards = layout(lanes, lab.colours(*(lane.model for lane in lanes)))
    raw = bool(st.session_state.get("raw_answers"))
    schema = None if ask is None else ask.schema
    running = dict.fromkeys(range(len(cards)), True)
    while any(running.values()):
        for place, card in enumerate(cards):
            if running[place]:
                running[place] = card.lane.runs(lab)
                if running[place]:
                    arriving(card)
        if any(running.values()):
            time.sleep(REFRESH)
    best = bests([lane for lane in lanes if lane.good])
    thinks = any((lane.row or {}).get("thinking") is not None for lane in lanes)
    for place, card in enumerate(cards):
        ended(lab, card, schema, raw, best, thinks=thinks)
        with card.tools:
            tools(card.lane, place, go_on)


def layout(lanes: Sequence[Lane], colours: Mapping[str, str]) -> list[Card]:
    """A row a prompt, a column a model, all of one width; where there is no room, they go on below."""
    cards: list[Card] = []
    prompts = list(dict.fromkeys(lane.prompt for lane in lanes))
    for number, prompt in enumerate(prompts):
        if prompt:
            drawing.section(prompt)
        with st.container(key=f"cards-{number}"):
            for lane in lanes:
                if lane.prompt == prompt:
                    with st.container(border=True):
                        drawing.model_name(lane.model, colours.get(lane.model))
                        cards.append(
                            Card(
                                lane, st.empty(), st.empty(), st.container(horizontal=True, vertical_alignment="center")
                            )
                        )
    return cards


def arriving(card: Card) -> None:
    """What has come so far; drawn where it is new."""
    text = card.lane.text
    thoughts = card.lane.reasoning if not text else ""
    if text + thoughts != card.drawn:
        card.drawn = text + thoughts
        if thoughts:
            card.thinks = card.thinks or time.monotonic()
            card.answer.html(drawing.thinking(thoughts, SEEN, time.monotonic() - card.thinks))
        elif not text:
            card.answer.caption("waiting for the first token …")
        elif len(text) <= LIVE:
            card.answer.html(markdown.to_html(words.thought(text)[1] or "thinking …"))
        else:
            card.answer.text(text[-LIVE:])
    figures = dict.fromkeys(_FIGURES, "–")
    if (text or thoughts) and card.first is None:
        card.first = time.monotonic() - card.lane.since
    figures |= {"Total": f"{time.monotonic() - card.lane.since:.1f} s", "Outcome": "running"}
    figures |= {} if card.first is None else {"First token": f"about {card.first:.1f} s"}
    card.figures.html(drawing.facts(figures))


def ended(lab: Lab, card: Card, schema: Any, raw: bool, best: Mapping[str, set[str]], *, thinks: bool = False) -> None:
    """The whole answer, or why there is none; its value and checks; its figures."""
    lane, failure = card.lane, card.lane.failure
    tagged, text = words.thought(lane.text)
    thinking = lane.reasoning or tagged
    value = lane.value(schema)
    with card.answer.container():
        if failure is not None:
            st.html(drawing.reason(*failure))
        words.thoughts(thinking, f"thinking-{lane.call_id}")
        if value is not None and not raw:
            st.json(value if isinstance(value, dict | list) else {"value": value}, expanded=3)
        elif text:
            st.html(markdown.raw_html(text) if raw else markdown.to_html(text))
            drawing.rest(text, f"card-{lane.call_id}")
        elif failure is None:
            st.caption(nothing(lane))
        if schema is not None and lane.row:
            findings = lane.checked(lab)
            if not findings.empty:
                st.html(drawing.checks(findings.to_dict("records")))
    marked = tuple(label for label, calls in best.items() if lane.call_id in calls)
    rows = figures_of(lane, thinks=thinks)
    card.figures.html(drawing.facts(rows, bad=("Outcome",) if failure else (), best=marked, why=queued(lane)))


def nothing(lane: Lane) -> str:
    """Why there is no text."""
    if lane.stopped:
        return "stopped while it thought: there is no answer yet" if lane.reasoning else "stopped before anything came"
    if not lane.words:
        return "its words were not kept"
    return "lost with its process" if lane.outcome == "running" else "no answer"


def queued(lane: Lane) -> str:
    """How long it waited before its first request, where that is worth a word."""
    wait = (lane.row or {}).get("queue") or 0.0
    return f"{units.seconds(wait)} of it went by before the first request." if wait > 0.5 else ""


def begins(row: Mapping[str, Any]) -> float | None:
    """Seconds until the first token of the answer: what a reader waits for."""
    first = row.get("ttft")
    return None if first is None else float(first + (row.get("thinking") or 0.0))


def figures_of(lane: Lane, *, thinks: bool = False) -> dict[str, str]:
    """What the call took; `thinks`: one beside it thinks, so that its rows are there, too."""
    row = lane.row or {}
    speed = drawing.speed(row)
    blank = dict.fromkeys(_FIGURES, "–")
    thought = {"Thinking": units.seconds(row.get("thinking")), BEGINS: units.seconds(begins(row))}
    measured = {"First token": "–"} | (thought if thinks or row.get("thinking") is not None else {}) | blank
    measured |= {
        "First token": units.seconds(row.get("ttft")),
        "Total": units.seconds(row.get("elapsed")),
        "Tokens a second": "–" if speed is None else f"{speed:,.0f}",
        "Cost": units.dollars(row.get("cost")),
        "Attempts": str(row.get("n_attempts") or "–"),
    }
    if row.get("output_tokens") is not None:
        thoughts = f" ({drawing.whole(row['reasoning_tokens'])} thought)" if row.get("reasoning_tokens") else ""
        tokens = f"{drawing.whole(row['input_tokens'])} → {drawing.whole(row['output_tokens'])}"
        measured["Tokens in → out"] = tokens + thoughts
    if row.get("cached"):
        measured["Cost"] = "out of the store"
    failure = lane.failure
    measured["Outcome"] = (
        f"✗ {failure[0]}" if failure else "□ stopped" if lane.stopped else palette.outcome(lane.outcome)
    )
    return measured


def bests(lanes: Sequence[Lane]) -> dict[str, set[str]]:
    """Of each figure the calls that are best in it, where some are better than others."""
    best: dict[str, set[str]] = {}
    known: dict[str, tuple[Callable[[Mapping[str, Any]], float | None], int]] = {
        (BEGINS if any((lane.row or {}).get("thinking") is not None for lane in lanes) else "First token"): (begins, 1),
        "Total": (lambda row: None if row.get("cached") else row.get("elapsed"), 1),
        "Cost": (lambda row: None if row.get("cached") else row.get("cost"), 1),
        "Tokens a second": (drawing.speed, -1),
    }
    for label, (figure, sign) in known.items():
        values = {lane.call_id: sign * value for lane in lanes if (value := figure(lane.row or {})) is not None}
        if len(set(values.values())) > 1:
            least = min(values.values())
            best[label] = {call for call, value in values.items() if value == least}
    return best


def tools(lane: Lane, place: int, go_on: Callable[[Lane], None]) -> None:
    """What can be done with one answer."""
    if lane.text:
        copying.button(lane.text, f"{place}-{lane.call_id}")
    if lane.row and st.button("Open call", key=f"open-{place}", icon=":material/receipt_long:", type="tertiary"):
        opened.drawer(lane.call_id)
    if lane.good and lane.text:
        st.button(
            "Go on",
            key=f"go-on-{place}",
            icon=":material/subdirectory_arrow_right:",
            type="tertiary",
            on_click=go_on,
            args=(lane,),
            help="Ask the next question of this conversation",
        )


def differing(lanes: Sequence[Lane]) -> None:
    """Two answers, word by word."""
    good = [lane for lane in lanes if lane.good and lane.text]
    if len(good) < 2:
        return
    with st.expander("Two answers, word by word", icon=":material/difference:"):
        labels = [
            f"{number}  {lane.prompt + ' · ' if lane.prompt else ''}{lane.model}" for number, lane in enumerate(good, 1)
        ]
        with st.container(horizontal=True):
            before = st.selectbox("From", labels, index=0, key="differ-from", width=320)
            after = st.selectbox("to", labels, index=1, key="differ-to", width=320)
        texts = dict(zip(labels, (lane.text for lane in good), strict=True))
        st.html(drawing.differing(texts.get(before, ""), texts.get(after, "")))
        st.caption("Struck out: only in the first. Underlined: only in the second.")
