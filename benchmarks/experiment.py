"""An experiment of 2,000 cells, 100 at once, beside a bare `asyncio.gather` over `litellm.acompletion`.

    python benchmarks/experiment.py     # prints the table, writes benchmarks/experiment.json

The simulated provider answers after 200 ms, always, from a process of its own. What it could do at most is measured
too, with a bare aiohttp client. The experiment has its ledger, its default policy and a scorer; the other side has a
semaphore. They take turns.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time

import aiohttp
import common

from lab import Lab
from lab.provider import child
from lab.provider.loading import load

CELLS, AT_ONCE, ROUNDS = 2000, 100, 3


def main() -> None:
    """Three rounds; cells a second, medians."""
    load()
    url = child.shared("lab.sim").endpoint().url
    measured: dict[str, list[float]] = {name: [] for name in ("gather over acompletion", "lab.compare", "bare aiohttp")}
    asyncio.run(_gather(url, 50))
    with Lab(os.path.join(tempfile.mkdtemp(), "lab.db")) as lab:
        _compare(lab, url, "warm", 50)
        for number in range(ROUNDS):
            measured["gather over acompletion"].append(asyncio.run(_gather(url, CELLS)))
            measured["lab.compare"].append(_compare(lab, url, f"round-{number}", CELLS))
            measured["bare aiohttp"].append(asyncio.run(_bare(url, CELLS)))
    rows = [{"what": name, "cells_per_s": statistics.median(rates)} for name, rates in measured.items()]
    for row in rows:
        row["ratio"] = row["cells_per_s"] / rows[0]["cells_per_s"]
    common.report("experiment", rows)


def _compare(lab: Lab, url: str, name: str, cells: int) -> float:
    start = time.perf_counter()
    experiment = lab.compare(
        "Say something about {{number}}.",
        "openai/flat",
        [{"id": str(number), "input": f"{name} {number}", "expected": "flat"} for number in range(cells)],
        name=name,
        scorers=["contains"],
        concurrency=AT_ONCE,
        progress=None,
        api_base=url,
        api_key="none",
    )
    rate = cells / (time.perf_counter() - start)
    assert experiment.progress is not None
    assert experiment.progress.done == cells
    return rate


async def _gather(url: str, cells: int) -> float:
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(number: int) -> str:
        async with gate:
            messages = [{"role": "user", "content": f"Say something about {number}."}]
            answer = await load().acompletion(
                model="openai/flat", messages=messages, api_base=url, api_key="none", num_retries=0, max_retries=0
            )
            return answer.choices[0].message.content

    start = time.perf_counter()
    await asyncio.gather(*(ask(number) for number in range(cells)))
    return cells / (time.perf_counter() - start)


async def _bare(url: str, cells: int) -> float:
    gate = asyncio.Semaphore(AT_ONCE)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:

        async def ask(number: int) -> None:
            async with gate:
                body = {"model": "flat", "messages": [{"role": "user", "content": f"Say something about {number}."}]}
                async with session.post(f"{url}/chat/completions", json=body) as answer:
                    await answer.json()

        start = time.perf_counter()
        await asyncio.gather(*(ask(number) for number in range(cells)))
        return cells / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
