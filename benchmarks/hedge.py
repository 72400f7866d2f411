"""What a hedge does to the tail, and what it costs: 5,000 calls with it and 5,000 without.

    python benchmarks/hedge.py          # prints the table, writes benchmarks/hedge.json

The simulated provider has 4 % independent stragglers, ten times slower; it runs ten times faster than it says, so a
usual first token is 50 ms. Requests are the server's own count. The two run in turns, 500 calls at a time.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import urllib.request

import common

from lab import Hedge, Lab, Policy, Retry
from lab.provider import child
from lab.provider.loading import load

CALLS, TURN, AT_ONCE = 5000, 500, 10


async def main() -> None:
    """Both in turns; percentiles of what the caller waited for, from the lab's own ledger."""
    load()
    server = child.Child("lab.sim", "--speed", "10")
    url = server.endpoint().url
    folder = tempfile.mkdtemp()
    policies = {"no hedge": None, "hedge at p95": Hedge(after="p95")}
    labs = {
        name: Lab(os.path.join(folder, f"{number}.db"), policy=Policy(hedge=hedge, retry=Retry()))
        for number, (name, hedge) in enumerate(policies.items())
    }
    waited: dict[str, list[float]] = {name: [] for name in labs}
    sent = dict.fromkeys(labs, 0)

    async def calls(name: str) -> None:
        loop = asyncio.get_running_loop()
        gate = asyncio.Semaphore(AT_ONCE)

        async def ask() -> None:
            async with gate:
                start = loop.time()
                await labs[name].aask("hi", model="openai/stragglers", api_base=url, api_key="none", max_tokens=None)
                waited[name].append(loop.time() - start)

        before = requests(url)
        await asyncio.gather(*(ask() for _ in range(TURN)))
        sent[name] += requests(url) - before

    for _ in range(CALLS // TURN):
        for name in labs:
            await calls(name)
    rows = []
    for name in labs:
        times = {f"p{share * 100:g}_ms": common.percentile(waited[name], share) * 1000 for share in (0.5, 0.95, 0.99)}
        rows.append({"policy": name, **times, "requests": sent[name], "more": sent[name] / CALLS - 1})
        rows[-1]["p99 ratio"] = rows[-1]["p99_ms"] / rows[0]["p99_ms"]
        labs[name].close()
    server.close()
    common.report("hedge", rows)


def requests(url: str) -> int:
    """How many the server has seen."""
    with urllib.request.urlopen(f"{url}/requests") as told:
        return sum(json.load(told).values())


if __name__ == "__main__":
    asyncio.run(main())
