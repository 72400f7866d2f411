"""Parameters of a request: sampling, length, effort, and whatever else a provider takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

EFFORTS = ("none", "minimal", "low", "medium", "high")

PLAIN = {
    "max_tokens": "max_tokens",
    "heat": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "effort": "reasoning_effort",
}
"""Keys of widgets, and the parameters they set."""

_RANGES = {  # of the parameters that are numbers, and whether they are whole ones
    "max_tokens": (1, 100_000, True),
    "seed": (0, 2**31 - 1, True),
    "temperature": (0.0, 2.0, False),
    "top_p": (0.0, 1.0, False),
}


def parameters() -> tuple[dict[str, Any], str | None]:
    """Sampling, length, effort, and whatever else a provider takes; and what is wrong with it."""
    first, second, third = st.columns(3)
    limit = first.number_input(
        "Max tokens", 1, 100_000, None, placeholder="the model's own", key="max_tokens", persist_state="session"
    )
    heat = second.number_input(
        "Temperature", 0.0, 2.0, None, 0.1, placeholder="the model's own", key="heat", persist_state="session"
    )
    top = third.number_input(
        "Top p", 0.0, 1.0, None, 0.05, placeholder="the model's own", key="top_p", persist_state="session"
    )
    seed = first.number_input("Seed", 0, 2**31 - 1, None, placeholder="none", key="seed", persist_state="session")
    effort = second.selectbox(
        "Reasoning effort",
        EFFORTS,
        index=None,
        placeholder="the model's own",
        key="effort",
        persist_state="session",
    )
    stop = third.text_input(
        "Stop at", key="stop_at", placeholder="texts, with commas between them", persist_state="session"
    )
    extra = st.text_area(
        "Other parameters, as JSON",
        key="extra",
        height=68,
        placeholder='{"presence_penalty": 0.5}',
        persist_state="session",
        help="Whatever the provider takes, by LiteLLM's names. Keys belong into the environment.",
    )
    chosen = {"max_tokens": limit, "temperature": heat, "top_p": top, "seed": seed, "reasoning_effort": effort}
    params: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    if texts := [text.strip() for text in stop.split(",") if text.strip()]:
        params["stop"] = texts
    if not extra.strip():
        return params, None
    try:
        more = json.loads(extra)
    except ValueError as odd:
        return params, f"other parameters: not JSON: {odd}"
    if not isinstance(more, dict):
        return params, 'other parameters: an object, such as {"presence_penalty": 0.5}'
    return params | more, None


def load(params: Mapping[str, Any]) -> None:
    """Put the parameters of what was asked into the boxes. To be called before they are drawn."""
    state = st.session_state
    held = {name for name, value in params.items() if _holds(name, value)}
    for key, name in PLAIN.items():
        state[key] = params[name] if name in held else None
    stop = params["stop"] if "stop" in held else []
    state["stop_at"] = stop if isinstance(stop, str) else ", ".join(stop)
    others = {name: value for name, value in params.items() if name not in held}
    state["extra"] = json.dumps(others, ensure_ascii=False) if others else ""


def _holds(name: str, value: Any) -> bool:
    """Whether a widget of the form can show this value of a parameter as it is; else it is among the others."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if name == "stop":
        texts = [value] if isinstance(value, str) else value if isinstance(value, list) else [None]
        return all(isinstance(text, str) and text == text.strip() != "" and "," not in text for text in texts)
    if name in _RANGES:
        least, most, whole = _RANGES[name]
        return number and least <= value <= most and (not whole or isinstance(value, int))
    return name == "reasoning_effort" and value in EFFORTS
