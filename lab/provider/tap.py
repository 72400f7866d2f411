"""The lab's wire under LiteLLM's own handlers: what they hide of an attempt (status, body, the real end) is seen here.

A handler of LiteLLM's that takes an HTTP client is given one whose transport is `lab.provider.wire`. What goes over
it is noted in the `Seen` of the attempt under way.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from lab import errors
from lab.provider.loading import load
from lab.provider.wire import EventStream, Marks, Response, Wire

KEPT = 64 * 1024
"""Bytes of a body that is no success that are kept."""


class Shape(Protocol):
    """What to look for in the answers of one provider, and what was found."""

    error: Any
    finish: str | None
    usage: Mapping[str, Any] | None
    candidates: bool

    def note(self, payload: dict[str, Any]) -> None:
        """One whole answer, or one event of a stream."""

    def mended(self, answer: dict[str, Any], *, whole: bool) -> dict[str, Any]:
        """A whole answer, or an event of a stream, as LiteLLM can read it."""


@dataclass(slots=True)
class Seen:
    """What went over the wire in one attempt; None where nothing did. `at` is when bytes came last."""

    shape: Shape
    connect: float | None = None
    marks: Marks | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    streamed: bool = False
    body: bytes = b""
    at: float | None = None
    unread: str | None = None
    failure: errors.LabError | None = None


current: ContextVar[Seen | None] = ContextVar("current", default=None)
"""The attempt whose requests are made in this context."""


def handler(wire: Wire) -> Any:
    """An HTTP client as LiteLLM takes it, over `wire`. Redirects are not followed."""
    load()
    http_handler = importlib.import_module("litellm.llms.custom_httpx.http_handler").AsyncHTTPHandler
    return http_handler(transport=_Transport(wire), follow_redirects=False, timeout=httpx.Timeout(None))


class _Transport(httpx.AsyncBaseTransport):
    def __init__(self, wire: Wire):
        self._wire = wire

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        seen = current.get()
        assert seen is not None
        body = await request.aread()
        headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
        seen.marks = Marks(asyncio.get_running_loop().time())
        sending = self._wire.post(
            str(request.url), headers, body, seen.marks, connect=seen.connect, method=request.method
        )
        try:
            response = await sending.__aenter__()
        except errors.LabError as failure:
            seen.failure = failure
            raise httpx.ConnectError(str(failure)) from None
        seen.status, seen.headers = response.status, response.headers
        seen.streamed = "event-stream" in response.headers.get("content-type", "")
        told = {name: value for name, value in response.headers.items() if name.lower() not in _LENGTHS}
        if response.status >= 300 or not seen.streamed:
            try:
                content = await _whole(response, seen)
            finally:
                await sending.__aexit__(None, None, None)
            return httpx.Response(response.status, headers=told, content=content)
        return httpx.Response(response.status, headers=told, stream=_Events(sending, response, seen))


_LENGTHS = ("content-encoding", "content-length", "transfer-encoding")


async def _whole(response: Response, seen: Seen) -> bytes:
    try:
        raw = bytes(await response.body())
    except errors.LabError as failure:
        seen.failure = failure
        raise httpx.ReadError(str(failure)) from None
    seen.at, seen.body = response.at, raw[:KEPT]
    answer = _object(raw.decode("utf-8", "replace"), seen) if response.status < 300 else None
    if answer is None:
        return raw
    seen.shape.note(answer)
    mended = seen.shape.mended(answer, whole=True)
    return raw if mended is answer else json.dumps(mended).encode()


class _Events(httpx.AsyncByteStream):
    """A stream on its way to LiteLLM, its events noted as they pass and put plainly: some of its readers lose an answer
    over a comment."""

    def __init__(self, sending: Any, response: Response, seen: Seen):
        self._sending, self._response, self._seen = sending, response, seen

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen, stream = self._seen, EventStream()
        try:
            async for chunk in self._response.chunks():
                seen.at = self._response.at
                for data in stream.feed(chunk):
                    event = _object(data, seen) if data.strip() != "[DONE]" else None
                    if event is not None:
                        seen.shape.note(event)
                        mended = seen.shape.mended(event, whole=False)
                        data = data if mended is event else json.dumps(mended)
                    yield b"data: " + data.encode() + b"\n\n"
        except errors.LabError as failure:
            seen.failure = failure
            raise httpx.ReadError(str(failure)) from None

    async def aclose(self) -> None:
        await self._sending.__aexit__(None, None, None)


def _object(text: str, seen: Seen) -> dict[str, Any] | None:
    """The JSON object that `text` is; where it is none, that is noted."""
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        seen.unread = "HTML" if text.lstrip()[:1] == "<" else "broken JSON"
        return None
    return parsed
