"""A script in Anthropic's words (Messages)."""

from __future__ import annotations

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

    FINISHES = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}

    def __init__(self, name: str, body: dict[str, Any], script: Script):
        super().__init__(name, body, script)
        self._head = {"id": f"msg_sim_{self.identity[:16]}", "type": "message", "role": "assistant", "model": name}
        self._started = False

    @classmethod
    def asked(cls, body: dict[str, Any]) -> dict[str, Any]:
        """Messages and limit; the system prompt is one of the messages."""
        messages = cls.messages(body.get("messages"), "messages")
        system = [{"role": "system", "content": body["system"]}] if body.get("system") else []
        return {"messages": system + messages, "max_tokens": body.get("max_tokens"), "seed": None}

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
        blocks = [{"type": "text", "text": script.text}] if script.text else []
        body = {**self._head, "content": None if script.content == "null" else blocks}
        body |= {"stop_reason": self.finish(), "stop_sequence": None}
        if not script.choices:
            del body["content"]
        return body | {"usage": self._usage(script.pieces)} if script.usage else body

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
            yield self._event("content_block_delta", index=0, delta={"type": "text_delta", "text": step.text})
        if step.action == "finish" and self.script.choices:
            yield self._event("content_block_stop", index=0)
            ends = {"stop_reason": self.finish(), "stop_sequence": None}
            used = {"usage": {"output_tokens": self.script.pieces}} if self.script.usage else {}
            yield self._event("message_delta", delta=ends, **used)
            if self.script.quirk != "no_done":
                yield self._event("message_stop")

    def _start(self) -> Iterator[str]:
        used = {"usage": self._usage(1)} if self.script.usage else {}
        yield self._event("message_start", message={**self._head, "content": [], "stop_reason": None, **used})
        yield self._event("content_block_start", index=0, content_block={"type": "text", "text": ""})

    def _event(self, name: str, **more: Any) -> str:
        return self.data({"type": name, **more}, name)

    def _usage(self, answered: int) -> dict[str, int]:
        asked = self.script.prompt_tokens
        return {
            "input_tokens": asked,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": answered,
        }
