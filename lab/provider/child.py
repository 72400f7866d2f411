"""Servers that live and die with this process: the local model and the simulated provider.

Each runs in a process of its own, so that its work is never mistaken for the client's. It says where it
listens in one line of JSON on its standard output, and stops when its standard input closes, which happens
however this process ends.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab import errors


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server that is up: its base URL and what it says of each model (prices, context window)."""

    url: str
    models: Mapping[str, Mapping[str, Any]]


class Child:
    """`python -m module`, started when first needed and again if it died; safe to share between threads."""

    def __init__(self, module: str, *args: str):
        self.module = module
        self.args = args
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0
        self._endpoint: Endpoint | None = None

    def endpoint(self) -> Endpoint:
        """Where it listens. Blocks while it starts; raises `UnsupportedError` with its own words if it can't."""
        with self._lock:
            if self.up() is None:
                if self._process is not None and self._owner == os.getpid():
                    _end(self._process)
                self._endpoint = self._start()
            assert self._endpoint is not None
            return self._endpoint

    def up(self) -> Endpoint | None:
        """Where it listens, if it runs; at once."""
        process = self._process
        running = process is not None and self._owner == os.getpid() and process.poll() is None
        return self._endpoint if running else None

    def _start(self) -> Endpoint:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", self.module, "--child", *self.args],  # -P: not what the folder holds
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C is for the caller; this ends when its input closes
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            report = json.loads(line)
        except ValueError:
            report = {"error": f"{self.module} could not start: run `{sys.executable} -m {self.module}` to see why"}
        if "error" in report:
            _end(process)
            raise errors.UnsupportedError(report["error"])
        self._process, self._owner = process, os.getpid()
        atexit.register(self.close)
        return Endpoint(report["url"], report["models"])

    def close(self) -> None:
        """Stop it, if it runs. It can be started again."""
        with self._lock:
            process, self._process, self._endpoint = self._process, None, None
            if process is not None and self._owner == os.getpid():
                _end(process)
        atexit.unregister(self.close)


def _end(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


_CHILDREN: dict[tuple[str, ...], Child] = {}


def shared(module: str, *args: str) -> Child:
    """The one child of this process for `module` with these arguments."""
    return _CHILDREN.setdefault((module, *args), Child(module, *args))


async def reached(module: str) -> Endpoint:
    """Where the shared child for `module` listens, once it does. Raises as `Child.endpoint`."""
    server = shared(module)
    if (endpoint := server.up()) is None:
        endpoint = await asyncio.get_running_loop().run_in_executor(None, server.endpoint)
    return endpoint
