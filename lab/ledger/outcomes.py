"""What became of a call, as queries ask it: whether it answers its cell, and when it is given up."""

from __future__ import annotations

ABANDONED = 900.0
"""Seconds after which a call that never ended is taken for one that never will."""

UNANSWERED = ("budget", "busy", "auth", "quota")
"""Kinds of failure that say nothing of the question: such a cell is asked again."""
_KINDS = ", ".join(f"'{kind}'" for kind in UNANSWERED)
ANSWERED = (
    f"(calls.status = 'ok' OR (calls.status = 'failed' AND calls.kind NOT IN ({_KINDS}) AND"
    " calls.phase IS NOT 'batch' AND NOT EXISTS"
    " (SELECT 1 FROM checks WHERE checks.call_id = calls.call_id AND checks.broken)))"
)
"""What became of a call that answers its cell. One that failed without a kind, or by a check that failed itself, met a
bug, not an answer; one whose batch was over before its turn was not asked."""
