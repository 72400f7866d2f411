"""kill -9 in the middle of an experiment of 2,000 cells, again and again, then run to its end: what was paid twice?

    python benchmarks/resume.py         # prints the table, writes benchmarks/resume.json

The server's own count of requests is at most 2,000 plus those that were in flight when the process was killed. The
table that comes of it equals that of an experiment nobody disturbed, but for times and identifiers.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import common

from lab import Lab
from lab.provider import child

CELLS, AT_ONCE, KILLS = 2000, 50, 5
RUN = """
import sys
from lab import Lab
path, url, cells, at_once = sys.argv[1:]
with Lab(path) as lab:
    lab.compare(
        ["Say something about {{number}}.", "And about {{number}}?"],
        "openai/flat",
        [{"id": str(number), "input": f"number {number}", "expected": "flat"} for number in range(int(cells) // 4)],
        repeats=2, name="killed", scorers=["contains"], concurrency=int(at_once), progress=None,
        api_base=url, api_key="none",
    )
"""
TIMES = ["latency", "cost", "saturated", "call_id"]


def main() -> None:
    """Killed at random moments until it is let finish; then the same undisturbed, on another ledger."""
    url = child.shared("lab.sim").endpoint().url
    folder, moments, at = Path(tempfile.mkdtemp()), random.Random(3), []
    path = folder / "killed.db"
    for _ in range(KILLS):
        process = _start(path, url)
        goal = min(CELLS - 100, (at[-1] if at else 0) + moments.randint(150, 400))
        while process.poll() is None and _answered(path) < goal:
            try:
                process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        at.append(_answered(path))
        _execute(path, "UPDATE calls SET status = 'cancelled' WHERE status = 'running'")
        _execute(path, "DELETE FROM keys")  # the dead run's claim, which would expire by itself after 15 s
    assert _start(path, url).wait() == 0
    disturbed, asked = _frame(path), _requests(url)
    whole = folder / "whole.db"
    assert _start(whole, url).wait() == 0
    equal = disturbed.drop(columns=TIMES).equals(_frame(whole).drop(columns=TIMES))
    rows = {
        "cells": CELLS,
        "kills": KILLS,
        "answered at each": " ".join(map(str, at)),
        "in flight at most": KILLS * AT_ONCE,
        "requests by the server's count": asked,
        "paid twice": asked - CELLS,
        "tables equal": equal,
    }
    common.report("resume", [rows])


def _start(path: Path, url: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", RUN, str(path), url, str(CELLS), str(AT_ONCE)])


def _answered(path: Path) -> int:
    return _count(path, "SELECT count(*) FROM calls WHERE status = 'ok'") if path.exists() else 0


def _count(path: Path, sql: str) -> int:
    try:
        with sqlite3.connect(path, timeout=30) as db:
            return db.execute(sql).fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def _execute(path: Path, sql: str) -> None:
    with sqlite3.connect(path, timeout=30) as db:
        db.execute(sql)


def _frame(path: Path):
    with Lab(path) as lab:
        return lab.experiment("killed").df()


def _requests(url: str) -> int:
    with urllib.request.urlopen(f"{url}/requests") as answer:
        return json.load(answer).get("flat", 0)


if __name__ == "__main__":
    main()
