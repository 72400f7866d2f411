"""A webhook's delivery: a flow of its own, tried again over a day, under one identifier, once."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from lab import errors
from lab.jobs import webhook
from lab.jobs.status import JobStatus
from lab.jobs.steps import CURRENT

WAITS: tuple[float, ...] = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800, 28_800)
"""Seconds between tries: eleven of them over 23.7 hours."""
SECRET, PRIVATE = "LAB_WEBHOOK_SECRET", "LAB_WEBHOOK_PRIVATE"
"""In the workers' environment: what deliveries are signed with; `1` where they may go to this machine and private
networks."""


def message(status: JobStatus) -> dict[str, Any]:
    """What is sent when a job has ended: its name and how it ended, and none of its words."""
    data: dict[str, Any] = {"id": status.job, "flow": status.flow, "state": status.state, "user": status.user}
    if status.state == "failed":
        data["kind"] = (status.facts.get("failed") or {}).get("kind") or ("timeout" if status.timed_out else None)
    ended = datetime.fromtimestamp(status.ended_at or time.time(), UTC)
    return {"type": f"job.{status.state}", "timestamp": ended.isoformat(timespec="milliseconds"), "data": data}


async def deliver(url: str, identifier: str, body: Mapping[str, Any], waits: list[float]) -> dict[str, Any]:
    """Tell it until it is heard: how many `tries` it took. Raises `JobError` once it is given up."""
    steps = CURRENT.get()
    assert steps is not None, "a delivery is a job"
    why = ""
    for number, wait in enumerate((*waits, None), 1):
        outcome = await steps.do(tried, (url, identifier, body), {})
        if outcome["told"]:
            return {"tries": number}
        tries = "one try" if number == 1 else f"{number} tries"
        why = f"{urlsplit(url).hostname} was not told, after {tries}: {outcome['why']}"
        if wait is None or not outcome["again"]:
            break
        until = await steps.do(wake, (number, wait), {})
        await steps.do(pause, (until,), {})
    raise errors.JobError(why)


def tried(url: str, identifier: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """One try."""
    private = os.environ.get(PRIVATE) == "1"
    try:
        webhook.once(url, body, message_id=identifier, secret=os.environ.get(SECRET), private=private)
    except webhook.NotTold as failed:
        return {"told": False, "again": failed.again, "why": str(failed)}
    except ValueError as odd:  # the secret: it may be another one at the next try
        return {"told": False, "again": True, "why": str(odd)}
    return {"told": True}


def wake(_number: int, wait: float) -> float:
    """When the next try is due, in Unix seconds."""
    return time.time() + wait


async def pause(until: float) -> None:
    """Wait for it, after a restart for what is left of it."""
    await asyncio.sleep(max(0.0, until - time.time()))
