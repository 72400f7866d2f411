"""A flight recorder and a wind tunnel for AI API calls.

from lab import Lab
Lab().ask("What is the capital of France?", model="local/smollm2").text
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.lazy import names

if TYPE_CHECKING:
    from lab import checks, errors, stats
    from lab.call.prompts import Prompt
    from lab.client import Lab
    from lab.evals import code as code
    from lab.evals import ratings as ratings
    from lab.evals import scorers
    from lab.evals.sets import EvalSet
    from lab.jobs.job import Job
    from lab.ledger import archive as archive
    from lab.ledger import rehearsal as rehearsal
    from lab.metrics import alerts as alerts
    from lab.metrics import trace as trace
    from lab.policies import (
        Breaker,
        Budget,
        Cache,
        Compress,
        Fallback,
        Hedge,
        Limit,
        Near,
        Policy,
        Repair,
        Retry,
        Timeout,
    )
    from lab.provider import catalogue as catalogue
    from lab.show import charts as charts
    from lab.values import Reply

__all__ = [
    "Breaker",
    "Budget",
    "Cache",
    "Compress",
    "EvalSet",
    "Fallback",
    "Hedge",
    "Job",
    "Lab",
    "Limit",
    "Near",
    "Policy",
    "Prompt",
    "Repair",
    "Reply",
    "Retry",
    "Timeout",
    "checks",
    "errors",
    "scorers",
    "stats",
]

_HOMES = {
    "EvalSet": "lab.evals.sets",
    "Job": "lab.jobs.job",
    "Lab": "lab.client",
    "Prompt": "lab.call.prompts",
    "Reply": "lab.values",
    **dict.fromkeys(
        "Breaker Budget Cache Compress Fallback Hedge Limit Near Policy Repair Retry Timeout".split(), "lab.policies"
    ),
    # modules, imported as `from lab import charts` wherever they stand
    "alerts": "lab.metrics.alerts",
    "archive": "lab.ledger.archive",
    "catalogue": "lab.provider.catalogue",
    "charts": "lab.show.charts",
    "code": "lab.evals.code",
    "ratings": "lab.evals.ratings",
    "rehearsal": "lab.ledger.rehearsal",
    "scorers": "lab.evals.scorers",
    "trace": "lab.metrics.trace",
    **{room: f"lab.{room}" for room in ("checks", "errors", "jobs", "metrics", "sim", "stats")},
}
"""Where each public name is at home. They are fetched when first used, so that `import lab` stays fast."""

__getattr__ = names("lab", _HOMES)


def __dir__() -> list[str]:
    return __all__
