"""Values drawn small, as escaped HTML for notebooks. Pure functions that never raise."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence


def reply_html(text: str, facts: str, reasoning: str = "") -> str:
    """An answer as a small block: what was thought folded, the text as text, the facts below. Colours are the page's
    own."""
    folded = (
        '<details style="opacity:.75;margin-bottom:.4em"><summary>Thinking</summary>'
        f'<div style="white-space:pre-wrap;overflow-wrap:anywhere">{html.escape(reasoning[:20_000])}</div></details>'
    )
    return (
        f'<div style="max-width:48rem">{folded if reasoning else ""}'
        f'<div style="white-space:pre-wrap;overflow-wrap:anywhere">{html.escape(text[:20_000])}</div>'
        f'<div style="opacity:.65;font-size:85%;margin-top:.4em">{html.escape(facts)}</div></div>'
    )


VERDICTS = {"pass": "#2a9d8f", "fail": "#e5566d", "inconclusive": "#e09f3e"}
"""Colours that are told apart on light and on dark."""


def verdict_html(verdict: str, sentence: str, difference: float, low: float, high: float, margin: float) -> str:
    """A verdict: the word, the interval of the difference on a line (zero and the margin are marked), the sentence."""
    colour = VERDICTS.get(verdict, "#7d8597")
    word = (
        f'<span style="border:1px solid {colour};border-left-width:.6em;border-radius:3px;padding:.05em .5em">'
        f"<b>{html.escape(verdict)}</b></span>"
    )
    line = ""
    if not any(math.isnan(value) for value in (difference, low, high)):
        reach = 1.15 * max(abs(low), abs(high), margin, 0.005)

        def at(value: float) -> float:
            return 50 + 50 * value / reach

        marks = "".join(
            f'<div style="position:absolute;left:{at(where):.2f}%;top:-.25em;bottom:-.25em;border-left:1px {kind} '
            f'rgba(128,128,128,.9)" title="{title}"></div>'
            for where, kind, title in ((0.0, "solid", "no difference"), (-margin, "dashed", "the margin"))
        )
        line = (
            '<div style="position:relative;height:.9em;max-width:28em;margin:.7em 0;border-radius:2px;'
            f'background:rgba(128,128,128,.14)">{marks}<div style="position:absolute;left:{at(low):.2f}%;'
            f"width:{at(high) - at(low):.2f}%;"
            f'top:.3em;bottom:.3em;background:{colour};border-radius:2px"></div><div style="position:absolute;'
            f"left:calc({at(difference):.2f}% - .3em);top:.15em;width:.6em;height:.6em;border-radius:50%;"
            f'background:{colour}"></div></div>'
        )
    why = f'<div style="overflow-wrap:anywhere">{html.escape(sentence)}</div>'
    return f'<div style="max-width:48rem">{word}{line}{why}</div>'


def layers_html(head: str, layers: Sequence[tuple[str, str]]) -> str:
    """Named layers, each drawn within the one before it. Colours are the page's own."""
    box = "border-left:3px solid rgba(42,157,143,.75);padding:.15em 0 .15em .7em;margin:.1em 0"
    opened = "".join(
        f'<div style="{box}"><b>{html.escape(name)}</b> <span style="opacity:.75">{html.escape(detail)}</span>'
        for name, detail in layers
    )
    return f'<div style="max-width:48rem;line-height:1.45">{html.escape(head)}{opened}{"</div>" * len(layers)}</div>'
