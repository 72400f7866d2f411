"""The batch services: OpenAI's files and batches, Anthropic's message batches, with what goes wrong with them.

A batch is asked for at once and done some time later; its lines come back in any order, by the identifiers that they
were sent under. Lines are answered by the same models and faults as single requests; faults of a batch itself are
`batch_...`, in the model's name, too. Tokens in a batch cost half (`facts` of the models say so).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from aiohttp import web

from lab.sim.anthropic import Anthropic
from lab.sim.faults import parse
from lab.sim.openai import OpenAI
from lab.sim.script import Script
from lab.sim.speaker import Speaker

SECONDS = 2.0
"""How long a batch takes; a late one takes `LATE` times as long."""
LATE = 10.0
LINES, BYTES = 50_000, 200 * 2**20
"""The most lines and bytes of one batch."""
WINDOW = 86_400.0
"""Seconds after which what isn't done has expired, as it is told."""
Handler = Callable[[web.Request], Awaitable[web.Response]]
Answers = Callable[[str, type[Speaker], dict[str, Any]], tuple[Script, Speaker]]
"""The script of one request by its model's name, and who tells it."""


@dataclass(slots=True)
class Line:
    """One request of a batch: the identifier it was sent under, and what is asked."""

    custom_id: str
    body: dict[str, Any]
    result: Any = None
    expired: bool = False
    broken: bool = False

    @property
    def model(self) -> str:
        """The model's name, with its faults."""
        return str(self.body.get("model"))


@dataclass(slots=True)
class Batch:
    """A batch under way. `came` is when it came, `due` when it is done, on the loop's clock."""

    id: str
    lines: list[Line]
    came: float
    due: float
    more: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None
    cancelled: float | None = None
    lose: int = 0

    def share(self, now: float) -> float:
        """How far it is, from 0 to 1; what was cancelled goes no further."""
        until = min(now, self.cancelled) if self.cancelled is not None else now
        return min(1.0, max(0.0, (until - self.came) / (self.due - self.came)))

    def done(self, now: float) -> list[Line]:
        """The lines that have come to an end by now, in the order in which they did."""
        order = list(self.lines)
        Random(self.id).shuffle(order)
        return order[: int(self.share(now) * len(order))]

    def cancel(self) -> None:
        """Nothing more is done of it, if it isn't over."""
        now = asyncio.get_running_loop().time()
        if not self.over(now):
            self.cancelled = now

    @property
    def expired(self) -> bool:
        """Whether a line was not done in time."""
        return any(line.expired for line in self.lines)

    def over(self, now: float) -> bool:
        """Whether nothing more comes."""
        return self.cancelled is not None or now >= self.due


