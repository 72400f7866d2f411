"""Embeddings, in the words of OpenAI, Gemini and Ollama: each word has a place, texts that share words are near."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import struct
from collections import Counter
from typing import Any

from aiohttp import web

SIZE = 64
"""Numbers of an embedding."""


def vector(text: str, size: int = SIZE) -> list[float]:
    """The embedding of a text: of length 1, the same for the same text."""
    numbers = [0.0] * size
    for word in re.findall(r"\w+", text.lower()) or [text]:
        digest = hashlib.sha256(word.encode("utf-8", "replace")).digest()
        numbers[int.from_bytes(digest[:4]) % size] += 1.0 if digest[4] & 1 else -1.0
        numbers[int.from_bytes(digest[5:9]) % size] += 0.5
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return [number / length for number in numbers]


def _tokens(texts: list[str]) -> int:
    return sum(max(1, len(text) // 4) for text in texts)


class Embeddings:
    """The addresses; `requests` counts what comes, by model."""

    def __init__(self, requests: Counter[str]):
        self._requests = requests

    def add_to(self, app: web.Application) -> None:
        """Answer there."""
        app.router.add_post("/v1/embeddings", self._openai)
        for version in ("v1", "v1beta", "v1alpha"):
            app.router.add_post(f"/{version}/models/{{name:.+}}:batchEmbedContents", self._gemini)
        app.router.add_post("/api/embed", self._ollama)

    async def _openai(self, request: web.Request) -> web.Response:
        body = await request.json()
        texts = [body["input"]] if isinstance(body.get("input"), str) else list(body.get("input") or ())
        if not texts or not all(isinstance(text, str) and text for text in texts):
            error = {"message": "`input` is missing or empty", "type": "invalid_request_error", "code": None}
            return web.json_response({"error": error}, status=400)
        self._requests[str(body.get("model"))] += 1
        size = body.get("dimensions") or SIZE
        data = [
            {"object": "embedding", "index": place, "embedding": _packed(vector(text, size), body)}
            for place, text in enumerate(texts)
        ]
        used = {"prompt_tokens": _tokens(texts), "total_tokens": _tokens(texts)}
        return web.json_response({"object": "list", "data": data, "model": body.get("model"), "usage": used})

    async def _gemini(self, request: web.Request) -> web.Response:
        body = await request.json()
        texts = ["".join(part.get("text", "") for part in one["content"]["parts"]) for one in body["requests"]]
        self._requests[request.match_info["name"]] += 1
        return web.json_response({"embeddings": [{"values": vector(text)} for text in texts]})

    async def _ollama(self, request: web.Request) -> web.Response:
        body = await request.json()
        texts = [body["input"]] if isinstance(body.get("input"), str) else list(body.get("input") or ())
        self._requests[str(body.get("model"))] += 1
        counts = {"prompt_eval_count": _tokens(texts), "total_duration": 1_000_000}
        embedded = [vector(text) for text in texts]
        return web.json_response({"model": body.get("model"), "embeddings": embedded, **counts})


def _packed(numbers: list[float], body: dict[str, Any]) -> Any:
    """As they are, or packed, as OpenAI's own client asks for them."""
    if body.get("encoding_format") != "base64":
        return numbers
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
