"""What other calls feel of one whose answer is huge.

    python benchmarks/bodies.py      # prints the table, writes benchmarks/bodies.json

A small stream is due every 30 ms while, on the same Lab, answers of some 30 MB or of 100,000 events come in, one after
the other. In milliseconds: from when a small one was due to its first token in its caller's hands, and to its end.
Counted from when it was due: a process that stands still sends nothing, and would not be seen to. The server is a
process of its own, and answers the small ones at once.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import tempfile
from multiprocessing.connection import Connection

import common

from lab import Lab, Policy, Timeout

WORDS = 'the quick brown fox jumps over the lazy dog, and "says so" in many\nlines; '
MEGABYTES = 30
TIMES = 3


def _answer(content: str, **more: object) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}, **more}
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    return json.dumps({"id": "x", "model": "m", "choices": [choice], "usage": usage}, ensure_ascii=False).encode()


def _event(text: str | None, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "x", "model": "m", "choices": [choice]}).encode() + b"\n\n"


def bodies() -> dict[str, tuple[bool, bytes]]:
    """By name: whether it is a stream, and its bytes."""
    size = MEGABYTES * 1_000_000
    text = WORDS * (size // len(WORDS) - 20_000)
    end = _event(None, "stop") + b"data: [DONE]\n\n"
    return {
        "text": (False, _answer(text)),
        "text with other letters": (False, _answer(text.replace("q", "é").replace("fox", "狐")[: size // 2])),
        "text with tags": (False, _answer(text.replace("dog", "<b>"))),
        "small objects": (False, _answer("x", logprobs=[{"b": number} for number in range(size // 15)])),
        "100,000 events": (True, b"".join([_event("word ")] * 100_000) + end),
        "one event": (True, _event(text) + end),
        "small": (True, _event("word ") + end),
    }


def serve(pipe: Connection) -> None:
    """Answer each request by the name of its model."""
    kept = {name.replace(" ", "-").replace(",", ""): body for name, body in bodies().items()}

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                streamed, body = kept[json.loads(await reader.readexactly(length))["model"]]
                kind = b"text/event-stream" if streamed else b"application/json"
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n" % (kind, len(body)) + body
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(one, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def main() -> None:
    """Each sort, in turn."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    where = {"api_base": f"http://127.0.0.1:{here.recv()}/v1", "api_key": "none"}
    lab = Lab(os.path.join(tempfile.mkdtemp(), "lab.db"), policy=Policy(timeout=Timeout(total=120), retry=None))
    firsts: list[float] = []
    whole: list[float] = []

    async def small(due: float) -> None:
        first = 0.0
        async for _ in lab.astream("hi", model="openai/small", **where):
            first = first or loop.time()
        firsts.append((first - due) * 1000)
        whole.append((loop.time() - due) * 1000)

    async def beside(over: asyncio.Event) -> None:
        running, due = [], loop.time()
        while not over.is_set():
            running.append(asyncio.create_task(small(due)))
            due += 0.03
            await asyncio.sleep(due - loop.time())
        await asyncio.gather(*running)

    async def large(name: str, streamed: bool) -> None:
        model = f"openai/{name.replace(' ', '-').replace(',', '')}"
        if streamed:
            async for _ in lab.astream("hi", model=model, **where):
                pass
        else:
            await lab.aask("hi", model=model, **where)

    loop, rows = asyncio.get_running_loop(), []
    await small(loop.time())
    for name, (streamed, _) in [("none", (False, b"")), *bodies().items()]:
        if name == "small":
            continue
        firsts.clear()
        whole.clear()
        over = asyncio.Event()
        probing = asyncio.create_task(beside(over))
        await asyncio.sleep(0.3)
        start = loop.time()
        for _ in range(TIMES):
            await (asyncio.sleep(1) if name == "none" else large(name, streamed))
        took = (loop.time() - start) / TIMES
        over.set()
        await probing
        rows.append(
            {
                "beside": name,
                "its seconds": took,
                "calls": len(firsts),
                **{f"first {share:.0%}": round(common.percentile(firsts, share)) for share in (0.5, 0.95, 0.99)},
                "first worst": round(max(firsts)),
                "whole worst": round(max(whole)),
            }
        )
        print(rows[-1], flush=True)
    lab.close()
    server.terminate()
    common.report("bodies", rows)


if __name__ == "__main__":
    asyncio.run(main())
