"""Words of others, made safe for a place that reads markup."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)", re.IGNORECASE)
"""Where an address can be told from words: Markdown makes links of bare ones, too, whatever is escaped in them."""
_JOINER = "\u2060"


def markdown(value: object) -> str:
    """Words for a place that reads Markdown, so that nothing of them is markup: no picture, no link, no colour."""
    line = " ".join("".join(char if char.isprintable() else " " for char in str(value)).split())
    line = _ADDRESS.sub(_JOINER, line.encode("utf-8", "replace").decode())
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", line)
