"""HTTP and server-sent events over one pooled client, with times taken as the bytes come in.

Knows nothing of models: bytes out, bytes in, and what went wrong on the way.
"""

from __future__ import annotations

import asyncio
import codecs
import os
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.client_proto import ResponseHandler

from lab import errors

MAX_BODY = 32 * 1024 * 1024
"""Bytes of an answer that are read before it is called malformed."""


@dataclass(slots=True)
class Marks:
    """When things happened to one request, in seconds on the loop's clock; None where they didn't."""

    start: float
    connected: float | None = None


class _Stamped(ResponseHandler):
    """A connection that notes when each part of a body came in: whoever reads it may be late, the clock is not."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._clock = loop.time
        self.arrivals: dict[int, deque[tuple[int, float]]] = {}

    def data_received(self, data: bytes) -> None:
        """Note the time, and how much of the body has come by then."""
        now, before = self._clock(), self._payload
        over = before is None or before.is_eof()
        super().data_received(data)
        payload = self._payload or before  # it is let go of with the last bytes of a connection that closes
        if payload is before and over:  # a part of the next answer's headers: no body has come
            return
        if payload is not None and (came := getattr(payload, "total_bytes", 0)):
            self.arrivals.setdefault(id(payload), deque()).append((came, now))


@dataclass(slots=True)
class Response:
    """An answer whose headers are in and whose body is still to be read. `at` is when the last bytes of it that were
    read had come in, on the loop's clock."""

    status: int
    headers: Mapping[str, str]
    marks: Marks
    _raw: aiohttp.ClientResponse
    _arrivals: Mapping[int, deque[tuple[int, float]]]
    at: float = 0.0

    async def chunks(self, *, however_large: bool = False) -> AsyncIterator[bytes]:
        """The body, part by part as it came in. Raises `TransportError` when it is cut, `MalformedError` when it is
        endless."""
        size, content = 0, self._raw.content
        now = asyncio.get_running_loop().time
        try:
            async for chunk in content.iter_any():
                if not however_large and size + len(chunk) > MAX_BODY:
                    raise errors.MalformedError(f"the answer is larger than {MAX_BODY // 2**20} MiB")
                came = self._arrivals.get(id(content)) or deque()
                start, end = size, size + len(chunk)
                while came and came[0][0] <= end:
                    until, self.at = came.popleft()
                    if until > size:
                        yield chunk[size - start : until - start]
                        size = until
                if size < end:  # of a part whose time is not known, or that was read in pieces
                    self.at = came[0][1] if came else now()
                    yield chunk[size - start :]
                    size = end
        except (aiohttp.ClientError, OSError) as cut:
            raise errors.TransportError(f"the answer was cut short: {_words(cut)}", status=self.status) from cut

    async def body(self, limit: int | None = None) -> bytearray:
        """The whole body, or its first `limit` bytes."""
        whole = bytearray()
        async for chunk in self.chunks():
            whole += chunk
            if limit is not None and len(whole) >= limit:
                del whole[limit:]
                break
        self.at = self.at or asyncio.get_running_loop().time()
        return whole


