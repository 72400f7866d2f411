"""Cohere's chat, version 2."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lab.provider.request import Order, Part, Reader, Request, written_out
from lab.provider.usage import tokens


def written(order: Order) -> Request | None:
    """The request; None for the older version of its interface."""
    config, optional, name = order.config, order.optional, order.name
    if "v1/" in name:
        return None
    name = name.replace("v2/", "")
    base = order.base or os.environ.get("COHERE_API_BASE") or "https://api.cohere.com/v2/chat"
    known: dict[str, Any] = {"custom_llm_provider": "cohere_chat"}
    extra = optional.pop("extra_body", None) or {}
    optional.pop("stream", None)
    headers = config.validate_environment(order.headers, name, order.messages, optional, known, order.key, base)
    url = config.get_complete_url(base, order.key, name, optional, known, order.streamed)
    body = {**config.transform_request(name, order.messages, optional, known, headers), **extra}
    if order.streamed:
        body["stream"] = True
    return Request("cohere_chat", name, url, written_out(headers), body, config, optional, CohereReading)


class CohereReading(Reader):
    """One answer. Streams are read as Cohere describes its events: LiteLLM takes no tool's name out of them, and sees
    neither their end nor what they used."""

    def lacks(self, body: Mapping[str, Any]) -> str | None:
        """A message."""
        return None if isinstance(body.get("message"), dict) else "message"

    def whole(self, body: dict[str, Any]) -> Part:
        """Text, thoughts and tool calls."""
        self._end(body)
        self.told.request_id = body.get("id")
        message, part = body["message"], Part()
        for block in message.get("content") or ():
            part.text += block.get("text") or ""
            part.reasoning += block.get("thinking") or ""
        part.tools = [{**call, "index": place} for place, call in enumerate(message.get("tool_calls") or ())]
        if part.tools:  # what it means to do is said beside its calls
            part.reasoning += message.get("tool_plan") or ""
        return part

    def delta(self, event: dict[str, Any]) -> Part | None:
        """What an event adds."""
        kind, delta = event.get("type"), event.get("delta") or {}
        message = delta.get("message") or {}
        if kind == "message-start":
            self.told.request_id = event.get("id")
        if kind == "message-end":
            self.told.ended = True
            self._end(delta)
        if kind == "content-delta":
            content = message.get("content") or {}
            return Part(content.get("text") or "", content.get("thinking") or "")
        if kind == "tool-plan-delta":
            return Part(reasoning=message.get("tool_plan") or "")
        if kind in ("tool-call-start", "tool-call-delta"):
            return Part(tools=[{**message["tool_calls"], "index": event.get("index") or 0}])
        return None

    def _end(self, fields: Mapping[str, Any]) -> None:
        told, used = self.told, fields.get("usage")
        used = used if isinstance(used, Mapping) else {}
        told.finish = fields.get("finish_reason")
        told.raw = used or None
        for counts in (used.get("tokens"), used.get("billed_units")):  # what is paid for, where it can be read
            asked, came = tokens(counts, "input_tokens"), tokens(counts, "output_tokens")
            if asked is not None and came is not None:
                told.usage = {"prompt_tokens": asked, "completion_tokens": came}
