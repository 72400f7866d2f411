"""A script in OpenAI's words (Chat Completions)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from lab.sim.script import Script, Step
from lab.sim.speaker import Speaker


class OpenAI(Speaker):
    """One answer under way."""

    def __init__(self, name: str, body: dict[str, Any], script: Script):
        super().__init__(name, body, script)
        self._head = {"id": f"sim-{self.identity[:16]}", "created": 0, "model": name}
        self._started = False
        self._wants_usage = bool((body.get("stream_options") or {}).get("include_usage")) and script.usage

    @classmethod
    def asked(cls, body: dict[str, Any]) -> dict[str, Any]:
        """Messages, limit and seed."""
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        return {
            "messages": cls.messages(body.get("messages"), "messages"),
            "max_tokens": limit,
            "seed": body.get("seed"),
            "schema": cls._schema(body.get("response_format")),
        }

    @staticmethod
    def _schema(asked: Any) -> Any:
        """The JSON schema that the answer is to be kept to, if any."""
        wanted = asked.get("json_schema") if isinstance(asked, dict) and asked.get("type") == "json_schema" else None
        return wanted.get("schema") if isinstance(wanted, dict) and isinstance(wanted.get("schema"), dict) else None

    @classmethod
    def error(cls, status: int, code: str, message: str, headers: Mapping[str, str]) -> web.Response:
        """`{"error": {"message", "type", "code"}}`."""
        error = {"error": {"message": message, "type": code, "code": code}}
        return web.json_response(error, status=status, headers=headers)

    def whole(self) -> dict[str, Any]:
        """A chat completion."""
        script = self.script
        message: dict[str, Any] = {"role": "assistant", "content": None if script.content == "null" else script.text}
        if script.refusal is not None:
            message["refusal"] = script.refusal
        choices = [{"index": 0, "message": message, "finish_reason": self.finish()}] if script.choices else []
        body = {**self._head, "object": "chat.completion", "choices": choices}
        return body | {"usage": self._usage()} if script.usage else body

    def events(self, step: Step) -> Iterator[str]:
        """Chunks, and `[DONE]`."""
        if step.action == "error":
            yield self.data({"error": {"message": step.text, "type": "server_error"}})
        if step.action == "piece":
            if self.script.quirk == "heartbeats":
                yield ": heartbeat\n\n"
            yield self._chunk({"content": step.text}, None)
        if step.action == "finish":
            if self.script.refusal is not None:
                yield self._chunk({"refusal": self.script.refusal}, None)
            yield self._chunk({}, step.text)
            if self._wants_usage:
                yield self.data({**self._chunk_head(), "choices": [], "usage": self._usage()})
            if self.script.quirk != "no_done":
                yield "data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, Any], finish: str | None) -> str:
        if not self._started:
            delta, self._started = {"role": "assistant", **delta}, True
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}] if self.script.choices else []
        return self.data({**self._chunk_head(), "choices": choices})

    def _chunk_head(self) -> dict[str, Any]:
        return {**self._head, "object": "chat.completion.chunk"}

    def _usage(self) -> dict[str, int]:
        answered, asked = self.script.pieces, self.script.prompt_tokens
        return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}
