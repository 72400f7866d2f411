"""The flows that `jobs.py` runs, in workers of their own: three steps each, answered by a function that writes down who
asked what, and when."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from lab import Lab
from lab.values import Call

FILE = os.open(os.environ.get("ASKED", "asked.txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
TAKES = float(os.environ.get("TAKES", "0.2"))


async def answer(call: Call) -> str:
    """An answer after a while; that it was asked for is written down first."""
    line = f"{call.job}\t{call.step}\t{time.time()}\n".encode()
    os.write(FILE, line)
    await asyncio.sleep(TAKES)
    return f"answer to {call.messages[-1]['content']}"


lab = Lab(provider=answer)


@lab.flow
async def three(topic: str) -> list[str]:
    """One step, and two beside each other that stand on it."""
    points = await lab.aask(f"Three points on {topic}", model="m")
    pair = await asyncio.gather(*(lab.aask(f"{side}: {points.text}", model="m") for side in ("For", "Against")))
    return [reply.text for reply in pair]


@lab.flow
async def began(at: float) -> float:
    """How long it took to begin."""
    return time.time() - at


@lab.flow
async def chain(topic: str) -> str:
    """Three steps, one after the other."""
    said: Any = topic
    for _ in range(3):
        said = (await lab.aask(f"On: {said}", model="m")).text
    return str(said)
