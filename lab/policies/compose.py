"""The layers of a call, outermost first: what stands in `LAYERS` is what runs, and what `Policy.explain()` prints.

A new layer is a file in this folder and a line here. The breaker and the limiter are inside, one per model, so that
they see every attempt; what is put on record stands where it is seen from: a call's end below what holds something
until then, an attempt around its own timeouts.
"""

from __future__ import annotations

from typing import Any

from lab.policies import (
    breaker,
    budget,
    cache,
    compress,
    fallback,
    hedge,
    idempotent,
    limit,
    recording,
    repair,
    retry,
    route,
    timeout,
)
from lab.policies.breaker import Breaking
from lab.policies.kernel import Layer, Memory
from lab.policies.limit import Limiting

LAYERS: tuple[Layer, ...] = (
    idempotent.LAYER,
    route.LAYER,
    compress.LAYER,
    cache.LAYER,
    budget.LAYER,
    recording.CALL,
    timeout.TOTAL,
    fallback.LAYER,
    repair.LAYER,
    retry.LAYER,
    hedge.LAYER,
    breaker.LAYER,
    limit.LAYER,
    recording.ATTEMPT,
    timeout.ATTEMPT,
)


def held(memory: Memory) -> list[dict[str, Any]]:
    """What is held now, a row a model: its `breaker` (closed, open, half_open), the seconds until it is asked again
    (`opens_in`), the seconds of a pause that its provider asked for (`paused`), attempts `running`, `waiting` and
    `allowed` at once; None for what is off or was not used yet."""
    rows: dict[str, dict[str, Any]] = {}
    for key, state in memory.states.items():
        if isinstance(state, Breaking):
            row = rows.setdefault(key[2], {"model": key[2]})
            if row.get("breaker") in (None, "closed"):  # several policies may watch one model: the worst is shown
                row |= {"breaker": state.state, "opens_in": state.left()}
        if isinstance(state, Limiting):
            row = rows.setdefault(key[2], {"model": key[2]})
            row["paused"] = max(row.get("paused", 0.0), state.paused())
            row["running"] = row.get("running", 0) + state.running
            row["waiting"] = row.get("waiting", 0) + state.waiting
            row["allowed"] = min(row.get("allowed", int(state.allowed)), int(state.allowed))
    empty = dict.fromkeys(("breaker", "opens_in", "paused", "running", "waiting", "allowed"))
    return [{"model": name, **empty, **row} for name, row in sorted(rows.items())]
