"""kill -9 under load, 50 times: is every answer that was returned on the ledger?

    python benchmarks/kill.py           # prints the table, writes benchmarks/kill.json

A process asks the simulated provider, 20 calls at once, whole and streamed, and says over a pipe which reply it has
just got; it is killed at a random moment. Then the ledger is looked at: it must be intact, and hold each of those
replies, word by word.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import common

from lab.provider import child

ROUNDS, AT_ONCE = 50, 20
VICTIM = """
import asyncio, hashlib, os, sys
from lab import Lab
path, url, at_once = sys.argv[1:]

async def worker(lab, number):
    turn = 0
    while True:
        turn += 1
        where = {"model": "openai/instant", "api_base": url, "api_key": "none"}
        if number % 2:
            stream = lab.astream(f"question {number} {turn}", **where)
            async for _ in stream: pass
            reply = stream.reply
        else:
            reply = await lab.aask(f"question {number} {turn}", **where)
        digest = hashlib.sha256(reply.text.encode()).hexdigest()
        os.write(1, f"{reply.call_id} {digest}\\n".encode())

async def load():
    lab = Lab(path)
    await asyncio.gather(*(worker(lab, number) for number in range(int(at_once))))

asyncio.run(load())
"""


def main() -> None:
    """One victim after another, all on one ledger."""
    url = child.shared("lab.sim").endpoint().url
    path = Path(tempfile.mkdtemp()) / "lab.db"
    moments, returned, missing, wrong, broken, running = random.Random(1), 0, 0, 0, 0, 0
    for _ in range(ROUNDS):
        command = [sys.executable, "-c", VICTIM, str(path), url, str(AT_ONCE)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        lines = [process.stdout.readline()]  # it is under load
        try:
            process.wait(moments.uniform(0.0, 1.0))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.read().split("\n")
        process.wait()
        told = dict(line.split() for line in lines if len(line.split()) == 2 and len(line.split()[1]) == 64)
        ledger = sqlite3.connect(path)
        broken += ledger.execute("PRAGMA integrity_check").fetchone()[0] != "ok"
        kept = dict(ledger.execute("SELECT call_id, answer FROM calls JOIN texts USING (id) WHERE status = 'ok'"))
        running = ledger.execute("SELECT count(*) FROM calls WHERE status = 'running'").fetchone()[0]
        ledger.close()
        returned += len(told)
        missing += sum(call_id not in kept for call_id in told)
        wrong += sum(call_id in kept and _digest(kept[call_id]) != digest for call_id, digest in told.items())
    row = {"kills": ROUNDS, "replies returned": returned, "missing": missing, "other words": wrong}
    common.report("kill", [{**row, "ledgers not intact": broken, "calls shown as cut off": running}])


def _digest(text: str | None) -> str:
    return hashlib.sha256((text or "").encode()).hexdigest()


if __name__ == "__main__":
    main()
