"""OpenAI's chat completions, which most providers speak."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.provider.credentials import need_address
from lab.provider.dialects.thinking import Tags
from lab.provider.loading import load
from lab.provider.request import Answered, Order, Part, Reader, Request, Silent, of_message, written_out


def written(order: Order, *, headers: Mapping[str, str] | None = None) -> Request | None:
    """The request; `headers` are its dialect's own. None where LiteLLM's handler does more than write it."""
    provider, name, config, key, base = order.provider, order.name, order.config, order.key, order.base
    optional, streamed = order.optional, order.streamed
    if optional.keys() & {"json_mode", "fake_stream"}:  # a schema in a tool's place, which LiteLLM's handler undoes
        return None
    if provider == "openai":
        base = config.get_api_base(base)
    base = base.rstrip("/") if base else base
    known = {"custom_llm_provider": provider, "api_base": base, "api_key": key}
    extra = optional.pop("extra_body", None) or {}
    for dropped in ("stream", "max_retries", "extra_headers"):
        optional.pop(dropped, None)
    ask_usage(order)
    sent = config.validate_environment(
        {**(headers or {}), **order.headers}, name, order.messages, optional, known, key, base
    )
    url = config.get_complete_url(base, key, name, optional, known, streamed)
    if "//api.openai.com" in url:
        need_address(order.model, provider)
    body = {**config.transform_request(name, order.messages, optional, known, sent), **extra}
    if streamed:
        body["stream"] = True
    return Request(provider, name, url, written_out(sent), body, config, optional, OpenAIReading)


def ask_usage(order: Order) -> None:
    """A streamed call would have no usage unless it asks for it."""
    if order.streamed and "stream_options" in order.supported and "stream_options" not in order.params:
        order.optional["stream_options"] = {"include_usage": True}


_TOOLS = {"tool_calls", "function_call", "thinking_blocks"}
_TEXT = {"role", "content", "reasoning_content", "reasoning"}
"""Fields of a delta of text or thoughts alone."""


class OpenAIReading(Reader):
    """One answer: `choices`, of which the first counts."""

    def __init__(self, request: Request, messages: list[dict[str, Any]]):
        super().__init__(request, messages)
        self._tags = Tags()
        self._parse: Any = None
        self._plainly = False

    def lacks(self, body: Mapping[str, Any]) -> str | None:
        """Choices with a message."""
        choices = body.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return "choices"
        return None if isinstance(choices[0].get("message"), dict) else "message"

    def whole(self, body: dict[str, Any]) -> Part:
        """Text, thoughts and tool calls, as LiteLLM reads them."""
        raw = body["choices"][0]
        self._note(body)
        self.told.finish, self.told.refusal = raw.get("finish_reason"), raw["message"].get("refusal")
        return self._plain(raw["message"]) or self._read(body)

    def _plain(self, message: Mapping[str, Any]) -> Part | None:
        """Text and thoughts that need no reading, as most answers have; None where LiteLLM must look at them."""
        content = message.get("content")
        own = type(self._reader()).transform_response is load().OpenAIGPTConfig.transform_response
        if not own or not isinstance(content, str) or any(message.get(field) for field in _TOOLS):
            return None
        if thoughts := _thoughts(message):
            return Part(content, thoughts)
        return self._tags.whole(content)

    def _read(self, body: dict[str, Any]) -> Part:
        request = self._request
        answer = self._reader().transform_response(
            model=request.model,
            raw_response=Answered({"service_tier": None, **body}),  # Groq's reader wants it
            model_response=load().ModelResponse(),
            logging_obj=Silent(),
            request_data=dict(request.body),
            messages=self._messages,
            optional_params=dict(request.optional),
            litellm_params={},
            encoding=None,
        )
        return of_message(answer.choices[0].message)

    def delta(self, event: dict[str, Any]) -> Part | None:
        """The first choice's delta."""
        if self._parse is None:
            reader = self._reader().get_model_response_iterator(iter(()), sync_stream=False)
            self._parse = reader.chunk_parser
            self._plainly = type(reader).chunk_parser.__module__ == load().OpenAIGPTConfig.__module__
        self._note(event)
        choices = [
            choice for choice in event.get("choices") or () if isinstance(choice, dict) and not choice.get("index")
        ]
        if not choices:
            return None
        self.told.finish = choices[0].get("finish_reason") or self.told.finish
        if (part := self._plain_delta(choices[0].get("delta")) if self._plainly else None) is not None:
            return part
        delta = self._parse({**event, "choices": choices[:1]}).choices[0].delta
        self.told.refusal = getattr(delta, "refusal", None) or self.told.refusal
        return self._untagged(of_message(delta))

    def rest(self) -> Part:
        """What was held back, in the end."""
        return self._tags.rest()

    def _reader(self) -> Any:
        """The configuration of LiteLLM's that reads such answers."""
        return self._request.config

    def _plain_delta(self, delta: Any) -> Part | None:
        """A delta of text or thoughts alone, as most are; None for one that LiteLLM must read. Its reading of one costs
        as much as everything else that a piece goes through."""
        if not isinstance(delta, dict) or any(value for field, value in delta.items() if field not in _TEXT):
            return None
        content = delta.get("content")
        if content is not None and not isinstance(content, str):
            return None
        return self._untagged(Part(content or "", _thoughts(delta)))

    def _untagged(self, part: Part) -> Part:
        if not part.text:
            return part
        read = self._tags.feed(part.text)
        return Part(read.text, part.reasoning + read.reasoning, part.tools)

    def _note(self, fields: Mapping[str, Any]) -> None:
        told = self.told
        told.raw = told.usage = fields.get("usage") or told.usage
        told.tier = fields.get("service_tier") or told.tier
        told.answered_by = fields.get("model") or told.answered_by
        told.request_id = fields.get("id") or told.request_id


def _thoughts(fields: Mapping[str, Any]) -> str:
    """What was thought, under the two names that servers have for it."""
    thoughts = fields.get("reasoning_content") or fields.get("reasoning")
    return thoughts if isinstance(thoughts, str) else ""
