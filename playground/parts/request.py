"""The request: what is to be asked of which models, with which parameters, in which shape, within which bounds. What is
set is said beside the button, so that nothing acts unseen."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import streamlit as st

from lab import Lab, errors
from lab.evals.asks import Ask
from lab.show.text import one_line
from playground.parts import bounds, choices, drawing, escape, question, sampling, shape


def form(lab: Lab, beside: Callable[[Lab], None]) -> tuple[Ask | None, bool]:
    """Draw it, with what stands `beside` its buttons: what is asked (None where something is missing, and it says
    what), and whether Run was pressed."""
    begin(lab)
    left, right = st.columns([3, 2])
    with right:
        models = st.multiselect(
            "Models",
            choices.models(),
            accept_new_options=True,
            placeholder="Pick, or type any LiteLLM model name",
            help="Offered: the local model, simulated ones, and models whose key is in the environment or `.env`.",
            key="models",
            persist_state="session",
        )
    prompts, missing = question.draw(lab, left, right)
    with st.expander("Parameters, schema, bounds", icon=":material/tune:"):
        first, value, limits = st.tabs(["Parameters", "Schema", "Timeouts, retries, cache"])
        with first:
            params, odd = sampling.parameters()
        with value:
            schema, misshapen = shape.schemas()
        with limits:
            policy = bounds.policies(lab, models)
    ask = Ask(prompts=tuple(prompts), models=tuple(dict.fromkeys(models)), params=params, schema=schema, policy=policy)
    with limits:
        worst(lab, ask)
    with st.container(horizontal=True, vertical_alignment="center", key="run-row"):
        ran = st.button("Run", type="primary", icon=":material/play_arrow:", shortcut="Ctrl+Enter", key="run")
        stopped = st.button("Stop", icon=":material/stop:", key="stop")
        beside(lab)
        drawing.chips(chips(ask))
    if stopped:
        st.session_state["stopping"] = True
    wrong = [why for why in (missing, odd, misshapen) if why]
    for why in wrong if ran else [why for why in (odd, misshapen) if why]:
        st.warning(escape.markdown(why), icon=":material/edit:")
    return (None if wrong else ask), ran


def begin(lab: Lab) -> None:
    """What the form holds before anybody has touched it."""
    state = st.session_state
    if "picking" in state:  # what was just saved
        state["saved"] = state.pop("picking")
    state.setdefault("models", choices.models()[:3])
    state.setdefault("question_text", "What is the capital of France?")
    state.setdefault("shape", "text")
    bounds.begin(lab)


def worst(lab: Lab, ask: Ask) -> None:
    """What all of it may come to, before it is sent."""
    if not ask.prompts or not ask.models:
        return
    try:
        policy = ask.bounded(lab.policy)
        lines = [
            (model, lab.explain(_asked(asked), model=model, policy=policy, schema=ask.schema, **dict(ask.params)))
            for _label, asked in ask.prompts[:4]
            for model in ask.models[:8]
        ]
    except (errors.LabError, ValueError, TypeError) as odd:
        st.caption(escape.markdown(one_line(str(odd), 300)))
        return
    bills = dict.fromkeys(f"{model} {_head(line)}" for model, line in lines)
    st.caption("At worst: " + "; ".join(escape.markdown(line) for line in bills))


def _head(explanation: str) -> str:
    return explanation.split("\n", 1)[0].removeprefix("at worst: ")


def _asked(asked: Any) -> Any:
    return list(asked) if isinstance(asked, tuple) else asked


def chips(ask: Ask) -> list[str]:
    """What is set, each in a few words."""
    texts = [f"{name} {one_line(json.dumps(value, ensure_ascii=False), 40)}" for name, value in ask.params.items()]
    for _label, asked in ask.prompts[:1]:
        if isinstance(asked, tuple):
            roles = [message["role"] for message in asked]
            texts += ["system message"] if "system" in roles else []
            texts += (
                [f"{len(roles) - 1 - ('system' in roles)} turns before"] if len(roles) > 1 + ("system" in roles) else []
            )
            last = asked[-1].get("content") if asked else None
            if isinstance(last, list) and len(last) > 1:
                texts.append(f"{len(last) - 1} image{'s' if len(last) > 2 else ''}")
    if ask.schema is not None:
        fields = ", ".join((ask.schema.get("properties") or {}).keys())
        texts.append(f"schema: {one_line(fields, 40)}" if fields else "schema")
    for name, part in (ask.policy or {}).items():
        texts.append(bounds.said(name, part))
    return texts


def load(ask: Ask) -> None:
    """Put what was asked into the form, to be changed and asked again. To be called before it is drawn."""
    st.session_state["models"] = list(ask.models)
    sampling.load(ask.params)
    shape.load(ask.schema)
    bounds.load(ask.policy or {})
    question.load(ask)
