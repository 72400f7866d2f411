"""A million calls: what opening, writing, figures and each page of the playground take, beside ten thousand.

    python benchmarks/pages.py [CALLS ...]      # 10000 1000000; prints the table, writes benchmarks/pages.json

Ledgers are those of `ledgers.py`. A page's first picture is its first chart or table, on the second visit of a server
that has been up for a while (`first_visit` is the first one: the figures' columns are not yet in memory, and the
browser's cache is empty); bytes are all that came over the page's websocket. Writing is 3,000 calls through a Lab whose
provider answers at once, on a copy of the ledger and on an empty one in turn.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
import ledgers
from playwright.sync_api import Page

from lab import Lab, Policy
from lab.ledger.rehearsal import Hits
from playground.screenshots.driven import chromium, playground

PAGES = ("Tails", "Cost", "Cache", "Failures", "Calls", "Prompts", "Evals", "Health", "Compare")
ORDERS = ("newest", "slowest", "costliest", "longest")
PICTURE = "[data-testid=stVegaLiteChart] svg.marks, [data-testid=stDataFrame] canvas, [data-testid=stMetric], textarea"
COLD = """
import sys, time
import pandas
from lab.ledger.file import Ledger
from lab.metrics import metrics
from pathlib import Path
book = Ledger(Path(sys.argv[1]))
start = time.perf_counter()
metrics(book)
print(time.perf_counter() - start)
"""


def main() -> None:
    """Each size in turn; then the ratios."""
    sizes = [int(argument) for argument in sys.argv[1:]] or [10_000, 1_000_000]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for calls in sizes:
            path = Path(folder) / f"{calls}.db"
            ledgers.make(path, calls, hits=Hits())
            ledgers.pack(path)
            row = {"calls": calls, "megabytes": path.stat().st_size / 1e6, **figures(path), **pages(path)}
            rows.append(row | writing(path, Path(folder)))
            path.unlink()
    names = list(rows[0])
    table = [{"what": name, **{f"{row['calls']:,}": row[name] for row in rows}} for name in names if name != "calls"]
    for line in table:
        values = [value for key, value in line.items() if key != "what"]
        line["ratio"] = values[-1] / values[0] if values[0] else float("nan")
    common.report("pages", table)


def figures(path: Path) -> dict[str, float]:
    """Opening, and the figures: of a process that has just begun, and of one that has them in memory."""
    cold = [float(subprocess.check_output([sys.executable, "-c", COLD, str(path)])) for _ in range(3)]
    start = time.perf_counter()
    lab = Lab(path)
    opened = time.perf_counter() - start
    time.sleep(15)  # LiteLLM is being imported in the background, which is not what is measured
    lab.metrics()
    again = []
    for _ in range(5):
        start = time.perf_counter()
        lab.metrics()
        again.append(time.perf_counter() - start)
    listed = {f"calls_{order}_s": _listed(lab, order) for order in ORDERS}
    lab.close()
    metrics = {"metrics_first_s": statistics.median(cold), "metrics_s": statistics.median(again)}
    return {"open_s": opened, **metrics, **listed}


def _listed(lab: Lab, order: str) -> float:
    """Seconds for one page of the list."""
    took = []
    for _ in range(3):
        start = time.perf_counter()
        lab.calls(order=order, limit=50)
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def writing(path: Path, folder: Path) -> dict[str, float]:
    """Calls a second, on this ledger and on an empty one in turn: the ratio of the medians."""
    rates: dict[str, list[float]] = {"this": [], "empty": []}
    for turn in range(5):
        for name, target in (("this", path), ("empty", folder / f"empty{turn}.db")):
            rates[name].append(asyncio.run(_rate(target)))
    this, empty = (statistics.median(rates[name]) for name in ("this", "empty"))
    return {"writes_per_s": this, "writes_per_s_empty": empty, "writes_against_empty": this / empty}


async def _rate(path: Path, calls: int = 3000) -> float:
    async with Lab(path, provider=lambda call: "an answer", policy=Policy(retry=None)) as lab:
        start = time.perf_counter()
        for first in range(0, calls, 100):
            await asyncio.gather(*(lab.aask(f"question {first + n}", model="m", tags=["t"]) for n in range(100)))
        return calls / (time.perf_counter() - start)


def pages(path: Path) -> dict[str, float]:
    """Each page: seconds to the first picture, and megabytes."""
    measured: dict[str, float] = {}
    with playground(path) as url, chromium() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 1100})
        for visit in ("first_visit", "page"):
            page = context.new_page()
            page.goto(url)
            page.get_by_role("button", name="Run").wait_for(timeout=60_000)
            time.sleep(15)
            measured |= _walk(page, visit)
            page.close()
    return measured


def _walk(page: Page, visit: str) -> dict[str, float]:
    came = [0]
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    # what is binary comes as base64, a third longer than it was
    session.on(
        "Network.webSocketFrameReceived", lambda frame: came.append(len(frame["response"]["payloadData"]) * 3 // 4)
    )
    measured = {}
    for name in PAGES:
        came.clear()
        page.evaluate(f"document.querySelectorAll('{PICTURE}').forEach(picture => picture.dataset.old = 1)")
        start = time.perf_counter()
        page.get_by_role("link", name=name).first.click()
        new = ", ".join(f"{selector.strip()}:not([data-old])" for selector in PICTURE.split(","))
        page.locator(new).first.wait_for(timeout=120_000)
        measured[f"{visit}_{name}_s"] = time.perf_counter() - start
        page.wait_for_timeout(4000)
        measured[f"{visit}_{name}_MB"] = sum(came) / 1e6
    return measured


if __name__ == "__main__":
    main()
