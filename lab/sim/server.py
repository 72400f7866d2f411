"""The HTTP side of the simulation, plain and streamed, each provider's words at an address of its own (`SPOKEN`); lists
of models, embeddings, and the batch services of OpenAI and Anthropic."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from aiohttp import web

from lab.sim.answers import EVALS, REFUSAL, Book, Skill, answered, book, instance
from lab.sim.anthropic import Anthropic
from lab.sim.batches import BYTES, Batches
from lab.sim.catalogue import MODELS, SimModel
from lab.sim.cohere import Cohere
from lab.sim.embeddings import Embeddings
from lab.sim.faults import FAULTS, Bursts, parse
from lab.sim.gemini import Gemini
from lab.sim.musing import called, mused
from lab.sim.ollama import Ollama
from lab.sim.openai import OpenAI
from lab.sim.openrouter import OpenRouter
from lab.sim.relatives import Azure, LMStudio, Mistral
from lab.sim.responses import Responses
from lab.sim.script import Action, Script, Step
from lab.sim.speaker import Speaker

_FILLER = (
    "An average hides what a tail shows: one slow answer in twenty-five is felt every day.",
    "A percentile needs enough requests to stand on; with ten of them the p99 is only the slowest.",
    "A retry without a deadline turns one slow request into two.",
    "A hedge sends a second request when the first is late, and takes whichever answers first.",
    "The time to the first token is what a reader waits for; the rest is read as it comes.",
    "A queue in front of a model is not the model's latency, though a user can't tell.",
)
WINDOW = 2.0
"""Seconds that requests share one lot of congestion."""
CACHEABLE = 200
"""Tokens from which a marked part of a prompt is cached."""
SPOKEN: dict[str, type[Speaker]] = {
    "/v1/chat/completions": OpenAI,
    "/v1/responses": Responses,
    "/v1/messages": Anthropic,
    **{
        f"/{version}/models/{{name:.+}}:{{method:(?:stream)?[gG]enerateContent}}": Gemini
        for version in ("v1", "v1beta", "v1alpha")
    },
    "/api/chat": Ollama,
    "/v2/chat": Cohere,
    "/openai/deployments/{name}/chat/completions": Azure,
    "/openrouter/v1/chat/completions": OpenRouter,
    "/mistral/v1/chat/completions": Mistral,
    "/lmstudio/v1/chat/completions": LMStudio,
}
"""Where which provider's words are spoken."""


def plan(name: str, model: SimModel, body: dict[str, Any], seed: int, nth: int, cases: Book | None = None) -> Script:
    """The script for the `nth` request that says exactly this; the same arguments give the same script.

    `body` is the request as `Speaker.asked` has it, whatever the protocol. `cases` are those that can be answered.
    """
    random = Random(f"{seed}|{name}|{digest(body)}|{nth}")
    first = model.first_token(random)
    depth = model.deep(body.get("thinking"))
    skill = model.skill if depth is None else depth.skill
    thoughts = mused(depth.tokens, random) if depth else []
    calls = called(body, random)
    text = "" if calls else _answer(skill, body, cases, random) if cases or body.get("schema") else ""
    refused = text is None
    if not text:
        sentences = " ".join(random.sample(_FILLER, random.randint(1, 3)))
        text = (
            f"This is {name}, a simulation. It planned a first token after {first:.3f} s and "
            f"{model.rate:g} tokens a second from there. {sentences}"
        )
    words = (REFUSAL if refused else text).split(" ")
    pieces = [word if number == 0 else f" {word}" for number, word in enumerate(words)]
    if body.get("results") and not body.get("schema"):
        pieces = [f"The tools say: {'; '.join(body['results'])}"]
    elif model.length is not None and model.skill is None and not body.get("schema"):
        pieces = [pieces[number % len(pieces)] for number in range(model.length)]
    limit = body.get("max_tokens")
    finish = "stop"
    if isinstance(limit, int) and 0 < limit < len(thoughts) + len(pieces):  # thoughts count, too
        thoughts = thoughts[:limit]
        pieces, finish = pieces[: limit - len(thoughts)], "length"
    if calls:
        finish = "tool_calls"
    said: list[tuple[Action, str]] = [("thought", thought) for thought in thoughts]
    said += [("call", json.dumps(call)) for call in calls] or [("piece", piece) for piece in pieces]
    steps = [Step(first + number / model.rate, action, text) for number, (action, text) in enumerate(said)]
    prompt = json.dumps(body["messages"], ensure_ascii=False)
    script = Script(steps=(*steps, Step(steps[-1].at, "finish", finish)), prompt_tokens=max(1, len(prompt) // 4))
    if not refused:
        return script
    return replace(script.until(0, Step(first, "finish", "stop")), content="null", refusal=REFUSAL)


def _answer(skill: Skill | None, body: dict[str, Any], cases: Book | None, random: Random) -> str | None:
    """An answer to the case that is asked, or any that fits the schema; empty where the request is neither, None for a
    refusal."""
    prompt = "\n".join(
        _text(message)
        for message in body["messages"]
        if isinstance(message, dict) and message.get("role") != "assistant"
    )
    case = cases.find(prompt) if cases and skill else None
    if case is not None and cases is not None and skill is not None:
        return answered(case, skill, cases, prompt, body.get("schema"), random)
    return json.dumps(instance(body["schema"], random), ensure_ascii=False) if body.get("schema") else ""


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    return "\n".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))


