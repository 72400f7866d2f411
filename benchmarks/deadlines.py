"""How far past its total deadline a call can run, whatever stands in its way.

    python benchmarks/deadlines.py      # prints the table, writes benchmarks/deadlines.json

A total of one second, twenty calls at once of each sort, over real sockets: the time from the call to the moment the
caller has its answer or failure. A failure may come sooner, where a wait can't end in time; never later.
"""

from __future__ import annotations

import asyncio
import os
import tempfile

import common

from lab import Lab, Limit, Policy, Retry, Timeout, errors
from lab.provider import child
from lab.provider.loading import load

TOTAL, AT_ONCE = 1.0, 20
LONG = Timeout(connect=None, first_token=None, idle=None, attempt=None, total=TOTAL)
ALONE = Policy(timeout=LONG, retry=None, breaker=None)


async def trickling() -> tuple[asyncio.Server, str]:
    """A server that sends its answer a byte each 50 ms, for ever."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n")
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        except OSError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


async def main() -> None:
    """Each way to be late, in turn."""
    load()
    url = child.shared("lab.sim").endpoint().url
    server, slow = await trickling()
    lab = Lab(os.path.join(tempfile.mkdtemp(), "lab.db"), policy=ALONE)
    queue = Policy(timeout=LONG, retry=None, breaker=None, limit=Limit(concurrency=1))
    backoff = Policy(timeout=LONG, retry=Retry(attempts=50, initial=0.3, jitter="none", share=50.0), breaker=None)
    sim = {"api_base": url, "api_key": "none"}
    ways = {
        "hangs": (False, None, {"model": "openai/instant+hang", **sim}),
        "hangs, streamed": (True, None, {"model": "openai/instant+hang", **sim}),
        "stalls in mid-stream": (True, None, {"model": "openai/instant+stall", **sim}),
        "a byte each 50 ms": (False, None, {"model": "openai/m", "api_base": slow, "api_key": "none"}),
        "a byte each 50 ms, streamed": (True, None, {"model": "openai/m", "api_base": slow, "api_key": "none"}),
        "hangs, carried by LiteLLM": (False, None, {"model": "sim/gemini/instant+hang"}),
        "stalls in mid-stream, carried": (True, None, {"model": "sim/gemini/instant+stall"}),
        "waits in the limiter's queue": (False, queue, {"model": "openai/instant+hang", **sim}),
        "waits between retries": (False, backoff, {"model": "openai/instant+http_500", **sim}),
    }
    loop, rows = asyncio.get_running_loop(), []

    async def timed(streamed: bool, policy: Policy | None, where: dict[str, str]) -> tuple[float, str]:
        start = loop.time()
        try:
            if streamed:
                async for _ in lab.astream("hi", policy=policy, **where):
                    pass
            else:
                await lab.aask("hi", policy=policy, **where)
        except errors.LabError as failure:
            return loop.time() - start, f"{failure.kind} {failure.phase or ''}".strip()
        return loop.time() - start, "ok"

    await timed(False, None, {"model": "sim/gemini/instant"})  # what is loaded once is loaded now
    for name, way in ways.items():
        ended = await asyncio.gather(*(timed(*way) for _ in range(AT_ONCE)))
        worst = max(took for took, _ in ended)
        how = ", ".join(sorted({end for _, end in ended}))
        rows.append(
            {"the call": name, "worst_s": worst, "past the deadline_s": max(0.0, worst - TOTAL), "ends as": how}
        )
    lab.close()
    server.close()
    common.report("deadlines", rows)


if __name__ == "__main__":
    asyncio.run(main())
