"""The HTTP side of the simulation: `/v1/chat/completions`, plain and streamed, and `/v1/models`."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

from aiohttp import web

from lab.sim.catalogue import MODELS, SimModel

_FILLER = (
    "An average hides what a tail shows: one slow answer in twenty-five is felt every day.",
    "A percentile needs enough requests to stand on; with ten of them the p99 is only the slowest.",
    "A retry without a deadline turns one slow request into two.",
    "A hedge sends a second request when the first is late, and takes whichever answers first.",
    "The time to the first token is what a reader waits for; the rest is read as it comes.",
    "A queue in front of a model is not the model's latency, though a user can't tell.",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one request will get: decided from seed, model and request alone, before any of it is sent."""

    first_token: float
    gap: float
    pieces: tuple[str, ...]
    finish: str
    prompt_tokens: int

    def usage(self) -> dict[str, int]:
        """The tokens, under OpenAI's names."""
        made = len(self.pieces)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": made,
            "total_tokens": self.prompt_tokens + made,
        }


def plan(name: str, model: SimModel, body: dict[str, Any], seed: int, nth: int) -> Plan:
    """The plan for the `nth` request that says exactly this; the same arguments give the same plan."""
    random = Random(f"{seed}|{name}|{digest(body)}|{nth}")
    first_token = model.first_token(random)
    sentences = " ".join(random.sample(_FILLER, random.randint(1, 3)))
    text = (
        f"This is {name}, a simulation. It planned a first token after {first_token:.3f} s and "
        f"{model.rate:g} tokens a second from there. {sentences}"
    )
    words = text.split(" ")
    pieces = tuple(word if number == 0 else f" {word}" for number, word in enumerate(words))
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    finish = "stop"
    if isinstance(limit, int) and 0 < limit < len(pieces):
        pieces, finish = pieces[:limit], "length"
    said = json.dumps(body["messages"], ensure_ascii=False)
    return Plan(first_token, 1 / model.rate, pieces, finish, max(1, len(said) // 4))


def digest(body: dict[str, Any]) -> str:
    """What makes two requests the same: messages, and a `seed` if one was sent."""
    said = json.dumps([body.get("messages"), body.get("seed")], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


class Sim:
    """One simulated provider. `seed` decides everything; `speed` divides every wait."""

    def __init__(self, seed: int = 0, speed: float = 1.0):
        self.seed = seed
        self.speed = speed
        self._seen: Counter[tuple[str, str]] = Counter()

    def app(self) -> web.Application:
        """The server, to be run."""
        app = web.Application(client_max_size=32 * 2**20)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        return app

    async def _models(self, _request: web.Request) -> web.Response:
        listed = [{"id": name, "object": "model", "owned_by": "sim", **model.facts()} for name, model in MODELS.items()]
        return web.json_response({"object": "list", "data": listed})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        came = asyncio.get_running_loop().time()
        try:
            body = await request.json()
        except ValueError:
            return _refusal(400, "the body is not JSON", "invalid_request_error")
        if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or not body["messages"]:
            return _refusal(400, "`messages` is missing or empty", "invalid_request_error")
        name = str(body.get("model"))
        if name not in MODELS:
            return _refusal(404, f"no model {name!r}: there is {', '.join(MODELS)}", "model_not_found")
        key = (name, digest(body))
        planned = plan(name, MODELS[name], body, self.seed, self._seen[key])
        self._seen[key] += 1
        answer = self._stream if body.get("stream") else self._whole
        return await answer(request, body, name, planned, came)

    async def _whole(
        self, _request: web.Request, body: dict[str, Any], name: str, planned: Plan, came: float
    ) -> web.Response:
        await self._until(came, planned.first_token + planned.gap * (len(planned.pieces) - 1))
        message = {"role": "assistant", "content": "".join(planned.pieces)}
        choice = {"index": 0, "message": message, "finish_reason": planned.finish}
        return web.json_response(
            {**_head(name, body, "chat.completion"), "choices": [choice], "usage": planned.usage()},
            headers=_truth(planned),
        )

    async def _stream(
        self, request: web.Request, body: dict[str, Any], name: str, planned: Plan, came: float
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **_truth(planned)})
        await response.prepare(request)
        head = _head(name, body, "chat.completion.chunk")

        async def send(choices: list[dict[str, Any]], **more: Any) -> None:
            data = json.dumps({**head, "choices": choices, **more})
            await response.write(f"data: {data}\n\n".encode())

        for number, piece in enumerate(planned.pieces):
            await self._until(came, planned.first_token + planned.gap * number)
            delta = {"content": piece} if number else {"role": "assistant", "content": piece}
            await send([{"index": 0, "delta": delta, "finish_reason": None}])
        await send([{"index": 0, "delta": {}, "finish_reason": planned.finish}])
        if (body.get("stream_options") or {}).get("include_usage"):
            await send([], usage=planned.usage())
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    async def _until(self, came: float, seconds: float) -> None:
        """Wait until `seconds` after the request came: by the clock, so that delays don't add up."""
        wait = came + seconds / self.speed - asyncio.get_running_loop().time()
        if wait > 0:
            await asyncio.sleep(wait)


def _head(name: str, body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": f"sim-{digest(body)[:16]}", "object": kind, "created": 0, "model": name}


def _truth(planned: Plan) -> dict[str, str]:
    return {"x-sim-first-token": f"{planned.first_token:.6f}", "x-sim-tokens": str(len(planned.pieces))}


def _refusal(status: int, message: str, code: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": code, "code": code}}, status=status)


async def serve(sim: Sim, port: int = 0) -> tuple[web.AppRunner, str]:
    """Listen on loopback; the runner (to clean up later) and the base URL. Raises OSError for a port in use."""
    runner = web.AppRunner(sim.app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    try:
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