class Wire:
    """One pooled client. Made and used on one event loop; holds no timeouts of its own."""

    def __init__(self) -> None:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_connected)
        trace.on_connection_reuseconn.append(_reused)
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ttl_dns_cache=60)
        stamped: Any = partial(_Stamped, loop=asyncio.get_running_loop())
        connector._factory = stamped  # there is no public way in
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
            auto_decompress=True,
        )

    @asynccontextmanager
    async def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        marks: Marks,
        *,
        connect: float | None = None,
        method: str = "POST",
    ) -> AsyncIterator[Response]:
        """Send, wait for the headers, and hand over a `Response`; the connection is closed or pooled on leaving.

        `connect` is how many seconds the connection may take. Redirects are not followed: a key must reach no host
        but the one it was meant for.
        """
        context = SimpleNamespace(marks=marks)
        try:
            raw = await self._session.request(
                method,
                url,
                data=body,
                headers=headers,
                allow_redirects=False,
                proxy=_proxy(url),
                timeout=aiohttp.ClientTimeout(total=None, connect=connect),
                trace_request_ctx=context,
            )
        except aiohttp.ConnectionTimeoutError as late:
            raise errors.TimeoutError(f"no connection to {_host(url)} after {connect:g} s", phase="connect") from late
        except (aiohttp.InvalidURL, ValueError) as bad:  # ValueError: credentials in the address, odd headers
            raise errors.InvalidRequestError(
                f"{_host(url)} can't be called, check `api_base`, `api_key` and `extra_headers`: {bad}"
            ) from bad
        except (aiohttp.ClientError, OSError) as failed:
            raise errors.TransportError(f"no answer from {_host(url)}: {_words(failed)}") from failed
        content, protocol = raw.content, getattr(raw, "_protocol", None)
        arrivals = protocol.arrivals if isinstance(protocol, _Stamped) else {}
        try:
            yield Response(raw.status, raw.headers, marks, raw, arrivals)
        finally:
            arrivals.pop(id(content), None)
            if raw.content.at_eof():
                raw.release()
            else:
                raw.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()


class EventStream:
    """Server-sent events from bytes (WHATWG HTML, 9.2.6), whatever the chunks: CR, LF and CR LF, comments,
    several data lines, UTF-8 split anywhere."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8-sig")(errors="replace").decode
        self._rest: list[str] = []
        self._data: list[str] = []
        self.news = True
        """Whether the last chunk brought anything but comments."""

    def feed(self, chunk: bytes, *, final: bool = False) -> list[str]:
        """The data of each event completed by `chunk`. At the end (`final`) an unfinished event is dropped."""
        self._rest.append(self._decode(chunk, final))
        self.news = True
        if not final and "\n" not in self._rest[-1] and "\r" not in "".join(self._rest[-2:]):
            return []  # in the middle of a line, which may be long
        text = "".join(self._rest)
        if text.endswith("\r") and not final:  # the LF of a CR LF may still come
            text, held = text[:-1], "\r"
        else:
            held = ""
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest = [lines.pop() + held]
        events = []
        self.news = any(not line.startswith(":") for line in lines if line) or not lines
        for line in lines:
            if line:
                name, _, value = line.partition(":")
                if name == "data":
                    self._data.append(value.removeprefix(" "))
            elif self._data:
                events.append("\n".join(self._data))
                self._data = []
        return events


class Lines:
    """JSON objects, a line each (NDJSON), from bytes, whatever the chunks."""

    news = True

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8-sig")(errors="replace").decode
        self._rest: list[str] = []

    def feed(self, chunk: bytes, *, final: bool = False) -> list[str]:
        """The lines completed by `chunk`. At the end (`final`) an unfinished one is dropped."""
        text = self._decode(chunk, final)
        if "\n" not in text:
            self._rest.append(text)
            return []
        lines = "".join([*self._rest, text]).split("\n")
        self._rest = [lines.pop()]
        return [line for line in lines if line.strip()]


async def _connected(_session: object, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.marks.connected = asyncio.get_running_loop().time()


async def _reused(_session: object, context: SimpleNamespace, _params: object) -> None:
    marks = context.trace_request_ctx.marks
    marks.connected = asyncio.get_running_loop().time()


def _proxy(url: str) -> str | None:
    """The environment's proxy for `url`; never one for this machine itself."""
    host = _host(url).rsplit(":", 1)[0].strip("[]")
    if host in ("localhost", "::1") or host.startswith("127.") or proxy_bypass(host):
        return None
    return getproxies().get(url.split(":", 1)[0])


def _host(url: str) -> str:
    return url.split("//", 1)[-1].split("/", 1)[0].rsplit("@", 1)[-1]


def _words(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host's name is unknown"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        return os.strerror(error.os_error.errno)
    return str(error) or type(error).__name__
