"""Values drawn small, as text and as escaped HTML for notebooks. Pure functions that never raise."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.model import Reply


def shorten(text: str, width: int) -> str:
    """`text` on one line, at most `width` characters."""
    line = " ".join(text[: width * 4].split())
    return line if len(line) <= width else line[: width - 1] + "…"


def seconds(value: float | None) -> str:
    """A duration in the unit a person would say it in."""
    if value is None:
        return "–"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def dollars(value: float | None) -> str:
    """An amount in US dollars, with as many digits as it takes to be told from nothing."""
    if value is None:
        return "unknown"
    if value == 0:
        return "$0"
    digits = 2 if value >= 1 else 1 - math.floor(math.log10(value))
    return f"${value:.{max(2, digits)}f}"


def facts(reply: Reply) -> str:
    """One line: model, times, tokens, cost."""
    parts = [reply.model]
    if reply.ttft is not None:
        parts.append(f"first token {seconds(reply.ttft)}")
    parts.append(f"total {seconds(reply.latency)}")
    parts.append(f"{reply.usage.input_tokens}→{reply.usage.output_tokens} tokens")
    parts.append(dollars(reply.cost))
    if reply.attempts > 1:
        parts.append(f"{reply.attempts} attempts")
    return " · ".join(parts)


def reply_html(reply: Reply) -> str:
    """A reply as a small block: the text as text, the facts below. Colours are the page's own."""
    return (
        '<div style="max-width:48rem">'
        f'<div style="white-space:pre-wrap;overflow-wrap:anywhere">{html.escape(reply.text[:20_000])}</div>'
        f'<div style="opacity:.65;font-size:85%;margin-top:.4em">{html.escape(facts(reply))}</div></div>'
    )


def layers_html(head: str, layers: Sequence[tuple[str, str]]) -> str:
    """Named layers, each drawn within the one before it. Colours are the page's own."""
    box = "border-left:3px solid rgba(42,157,143,.75);padding:.15em 0 .15em .7em;margin:.1em 0"
    opened = "".join(
        f'<div style="{box}"><b>{html.escape(name)}</b> <span style="opacity:.75">{html.escape(said)}</span>'
        for name, said in layers
    )
    return f'<div style="max-width:48rem;line-height:1.45">{html.escape(head)}{opened}{"</div>" * len(layers)}</div>'


def plain_text(messages: Sequence[Any]) -> str:
    """Messages as a person would read them; parts that are no text are named in brackets."""
    lines = []
    for message in messages:
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
        said = "\n".join(
            str(part.get("text", "")) if part.get("type") == "text" else f"[{part.get('type')}]" for part in parts
        )
        role = message.get("role", "user")
        lines.append(said if role == "user" else f"[{role}] {said}")
    return "\n".join(lines)
