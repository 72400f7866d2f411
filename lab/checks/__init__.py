"""Is it right: schemas, constraints, sources, for `lab.ask(..., schema=..., checks=[...])`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.lazy import names

if TYPE_CHECKING:
    from lab.checks.constraints import between, contains, excludes, length, matches, one_of, positive
    from lab.checks.filesystem import files
    from lab.checks.grounding import citations, figures, grounded, overlap, quotes, variable
    from lab.checks.judging import Judge, judge
    from lab.checks.kernel import Check, Examined, Output, as_check, examined, that
    from lab.checks.portable import read, written
    from lab.checks.schema import Schema

_HOMES = {
    **dict.fromkeys(
        ("between", "contains", "excludes", "length", "matches", "one_of", "positive"), "lab.checks.constraints"
    ),
    "files": "lab.checks.filesystem",
    **dict.fromkeys(("citations", "figures", "grounded", "overlap", "quotes", "variable"), "lab.checks.grounding"),
    **dict.fromkeys(("Judge", "judge"), "lab.checks.judging"),
    **dict.fromkeys(("Check", "Examined", "Output", "as_check", "examined", "that"), "lab.checks.kernel"),
    **dict.fromkeys(("read", "written"), "lab.checks.portable"),
    "Schema": "lab.checks.schema",
}
"""Where each name is at home. They are fetched when first used: a call without checks loads none of them."""

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

__getattr__ = names("lab.checks", _HOMES)
