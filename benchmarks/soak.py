"""20,000 calls with 20 % faults: what they leave behind in the process that makes them.

    python benchmarks/soak.py           # prints the table, writes benchmarks/soak.json

Half of them are streamed, 50 run at once, with retries and hedges on. Memory is what the system says is resident,
first after 500 calls (when everything is imported and every pool has been filled once) and then along the way.
"""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import common

from lab import Breaker, Hedge, Lab, Policy, Retry, Timeout, errors
from lab.provider import child
from lab.provider.loading import load

CALLS, AT_ONCE = 20_000, 50
FAULTS = "http_500:0.05+cut:0.04+reset:0.03+empty:0.02+broken:0.02+rate_limit_ms:0.02+error_event:0.01+hang:0.01"


def held() -> dict[str, Any]:
    """What this process holds: megabytes, threads, sockets, tasks."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    resident = next(int(line.split()[1]) for line in status.split("\n") if line.startswith("VmRSS"))
    files = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
    return {
        "resident_mb": resident / 1024,
        "threads": threading.active_count(),
        "sockets": sum("socket:" in file for file in files),
        "tasks": sum(isinstance(task, asyncio.Task) and not task.done() for task in gc.get_objects()) - 1,
    }


async def main() -> None:
    """Calls in turns, and what is held between them."""
    load()
    server = child.Child("lab.sim", "--speed", "20")
    url, outcomes, rows = server.endpoint().url, Counter(), []
    policy = Policy(
        timeout=Timeout(first_token=2.0, idle=1.0, attempt=3.0, total=20.0),
        retry=Retry(initial=0.02),
        hedge=Hedge(after=0.5, follow=0.02),
        breaker=Breaker(failure_ratio=0.95),
    )
    empty = held()
    rows.append({"when": "before the Lab is made", **empty})
    lab = Lab(os.path.join(tempfile.mkdtemp(), "lab.db"), policy=policy)

    async def ask(number: int) -> None:
        where = {"model": f"openai/instant+{FAULTS}", "api_base": url, "api_key": "none"}
        try:
            if number % 2:
                async for _ in lab.astream(f"question {number % 100}", **where):
                    pass
            else:
                await lab.aask(f"question {number % 100}", **where)
            outcomes["ok"] += 1
        except errors.LabError as failure:
            outcomes[failure.kind] += 1

    async def worker(numbers: Iterator[int]) -> None:
        for number in numbers:
            await ask(number)

    start = time.process_time()
    done = 0
    for until in (500, 5_000, 10_000, 15_000, CALLS):
        numbers = iter(range(done, until))
        await asyncio.gather(*(worker(numbers) for _ in range(AT_ONCE)))
        done = until
        rows.append({"when": f"after {done:,} calls", **held()})
    written = f"{lab.count():,} calls and {len(lab.attempts(limit=None)):,} attempts on the ledger"
    lab.close()
    server.close()
    await asyncio.sleep(0.2)
    rows.append({"when": "after it is closed", **held()})
    common.report("soak", rows)
    growth = rows[-2]["resident_mb"] - rows[1]["resident_mb"]
    print(f"\ngrowth from 500 to {CALLS:,} calls: {growth:.1f} MB; {written}")
    print(f"outcomes: {dict(outcomes)}; {(time.process_time() - start) / CALLS * 1000:.1f} ms of CPU a call")


if __name__ == "__main__":
    asyncio.run(main())
