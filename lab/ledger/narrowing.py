"""What the record can be narrowed to, as people and pages say it."""

from __future__ import annotations

import re
from datetime import datetime

FILTERS = ("since", "until", "model", "prompt", "experiment", "user", "tag")
"""What figures can be narrowed to. `since` and `until`: datetimes or Unix seconds; `prompt`: a name, or `name@2`."""


_NAME = re.compile(r"[A-Za-z][\w.-]{0,79}\Z")


def is_name(text: str) -> bool:
    """Whether a prompt may be called so."""
    return _NAME.match(text) is not None


def named_version(prompt: str) -> tuple[str, int | None]:
    """`triage@2` as a name and a version; the version is None where none is given."""
    name, marked, version = prompt.rpartition("@")
    known = marked and version.isascii() and version.isdecimal() and len(version) < 10
    return (name, int(version)) if known else (prompt, None)


def unix(moment: datetime | float) -> float:
    """Unix seconds of a datetime, or of seconds already."""
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)
