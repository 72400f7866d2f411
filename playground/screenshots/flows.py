"""The flows of the picture of jobs: a report of four calls, and a long row of them."""

from __future__ import annotations

import asyncio

from lab import Lab

lab = Lab()
MODEL = "sim/steady"


@lab.flow
async def report(topic: str) -> str:
    """Points, both sides of them beside each other, and a summary."""
    points = await lab.aask(f"Three points on {topic}", model=MODEL)
    words = await lab.step(count, points.text)
    lab.progress(1, of=3, message=f"{words} words")
    pair = await asyncio.gather(*(lab.aask(f"{side}: {points.text}", model=MODEL) for side in ("For", "Against")))
    lab.progress(2, of=3)
    summary = await lab.aask("Sum up: " + " ".join(reply.text for reply in pair), model=MODEL)
    lab.progress(3, of=3)
    return summary.text


async def count(text: str) -> int:
    """How many words there are."""
    await asyncio.sleep(0.3)
    return len(text.split())


@lab.flow
async def triage(tickets: int) -> int:
    """One ticket after the other."""
    for number in range(tickets):
        await lab.aask(f"{number}: which label fits?", model=MODEL)
        lab.progress(number + 1, of=tickets)
    return tickets
