"""A script in OpenAI's words: one JSON body, or server-sent events."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from lab.sim.script import Script, Step


class OpenAI:
    """One answer under way."""

    def __init__(self, name: str, body: dict[str, Any], script: Script):
        said = json.dumps(body.get("messages"), sort_keys=True)
        identity = hashlib.sha256(said.encode()).hexdigest()[:16]
        self._head = {"id": f"sim-{identity}", "created": 0, "model": name}
        self._script = script
        self._started = False
        self._wants_usage = bool((body.get("stream_options") or {}).get("include_usage")) and script.usage

    @staticmethod
    def refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
        """An error, as OpenAI words it."""
        error = {"error": {"message": message, "type": code, "code": code}}
        return web.json_response(error, status=status, headers=headers)

    def whole(self) -> dict[str, Any]:
        """The plain answer."""
        script = self._script
        message: dict[str, Any] = {"role": "assistant", "content": None if script.content == "null" else script.text}
        if script.refusal is not None:
            message["refusal"] = script.refusal
        finish = script.finish.text if script.finish else None
        choices = [{"index": 0, "message": message, "finish_reason": finish}] if script.choices else []
        body = {**self._head, "object": "chat.completion", "choices": choices}
        errors = [step.text for step in script.steps if step.action == "error"]
        if errors:
            return {"error": {"message": errors[0], "type": "server_error"}}
        return body | {"usage": self._usage()} if script.usage else body

    def packets(self, step: Step) -> Iterator[bytes]:
        """What a step puts on the wire, packet by packet."""
        for event in self._events(step):
            if self._script.quirk == "crlf":
                event = event.replace("\n", "\r\n")
            raw = event.encode()
            if self._script.quirk == "split" and len(raw) > 12:
                yield raw[: len(raw) // 2]
                raw = raw[len(raw) // 2 :]
            yield raw

    def _events(self, step: Step) -> Iterator[str]:
        if step.action == "raw":
            yield step.text
        if step.action == "error":
            yield f"data: {json.dumps({'error': {'message': step.text, 'type': 'server_error'}})}\n\n"
        if step.action == "piece":
            if self._script.quirk == "heartbeats":
                yield ": heartbeat\n\n"
            yield self._chunk({"content": step.text}, None)
        if step.action == "finish":
            if self._script.refusal is not None:
                yield self._chunk({"refusal": self._script.refusal}, None)
            yield self._chunk({}, step.text)
            if self._wants_usage:
                yield self._data({**self._chunk_head(), "choices": [], "usage": self._usage()})
            if self._script.quirk != "no_done":
                yield "data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, Any], finish: str | None) -> str:
        if not self._started:
            delta, self._started = {"role": "assistant", **delta}, True
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}] if self._script.choices else []
        return self._data({**self._chunk_head(), "choices": choices})

    def _chunk_head(self) -> dict[str, Any]:
        return {**self._head, "object": "chat.completion.chunk"}

    @staticmethod
    def _data(body: dict[str, Any]) -> str:
        return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"

    def _usage(self) -> dict[str, int]:
        made, asked = self._script.pieces, self._script.prompt_tokens
        return {"prompt_tokens": asked, "completion_tokens": made, "total_tokens": asked + made}