class Batches:
    """Both services of one simulated provider. `answers` answers a line, `speed` divides every wait."""

    def __init__(self, answers: Answers, speed: float, seed: int):
        self._answers, self._speed, self._seed = answers, speed, seed
        self._files: dict[str, bytes] = {}
        self._batches: dict[str, Batch] = {}
        self.received: dict[str, int] = {}
        """How often each identifier came in a batch: this side's own count."""

    def add_to(self, app: web.Application) -> None:
        """Its addresses."""
        app.router.add_post("/v1/files", self._upload)
        app.router.add_get("/v1/files/{id}", self._file)
        app.router.add_get("/v1/files/{id}/content", self._content)
        app.router.add_get("/v1/batches", self._listed)
        app.router.add_post("/v1/batches", self._create)
        app.router.add_get("/v1/batches/{id}", _refusing(self._status))
        app.router.add_post("/v1/batches/{id}/cancel", _refusing(self._cancel))
        app.router.add_get("/v1/batches-received", self._counted)
        app.router.add_get("/v1/messages/batches", self._listed_messages)
        app.router.add_post("/v1/messages/batches", self._create_messages)
        app.router.add_get("/v1/messages/batches/{id}", _refusing(self._status_messages))
        app.router.add_get("/v1/messages/batches/{id}/results", _refusing(self._results))
        app.router.add_post("/v1/messages/batches/{id}/cancel", _refusing(self._cancel_messages))

    # both

    def _begin(self, lines: list[Line], prefix: str, speech: type[Speaker], **more: Any) -> Batch:
        """A new batch; its lines are answered now, and told when they are due."""
        identity = f"{prefix}{len(self._batches):06d}"
        faults = {fault.name: fault for line in lines for fault in _faults(line.model)}
        seconds = SECONDS * (LATE if "batch_late" in faults else 1.0) / self._speed
        for number, line in enumerate(lines):
            self.received[line.custom_id] = self.received.get(line.custom_id, 0) + 1
            random = Random(f"{self._seed}|{identity}|{number}")
            lots = {fault.name: random.random() < fault.share for fault in _faults(line.model)}
            line.expired, line.broken = lots.get("batch_expired", False), lots.get("batch_broken", False)
            if not line.expired:
                line.result = self._answered(line, speech)
        now = asyncio.get_running_loop().time()
        batch = Batch(identity, lines, now, now + seconds, more, lose=2 if "batch_lost" in faults else 0)
        self._batches[identity] = batch
        return batch

    def _answered(self, line: Line, speech: type[Speaker]) -> tuple[int, Any]:
        """The status and body of one line's answer."""
        try:
            script, speaker = self._answers(line.model, speech, line.body)
        except ValueError as wrong:
            return 400, _body(speech.error(400, "invalid_request_error", str(wrong), {}))
        if script.status != 200:
            return script.status, _body(speech.error(script.status, script.code, script.message, {}))
        if script.steps[-1].action in ("hang", "reset", "close", "error"):
            return 500, _body(speech.error(500, "server_error", "the model failed", {}))
        return 200, speaker.whole() if script.body is None else script.body

    def _of(self, request: web.Request, prefix: str, speech: type[Speaker]) -> Batch:
        batch = self._batches.get(request.match_info["id"])
        if batch is None or not batch.id.startswith(prefix):
            raise _Refusal(speech.error(404, "not_found", f"no batch {request.match_info['id']!r}", {}))
        return batch

    def _lost(self, request: web.Request, batch: Batch) -> bool:
        """Whether this answer is lost on its way: the connection closes, and what was asked is done all the same."""
        if batch.lose and request.transport is not None:
            batch.lose -= 1
            request.transport.close()
            return True
        return False

    async def _counted(self, _request: web.Request) -> web.Response:
        return web.json_response(self.received)

    # OpenAI's

    async def _upload(self, request: web.Request) -> web.Response:
        try:
            form = await request.post()
            content = form["file"]
            data = content.file.read() if isinstance(content, web.FileField) else str(content).encode()
        except (ValueError, KeyError):
            return OpenAI.error(400, "invalid_request_error", "a form with `file` and `purpose` is needed", {})
        if form.get("purpose") != "batch":
            return OpenAI.error(400, "invalid_request_error", "purpose: 'batch'", {})
        if len(data) > BYTES:
            return OpenAI.error(413, "request_too_large", f"a file has at most {BYTES:,} bytes", {})
        name = f"file-sim-{len(self._files):06d}"
        self._files[name] = data
        return web.json_response(self._about(name))

    def _about(self, name: str) -> dict[str, Any]:
        size = len(self._files[name])
        about = {"id": name, "object": "file", "bytes": size, "created_at": 0, "filename": f"{name}.jsonl"}
        return {**about, "purpose": "batch", "status": "processed"}

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        if name not in self._files:
            return OpenAI.error(404, "not_found", f"no file {name!r}", {})
        return web.json_response(self._about(name))

    async def _content(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        now = asyncio.get_running_loop().time()
        batch = self._batches.get(name.removeprefix("file-output-").removeprefix("file-error-"))
        if batch is not None and batch.over(now):
            right = name.startswith("file-output-")
            return web.Response(text=_output(batch, now, right=right), content_type="application/jsonl")
        if name in self._files:
            return web.Response(body=self._files[name], content_type="application/jsonl")
        return OpenAI.error(404, "not_found", f"no file {name!r}", {})

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        data = self._files.get(str(body.get("input_file_id")))
        if data is None:
            return OpenAI.error(400, "invalid_request_error", "input_file_id: no such file", {})
        if body.get("endpoint") != "/v1/chat/completions" or body.get("completion_window") != "24h":
            return OpenAI.error(400, "invalid_request_error", "endpoint or completion_window is not supported", {})
        lines, problem = _lines(data)
        told = {key: body.get(key) for key in ("input_file_id", "endpoint", "completion_window", "metadata")}
        batch = self._begin(lines if problem is None else [], "batch_", OpenAI, **told)
        batch.problem = problem
        if self._lost(request, batch):
            return web.Response()
        return web.json_response(self._told(batch))

    async def _status(self, request: web.Request) -> web.Response:
        batch = self._of(request, "batch_", OpenAI)
        return web.Response() if self._lost(request, batch) else web.json_response(self._told(batch))

    async def _listed(self, request: web.Request) -> web.Response:
        """Newest first, `limit` of them after the one named `after`."""
        all_ = [batch for batch in reversed(self._batches.values()) if batch.id.startswith("batch_")]
        return web.json_response(_page(request, all_, self._told, "after"))

    async def _cancel(self, request: web.Request) -> web.Response:
        batch = self._of(request, "batch_", OpenAI)
        batch.cancel()
        return web.json_response(self._told(batch))

    def _told(self, batch: Batch) -> dict[str, Any]:
        now = asyncio.get_running_loop().time()
        share, done = batch.share(now), batch.done(now)
        over = batch.over(now)
        status = (
            "failed"
            if batch.problem is not None
            else "cancelled"
            if batch.cancelled is not None
            else ("expired" if batch.expired else "completed")
            if over
            else "validating"
            if share < 0.1
            else "finalizing"
            if share > 0.9
            else "in_progress"
        )
        failed = sum(line.expired or line.result[0] != 200 for line in done)
        right = any(not line.expired and line.result[0] == 200 for line in done)
        problems = {"object": "list", "data": [{"code": "invalid_file", "message": batch.problem, "line": None}]}
        return {
            "id": batch.id,
            "object": "batch",
            **batch.more,
            "status": status,
            "errors": problems if batch.problem is not None else None,
            "output_file_id": f"file-output-{batch.id}" if over and right else None,
            "error_file_id": f"file-error-{batch.id}" if over and failed else None,
            "created_at": 0,
            "expires_at": int(WINDOW),
            "request_counts": {"total": len(batch.lines), "completed": len(done) - failed, "failed": failed},
        }

    # Anthropic's

    async def _create_messages(self, request: web.Request) -> web.Response:
        body = await request.json()
        asked = body.get("requests") if isinstance(body, dict) else None
        names = [line.get("custom_id") for line in asked or () if isinstance(line, dict)]
        if (
            not asked
            or len(names) < len(asked)
            or not all(isinstance(name, str) and 0 < len(name) <= 64 for name in names)
        ):
            return Anthropic.error(400, "", "requests: a list of custom_id (1 to 64 characters) and params", {})
        if len(set(names)) < len(names):
            return Anthropic.error(400, "", "requests: custom_id must be unique within a batch", {})
        if len(asked) > 100_000:
            return Anthropic.error(413, "", "requests: at most 100,000", {})
        lines = [Line(line["custom_id"], line.get("params") or {}) for line in asked]
        batch = self._begin(lines, "msgbatch_", Anthropic)
        return web.Response() if self._lost(request, batch) else web.json_response(self._told_messages(request, batch))

    async def _status_messages(self, request: web.Request) -> web.Response:
        batch = self._of(request, "msgbatch_", Anthropic)
        return web.Response() if self._lost(request, batch) else web.json_response(self._told_messages(request, batch))

    async def _listed_messages(self, request: web.Request) -> web.Response:
        all_ = [batch for batch in reversed(self._batches.values()) if batch.id.startswith("msgbatch_")]
        return web.json_response(_page(request, all_, lambda batch: self._told_messages(request, batch), "after_id"))

    async def _cancel_messages(self, request: web.Request) -> web.Response:
        batch = self._of(request, "msgbatch_", Anthropic)
        batch.cancel()
        return web.json_response(self._told_messages(request, batch))

    async def _results(self, request: web.Request) -> web.Response:
        batch = self._of(request, "msgbatch_", Anthropic)
        now = asyncio.get_running_loop().time()
        if not batch.over(now):
            return Anthropic.error(404, "", "the batch has not ended: its results are not there yet", {})
        done = batch.done(now)
        names = {line.custom_id for line in done}
        ended = [*done, *(line for line in batch.lines if line.custom_id not in names)]
        results = [(line, _result(line, line.custom_id in names)) for line in ended]
        texts = [_cut(line, {"custom_id": line.custom_id, "result": result}) for line, result in results]
        return web.Response(text="".join(texts), content_type="application/x-jsonl")

    def _told_messages(self, request: web.Request, batch: Batch) -> dict[str, Any]:
        now = asyncio.get_running_loop().time()
        over, done = batch.over(now), {line.custom_id for line in batch.done(now)}
        kinds = [_result(line, line.custom_id in done)["type"] for line in batch.lines] if over else []
        counts = {kind: kinds.count(kind) for kind in ("succeeded", "errored", "canceled", "expired")}
        results = f"{request.url.origin()}/v1/messages/batches/{batch.id}/results" if over else None
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if over else "in_progress",
            "request_counts": {"processing": 0 if over else len(batch.lines), **counts},
            "created_at": "2026-01-01T00:00:00Z",
            "expires_at": "2026-01-02T00:00:00Z",
            "ended_at": "2026-01-01T01:00:00Z" if over else None,
            "cancel_initiated_at": None if batch.cancelled is None else "2026-01-01T00:30:00Z",
            "archived_at": None,
            "results_url": results,
        }


