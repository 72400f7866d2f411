"""Which is better: eval sets, scorers, experiments planned and resumed, gates, ratings, reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.lazy import names

if TYPE_CHECKING:
    from lab.evals import asks, code, compare, experiment, gate, grid, pairs, ratings, report, scorers, sets, spec

__all__ = [
    "asks",
    "code",
    "compare",
    "experiment",
    "gate",
    "grid",
    "pairs",
    "ratings",
    "report",
    "scorers",
    "sets",
    "spec",
]

__getattr__ = names("lab.evals", {name: f"lab.evals.{name}" for name in __all__})