def digest(body: dict[str, Any]) -> str:
    """What makes two requests the same: messages, and a `seed` if one was sent."""
    text = json.dumps([body.get("messages"), body.get("seed")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Sim:
    """One simulated provider. `seed` decides everything; `speed` divides every wait; `evals` is the folder of the eval
    sets whose cases it can answer."""

    def __init__(self, seed: int = 0, speed: float = 1.0, evals: Path = EVALS):
        self.seed = seed
        self.cases = book(evals)
        self.speed = speed
        self.requests: Counter[str] = Counter()
        self._seen: Counter[tuple[str, str]] = Counter()
        self._running: Counter[str] = Counter()
        self._bursts: dict[tuple[str, int], Bursts] = {}
        self._cached: dict[str, set[str]] = {}
        self.batches = Batches(self._line, speed, seed)

    def app(self) -> web.Application:
        """The server, to be run."""
        app = web.Application(client_max_size=BYTES + 2**20)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/requests", self._counted)
        for path, speech in SPOKEN.items():
            app.router.add_post(path, self._speaking(speech))
        Ollama.add_to(app, list(MODELS))
        Embeddings(self.requests).add_to(app)
        self.batches.add_to(app)
        return app

    def _speaking(self, speech: type[Speaker]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            return await self._answer(request, speech)

        return answer

    async def _models(self, _request: web.Request) -> web.Response:
        listed = [{"id": name, "object": "model", "owned_by": "sim", **model.facts()} for name, model in MODELS.items()]
        return web.json_response({"object": "list", "data": listed})

    async def _counted(self, _request: web.Request) -> web.Response:
        """How many requests came, by model: the server's own count, to hold a client's against."""
        return web.json_response(dict(self.requests))

    async def _answer(self, request: web.Request, speech: type[Speaker]) -> web.StreamResponse:
        """One request, in one provider's words."""
        came = asyncio.get_running_loop().time()
        try:
            body = await request.json()
        except ValueError:
            return speech.error(400, "invalid_request_error", "the body is not JSON", {})
        body = speech.addressed(body, request.match_info) if isinstance(body, dict) else {}
        try:
            asked = speech.asked(body)
        except ValueError as missing:
            return speech.error(400, "invalid_request_error", str(missing), {})
        name = str(body.get("model"))
        self.requests[name] += 1
        try:
            script = self._script(name, asked, came)
        except ValueError as unknown:
            if str(unknown).startswith("no effort"):
                return speech.error(400, "invalid_request_error", str(unknown), {})
            return speech.error(404, "model_not_found", str(unknown), {})
        if script.status != 200:
            return speech.error(script.status, script.code, script.message, script.headers)
        base, play = name.split("+")[0], self._stream if body.get("stream") else self._whole
        if self._running[base] >= (MODELS[base].at_once or self._running[base] + 1):
            return speech.error(429, "rate_limit_exceeded", "too many requests at once", {"retry-after-ms": "200"})
        self._running[base] += 1
        try:
            return await play(request, speech(name, body, script), script, came)
        finally:
            self._running[base] -= 1

    def _script(self, name: str, body: dict[str, Any], came: float) -> Script:
        base, chosen = parse(name)
        if base not in MODELS:
            raise ValueError(f"no model {base!r}: there is {', '.join(MODELS)}")
        model = MODELS[base]
        key = (name, digest(body))
        nth = self._seen[key]
        self._seen[key] += 1
        script = plan(name, model, body, self.seed, nth, self.cases)
        if model.congestion and Random(f"{self.seed}|{int(came / WINDOW)}").random() < model.congestion:
            script = script.delayed(model.factor[0])
        if stable := body.get("stable"):
            script = self._with_cache(base, stable, script)
        for place, fault in enumerate(chosen):
            if (name, place) not in self._bursts:
                self._bursts[name, place] = Bursts(fault, Random(f"{self.seed}|{name}|{place}"))
            if fault.name in FAULTS and self._bursts[name, place].next():
                script = FAULTS[fault.name].apply(script, Random(f"{self.seed}|{name}|{place}|{key[1]}|{nth}"))
        return script

    def _with_cache(self, model: str, stable: str, script: Script) -> Script:
        """The marked part of the prompt is written to the provider's cache, or read from it; a short one is neither."""
        tokens = min(script.prompt_tokens, len(stable) // 4)
        if tokens < CACHEABLE:
            return script
        known, marked = self._cached.setdefault(model, set()), hashlib.sha256(stable.encode()).hexdigest()
        if marked in known:
            return replace(script, cache_read=tokens)
        known.add(marked)
        return replace(script, cache_write=tokens)

    def _line(self, name: str, speech: type[Speaker], body: dict[str, Any]) -> tuple[Script, Speaker]:
        """One request of a batch. Raises `ValueError` for what is none."""
        asked = speech.asked(body)
        self.requests[name] += 1
        script = self._script(name, asked, asyncio.get_running_loop().time())
        return script, speech(name, body, script)

    async def _whole(self, request: web.Request, speaker: Speaker, script: Script, came: float) -> web.StreamResponse:
        last = script.steps[-1]
        await self._until(came, last.at)
        if last.action in ("hang", "reset") or (last.action == "close" and not script.pieces):
            return await _leave(request, last.action)
        body = (script.body if script.body is not None else json.dumps(speaker.told())).encode()
        told = script.body is not None or any(step.action == "error" for step in script.steps)
        cut = script.short or (last.action == "close" and not told)
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body) + (16 if cut else 0)),
            **_truth(script),
        }
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(body)
        if cut:
            return await _leave(request, "close", response)
        await response.write_eof()
        return response

    async def _stream(self, request: web.Request, speaker: Speaker, script: Script, came: float) -> web.StreamResponse:
        headers = {"Content-Type": speaker.STREAM, **_truth(script)}
        if script.steps[0].action in ("hang", "reset"):
            return await _leave(request, script.steps[0].action)
        if script.body is not None and not any(step.action == "raw" for step in script.steps):
            return web.Response(text=script.body, content_type="text/html")
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        for step in script.steps:
            await self._until(came, step.at)
            if step.action in ("hang", "reset", "close"):
                return await _leave(request, step.action, response)
            for packet in speaker.packets(step):
                await response.write(packet)
        await response.write_eof()
        return response

    async def _until(self, came: float, seconds: float) -> None:
        """Wait until `seconds` after the request came: by the clock, so that delays don't add up."""
        wait = came + seconds / self.speed - asyncio.get_running_loop().time()
        if wait > 0:
            await asyncio.sleep(wait)


async def _leave(request: web.Request, how: str, response: web.StreamResponse | None = None) -> web.StreamResponse:
    """End the connection rudely, or keep it and say nothing until the client goes."""
    transport = request.transport
    if how == "hang":
        while transport is not None and not transport.is_closing():  # noqa: ASYNC110 - nothing else tells of it
            await asyncio.sleep(0.05)
    elif transport is not None:
        if how == "reset":
            raw = transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.close()
    return response or web.Response()


def _truth(script: Script) -> dict[str, str]:
    thought = {"x-sim-thinking": f"{script.thinking:.6f}"} if script.thought else {}
    return {"x-sim-first-token": f"{script.first:.6f}", "x-sim-tokens": str(script.pieces), **thought}


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
