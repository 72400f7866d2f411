"""A script in Anthropic's words (Messages)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from lab.sim.script import Script, Step
from lab.sim.speaker import Speaker

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_WORDS = {
    "insufficient_quota": "Your credit balance is too low to access the Anthropic API.",
    "context_length_exceeded": "prompt is too long: 9000 tokens > 8192 maximum",
    "content_filter": "Output blocked by content filtering policy",
}


class Anthropic(Speaker):
    """One answer under way."""

    FINISHES = {
        "stop": "end_turn",
        "length": "max_tokens",
        "content_filter": "refusal",
        "tool_calls": "tool_use",
    }

    def __init__(self, name: str, body: dict[str, Any], script: Script):
        super().__init__(name, body, script)
        self._head = {"id": f"msg_sim_{self.identity[:16]}", "type": "message", "role": "assistant", "model": name}
        self._started = False
        self._open: str | None = None
        self._place = self._called = 0

    @classmethod
    def asked(cls, body: dict[str, Any]) -> dict[str, Any]:
        """Messages and limit; the system prompt is one of the messages."""
        messages = cls.messages(body.get("messages"), "messages")
        system = [{"role": "system", "content": body["system"]}] if body.get("system") else []
        thinking = body.get("thinking") or {}
        thinks = isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive")
        offered = [] if (body.get("tool_choice") or {}).get("type") == "none" else body.get("tools") or []
        return {
            "messages": system + messages,
            "max_tokens": body.get("max_tokens"),
            "seed": None,
            "thinking": (thinking.get("budget_tokens") or "medium") if thinks else 0,
            "tools": [{"name": tool["name"], "parameters": tool.get("input_schema")} for tool in offered],
            "results": _results(messages),
            "stable": _stable(system + messages),
        }

    @classmethod
    def error(cls, status: int, code: str, message: str, headers: Mapping[str, str]) -> web.Response:
        """`{"type": "error", "error": {"type", "message"}}`."""
        if code == "insufficient_quota":
            status = 400
        message = _WORDS.get(code, message)
        error = {"type": _TYPES.get(status, "api_error"), "message": message}
        return web.json_response({"type": "error", "error": error}, status=status, headers=headers)

    def whole(self) -> dict[str, Any]:
        """A message."""
        script = self.script
        blocks: list[dict[str, Any]] = []
        if script.thoughts:
            blocks.append({"type": "thinking", "thinking": script.thoughts, "signature": self._signature})
        if script.text:
            blocks.append({"type": "text", "text": script.text})
        blocks += [self._tool(place, call["arguments"]) for place, call in enumerate(script.calls)]
        body = {**self._head, "content": None if script.content == "null" else blocks}
        body |= {"stop_reason": self.finish(), "stop_sequence": None}
        if not script.choices:
            del body["content"]
        return body | {"usage": self._usage(script.tokens + script.thought)} if script.usage else body

    def finish(self) -> str | None:
        """Anthropic says a refusal by its finish."""
        return "refusal" if self.script.refusal is not None else super().finish()

    def events(self, step: Step) -> Iterator[str]:
        """From `message_start` to `message_stop`."""
        if not self._started:
            self._started = True
            if self.script.choices:
                yield from self._start()
        if step.action == "error":
            yield self._event("error", error={"type": "overloaded_error", "message": step.text})
        if step.action == "piece" and self.script.choices:
            if self.script.quirk == "heartbeats":
                yield self._event("ping")
            yield from self._block("text", {"type": "text", "text": ""})
            yield self._event("content_block_delta", index=self._place, delta={"type": "text_delta", "text": step.text})
        if step.action == "thought" and self.script.choices:
            yield from self._block("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            delta = {"type": "thinking_delta", "thinking": step.text}
            yield self._event("content_block_delta", index=self._place, delta=delta)
        if step.action == "call" and self.script.choices:
            yield from self._block(f"call {self._called}", self._tool(self._called, {}))
            delta = {"type": "input_json_delta", "partial_json": json.dumps(json.loads(step.text)["arguments"])}
            yield self._event("content_block_delta", index=self._place, delta=delta)
            self._called += 1
        if step.action == "finish" and self.script.choices:
            yield from self._block(None, None)
            ends = {"stop_reason": self.finish(), "stop_sequence": None}
            counts: dict[str, Any] = {"output_tokens": self.script.tokens + self.script.thought}
            if self.script.thought:
                counts["output_tokens_details"] = {"thinking_tokens": self.script.thought}
            used = {"usage": counts} if self.script.usage else {}
            yield self._event("message_delta", delta=ends, **used)
            if self.script.quirk != "no_done":
                yield self._event("message_stop")

    def _start(self) -> Iterator[str]:
        used = {"usage": self._usage(1)} if self.script.usage else {}
        yield self._event("message_start", message={**self._head, "content": [], "stop_reason": None, **used})

    def _event(self, name: str, **more: Any) -> str:
        return self.data({"type": name, **more}, name)

    def _block(self, kind: str | None, block: dict[str, Any] | None) -> Iterator[str]:
        """The end of the block before, where this is of another kind, and the beginning of this one."""
        if kind == self._open:
            return
        if self._open == "thinking":
            delta = {"type": "signature_delta", "signature": self._signature}
            yield self._event("content_block_delta", index=self._place, delta=delta)
        if self._open is not None:
            yield self._event("content_block_stop", index=self._place)
            self._place += 1
        self._open = kind
        if block is not None:
            yield self._event("content_block_start", index=self._place, content_block=block)

    def _tool(self, place: int, given: dict[str, Any]) -> dict[str, Any]:
        name = self.script.calls[place]["name"]
        return {"type": "tool_use", "id": f"toolu_{self.identity[:12]}{place}", "name": name, "input": given}

    @property
    def _signature(self) -> str:
        return base64.b64encode(f"signed by {self.name}".encode()).decode()

    def _usage(self, answered: int) -> dict[str, Any]:
        script = self.script
        used: dict[str, Any] = {
            "input_tokens": script.prompt_tokens - script.cache_read - script.cache_write,
            "cache_creation_input_tokens": script.cache_write,
            "cache_read_input_tokens": script.cache_read,
            "output_tokens": answered,
        }
        if script.thought:
            used["output_tokens_details"] = {"thinking_tokens": script.thought}
        return used


def _results(messages: list[Any]) -> list[str]:
    """What tools have answered, in the last message."""
    content = messages[-1].get("content") if isinstance(messages[-1], dict) else None
    blocks = content if isinstance(content, list) else []
    said = [block.get("content") for block in blocks if isinstance(block, dict) and block.get("type") == "tool_result"]
    return [text if isinstance(text, str) else json.dumps(text, ensure_ascii=False) for text in said]


def _stable(messages: list[Any]) -> str | None:
    """All up to the last mark that says what is to be cached."""
    said: list[str] = []
    marked = 0
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        for block in content if isinstance(content, list) else [{"text": content}]:
            said.append(json.dumps(block.get("text"), ensure_ascii=False) if isinstance(block, dict) else "")
            if isinstance(block, dict) and block.get("cache_control"):
                marked = len(said)
    return "".join(said[:marked]) or None
