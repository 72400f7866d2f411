"""Ollama's chat: JSON objects, a line each, and no events."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from typing import Any

from lab.provider.dialects.thinking import Tags
from lab.provider.request import Order, Part, Reader, Request, written_out
from lab.provider.usage import tokens


def written(order: Order) -> Request | None:
    """The request; LiteLLM's handler knows the address."""
    config, optional, key = order.config, order.optional, order.key or os.environ.get("OLLAMA_API_KEY")
    known: dict[str, Any] = {"custom_llm_provider": "ollama_chat"}
    base = order.base or os.environ.get("OLLAMA_API_BASE") or "http://localhost:11434"
    headers = config.validate_environment(order.headers, order.name, order.messages, optional, known, key, base)
    url = config.get_complete_url(base, key, order.name, optional, known, order.streamed)
    extra = optional.pop("extra_body", None) or {}
    optional["stream"] = order.streamed
    body = {**config.transform_request(order.name, order.messages, optional, known, headers), **extra}
    sent = written_out(headers)
    return Request("ollama_chat", order.name, url, sent, body, config, {}, OllamaReading, known, lines=True)


class OllamaReading(Reader):
    """One answer: a message, whole or line by line."""

    def __init__(self, request: Request, messages: list[dict[str, Any]]):
        super().__init__(request, messages)
        self._tags = Tags()
        self._called = 0
        self._thinks = False

    def lacks(self, body: Mapping[str, Any]) -> str | None:
        """A message, and its end."""
        return None if isinstance(body.get("message"), dict) else "message"

    def whole(self, body: dict[str, Any]) -> Part:
        """The whole answer."""
        part = self._read(body)
        rest = self._tags.rest()
        return Part(part.text + rest.text, part.reasoning + rest.reasoning, part.tools)

    def delta(self, event: dict[str, Any]) -> Part | None:
        """What a line adds."""
        return self._read(event)

    def rest(self) -> Part:
        """What was held back, in the end."""
        return self._tags.rest()

    def _read(self, line: dict[str, Any]) -> Part:
        message = line.get("message") or {}
        self.told.answered_by = line.get("model") or self.told.answered_by
        tools = [_tool(self._called + place, call) for place, call in enumerate(message.get("tool_calls") or ())]
        self._called += len(tools)
        content, thought = message.get("content") or "", message.get("thinking") or ""
        part = self._tags.feed(content) if content and not self._thinks and not thought else Part(content)
        self._thinks = self._thinks or bool(thought)
        if line.get("done"):
            self._end(line)
        return Part(part.text, thought + part.reasoning, tools)

    def _end(self, line: dict[str, Any]) -> None:
        told, finish = self.told, line.get("done_reason") or "stop"
        told.ended = True
        told.finish = "tool_calls" if self._called and finish == "stop" else finish
        asked, came = tokens(line, "prompt_eval_count"), tokens(line, "eval_count")
        told.raw = {name: line[name] for name in line if name.endswith(("_count", "_duration"))} or None
        if asked is not None and came is not None:
            told.usage = {"prompt_tokens": asked, "completion_tokens": came}


def _tool(index: int, call: dict[str, Any]) -> dict[str, Any]:
    """A call in OpenAI's form: its arguments as JSON, under an identifier, where Ollama gives none."""
    function, given = call["function"], call["function"].get("arguments")
    arguments = given if isinstance(given, str) else json.dumps(given or {}, ensure_ascii=False)
    named = {"name": function["name"], "arguments": arguments}
    return {"index": index, "id": call.get("id") or f"call_{uuid.uuid4().hex}", "type": "function", "function": named}
