"""CPU that a call costs its client: the lab with its ledger and default policy, beside LiteLLM's own ways.

    python benchmarks/cpu.py            # prints the table, writes benchmarks/cpu.json

instructor is measured where it is installed, `make benchmarks` does that: its pin on rich is older than the lab's.

One process a contender would warm up differently, so all run in one, in turns; the server is another process.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

import common

from lab import Lab
from lab.provider import child
from lab.provider.loading import load

ROUNDS = 3
CALLS = {1: 300, 50: 1000}
"""Calls a round, by how many at once: enough that one run of the garbage collector is not the whole figure."""
SETTLE = 0.5
"""Seconds after which the work that calls leave behind is done."""
MESSAGES = [{"role": "user", "content": "hi"}]


async def cpu(call: Callable[[], Awaitable[object]], count: int, at_once: int) -> float:
    """Milliseconds of this process's CPU a call, all its threads included, and what the calls leave to be done after
    them (LiteLLM logs in the background): it would be counted against whoever comes next."""
    start = time.process_time()
    if at_once == 1:
        for _ in range(count):
            await call()
    else:
        for _ in range(count // at_once):
            await asyncio.gather(*(call() for _ in range(at_once)))
    await asyncio.sleep(SETTLE)
    return (time.process_time() - start) / count * 1000


def with_instructor(litellm: Any, where: dict[str, str]) -> Callable[[], Awaitable[object]]:
    """instructor over `litellm.acompletion`, its retries on; the answer is text, so no schema is parsed."""
    import instructor  # only where it is installed

    client = instructor.from_litellm(litellm.acompletion)

    async def call() -> None:
        await client.chat.completions.create(
            model="openai/instant", messages=MESSAGES, response_model=None, max_retries=2, **where
        )

    return call


async def main() -> None:
    """All contenders in turns, several rounds; medians, and the ratio to `litellm.acompletion`."""
    litellm = load()
    url = child.shared("lab.sim").endpoint().url
    where = {"api_base": url, "api_key": "none"}
    lab = Lab(os.path.join(tempfile.mkdtemp(), "lab.db"))
    router = litellm.Router(
        model_list=[{"model_name": "m", "litellm_params": {"model": "openai/instant", **where}}], num_retries=2
    )

    async def with_lab() -> None:
        await lab.aask("hi", model="openai/instant", **where)

    async def with_litellm() -> None:
        try:
            await litellm.acompletion(model="openai/instant", messages=MESSAGES, num_retries=0, max_retries=0, **where)
        except litellm.exceptions.APIError as failed:
            raise SystemExit(f"the server failed: {failed}") from failed

    async def with_router() -> None:
        await router.acompletion(model="m", messages=MESSAGES)

    plain = {"lab": with_lab, "litellm.acompletion": with_litellm, "litellm.Router": with_router}
    if importlib.util.find_spec("instructor"):
        plain["instructor"] = with_instructor(litellm, where)

    async def lab_streamed() -> None:
        async for _ in lab.astream("hi", model="openai/twenty", **where):
            pass

    async def litellm_streamed() -> None:
        answer = await litellm.acompletion(
            model="openai/twenty",
            messages=MESSAGES,
            stream=True,
            stream_options={"include_usage": True},
            num_retries=0,
            max_retries=0,
            **where,
        )
        async for _ in answer:
            pass

    streamed = {"lab": lab_streamed, "litellm.acompletion": litellm_streamed}
    contenders = {
        "plain, 1 at once": (1, plain),
        "plain, 50 at once": (50, plain),
        "streamed, 20 chunks, 1 at once": (1, streamed),
        "streamed, 20 chunks, 50 at once": (50, streamed),
    }
    figures: dict[str, dict[str, float]] = {}
    for name, (at_once, calls) in contenders.items():
        times: dict[str, list[float]] = {who: [] for who in calls}
        for call in calls.values():
            await cpu(call, 50, at_once)
        for _ in range(ROUNDS):
            for who, call in calls.items():
                times[who].append(await cpu(call, CALLS[at_once], at_once))
        figures[name] = {who: round(statistics.median(all_), 3) for who, all_ in times.items()}
    lab.close()
    rows = []
    for name, by in figures.items():
        for who in by:
            if who != "lab":
                rows.append(
                    {"what": name, "lab_ms": by["lab"], "against": who, "its_ms": by[who], "ratio": by["lab"] / by[who]}
                )
    common.report("cpu", rows)


if __name__ == "__main__":
    asyncio.run(main())
