"""The batch services of providers: OpenAI-shaped files and batches, and Anthropic's message batches.

A batch is a file of requests, each under an identifier of its own, answered some time within a day for half the price.
Nothing here waits: lines are sent, looked after, and read, in whatever order they come back.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from urllib.parse import quote

from lab import errors, redact
from lab.provider import failures
from lab.provider.prices import Pricer, batch_pricer
from lab.provider.reading import read_whole
from lab.provider.request import Request
from lab.provider.source import Provider
from lab.provider.wire import MAX_BODY, Marks, Response, Wire
from lab.values import BatchLine, BatchResult, BatchState, Call, Event, Rest, Usage

OPENAI_SHAPED = frozenset({"openai", "groq"})
"""Providers on the lab's own wire whose documentation has OpenAI's files and batches."""
_IDLE = 120.0
"""Seconds that nothing of a file of results may come for."""
_SMALL = 64 * 1024
_ENDPOINT = "/v1/chat/completions"


class Office(Protocol):
    """Where lines are handed in; see `lab.call.batching`."""

    async def post(self, line: BatchLine) -> BatchResult:
        """What came of it, once it is known."""

    async def close(self) -> None:
        """Look after nothing any more."""


class Batched(Provider):
    """A provider whose requests go through its batch service, by way of an `Office`."""

    def __init__(self, office: Office):
        super().__init__()
        self._office = office

    async def _by_wire(self, call: Call, request: Request, price: Pricer, limit: float | None) -> AsyncGenerator[Event]:
        service = self._service(call, request)
        line = BatchLine(
            service=service,
            model=request.model,
            body=json.dumps(request.body).encode(),
            call_id=call.call_id,
            scope=call.experiment or "",
            cell=call.cell or call.call_id,
        )
        result = await self._office.post(line)
        now = asyncio.get_running_loop().time()
        yield Event("sent", now - max(0.0, time.time() - result.sent_at), way="batch", price=price(Usage(), None))
        if result.ended != "answered":
            raise _came_to_nothing(call, result)
        yield Event("headers", now, status=result.status)
        if result.status >= 300:
            text = redact.text(result.body.decode("utf-8", "replace"), redact.secrets(call.params))[:60_000]
            raise failures.from_status(result.status, {}, text, model=call.model, now=time.time())
        async for event in read_whole(call, request, price, _Delivered(result, now)):
            yield event

    def _carried(self, call: Call, *_more: Any) -> AsyncGenerator[Event]:
        raise errors.UnsupportedError(f"{call.model} has no batch service: leave out batch=True, or ask another model")

    def _pricer(self, provider: str, model: str, own: Mapping[str, Any] | None) -> Pricer:
        return batch_pricer(provider, model, own)

    async def close(self) -> None:
        """Look after no batch any more, and close the connections."""
        await self._office.close()
        await super().close()

    async def able(self, call: Call) -> None:
        """Raises `UnsupportedError` where the call's model has no batch service, and whatever else is wrong with it."""
        await self.ready(call)
        written = await self._written(call)
        if written.request is None:
            self._carried(call)
        else:
            self._service(call, written.request)

    def _service(self, call: Call, request: Request) -> FileBatches | MessageBatches:
        if call.model.startswith("local/"):
            self._carried(call)
        if request.provider == "anthropic":
            return MessageBatches(self._pool(), request.url, dict(request.headers), redact.secrets(call.params))
        if request.provider in OPENAI_SHAPED and request.url.endswith("/chat/completions"):
            return FileBatches(self._pool(), request.url, dict(request.headers), redact.secrets(call.params))
        self._carried(call)
        raise AssertionError("unreachable")


def _came_to_nothing(call: Call, result: BatchResult) -> errors.LabError:
    if result.ended == "expired":
        return errors.TimeoutError(f"{call.model}: the batch was over before this was asked", phase="batch")
    if result.ended == "cancelled":
        return errors.BusyError(f"{call.model}: the batch was cancelled before this was asked", phase="batch")
    what = "is broken JSON" if result.ended == "broken" else "is not among the results of its batch"
    body = redact.text(result.body.decode("utf-8", "replace"), redact.secrets(call.params))[:4000]
    return errors.MalformedError(f"{call.model}: the answer {what}", body=body or None)


class _Delivered:
    """A result, read as the body of a response."""

    def __init__(self, result: BatchResult, at: float):
        self.status, self.at, self._body = result.status, at, result.body

    async def body(self) -> bytearray:
        """All of it."""
        return bytearray(self._body)


