"""A script in OpenAI's words (Chat Completions)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from lab.sim.script import Script, Step
from lab.sim.speaker import Speaker


class OpenAI(Speaker):
    """One answer under way."""

    THOUGHTS = "reasoning_content"
    """The field of what is thought; others have another name for it."""

    def __init__(self, name: str, body: dict[str, Any], script: Script):
        super().__init__(name, body, script)
        self._head = {"id": f"sim-{self.identity[:16]}", "created": 0, "model": name}
        self._started = False
        self._called = 0
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
            "thinking": body.get("reasoning_effort"),
            "tools": cls._tools(body),
            "results": results(body["messages"]),
        }

    @staticmethod
    def _tools(body: dict[str, Any]) -> list[dict[str, Any]]:
        offered = [tool.get("function") for tool in body.get("tools") or () if isinstance(tool, dict)]
        return [] if body.get("tool_choice") == "none" else [tool for tool in offered if isinstance(tool, dict)]

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
        if script.thoughts:
            message[self.THOUGHTS] = script.thoughts
        if script.calls:
            message |= {"content": None, "tool_calls": [self._call(place) for place in range(len(script.calls))]}
        choices = [{"index": 0, "message": message, "finish_reason": self.finish()}] if script.choices else []
        body = {**self._head, "object": "chat.completion", "choices": choices}
        return body | {"usage": self._usage()} if script.usage else body

    def events(self, step: Step) -> Iterator[str]:
        """Chunks, and `[DONE]`."""
        if step.action == "error":
            yield self.data({"error": {"message": step.text, "type": "server_error"}})
        if step.action == "thought":
            yield self._chunk({self.THOUGHTS: step.text}, None)
        if step.action == "call":
            yield self._chunk({"tool_calls": [{"index": self._called, **self._call(self._called)}]}, None)
            self._called += 1
        if step.action == "piece":
            if self.script.quirk == "heartbeats":
                yield ": heartbeat\n\n"
            yield self._chunk({"content": step.text}, None)
        if step.action == "finish":
            if self.script.refusal is not None:
                yield self._chunk({"refusal": self.script.refusal}, None)
            yield self._chunk({}, self.finish())
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

    def _call(self, place: int) -> dict[str, Any]:
        call = self.script.calls[place]
        function = {"name": call["name"], "arguments": json.dumps(call["arguments"], ensure_ascii=False)}
        return {"id": f"call_{self.identity[:12]}{place}", "type": "function", "function": function}

    def _usage(self) -> dict[str, Any]:
        script = self.script
        answered, asked = script.tokens + script.thought, script.prompt_tokens
        used: dict[str, Any] = {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}
        if script.thought:
            used["completion_tokens_details"] = {"reasoning_tokens": script.thought}
        if script.cache_read:
            used["prompt_tokens_details"] = {"cached_tokens": script.cache_read}
        return used


def results(messages: list[Any]) -> list[str]:
    """What tools have answered since the user last spoke."""
    said: list[str] = []
    for message in reversed(messages):
        if not isinstance(message, dict) or message.get("role") != "tool":
            break
        said.insert(0, str(message.get("content")))
    return said
