"""What a model does besides answering: it thinks, and it calls tools."""

from __future__ import annotations

import re
from random import Random
from typing import Any

from lab.sim.answers import instance

_MUSINGS = (
    "First, what is asked for?",
    "The question names a case; which of its words decide?",
    "One reading would be the obvious one, but let me check it against the rest.",
    "If that were right, what else would have to be true?",
    "There is an exception to look for.",
    "That does not hold: back to the second reading.",
    "So far this fits.",
    "Only one answer is left.",
)


def mused(tokens: int, random: Random) -> list[str]:
    """Thoughts of so many tokens, piece by piece."""
    words: list[str] = []
    while len(words) < tokens:
        words += random.choice(_MUSINGS).split(" ")
    return [word if number == 0 else f" {word}" for number, word in enumerate(words[:tokens])]


def called(body: dict[str, Any], random: Random) -> list[dict[str, Any]]:
    """The calls of tools that a request gets: of those it names, else of the first; none once tools have answered."""
    tools = body.get("tools") or []
    if not tools or body.get("results"):
        return []
    words = set(re.findall(r"[a-z0-9]+", str(body["messages"][-1:]).lower()))
    named = [tool for tool in tools if set(tool["name"].lower().split("_")) & words]
    return [
        {"name": tool["name"], "arguments": instance(tool.get("parameters") or {"type": "object"}, random)}
        for tool in named or tools[:1]
    ]