@dataclass
class _Posting:
    """What both services share: the wire, the account's headers, and secrets to be kept out of failures."""

    wire: Wire = field(repr=False)
    url: str
    headers: dict[str, str] = field(repr=False)
    hidden: Any = field(repr=False, default=())

    @property
    def account(self) -> tuple[str, ...]:
        """Address and headers."""
        return (self.url, *(f"{name}: {value}" for name, value in sorted(self.headers.items())))

    @asynccontextmanager
    async def _asked(
        self, method: str, url: str, body: bytes = b"", kind: str | None = None
    ) -> AsyncIterator[Response]:
        headers = {name: value for name, value in self.headers.items() if name.lower() != "content-type"}
        if kind is not None:
            headers["Content-Type"] = kind
        marks = Marks(asyncio.get_running_loop().time())
        async with self.wire.post(url, headers, body, marks, connect=10.0, method=method) as response:
            if response.status >= 300:
                text = (await response.body(_SMALL)).decode("utf-8", "replace")
                text = redact.text(text, self.hidden)[:60_000]
                raise failures.from_status(
                    response.status, response.headers, text, model="the batch service", now=time.time()
                )
            yield response

    async def _json(self, method: str, url: str, content: Any = None) -> dict[str, Any]:
        body, kind = (b"", None) if content is None else (json.dumps(content).encode(), "application/json")
        async with asyncio.timeout(60), self._asked(method, url, body, kind) as response:
            return _object(await response.body())

    async def _lines(self, url: str) -> AsyncGenerator[bytes]:
        """The lines of a file, as they come."""
        rest = bytearray()
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(_IDLE):
                response = await stack.enter_async_context(self._asked("GET", url))
            chunks = response.chunks(however_large=True)
            while chunk := await asyncio.wait_for(anext(chunks, None), _IDLE):
                rest += chunk
                if len(rest) > MAX_BODY + len(chunk):
                    raise errors.MalformedError(f"a line of results is larger than {MAX_BODY // 2**20} MiB")
                *lines, rest = rest.split(b"\n") if b"\n" in chunk else [rest]
                for line in lines:
                    if line.strip():
                        yield bytes(line)
        if rest.strip():
            yield bytes(rest)


class FileBatches(_Posting):
    """OpenAI's: a file is uploaded, a batch of it is made, and what came of it is in two files."""

    name = "openai"
    most_lines, most_bytes = 50_000, 190 * 2**20

    @property
    def _base(self) -> str:
        return self.url.removesuffix("/chat/completions")

    def line(self, identity: str, body: bytes) -> bytes:
        """With the address that it is for."""
        head = json.dumps({"custom_id": identity, "method": "POST", "url": _ENDPOINT})
        return head[:-1].encode() + b', "body": ' + body + b"}"

    async def send(self, token: str, lines: Sequence[bytes]) -> str:
        """Upload the file, and make the batch, with the token in its metadata."""
        mark = f"lab-{secrets.token_hex(12)}"
        parts = [
            f'--{mark}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'.encode(),
            f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{token}.jsonl"\r\n'.encode(),
            b"Content-Type: application/jsonl\r\n\r\n",
            b"\n".join(lines),
            f"\n\r\n--{mark}--\r\n".encode(),
        ]
        kind = f"multipart/form-data; boundary={mark}"
        async with asyncio.timeout(600), self._asked("POST", f"{self._base}/files", b"".join(parts), kind) as response:
            file = _object(await response.body())
        wanted = {"input_file_id": _named(file), "endpoint": _ENDPOINT, "completion_window": "24h"}
        made = await self._json("POST", f"{self._base}/batches", {**wanted, "metadata": {"lab": token}})
        return _named(made)

    async def find(self, token: str, lines: int, since: float, known: frozenset[str]) -> str | Literal[False] | None:
        """By its metadata, among the newest batches."""
        after = ""
        for _page in range(20):
            page = await self._json("GET", f"{self._base}/batches?limit=100{after}")
            rows = [row for row in page.get("data") or () if isinstance(row, dict)]
            for row in rows:
                metadata = row.get("metadata")
                if isinstance(metadata, dict) and metadata.get("lab") == token:
                    return _named(row)
            if not page.get("has_more") or not rows or (rows[-1].get("created_at") or 0) < since - 3600:
                return None
            after = f"&after={quote(str(rows[-1]['id']), safe='')}"
        return False

    async def state(self, name: str) -> BatchState:
        """As its own page says."""
        told = await self._json("GET", f"{self._base}/batches/{quote(name, safe='')}")
        counts = told.get("request_counts")
        done, failed = _count(counts, "completed"), _count(counts, "failed")
        status = told.get("status")
        if status == "failed":
            return BatchState("refused", done, failed, redact.text(_problems(told.get("errors")), self.hidden)[:500])
        if status not in ("completed", "expired", "cancelled"):
            return BatchState("working", done, failed)
        files = tuple(str(file) for key in ("output_file_id", "error_file_id") if (file := told.get(key)))
        rest: dict[Any, Rest] = {"expired": "expired", "cancelled": "cancelled"}
        return BatchState("ended", done, failed, None, files, rest.get(status, "lost"))

    async def results(self, name: str, state: BatchState) -> AsyncGenerator[tuple[str | None, BatchResult]]:
        """Of both files."""
        for file in state.results:
            async for line in self._lines(f"{self._base}/files/{quote(file, safe='')}/content"):
                yield _read(line, _of_file)


