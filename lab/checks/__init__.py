"""Tests of an answer, for `lab.ask(..., schema=..., checks=[...])`: what a successful response must be to be right."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from lab.checks.constraints import between, contains, excludes, length, matches, one_of, positive
from lab.checks.files import files
from lab.checks.grounding import citations, figures, grounded, overlap, quotes, variable
from lab.checks.judge import Judge, judge
from lab.checks.kernel import Check, Examined, Output, as_check, examined, that
from lab.checks.portable import read, written

if TYPE_CHECKING:
    from lab.checks.schema import Schema

__all__ = [
    "Check",
    "Examined",
    "Judge",
    "Output",
    "Schema",
    "as_check",
    "between",
    "citations",
    "contains",
    "examined",
    "excludes",
    "figures",
    "files",
    "grounded",
    "judge",
    "length",
    "matches",
    "one_of",
    "overlap",
    "positive",
    "quotes",
    "read",
    "that",
    "variable",
    "written",
]


def __getattr__(name: str) -> object:
    """`Schema` is fetched when it is first used: pydantic is slow to import, and most calls have no schema."""
    if name == "Schema":
        return importlib.import_module("lab.checks.schema").Schema
    raise AttributeError(f"module 'lab.checks' has no attribute {name!r}")
