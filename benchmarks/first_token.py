"""First tokens as the lab records them with 50 streams at once, beside what a bare HTTP client sees.

    python benchmarks/first_token.py    # prints the table, writes benchmarks/first_token.json

The server sends its first token 50 ms after the request, always. What is above that is the server's own work, the
machine's, and the client's; a bare client shows the first two. Both run in turns, in one process.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile

import aiohttp
import common

from lab import Lab, Limit, Policy
from lab.provider import child
from lab.provider.loading import load

STREAMS, ROUNDS = 50, 20
BODY = {
    "model": "fifty",
    "messages": [{"role": "user", "content": "hi"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}


async def bare(session: aiohttp.ClientSession, url: str) -> float:
    """Seconds from the request to the first chunk with text in it, by aiohttp alone."""
    loop = asyncio.get_running_loop()
    start, first = loop.time(), None
    async with session.post(f"{url}/chat/completions", json=BODY) as response:
        async for line in response.content:
            if first is None and line.startswith(b"data: {") and json.loads(line[6:])["choices"][0]["delta"]["content"]:
                first = loop.time() - start
    assert first is not None
    return first


async def main() -> None:
    """Rounds of 50 streams each, in turns."""
    load()
    url = child.shared("lab.sim").endpoint().url
    lab = Lab(os.path.join(tempfile.mkdtemp(), "lab.db"), policy=Policy(limit=Limit(concurrency=STREAMS)))
    seen: list[float] = []

    async def stream() -> None:
        async for _ in lab.astream("hi", model="openai/fifty", api_base=url, api_key="none"):
            pass

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for number in range(ROUNDS + 1):
            mine = await asyncio.gather(*(bare(session, url) for _ in range(STREAMS)))
            await asyncio.gather(*(stream() for _ in range(STREAMS)))
            if number:  # the first round opens the connections
                seen += mine
    attempts = lab.attempts(limit=None).iloc[: STREAMS * ROUNDS]
    lab.close()
    told = attempts["ttft"].tolist()
    kept = attempts.loc[~attempts["saturated"], "ttft"].tolist()
    rows = []
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        mine, theirs = common.percentile(told, share) * 1000, common.percentile(seen, share) * 1000
        rows.append({"first token": name, "lab_ms": mine, "aiohttp_ms": theirs, "ratio": mine / theirs})
    if kept:
        mine, theirs = common.percentile(kept, 0.99) * 1000, common.percentile(seen, 0.99) * 1000
        name = f"p99 of the {len(kept)} of {len(told)} not marked saturated"
        rows.append({"first token": name, "lab_ms": mine, "aiohttp_ms": theirs, "ratio": mine / theirs})
    common.report("first_token", rows)


if __name__ == "__main__":
    asyncio.run(main())
