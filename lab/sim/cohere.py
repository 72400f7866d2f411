"""A script in Cohere's words (chat, version 2)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from lab.sim.openai import results
from lab.sim.script import Script, Step
from lab.sim.speaker import Speaker


class Cohere(Speaker):
    """One answer under way."""

    FINISHES = {
        "stop": "COMPLETE",
        "length": "MAX_TOKENS",
        "tool_calls": "TOOL_CALL",
        "content_filter": "content_filtered",
    }

    def __init__(self, name: str, body: dict[str, Any], script: Script):
        super().__init__(name, body, script)
        self._started = False
        self._called = 0

    @classmethod
    def asked(cls, body: dict[str, Any]) -> dict[str, Any]:
        """Messages, limit, seed, tools."""
        return {
            "messages": cls.messages(body.get("messages"), "messages"),
            "max_tokens": body.get("max_tokens"),
            "seed": body.get("seed"),
            "tools": [tool["function"] for tool in body.get("tools") or ()],
            "results": results(body["messages"]),
        }

    @classmethod
    def error(cls, status: int, code: str, message: str, headers: Mapping[str, str]) -> web.Response:
        """`{"message": "..."}`."""
        said = {"insufficient_quota": "please check your billing", "content_filter": "blocked by content filtering"}
        return web.json_response({"message": said.get(code, message)}, status=status, headers=headers)

    def finish(self) -> str | None:
        """A refusal is told by its end alone."""
        return "content_filtered" if self.script.refusal is not None else super().finish()

    def whole(self) -> dict[str, Any]:
        """A message of parts."""
        script = self.script
        content: list[dict[str, Any]] = [{"type": "text", "text": script.text}] if script.text else []
        if script.thoughts:
            content.insert(0, {"type": "thinking", "thinking": script.thoughts})
        message: dict[str, Any] = {"role": "assistant", "content": None if script.content == "null" else content}
        if script.calls:
            message["tool_calls"] = [self._call(place) for place in range(len(script.calls))]
        body = {"id": f"c-{self.identity[:16]}", "message": message, "finish_reason": self.finish()}
        if not script.choices:
            del body["message"]
        return body | ({"usage": self._usage()} if script.usage else {})

    def events(self, step: Step) -> Iterator[str]:
        """From `message-start` to `message-end`."""
        if not self.script.choices and step.action != "error":
            return
        if not self._started:
            self._started = True
            yield self._event("message-start", id=f"c-{self.identity[:16]}", delta={"message": {"role": "assistant"}})
        if step.action == "error":
            yield self._event("error", error={"message": step.text})
        if step.action == "piece":
            if self.script.quirk == "heartbeats":
                yield ": heartbeat\n\n"
            yield self._event("content-delta", index=0, delta={"message": {"content": {"text": step.text}}})
        if step.action == "thought":
            yield self._event("content-delta", index=0, delta={"message": {"content": {"thinking": step.text}}})
        if step.action == "call":
            call = self._call(self._called)
            arguments, call["function"]["arguments"] = call["function"]["arguments"], ""
            yield self._event("tool-call-start", index=self._called, delta={"message": {"tool_calls": call}})
            more = {"message": {"tool_calls": {"function": {"arguments": arguments}}}}
            yield self._event("tool-call-delta", index=self._called, delta=more)
            self._called += 1
        if step.action == "finish":
            used = {"usage": self._usage()} if self.script.usage else {}
            yield self._event("message-end", delta={"finish_reason": self.finish(), **used})

    def _event(self, kind: str, **more: Any) -> str:
        return self.data({"type": kind, **more}, kind)

    def _call(self, place: int) -> dict[str, Any]:
        call = self.script.calls[place]
        named = {"name": call["name"], "arguments": json.dumps(call["arguments"], ensure_ascii=False)}
        return {"id": f"{call['name']}_{self.identity[:8]}{place}", "type": "function", "function": named}

    def _usage(self) -> dict[str, Any]:
        counts = {
            "input_tokens": self.script.prompt_tokens,
            "output_tokens": self.script.tokens + self.script.thought,
        }
        return {"billed_units": counts, "tokens": counts}
