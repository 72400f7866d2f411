"""What is asked: written here with its turns and pictures, or saved prompts with their variables."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lab import Lab, Prompt, errors
from lab.call.prompts import Filled
from lab.evals.asks import Ask
from playground.parts import choices, escape, places, templates, words

EDITED = ", edited"
"""After the name of a prompt whose template was changed in the form, and not saved."""

PICTURE = 5
"""Megabytes of a picture."""


def draw(lab: Lab, left: DeltaGenerator, right: DeltaGenerator) -> tuple[list[tuple[str, Any]], str | None]:
    """What is asked: saved prompts with their variables, or what is written; and what is missing of it."""
    saved = choices.prompts()
    picked = right.multiselect(
        "Saved prompts", list(saved), key="saved", placeholder="none: what is written", persist_state="session"
    )
    picked = [name for name in picked if name in saved]
    with left:
        if picked:
            return filled(lab, picked, [saved[name] for name in picked])
        turns(st.session_state.get("turns") or [])
        written = st.text_area("Prompt", height=122, key="question_text", persist_state="session")
        system = st.text_area("System message", height=68, key="system", persist_state="session", placeholder="none")
    with right:
        images = pictures()
    return messages(system, st.session_state.get("turns") or [], written, images)


def messages(
    system: str, before: Sequence[Mapping[str, Any]], written: str, images: Sequence[str]
) -> tuple[list[tuple[str, Any]], str | None]:
    """What was written, as messages."""
    if not written.strip() and not images:
        return [], "the prompt is empty: write something to send"
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in images]
    content: Any = [{"type": "text", "text": written}, *parts] if parts else written
    first = [{"role": "system", "content": system}] if system.strip() else []
    return [("", (*first, *before, {"role": "user", "content": content}))], None


def turns(before: Sequence[Mapping[str, Any]]) -> None:
    """The conversation so far."""
    if not before:
        return
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            whose = st.session_state.get("turns_of") or "an earlier model"
            st.caption(f"The conversation so far: {len(before)} messages, answered by {escape.markdown(whose)}.")
            if st.button("Begin anew", icon=":material/close:", type="tertiary", key="forget-turns"):
                st.session_state["turns"] = []
                st.rerun()
        for number, message in enumerate(before):
            words.said(message, f"turn-{number}")


def filled(lab: Lab, labels: Sequence[str], prompts: Sequence[Prompt]) -> tuple[list[tuple[str, Any]], str | None]:
    """Saved prompts: their variables to fill in, and of a single one its template to edit."""
    if len(prompts) == 1:
        new = edited(lab, prompts[0])
        labels = [labels[0] if new.hash == prompts[0].hash else f"{labels[0]}{EDITED}"]
        prompts = [new]
    names = list(dict.fromkeys(variable for prompt in prompts for variable in prompt.variables))
    values = {
        name: st.text_area(name, height="content", key=f"variable-{name}", persist_state="session") for name in names
    }
    blank = {name for prompt in prompts for name in prompt.blank}
    missing = [name for name in names if not values[name].strip() and name not in blank]
    if missing:
        return [], f"fill in {' and '.join(missing)}"
    asked: list[tuple[str, Any]] = []
    for label, prompt in zip(labels, prompts, strict=True):
        try:
            asked.append((label, prompt.fill(**{name: values[name] for name in prompt.variables})))
        except errors.InvalidRequestError as odd:
            return asked, str(odd)
    return asked, None


def edited(lab: Lab, prompt: Prompt) -> Prompt:
    """The template of a saved prompt, as it is edited here."""
    with st.expander("The template", icon=":material/edit_note:"):
        new = templates.edited(prompt, "template")
        number = templates.save(lab, prompt, new, "template")
    if number is not None:
        st.session_state["picking"] = [f"{new.name} v{number}"]
        st.rerun()
    return new


def pictures() -> list[str]:
    """Pictures that go with the question, as data URLs."""
    kept: list[str] = st.session_state.setdefault("images", [])
    files = st.file_uploader(
        "Images",
        ["png", "jpg", "jpeg", "webp", "gif"],
        accept_multiple_files=True,
        key=f"pictures-{st.session_state.get('pictures_round', 0)}",
        max_upload_size=PICTURE,
    )
    for file in files:
        url = f"data:{file.type};base64,{base64.b64encode(file.getvalue()).decode()}"
        if url.startswith(places.PICTURES) and url not in kept:
            kept.append(url)
    if kept:
        with st.container(horizontal=True, vertical_alignment="center"):
            for url in kept:
                st.image(url, width=56)
            if st.button("Remove", icon=":material/close:", type="tertiary", key="forget-pictures"):
                show_pictures([])
                st.rerun()
    return list(kept)


def show_pictures(urls: Sequence[str]) -> None:
    """These pictures go with the question, and none that was uploaded before."""
    st.session_state["images"] = list(urls)
    st.session_state["pictures_round"] = st.session_state.get("pictures_round", 0) + 1


def load(ask: Ask) -> None:
    """Put what was asked into the boxes. To be called before they are drawn."""
    state = st.session_state
    asked = ask.prompts[0][1] if ask.prompts else ()
    if not isinstance(asked, tuple):
        saved = choices.prompts()
        names = [label.removesuffix(EDITED) for label, _ in ask.prompts]
        state["saved"] = [name for name in names if name in saved]
        for name, (_label, filled) in zip(names, ask.prompts, strict=True):
            for variable, value in getattr(filled, "variables", {}).items():
                state[f"variable-{variable}"] = value if isinstance(value, str) else json.dumps(value)
            if name in saved and isinstance(filled, Filled):
                templates.load(saved[name], filled.prompt, "template")
        if state["saved"]:
            return
        asked = tuple(asked.messages)
    state["saved"] = []
    system = [message for message in asked[:1] if message.get("role") == "system"]
    rest = list(asked[len(system) :])
    last = rest.pop() if rest and rest[-1].get("role") == "user" else {"content": ""}
    state["system"] = str(system[0].get("content") or "") if system else ""
    state["turns"], state["turns_of"] = rest, ", ".join(ask.models)
    content = last.get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": str(content or "")}]
    state["question_text"] = "\n".join(str(part["text"]) for part in parts if isinstance(part.get("text"), str))
    show_pictures([url for part in parts if (url := places.picture(part)) is not None])
