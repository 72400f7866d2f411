"""Gemini's `generateContent`, as Google AI Studio serves it."""

from __future__ import annotations

import importlib
import json
import os
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

from lab import errors
from lab.provider.loading import load
from lab.provider.request import Order, Part, Reader, Request
from lab.provider.usage import readable, tokens


@cache
def _writer() -> Any:
    return importlib.import_module("litellm.llms.vertex_ai.gemini.transformation")


@cache
def _addresses() -> Any:
    return importlib.import_module("litellm.llms.vertex_ai.vertex_llm_base").VertexBase()


def written(order: Order) -> Request | None:
    """The request; None where LiteLLM would fetch something for it (a picture by its address), or set up a cache of
    Google's for the messages that are marked to be cached."""
    if _must_be_fetched(order.messages) or _marked(order.messages):
        return None
    key = order.key or os.environ.get("GOOGLE_API_KEY") or os.environ.get("GEMINI_API_KEY")
    base, name, optional = order.base or os.environ.get("GEMINI_API_BASE"), order.name, order.optional
    if not key:
        raise errors.AuthError(f"no key for {order.model}: set GEMINI_API_KEY, or pass api_key=...")
    optional.pop("stream", None)
    known: dict[str, Any] = {"custom_llm_provider": "gemini"}
    credential, url = _addresses()._get_token_and_url(
        model=name,
        auth_header=None,
        gemini_api_key=key,
        vertex_project=None,
        vertex_location=None,
        vertex_credentials=None,
        stream=order.streamed,
        custom_llm_provider="gemini",
        api_base=base,
    )
    headers = (
        load()
        .VertexGeminiConfig()
        .validate_environment(
            api_key=credential,
            headers=order.headers,
            model=name,
            messages=order.messages,
            optional_params=optional,
            litellm_params=known,
        )
    )
    body = _writer().transform_request_body(
        messages=order.messages,
        model=name,
        optional_params=optional,
        custom_llm_provider="gemini",
        litellm_params=known,
        cached_content=optional.pop("cached_content", None),
    )
    return Request("gemini", name, url, headers, dict(body), order.config, {}, GeminiReading, known)


def _parts(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        part
        for message in messages
        if isinstance(message.get("content"), list)
        for part in message["content"]
        if isinstance(part, dict)
    ]


def _must_be_fetched(messages: list[dict[str, Any]]) -> bool:
    """Whether a part of a message is at an address: Google's own files aside, its bytes would be fetched."""
    text = json.dumps([part for part in _parts(messages) if part.get("type") != "text"])
    return '"http://' in text or '"https://' in text or '"gs://' in text


def _marked(messages: list[dict[str, Any]]) -> bool:
    return any("cache_control" in holder for holder in (*messages, *_parts(messages)))


_FILTERS = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY")
_FINISHES = {"STOP": "stop", "MAX_TOKENS": "length", **dict.fromkeys(_FILTERS, "content_filter")}
"""Gemini's finish reasons in OpenAI's words; any other is no good end."""


class GeminiReading(Reader):
    """One answer: candidates, of which the first counts, of parts: text, thoughts, calls of functions."""

    def __init__(self, request: Request, messages: list[dict[str, Any]]):
        super().__init__(request, messages)
        self._called = 0
        self._thoughts = ""
        self._said = False

    def lacks(self, body: Mapping[str, Any]) -> str | None:
        """Candidates, or the reason why there are none."""
        feedback = body.get("promptFeedback")
        if isinstance(feedback, Mapping) and feedback.get("blockReason"):
            return None
        candidates = body.get("candidates")
        good = isinstance(candidates, list) and candidates and isinstance(candidates[0], dict)
        return None if good else "candidates"

    def whole(self, body: dict[str, Any]) -> Part:
        """The whole answer."""
        return self._read(body) or Part()

    def delta(self, event: dict[str, Any]) -> Part | None:
        """What an event adds."""
        return self._read(event)

    def _read(self, content: dict[str, Any]) -> Part | None:
        told = self.told
        told.answered_by = content.get("modelVersion") or told.answered_by
        told.request_id = content.get("responseId") or told.request_id
        blocked = (content.get("promptFeedback") or {}).get("blockReason")
        if blocked:
            told.finish, told.filtered = "content_filter", str(blocked)
        candidates = [
            candidate
            for candidate in content.get("candidates") or ()
            if isinstance(candidate, dict) and not candidate.get("index")
        ]
        if not candidates:
            self._note_usage(content)
            return None
        part = Part()
        for piece in (candidates[0].get("content") or {}).get("parts") or ():
            self._add(part, piece)
        self._said = self._said or bool(part.text)
        self._note_usage(content)
        finish = candidates[0].get("finishReason")
        if finish:
            told.finish = _FINISHES.get(finish, finish)
            told.filtered = str(finish) if told.finish == "content_filter" else told.filtered
        if told.finish == "stop" and self._called:
            told.finish = "tool_calls"
        return part

    def _add(self, part: Part, piece: dict[str, Any]) -> None:
        signature = piece.get("thoughtSignature")
        if call := piece.get("functionCall"):
            part.tools.append(_tool(self._called, call, signature))
            self._called += 1
        elif piece.get("thought"):
            self._think(part, piece.get("text") or "", signature)
        else:
            part.text += piece.get("text") or ""
            if signature:
                fields = self.told.extra.setdefault("provider_specific_fields", {})
                fields.setdefault("thought_signatures", []).append(signature)

    def _think(self, part: Part, text: str, signature: str | None) -> None:
        part.reasoning += text
        self._thoughts += text
        if signature:
            block = {"type": "thinking", "thinking": self._thoughts, "signature": signature}
            self.told.extra.setdefault("thinking_blocks", []).append(block)
            self._thoughts = ""

    def _note_usage(self, content: Mapping[str, Any]) -> None:
        used = content.get("usageMetadata")
        if not isinstance(used, Mapping):
            return
        asked, came = tokens(used, "promptTokenCount"), tokens(used, "candidatesTokenCount")
        odd = any(
            name.endswith("TokenCount") and used[name] is not None and tokens(used, name) is None for name in used
        )
        if asked is None or odd or (came is None and self._said):
            return
        config = load().VertexGeminiConfig
        self.told.raw = dict(used)
        self.told.usage = readable(
            lambda: config._calculate_usage(completion_response={"usageMetadata": dict(used)}).model_dump()
        )


def _tool(index: int, call: Mapping[str, Any], signature: str | None) -> dict[str, Any]:
    """A call in OpenAI's form; the signature of the thought behind it has to go back with it."""
    arguments = json.dumps(call.get("args") or {}, ensure_ascii=False)
    tool: dict[str, Any] = {
        "index": index,
        "id": call.get("id") or f"call_{uuid.uuid4().hex[:28]}",
        "type": "function",
        "function": {"name": call["name"], "arguments": arguments},
    }
    if signature:
        tool["provider_specific_fields"] = {"thought_signature": signature}
    return tool
