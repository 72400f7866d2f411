"""Rows put on a ledger by hand, for figures whose truth is known; and a month of traffic, for all else."""

from __future__ import annotations

import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks import ledgers
from lab import Lab

_CALL = {"status": "ok", "model": "m", "streamed": 0, "lane": "interactive", "cost": 0.0}
_ATTEMPT = {"number": 1, "role": "first", "model": "m", "status": "ok", "won": 0, "cost": 0.0}


def month(path: Path, calls: int) -> None:
    """A ledger of so many calls of 30 days. It is made once."""
    path.write_bytes(_month(calls))


@cache
def _month(calls: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "month.db")
        ledgers.make(path, calls)
        return path.read_bytes()


def put(lab: Lab, call_id: str, *attempts: dict[str, Any], ago: float = 60.0, took: float = 1.0, **call: Any) -> None:
    """A call that began so many seconds ago, and its attempts; one that won, unless others are given."""
    began = time.time() - ago
    row = {"call_id": call_id, "started_at": began, "ended_at": began + took, **_CALL, **call}
    if row["status"] == "running":
        row["ended_at"] = None
    tries = attempts or ({"won": int(row["status"] == "ok"), "status": row["status"], "kind": row.get("kind")},)
    statements = [_insert("calls", row)]
    for number, attempt in enumerate(tries, 1):
        base = {**_ATTEMPT, "call_id": call_id, "number": number, "started_at": began, "latency": took}
        statements.append(_insert("attempts", {**base, "model": row["model"], **attempt}))
    if row["status"] == "running" and not attempts:
        statements.pop()
    lab.ledger.submit(*statements)  # whoever reads waits for what was submitted


def many(lab: Lab, name: str, count: int, **more: Any) -> None:
    """So many of one kind."""
    for number in range(count):
        put(lab, f"{name}{number}", **more)


def _insert(table: str, row: dict[str, Any]) -> tuple[str, tuple]:
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
