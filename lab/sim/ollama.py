"""A script in Ollama's words: JSON objects, a line each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from lab.sim.openai import results
from lab.sim.script import Step
from lab.sim.speaker import Speaker


class Ollama(Speaker):
    """One answer under way."""

    STREAM = "application/x-ndjson"

    @classmethod
    def add_to(cls, app: web.Application, models: list[str]) -> None:
        """What Ollama answers besides chats: which models there are."""

        async def tags(_request: web.Request) -> web.Response:
            listed = [{"name": name, "model": name, "size": 0, "details": {"family": "sim"}} for name in models]
            return web.json_response({"models": listed})

        async def version(_request: web.Request) -> web.Response:
            return web.json_response({"version": "0.0.0-sim"})

        app.router.add_get("/api/tags", tags)
        app.router.add_get("/api/version", version)

    @classmethod
    def addressed(cls, body: dict[str, Any], _address: Mapping[str, str]) -> dict[str, Any]:
        """It streams unless it is told not to."""
        return {**body, "stream": body.get("stream", True)}

    @classmethod
    def asked(cls, body: dict[str, Any]) -> dict[str, Any]:
        """Messages, limit, seed, form, how much is thought, tools."""
        options, think = body.get("options") or {}, body.get("think")
        return {
            "messages": cls.messages(body.get("messages"), "messages"),
            "max_tokens": options.get("num_predict"),
            "seed": options.get("seed"),
            "schema": body.get("format") if isinstance(body.get("format"), dict) else None,
            "thinking": think if isinstance(think, str) else "none" if think is False else "medium",
            "tools": [tool["function"] for tool in body.get("tools") or ()],
            "results": results(body["messages"]),
        }

    @classmethod
    def error(cls, status: int, code: str, message: str, headers: Mapping[str, str]) -> web.Response:
        """`{"error": "..."}`."""
        said = f"{code}: {message}" if code in ("insufficient_quota", "content_filter") else message
        return web.json_response({"error": said}, status=status, headers=headers)

    def told(self) -> dict[str, Any]:
        """The plain answer, or the error that stands in its place."""
        errors = [step.text for step in self.script.steps if step.action == "error"]
        return {"error": errors[0]} if errors else self.whole()

    def whole(self) -> dict[str, Any]:
        """A message, and what it took."""
        script = self.script
        message: dict[str, Any] = {"content": None if script.content == "null" else script.text}
        if script.thoughts:
            message["thinking"] = script.thoughts
        if script.calls:
            message["tool_calls"] = [{"function": call} for call in script.calls]
        line = self._line(message) | self._end()
        if not script.choices:
            del line["message"]
        return line

    def events(self, step: Step) -> Iterator[str]:
        """Lines."""
        if step.action == "error":
            yield self._text({"error": step.text})
        if not self.script.choices:
            return
        if step.action == "piece":
            yield self._text(self._line({"content": step.text}))
        if step.action == "thought":
            yield self._text(self._line({"content": "", "thinking": step.text}))
        if step.action == "call":
            yield self._text(self._line({"content": "", "tool_calls": [{"function": json.loads(step.text)}]}))
        if step.action == "finish":
            yield self._text(self._line({"content": ""}) | self._end())

    def finish(self) -> str | None:
        """It knows but two ends, and the name of a filter's is made up."""
        reason = super().finish()
        if self.script.refusal is not None:
            return "content_filter"
        return "stop" if reason == "tool_calls" else reason

    def _line(self, message: dict[str, Any]) -> dict[str, Any]:
        said = {"role": "assistant", **message}
        return {"model": self.name, "created_at": "2026-01-01T00:00:00Z", "message": said, "done": False}

    def _end(self) -> dict[str, Any]:
        script = self.script
        used = {"prompt_eval_count": script.prompt_tokens, "eval_count": script.tokens + script.thought}
        ends = {"done": True, "done_reason": self.finish(), "total_duration": 1_000_000}
        return ends | (used if script.usage else {})

    @staticmethod
    def _text(line: dict[str, Any]) -> str:
        return json.dumps(line, ensure_ascii=False) + "\n"
