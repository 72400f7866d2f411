"""First tokens as the lab records them with 50 streams at once, beside what a bare HTTP client sees, in the words of
OpenAI, Anthropic, Gemini and Ollama.

    python benchmarks/first_token.py    # prints the table, writes benchmarks/first_token.json

The server sends its first token 50 ms after the request, always. What is above that is the server's own work, the
machine's, and the client's; a bare client shows the first two. Both run in turns, in one process.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import common

from lab import Lab, Limit, Policy
from lab.provider import child
from lab.provider.loading import load

STREAMS, ROUNDS = 50, 12
SAID = [{"role": "user", "content": "hi"}]


@dataclass(frozen=True)
class Dialect:
    """How a bare client asks: where, what, and whether a line of the answer has text in it."""

    model: str
    path: str
    body: dict[str, Any]
    text: Callable[[Any], Any]
    prefix: bytes = b"data: {"


def _delta(chunk: Any) -> Any:
    return chunk["choices"] and chunk["choices"][0]["delta"].get("content")


DIALECTS = {
    "OpenAI": Dialect(
        "sim/fifty",
        "/v1/chat/completions",
        {"model": "fifty", "messages": SAID, "stream": True, "stream_options": {"include_usage": True}},
        _delta,
    ),
    "Anthropic": Dialect(
        "sim/anthropic/fifty",
        "/v1/messages",
        {"model": "fifty", "messages": SAID, "stream": True, "max_tokens": 4096},
        lambda event: (event.get("delta") or {}).get("text"),
    ),
    "Gemini": Dialect(
        "sim/gemini/fifty",
        "/v1beta/models/fifty:streamGenerateContent?alt=sse",
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
        lambda event: event["candidates"][0]["content"]["parts"][0]["text"],
    ),
    "Ollama": Dialect(
        "sim/ollama/fifty",
        "/api/chat",
        {"model": "fifty", "messages": SAID, "stream": True},
        lambda line: line["message"]["content"],
        b"{",
    ),
}


async def bare(session: aiohttp.ClientSession, url: str, dialect: Dialect) -> float:
    """Seconds from the request to the first line with text in it, by aiohttp alone."""
    loop = asyncio.get_running_loop()
    start, first = loop.time(), None
    async with session.post(url + dialect.path, json=dialect.body) as response:
        async for line in response.content:
            begins = first is None and line.startswith(dialect.prefix)
            if begins and dialect.text(json.loads(line[len(dialect.prefix) - 1 :])):
                first = loop.time() - start
    assert first is not None
    return first


async def measured(lab: Lab, url: str, name: str, dialect: Dialect) -> list[dict[str, Any]]:
    """Rounds of 50 streams each, in turns."""
    seen: list[float] = []

    async def stream() -> None:
        async for _ in lab.astream("hi", model=dialect.model):
            pass

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for number in range(ROUNDS + 1):
            mine = await asyncio.gather(*(bare(session, url, dialect) for _ in range(STREAMS)))
            await asyncio.gather(*(stream() for _ in range(STREAMS)))
            if number:  # the first round opens the connections
                seen += mine
    attempts = lab.attempts(limit=None)
    attempts = attempts[attempts["model"] == dialect.model].iloc[: STREAMS * ROUNDS]
    assert set(attempts["way"]) == {"wire"}
    told = attempts["ttft"].tolist()
    kept = attempts.loc[~attempts["saturated"], "ttft"].tolist()
    rows = []
    for label, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        mine, theirs = common.percentile(told, share) * 1000, common.percentile(seen, share) * 1000
        rows.append({"dialect": name, "first token": label, "lab_ms": mine, "aiohttp_ms": theirs})
    if kept:
        mine, theirs = common.percentile(kept, 0.99) * 1000, common.percentile(seen, 0.99) * 1000
        label = f"p99 of the {len(kept)} of {len(told)} not marked saturated"
        rows.append({"dialect": name, "first token": label, "lab_ms": mine, "aiohttp_ms": theirs})
    return [{**row, "ratio": row["lab_ms"] / row["aiohttp_ms"]} for row in rows]


async def main() -> None:
    """Every dialect in turn."""
    load()
    url = child.shared("lab.sim").endpoint().url.removesuffix("/v1")
    lab = Lab(os.path.join(tempfile.mkdtemp(), "lab.db"), policy=Policy(limit=Limit(concurrency=STREAMS)))
    rows = [row for name, dialect in DIALECTS.items() for row in await measured(lab, url, name, dialect)]
    lab.close()
    common.report("first_token", rows)


if __name__ == "__main__":
    asyncio.run(main())