class MessageBatches(_Posting):
    """Anthropic's: the requests are sent with the batch. It carries no metadata; its lines' identifiers begin with the
    token."""

    name = "anthropic"
    most_lines, most_bytes = 100_000, 240 * 2**20

    def line(self, identity: str, body: bytes) -> bytes:
        """The identifier and the parameters."""
        return f'{{"custom_id": {json.dumps(identity)}, "params": '.encode() + body + b"}"

    async def send(self, token: str, lines: Sequence[bytes]) -> str:
        """All in one request."""
        body = b'{"requests": [' + b",".join(lines) + b"]}"
        kind = "application/json"
        async with asyncio.timeout(600), self._asked("POST", f"{self.url}/batches", body, kind) as response:
            return _named(_object(await response.body()))

    async def find(self, token: str, lines: int, since: float, known: frozenset[str]) -> str | Literal[False] | None:
        """By the first of its results, once it has ended: until then a batch of as many lines may be the one."""
        after, unsure = "", False
        for _page in range(20):
            page = await self._json("GET", f"{self.url}/batches?limit=100{after}")
            rows = [row for row in page.get("data") or () if isinstance(row, dict)]
            for row in rows:
                counts = row.get("request_counts")
                there = sum(_count(counts, key) for key in counts) if isinstance(counts, dict) else 0
                if str(row.get("id")) in known or there != lines:
                    continue
                if row.get("processing_status") != "ended":
                    unsure = True
                    continue
                if await self._is_mine(row, token):
                    return _named(row)
            if not page.get("has_more") or not rows:
                break
            after = f"&after_id={quote(str(rows[-1]['id']), safe='')}"
        return False if unsure else None

    async def _is_mine(self, row: dict[str, Any], token: str) -> bool:
        """Whether the first of its results that can be read says so; older ones may be gone."""
        try:
            async with aclosing(self.results(_named(row), BatchState("ended"))) as results:
                async for identity, _result in results:
                    if identity is not None:
                        return identity.startswith(f"{token}-")
        except errors.UnsupportedError:
            return False
        return False

    async def state(self, name: str) -> BatchState:
        """As its own page says."""
        told = await self._json("GET", f"{self.url}/batches/{quote(name, safe='')}")
        counts = told.get("request_counts")
        failed = sum(_count(counts, key) for key in ("errored", "canceled", "expired"))
        stands: Literal["working", "ended"] = "ended" if told.get("processing_status") == "ended" else "working"
        return BatchState(stands, _count(counts, "succeeded"), failed)

    async def results(self, name: str, state: BatchState) -> AsyncGenerator[tuple[str | None, BatchResult]]:
        """At the address of the batch itself: where else it says that they are, no key is sent."""
        async for line in self._lines(f"{self.url}/batches/{quote(name, safe='')}/results"):
            yield _read(line, _of_message)


def _named(row: Mapping[str, Any]) -> str:
    """What the provider calls a file or a batch."""
    name = row.get("id")
    if not isinstance(name, str) or not 0 < len(name) <= 200:
        raise errors.MalformedError("the batch service: the answer has no id")
    return name


def _count(counts: Any, name: str) -> int:
    """A count, or 0 where it is none."""
    value = counts.get(name) if isinstance(counts, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40 else 0


def _problems(told: Any) -> str:
    """Why a batch was refused, as far as that can be read."""
    problems = told.get("data") if isinstance(told, dict) else None
    rows = [row for row in problems if isinstance(row, dict)] if isinstance(problems, list) else []
    return "; ".join(f"{row.get('message')} ({row.get('code')})" for row in rows[:3]) or "no reason was given"


def _object(body: bytes | bytearray) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise errors.MalformedError("the batch service: the answer is no JSON object")
    return content


_NAME = re.compile(rb'"custom_id"\s*:\s*"([A-Za-z0-9_-]{1,64})"')


def _read(line: bytes, shape: Any) -> tuple[str | None, BatchResult]:
    """A line of results. Of one that can't be read the identifier may still be there."""
    try:
        row = json.loads(line)
        return str(row["custom_id"]), shape(row)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ArithmeticError):
        name = _NAME.search(line)
        return (name[1].decode() if name else None), BatchResult(body=line[:60_000], ended="broken")


def _of_file(row: dict[str, Any]) -> BatchResult:
    response, error = row.get("response"), row.get("error")
    if response is None:
        code = str((error or {}).get("code"))
        if "expired" in code or "cancelled" in code:
            return BatchResult(ended="expired" if "expired" in code else "cancelled")
        return BatchResult(500, json.dumps({"error": error}).encode())
    status = response["status_code"]
    if not isinstance(status, int) or not 100 <= status < 600:
        raise ValueError(status)
    return BatchResult(status, json.dumps(response["body"]).encode())


_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def _of_message(row: dict[str, Any]) -> BatchResult:
    result = row["result"]
    kind = result["type"]
    if kind == "succeeded":
        return BatchResult(200, json.dumps(result["message"]).encode())
    if kind in ("expired", "canceled"):
        return BatchResult(ended="expired" if kind == "expired" else "cancelled")
    error: dict[str, Any] = result.get("error") or {}
    inner: dict[str, Any] = error["error"] if isinstance(error.get("error"), dict) else error
    return BatchResult(_STATUS.get(str(inner.get("type")), 500), json.dumps(error).encode())
