"""A prompt's template, to be read and edited: its variables are found as one types, and saved it is a new version."""

from __future__ import annotations

import streamlit as st

from lab import Lab, Prompt, errors
from playground.parts import choices, drawing, escape


def edited(prompt: Prompt, key: str) -> Prompt:
    """The template as it stands in the boxes; the prompt itself where that can't be one, and why is said."""
    contents = []
    for number, message in enumerate(prompt.messages):
        content = message.get("content")
        if isinstance(content, str):
            box = f"{key}-{prompt.name}-{prompt.hash}-{number}"
            st.session_state.setdefault(box, content)
            content = st.text_area(str(message["role"]), height="content", key=box)
        contents.append(content)
    written = [{**message, "content": content} for message, content in zip(prompt.messages, contents, strict=True)]
    try:
        new = Prompt(prompt.name, written)
        blank = [name for name in prompt.blank if name in new.variables]
        passages = [name for name in prompt.passages if name in new.variables]
        question = prompt.question if prompt.question in new.variables and passages else None
        new = Prompt(prompt.name, written, blank=blank, passages=passages, question=question, stable=prompt.stable)
    except ValueError as odd:
        st.warning(escape.markdown(odd), icon=":material/edit:")
        return prompt
    named = ", ".join(f"{{{{{name}}}}}" for name in new.variables) or "none"
    st.caption(f"Variables: {escape.markdown(named)}")
    return new


def load(saved: Prompt, written: Prompt, key: str) -> None:
    """Put what was written into the boxes of a saved prompt. To be called before they are drawn."""
    if len(saved.messages) == len(written.messages):
        for number, message in enumerate(written.messages):
            if isinstance(message.get("content"), str):
                st.session_state[f"{key}-{saved.name}-{saved.hash}-{number}"] = message["content"]


def save(lab: Lab, old: Prompt, new: Prompt, key: str) -> int | None:
    """What is changed, by words, and a button that saves it; the number of the version that was just saved."""
    if new.hash == old.hash:
        return None
    st.html(drawing.differing(old.text(), new.text()))
    if not st.button("Save as a new version", icon=":material/save:", key=f"{key}-save", type="primary"):
        return None
    try:
        number = lab.save(new)
    except (ValueError, errors.LabError) as odd:
        st.warning(escape.markdown(odd), icon=":material/edit:")
        return None
    choices.forget()
    return number
