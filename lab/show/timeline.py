"""A call's attempts on one time axis: as HTML, and in characters for a terminal."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from lab.show import palette
from lab.show.text import one_line
from lab.show.units import seconds


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a timeline: its parts as (name, start, end) in seconds, how it came out, and what is to be noted."""

    label: str
    model: str
    parts: tuple[tuple[str, float, float], ...]
    outcome: str
    good: bool
    notes: tuple[str, ...] = ()


PARTS = palette.PHASES
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
            f"<div><b>{html.escape(one_line(bar.outcome, 80))}</b> {seconds(last)} "
            f'<span style="opacity:.75">{html.escape(one_line(bar.model, 60))}</span>{notes}</div>'
        )
    legend = "".join(
        f'<span style="margin-right:1em;white-space:nowrap"><span style="display:inline-block;width:.7em;height:.7em;'
        f'border-radius:2px;background:{colour}"></span> {html.escape(name)}</span>'
        for name, colour in PARTS.items()
        if any(part[0] == name for bar in bars for part in bar.parts)
    )
    head_line = f"<div><b>{html.escape(title)}</b></div>" if title else ""
    grid = "display:grid;grid-template-columns:max-content minmax(8em,3fr) minmax(9em,2fr);gap:.35em .9em"
    table = f'<div style="{grid};align-items:center;margin:.4em 0">{"".join(rows)}</div>' if rows else ""
    return (
        f'<div style="max-width:64rem;font-size:92%;overflow-wrap:anywhere">{head_line}'
        f'<div style="opacity:.8">{html.escape(head)}</div>{table}'
        f'<div style="opacity:.8;font-size:90%">{legend if rows else ""}</div></div>'
    )


def timeline_text(bars: Sequence[Bar], width: int = 48) -> list[str]:
    """The same in a terminal, a line an attempt: `.` waits, `-` connects, `~` until the first token, `o` thinks, `#`
    generates, `=` until its end where no first token was seen, `:` in a provider's batch, `*` a step that is no
    call, `x` lost with its worker, at some moment until there was another one."""
    end = max([part[2] for bar in bars for part in bar.parts], default=0.0) or 1.0
    signs = dict(zip(PARTS, ".-~o#=:*x", strict=True))
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
    seen = [name for name in PARTS if any(part[0] == name for bar in bars for part in bar.parts)]
    if seen:
        lines.append(f"{'':<13} {'  '.join(f'{signs[name]} {name}' for name in seen)}")
    return lines
