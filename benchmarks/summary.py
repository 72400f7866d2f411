"""How long the summary of an experiment of 50,000 cells takes.

    python benchmarks/summary.py        # prints the table, writes benchmarks/summary.json

The cells are written into a ledger as an experiment would have left them: answered calls with their attempts, some of
them retried, and two scores each.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

import common

from lab import Lab


def main() -> None:
    """At 5,000 and at 50,000 cells, the median of five."""
    rows = []
    for cells in (5_000, 50_000):
        path = Path(tempfile.mkdtemp()) / "lab.db"
        with Lab(path, provider=lambda _: "x") as lab:
            lab.compare("x {{n}}", "m", [{"id": "a", "input": "1"}], name="big", scorers=["contains"], progress=None)
            _fill(path, cells)
            experiment = lab.experiment("big")
            experiment.summary()
            took = {"summary_s": [], "df_s": []}
            for _ in range(5):
                start = time.perf_counter()
                summary = experiment.summary()
                took["summary_s"].append(time.perf_counter() - start)
                start = time.perf_counter()
                experiment.df()
                took["df_s"].append(time.perf_counter() - start)
            assert summary["done"].sum() == cells
        rows.append({"cells": cells, **{name: statistics.median(times) for name, times in took.items()}})
    common.report("summary", rows)


def _fill(path: Path, cells: int) -> None:
    """Cells of 4 prompts and 5 models, 500 cases, the rest repeats."""
    lot, db = random.Random(0), sqlite3.connect(path)
    db.executescript("DELETE FROM cells; DELETE FROM scores; DELETE FROM attempts; DELETE FROM calls;")
    for number in range(4):
        db.execute("INSERT INTO prompts VALUES (?, 1, ?, '[]', 0, '')", (f"p{number}", f"h{number}"))
    grid, calls, attempts, scores = [], [], [], []
    for place in range(cells):
        prompt, model, case, repeat = place % 4, place // 4 % 5, place // 20 % 500, place // 10_000
        call_id, seconds = f"call{place:08d}", lot.lognormvariate(0, 0.4)
        grid.append((f"c{place}", place, f"p{prompt}", f"m{model}", f"case{case}", f"k{case // 2}", repeat))
        calls.append((place + 10, call_id, f"c{place}", f"m{model}", seconds))
        if lot.random() < 0.05:
            attempts.append((call_id, 1, "first", "failed", 0, seconds))
            attempts.append((call_id, 2, "retry", "ok", 1, seconds))
        else:
            attempts.append((call_id, 1, "first", "ok", 1, seconds))
        scores += [(call_id, "contains", float(lot.random() < 0.8))]
    db.executemany(
        "INSERT INTO cells (experiment, cell, place, prompt_name, prompt_version, model, case_id, cluster, repeat)"
        " VALUES ('big', ?, ?, ?, 1, ?, ?, ?, ?)",
        grid,
    )
    db.executemany(
        "INSERT INTO calls (id, call_id, cell, experiment, started_at, ended_at, status, model, streamed, latency,"
        " cost, valid, lane, n_attempts) VALUES (?, ?, ?, 'big', 1e9, 1e9, 'ok', ?, 0, ?, 0.001, 1, 'batch', 1)",
        calls,
    )
    texts = "INSERT INTO texts (id, messages, prompt, answer) VALUES (?, '[]', 'x', 'y')"
    db.executemany(texts, [(call[0],) for call in calls])
    db.executemany(
        "INSERT INTO attempts (call_id, number, role, model, started_at, status, won, latency)"
        " VALUES (?, ?, ?, 'm', 1e9, ?, ?, ?)",
        attempts,
    )
    db.executemany("INSERT INTO scores (call_id, scorer, score) VALUES (?, ?, ?)", scores)
    db.commit()
    db.close()


if __name__ == "__main__":
    main()
