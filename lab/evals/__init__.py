"""Which is better: eval sets, scorers, experiments planned and resumed, gates, ratings, reports."""

from __future__ import annotations

from lab.lazy import names

_MODULES = "code compare experiment gate ratings report scorers sets spec".split()

__getattr__ = names("lab.evals", {name: f"lab.evals.{name}" for name in _MODULES})
