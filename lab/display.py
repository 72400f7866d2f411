"""Values drawn small, as text and as escaped HTML for notebooks. Pure functions that never raise."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
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


VERDICTS = {"pass": "#2a9d8f", "fail": "#e5566d", "inconclusive": "#e09f3e"}
"""Colours that are told apart on light and on dark."""


def verdict_html(verdict: str, said: str, difference: float, low: float, high: float, margin: float) -> str:
    """A verdict: the word, the interval of the difference on a line (zero and the margin are marked), the sentence."""
    colour = VERDICTS.get(verdict, "#7d8597")
    word = (
        f'<span style="border:1px solid {colour};border-left-width:.6em;border-radius:3px;padding:.05em .5em">'
        f"<b>{html.escape(verdict)}</b></span>"
    )
    line = ""
    if not any(math.isnan(one) for one in (difference, low, high)):
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
    return (
        f'<div style="max-width:48rem">{word}{line}<div style="overflow-wrap:anywhere">{html.escape(said)}</div></div>'
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


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a timeline: its parts as (name, start, end) in seconds, how it came out, and what is to be noted."""

    label: str
    model: str
    parts: tuple[tuple[str, float, float], ...]
    outcome: str
    good: bool
    notes: tuple[str, ...] = ()


PARTS = {
    "waiting": "#7d8597",
    "connect": "#9b5de5",
    "first token": "#e09f3e",
    "generation": "#2a9d8f",
    "until its end": "#4a7fd6",
}
"""The parts of an attempt and their colours, told apart on light and on dark. `until its end` is all of it where no
first token was seen: an answer that was not streamed, or a failure."""


def timeline_html(title: str, head: str, bars: Sequence[Bar]) -> str:
    """A timeline as HTML: a line an attempt, escaped, in the page's own colours."""
    end = max([part[2] for bar in bars for part in bar.parts], default=0.0) or 1.0
    rows = []
    for bar in bars:
        drawn = "".join(
            f'<div title="{html.escape(f"{name}: {seconds(stop - start)}")}" style="position:absolute;top:0;bottom:0;'
            f"left:{100 * start / end:.2f}%;width:max(2px,{100 * (stop - start) / end:.2f}%);"
            f'background:{PARTS.get(name, "#7d8597")};border-radius:2px"></div>'
            for name, start, stop in bar.parts
        )
        notes = "".join(f'<div style="opacity:.75">{html.escape(note)}</div>' for note in bar.notes)
        last = bar.parts[-1][2] if bar.parts else 0.0
        rows.append(
            f'<div style="white-space:nowrap">{html.escape(bar.label)}</div>'
            f'<div style="position:relative;height:1.1em;min-width:8em;background:rgba(128,128,128,.14);'
            f'border-radius:2px">{drawn}</div>'
            f"<div><b>{html.escape(shorten(bar.outcome, 80))}</b> {seconds(last)} "
            f'<span style="opacity:.75">{html.escape(shorten(bar.model, 60))}</span>{notes}</div>'
        )
    legend = "".join(
        f'<span style="margin-right:1em;white-space:nowrap"><span style="display:inline-block;width:.7em;height:.7em;'
        f'border-radius:2px;background:{colour}"></span> {html.escape(name)}</span>'
        for name, colour in PARTS.items()
        if any(part[0] == name for bar in bars for part in bar.parts)
    )
    grid = "display:grid;grid-template-columns:max-content minmax(8em,3fr) minmax(9em,2fr);gap:.35em .9em"
    table = f'<div style="{grid};align-items:center;margin:.4em 0">{"".join(rows)}</div>' if rows else ""
    return (
        f'<div style="max-width:64rem;font-size:92%;overflow-wrap:anywhere"><div><b>{html.escape(title)}</b></div>'
        f'<div style="opacity:.8">{html.escape(head)}</div>{table}'
        f'<div style="opacity:.8;font-size:90%">{legend if rows else ""}</div></div>'
    )


def timeline_text(bars: Sequence[Bar], width: int = 48) -> list[str]:
    """The same in a terminal, a line an attempt: `.` waits, `-` connects, `~` until the first token, `#` generates, `=`
    until its end where no first token was seen."""
    end = max([part[2] for bar in bars for part in bar.parts], default=0.0) or 1.0
    signs = dict(zip(PARTS, ".-~#=", strict=True))
    lines = []
    for bar in bars:
        drawn = [" "] * width
        for name, start, stop in bar.parts:
            first = min(width - 1, int(start / end * width))
            for place in range(first, max(first + 1, min(width, round(stop / end * width)))):
                drawn[place] = signs.get(name, "?")
        last = bar.parts[-1][2] if bar.parts else 0.0
        lines.append(f"{bar.label:<12} |{''.join(drawn)}| {seconds(last)} {bar.outcome} {bar.model}")
        lines += [f"{'':<13} {note}" for note in bar.notes]
    return lines


def safe_cell(value: Any) -> Any:
    """A value for a CSV: a text that a spreadsheet would take for a formula has a `'` before it (OWASP, CSV Injection);
    lists and mappings are texts, too."""
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else str(value)
    return f"'{text}" if text and text.lstrip(" \u00a0")[:1] in _FORMULA else text


_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
