"""Workers for tests: in this process, or in one of their own that can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab import Lab
from lab.jobs.worker import Worker

ROOT = Path(__file__).parents[2]
LONG = 30.0

FLOWS = """
import asyncio, os, threading, time
from lab import Lab
from lab.values import Call

HERE = os.path.dirname(__file__)

async def answer(call: Call) -> str:
    with open(os.path.join(HERE, "asked.txt"), "a") as file:
        file.write(f"{call.step} {call.messages[-1]['content']}\\n")
    if "slow" in call.messages[-1]["content"] and not os.path.exists(os.path.join(HERE, "go")):
        while not os.path.exists(os.path.join(HERE, "go")):
            await asyncio.sleep(0.02)
    return f"answer to {call.messages[-1]['content']}"

lab = Lab(provider=answer)

@lab.flow
async def report(topic: str):
    points = await lab.aask(f"Points on {topic}", model="m")
    pair = await asyncio.gather(*(lab.aask(f"{side} slow: {points.text}", model="m") for side in ("For", "Against")))
    lab.progress(1, of=1)
    return [reply.text for reply in pair]

@lab.flow
async def poison():
    await lab.aask("before", model="m")
    os.kill(os.getpid(), 9)
"""
"""A module of flows: answers that are asked for with `slow` wait for a file `go`."""


def until(condition: Callable[[], Any], seconds: float = LONG) -> Any:
    """What it returns, once that is something."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)
    return found


@contextmanager
def working(lab: Lab, *modules: str, **settings: Any) -> Iterator[Worker]:
    """A worker in this process."""
    worker = lab.worker(*modules, **settings)
    try:
        yield worker
    finally:
        worker.close()


class Folder:
    """A folder with a module of flows, and workers of its own."""

    def __init__(self, path: Path, **environment: str):
        self.path, self._environment = path, environment
        (path / "some_flows.py").write_text(FLOWS)
        self._running: list[subprocess.Popen[bytes]] = []

    def environment(self, ledger: str = "lab.db") -> dict[str, str]:
        """That of a worker here."""
        more = {"LAB_DB": str(self.path / ledger), "PYTHONPATH": f"{ROOT}{os.pathsep}{self.path}"}
        return {**os.environ, **more, **self._environment}

    def worker(self, *options: str, ledger: str = "lab.db") -> subprocess.Popen[bytes]:
        """One more, once it says that it runs."""
        code = "import sys; from lab.cli import app; app(sys.argv[1:])"
        command = [sys.executable, "-c", code, "worker", "some_flows", *options]
        process = subprocess.Popen(
            command, env=self.environment(ledger), cwd=self.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._running.append(process)
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        assert line.startswith(b"worker"), process.stderr.read().decode()
        return process

    def asked(self) -> list[str]:
        """What the provider was asked, in order."""
        file = self.path / "asked.txt"
        return [line.split(" ", 1)[1] for line in file.read_text().splitlines()] if file.exists() else []

    def go(self) -> None:
        """Let the slow ones be answered."""
        (self.path / "go").touch()

    def close(self) -> None:
        """Stop all of them."""
        for process in self._running:
            process.kill()
            process.communicate()
