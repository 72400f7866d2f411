"""A button that copies a text."""

from __future__ import annotations

import streamlit as st

_JS = """
export default function (component) {
  const { data, parentElement } = component
  let button = parentElement.querySelector("button")
  if (!button) {
    button = document.createElement("button")
    button.type = "button"
    parentElement.append(button)
  }
  button.textContent = data.label
  button.title = data.help
  button.onclick = async () => {
    try {
      await navigator.clipboard.writeText(data.text)
    } catch {
      const area = document.createElement("textarea")
      area.value = data.text
      document.body.append(area)
      area.select()
      document.execCommand("copy")
      area.remove()
    }
    button.textContent = "Copied"
    setTimeout(() => (button.textContent = data.label), 1500)
  }
}
"""
_CSS = """
button {font: inherit; font-size: .86rem; color: var(--st-text-color); background: none; cursor: pointer;
  border: 1px solid var(--st-border-color); border-radius: 6px; padding: .2rem .6rem; white-space: nowrap}
button:hover, button:focus-visible {border-color: var(--st-primary-color); color: var(--st-primary-color)}
"""
_COMPONENT = st.components.v2.component("lab_copy", js=_JS, css=_CSS)


def button(text: str, key: str, label: str = "Copy", help: str = "Copy the answer, as it came") -> None:
    """Draw it."""
    _COMPONENT(key=f"copy-{key}", data={"text": text, "label": label, "help": help}, width="content")
