"""Anthropic: how a request is finished, and how an answer is read."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from typing import Any

from lab import errors, redact
from lab.provider import failures
from lab.provider.loading import load
from lab.provider.request import Answered, Order, Part, Reader, Request, Silent, of_message, written_out
from lab.provider.usage import readable, tokens


def credential(key: str | None) -> str | None:
    """The key, or the token that stands in its place in the environment."""
    return key or os.environ.get("ANTHROPIC_API_KEY") or os.environ.get("ANTHROPIC_AUTH_TOKEN")


def _must_be_fetched(messages: list[dict[str, Any]]) -> bool:
    """Whether LiteLLM would download a part of a message (plain `http:` images) to put it into the request."""
    return '"http://' in json.dumps(
        [message.get("content") for message in messages if isinstance(message.get("content"), list)]
    )


def written(order: Order) -> Request | None:
    """The request; None where something has to be fetched for it first, or no key is there."""
    name, config, messages, optional, key = order.name, order.config, order.messages, order.optional, order.key
    if _must_be_fetched(messages) or not credential(key):
        return None
    litellm = load()
    betas = importlib.import_module("litellm.anthropic_beta_headers_manager")
    base = order.base or os.environ.get("ANTHROPIC_API_BASE") or os.environ.get("ANTHROPIC_BASE_URL")
    base = base or "https://api.anthropic.com"
    url = base if base.endswith("/v1/messages") else f"{base}/v1/messages"
    known = {"custom_llm_provider": "anthropic", "api_base": url, "api_key": key}
    optional.pop("stream", None)
    json_tool = bool(optional.pop("json_mode", False))
    try:
        headers = config.validate_environment(order.headers, name, messages, {**optional}, known, key, url)
        data = config.transform_request(name, messages, {**optional, "is_vertex_request": False}, known, headers)
    except litellm.llms.anthropic.common_utils.AnthropicError as refused:
        problem = failures.message_of(redact.text(str(refused), redact.secrets(order.params)))
    else:
        problem = ""
    if problem:  # raised here, so that nothing unredacted hangs on it
        raise errors.InvalidRequestError(f"{order.model}: {problem}")
    headers, body = betas.update_request_with_filtered_beta(headers=headers, request_data=data, provider="anthropic")
    if order.streamed:
        body["stream"] = True
    sent = written_out(headers)
    return Request("anthropic", name, url, sent, body, config, optional, AnthropicReading, known, json_tool)


class AnthropicReading(Reader):
    """One answer: a message of blocks."""

    def __init__(self, request: Request, messages: list[dict[str, Any]]):
        super().__init__(request, messages)
        self._parse: Any = None
        self._blocks: dict[Any, dict[str, Any]] = {}

    def lacks(self, body: Mapping[str, Any]) -> str | None:
        """Content, though it may be empty."""
        return None if "content" in body and isinstance(body["content"], list | None) else "content"

    def whole(self, body: dict[str, Any]) -> Part:
        """Text, thoughts and tool calls, as LiteLLM reads them."""
        request = self._request
        self._note(body)
        self.told.finish = body.get("stop_reason")
        readable = {"model": request.model, **body, "content": body["content"] or [], "usage": {}}
        readable["stop_reason"] = body.get("stop_reason") or "end_turn"  # what it said is in `told`
        answer = request.config.transform_response(
            model=request.model,
            raw_response=Answered(readable),
            model_response=load().ModelResponse(),
            logging_obj=Silent(),
            request_data=dict(request.body),
            messages=self._messages,
            optional_params=dict(request.optional),
            litellm_params=dict(request.known),
            encoding=None,
            json_mode=request.json_tool,
        )
        part = of_message(answer.choices[0].message)
        if request.json_tool and not part.tools and self.told.finish == "tool_use":
            self.told.finish = "end_turn"  # the tool was the answer's form
        blocks = [_thought(block) for block in readable["content"] if isinstance(block, dict)]
        self._blocks = {place: block for place, block in enumerate(blocks) if block}
        self._keep_blocks()
        return part

    def delta(self, event: dict[str, Any]) -> Part | None:
        """What an event adds; pings and ends add nothing."""
        if self._parse is None:
            handler = importlib.import_module("litellm.llms.anthropic.chat.handler")
            names = importlib.import_module("litellm.llms.anthropic.chat.transformation")
            self._parse = handler.ModelResponseIterator(
                iter(()),
                sync_stream=False,
                json_mode=self._request.json_tool,
                speed=self._request.optional.get("speed"),
                tool_name_reverse_map=self._request.known.get(names.ANTHROPIC_TOOL_NAME_REVERSE_MAP_KEY),
            )
        kind = event.get("type")
        if kind == "message_start":
            self._note(event.get("message") or {})
        if kind == "message_delta":
            self._note(event)
            self.told.finish = (event.get("delta") or {}).get("stop_reason") or self.told.finish
            if self._parse.converted_response_format_tool and self.told.finish == "tool_use":
                self.told.finish = "end_turn"
        self.told.ended = kind == "message_stop"
        if kind not in ("content_block_start", "content_block_delta", "content_block_stop"):
            return None
        self._note_block(event)
        return of_message(self._parse.chunk_parser(event).choices[0].delta)

    def _note_block(self, event: dict[str, Any]) -> None:
        """Thoughts with their signatures: a conversation in which tools are called goes on only with them."""
        index, delta = event.get("index"), event.get("delta") or {}
        if event.get("type") == "content_block_start" and (block := _thought(event.get("content_block") or {})):
            self._blocks[index] = block
            self._keep_blocks()
        elif index in self._blocks:
            for field in ("thinking", "signature", "data"):
                if isinstance(delta.get(field), str):
                    self._blocks[index][field] = self._blocks[index].get(field, "") + delta[field]

    def _keep_blocks(self) -> None:
        if self._blocks:
            self.told.extra["thinking_blocks"] = list(self._blocks.values())

    def _note(self, fields: Mapping[str, Any]) -> None:
        told, used = self.told, fields.get("usage")
        told.answered_by = fields.get("model") or told.answered_by
        told.request_id = fields.get("id") or told.request_id
        if fields.get("stop_reason") == "refusal" or (fields.get("delta") or {}).get("stop_reason") == "refusal":
            told.refusal = "the provider says so by its stop_reason"
        if isinstance(used, Mapping) and used:
            told.raw = {**(told.raw or {}), **{name: value for name, value in used.items() if value is not None}}
            told.usage = self._usage(told.raw)
            told.tier = "fast" if told.raw.get("speed") == "fast" else told.raw.get("service_tier")

    def _usage(self, raw: dict[str, Any]) -> dict[str, Any] | None:
        """In OpenAI's names; None for what LiteLLM would trip over, or take for 0."""
        if tokens(raw, "input_tokens") is None or tokens(raw, "output_tokens") is None:
            return None
        return readable(lambda: load().AnthropicConfig().calculate_usage(raw, reasoning_content=None).model_dump())


def _thought(block: dict[str, Any]) -> dict[str, Any] | None:
    """A block of thoughts as it is to be handed back; None for any other."""
    if block.get("type") == "thinking":
        return {"type": "thinking", "thinking": block.get("thinking") or "", "signature": block.get("signature") or ""}
    return dict(block) if block.get("type") == "redacted_thinking" else None
