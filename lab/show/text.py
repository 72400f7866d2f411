"""Text made short, and messages as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any


def one_line(text: str, width: int) -> str:
    """`text` on one line, at most `width` characters."""
    line = " ".join(text[: width * 4].split())
    return line if len(line) <= width else line[: width - 1] + "…"


def plain_text(messages: Sequence[Any]) -> str:
    """Messages as a person would read them; parts that are no text are named in brackets."""
    lines = []
    for message in messages:
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
        text = "\n".join(
            str(part.get("text", "")) if part.get("type") == "text" else f"[{part.get('type')}]" for part in parts
        )
        role = message.get("role", "user")
        lines.append(text if role == "user" else f"[{role}] {text}")
    return "\n".join(lines)


def shortened(line: str, most: int) -> str:
    """`line` of at most `most` characters, cut between words: half a word may be half of something to be redacted."""
    if len(line) <= most:
        return line
    kept, space, _ = line[: most - 1].rpartition(" ")
    return (kept if space and len(kept) > most // 2 else "") + "…"


def natural(text: str) -> list[tuple[int, int, str]]:
    """What texts are sorted by so that `nightly-2` comes before `nightly-10`."""
    parts = re.split(r"(\d{1,18})", text.casefold())
    return [(0, int(part), "") if part.isascii() and part.isdecimal() else (1, 0, part) for part in parts if part]
