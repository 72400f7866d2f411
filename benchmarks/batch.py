"""Batches and a process that is killed: is anything sent twice, or lost?

A child sends a batch to a simulated provider in a process of its own, and kills itself (`kill -9`) at one of five
moments; then the same is asked again by another process, to its end. What the provider has received is its own count.
Besides: what half the price comes to, and the memory of calls that wait.

    python benchmarks/batch.py            # 2,000 lines, both services, five moments: about 4 minutes
    python benchmarks/batch.py --lines 200
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import common

from lab import Lab, Prompt
from lab.provider import batch, child

MOMENTS = ("written", "uploaded", "made", "working", "reading")
"""Written: on the ledger, nothing sent. Uploaded: the file is there, no batch is made (Anthropic has no file: its reply
is lost). Made: the batch is made, its name not known. Working: the provider works on it. Reading: half of the results
are read."""
CALLED = {"openai": "sim/instant", "anthropic": "sim/anthropic/instant"}


def die() -> None:
    """As nobody can prepare for."""
    os.kill(os.getpid(), signal.SIGKILL)


def doomed(moment: str, service: Any, lines: int) -> None:
    """Let this process die at that moment."""
    send, asked, state, results = service.send, service._asked, service.state, service.results

    async def sending(self: Any, *given: Any) -> str:
        if moment == "written":
            die()
        name: str = await send(self, *given)
        if moment == "made" or (moment == "uploaded" and service is batch.MessageBatches):
            die()
        return name

    def asking(self: Any, method: str, url: str, *given: Any) -> Any:
        if moment == "uploaded" and method == "POST" and url.endswith("/v1/batches"):
            die()
        return asked(self, method, url, *given)

    async def looking(self: Any, name: str) -> Any:
        told = await state(self, name)
        if moment == "working":
            die()
        return told

    async def reading(self: Any, *given: Any) -> AsyncGenerator[Any]:
        count = 0
        async for row in results(self, *given):
            yield row
            count += 1
            if moment == "reading" and count > lines // 2:
                die()

    service.send, service._asked, service.state, service.results = sending, asking, looking, reading


def asked(path: str, model: str, url: str, lines: int, moment: str | None) -> None:
    """One process that asks."""
    if moment is not None:
        doomed(moment, batch.MessageBatches if "anthropic" in model else batch.FileBatches, lines)
    with Lab(path) as lab:
        cases = [{"id": f"c{number}", "input": f"number {number}"} for number in range(lines)]
        more = {"batch": True, "progress": None, "name": "killed", "api_base": url}
        lab.compare("Say {{what}}", model, cases, **more)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """This file in a process of its own."""
    whole = [sys.executable, __file__, *arguments]
    return subprocess.run(whole, capture_output=True, text=True, check=False)


def killed(service: str, moment: str, lines: int, folder: Path) -> dict[str, Any]:
    """What is left after a death at this moment, and after asking again."""
    server = child.Child("lab.sim", "--speed", "4", "--seed", "5")
    root = server.endpoint().url
    url = root if service == "openai" else root.removesuffix("/v1")
    path = folder / f"{service}-{moment}.db"
    arguments = ("--child", str(path), "--model", CALLED[service], "--url", url, "--lines", str(lines))
    first = run(*arguments, "--moment", moment)
    assert first.returncode == -signal.SIGKILL, (first.returncode, first.stderr[-2000:])
    began = time.monotonic()
    again = run(*arguments)
    assert again.returncode == 0, again.stderr[-2000:]
    took = time.monotonic() - began
    with urllib.request.urlopen(f"{root}/batches-received") as answer:
        received = Counter[str]()
        for name, count in json.load(answer).items():
            received[name.partition("-")[2]] += count
    server.close()
    with Lab(path) as lab:
        calls = lab.calls(limit=None)
        answered = calls[calls["status"] == "ok"]
    return {
        "service": service,
        "killed": moment,
        "lines": lines,
        "received": len(received),
        "twice": sum(count > 1 for count in received.values()),
        "answered": answered["cell"].nunique(),
        "answered_twice": int(answered["cell"].duplicated().sum()),
        "on_record": len(calls),
        "seconds_again": round(took, 1),
        "MB": round(float(again.stdout.split()[-1])),
    }


def half(folder: Path) -> dict[str, float]:
    """What an evaluation costs in a batch beside what it costs at once, and how far its score is from that."""
    with Lab(folder / "half.db") as lab:
        prompt, cases = Prompt.load("data/prompts/triage.md"), "data/evals/triage.jsonl"
        more = {"scorers": ["label"], "repeats": 4, "progress": None}
        live = lab.evaluate(prompt, "sim/small", cases, name="live", concurrency=50, **more).summary().iloc[0]
        batched = lab.evaluate(prompt, "sim/small", cases, name="batched", batch=True, **more).summary().iloc[0]
        return {
            "cost at once": live["cost"],
            "cost in a batch": batched["cost"],
            "ratio": batched["cost"] / live["cost"],
            "score at once": live["score"],
            "score in a batch": batched["score"],
        }


def main() -> None:
    """All moments, both services."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, default=2000)
    parser.add_argument("--child")
    parser.add_argument("--model", default="")
    parser.add_argument("--url", default="")
    parser.add_argument("--moment")
    given = parser.parse_args()
    if given.child:
        asked(given.child, given.model, given.url, given.lines, given.moment)
        return
    with tempfile.TemporaryDirectory() as folder:
        common.report("batch_price", [half(Path(folder))])
        rows = [killed(service, moment, given.lines, Path(folder)) for service in CALLED for moment in MOMENTS]
    common.report("batch", rows)


if __name__ == "__main__":
    main()
