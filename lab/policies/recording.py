"""Where a call is put on record as it goes by: its end before the answer goes up, and each attempt."""

from __future__ import annotations

from lab.policies.kernel import Layer, Proceed, Settings, World


def _around_call(world: World, below: Proceed) -> Proceed:
    return world.on_record(below)


def _says_call(_settings: Settings) -> str:
    return "how it ended is on disk before its answer is handed over"


def _around_attempt(world: World, below: Proceed) -> Proceed:
    return world.recorded(below)


def _says_attempt(_settings: Settings) -> str:
    return "each attempt is a row, with why it was made, its times and what it cost"


CALL = Layer("ledger", _around_call, _says_call)
"""Below what holds something until the call is over (a key, a budget), above whatever may still change its answer."""
ATTEMPT = Layer("record", _around_attempt, _says_attempt)
"""Around an attempt and its timeouts, so that one which runs out of time is on record as such."""