class _Refusal(Exception):
    def __init__(self, response: web.Response):
        super().__init__()
        self.response = response


def _refusing(handler: Handler) -> Handler:
    """The handler, whose refusals are answers."""

    async def handled(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except _Refusal as refusal:
            return refusal.response

    return handled


def _faults(model: str) -> list[Any]:
    try:
        return [fault for fault in parse(model)[1] if fault.name.startswith("batch_")]
    except ValueError:
        return []


def _body(response: web.Response) -> Any:
    return json.loads(response.text or "null")


def _lines(data: bytes) -> tuple[list[Line], str | None]:
    """The lines of an input file, and what is wrong with it, if anything."""
    lines: list[Line] = []
    known: set[str] = set()
    for number, text in enumerate(data.decode("utf-8", "replace").rstrip("\n").split("\n"), 1):
        try:
            row = json.loads(text)
            name, body = row["custom_id"], row["body"]
        except (ValueError, KeyError, TypeError):
            return [], f"line {number} is not a request"
        if name in known or row.get("method") != "POST" or row.get("url") != "/v1/chat/completions":
            return [], f"line {number}: custom_id must be unique, and method and url those of the endpoint"
        known.add(name)
        lines.append(Line(name, body if isinstance(body, dict) else {}))
    if not lines or len(lines) > LINES:
        return [], f"a batch has 1 to {LINES:,} requests"
    return lines, None


def _output(batch: Batch, now: float, *, right: bool) -> str:
    """The lines of the output file, or of the file of errors."""
    texts = []
    for line in batch.done(now):
        head = {"id": f"batch_req_{line.custom_id}", "custom_id": line.custom_id}
        if line.expired:
            error = {"code": "batch_expired", "message": "This request could not be executed in the time of the batch."}
            if not right:
                texts.append(json.dumps({**head, "response": None, "error": error}) + "\n")
            continue
        status, body = line.result
        if (status == 200) == right:
            response = {"status_code": status, "request_id": f"req-{line.custom_id}", "body": body}
            texts.append(_cut(line, {**head, "response": response, "error": None}))
    return "".join(texts)


def _cut(line: Line, row: dict[str, Any]) -> str:
    """A line of results; of a broken one the first part alone."""
    text = json.dumps(row, ensure_ascii=False)
    return f"{text[: len(text) // 2] if line.broken else text}\n"


def _result(line: Line, done: bool) -> dict[str, Any]:
    """What came of one of Anthropic's lines."""
    if not done:
        return {"type": "canceled"}
    if line.expired:
        return {"type": "expired"}
    status, body = line.result
    return {"type": "succeeded", "message": body} if status == 200 else {"type": "errored", "error": body}


def _page(
    request: web.Request, all_: list[Batch], told: Callable[[Batch], dict[str, Any]], after: str
) -> dict[str, Any]:
    """A page of batches."""
    start, limit = request.query.get(after), min(100, int(request.query.get("limit") or 20))
    names = [batch.id for batch in all_]
    first = names.index(start) + 1 if start in names else 0
    rows = [told(batch) for batch in all_[first : first + limit]]
    ends = {"first_id": rows[0]["id"] if rows else None, "last_id": rows[-1]["id"] if rows else None}
    return {"object": "list", "data": rows, **ends, "has_more": first + limit < len(all_)}
