"""Words of others, made safe for a place that reads markup."""

from __future__ import annotations

import re


def markdown(value: object) -> str:
    """Words for a place that reads Markdown, so that nothing of them is markup: no picture, no link, no colour."""
    line = " ".join("".join(char if char.isprintable() else " " for char in str(value)).split())
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", line.encode("utf-8", "replace").decode())
