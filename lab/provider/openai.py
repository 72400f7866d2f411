"""OpenAI-shaped providers: how a request is finished, and how an answer is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lab.provider.credentials import need_address
from lab.provider.loading import load
from lab.provider.request import Answered, Request, Silent, Told


def written(
    model: str,
    provider: str,
    name: str,
    config: Any,
    messages: list[dict[str, Any]],
    optional: dict[str, Any],
    params: Mapping[str, Any],
    *,
    base: str | None,
    key: str | None,
    streamed: bool,
    usage: bool,
) -> Request:
    """The request, its parameters already mapped; `usage` asks for it in a stream."""
    if provider == "openai":
        base = config.get_api_base(base)
    base = base.rstrip("/") if base else base
    known = {"custom_llm_provider": provider, "api_base": base, "api_key": key}
    extra = optional.pop("extra_body", None) or {}
    for dropped in ("stream", "max_retries", "extra_headers"):
        optional.pop(dropped, None)
    if usage:
        optional["stream_options"] = {"include_usage": True}  # or a streamed call would have no usage
    headers = config.validate_environment(
        dict(params.get("extra_headers") or {}), name, messages, optional, known, key, base
    )
    url = config.get_complete_url(base, key, name, optional, known, streamed)
    if "//api.openai.com" in url:
        need_address(model, provider)
    body = {**config.transform_request(name, messages, optional, known, headers), **extra}
    if streamed:
        body["stream"] = True
    headers = {str(header): str(value) for header, value in headers.items()}
    return Request(provider, name, url, headers, body, config, optional)


_TOOLS = {"tool_calls", "function_call", "reasoning_content", "thinking_blocks"}
_TEXT = {"role", "content"}


class _Piece(NamedTuple):
    """A delta of text alone."""

    content: str | None
    tool_calls: None = None


class OpenAIReading:
    """One answer: `choices`, of which the first counts."""

    def __init__(self, request: Request, messages: list[dict[str, Any]]):
        self.told = Told()
        self._request, self._messages = request, messages
        self._parse: Any = None
        self._own = False

    def lacks(self, body: Mapping[str, Any]) -> str | None:
        """Choices with a message."""
        choices = body.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return "choices"
        return None if isinstance(choices[0].get("message"), dict) else "message"

    def whole(self, body: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
        """Text and tool calls, as LiteLLM reads them."""
        raw = body["choices"][0]
        self._note(body)
        self.told.finish, self.told.refusal = raw.get("finish_reason"), raw["message"].get("refusal")
        return self._plain(raw["message"]) or self._read(body)

    def _plain(self, message: Mapping[str, Any]) -> tuple[str, list[dict[str, Any]]] | None:
        """Text that needs no reading, as most answers are; None where LiteLLM must look for tools or thoughts."""
        content = message.get("content")
        own = type(self._request.config).transform_response is load().OpenAIGPTConfig.transform_response
        if not own or not isinstance(content, str) or "<" in content or message.keys() & _TOOLS:
            return None
        return content, []

    def _read(self, body: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
        request = self._request
        answer = request.config.transform_response(
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
        message = answer.choices[0].message
        return message.content or "", [tool.model_dump() for tool in message.tool_calls or ()]

    def delta(self, event: dict[str, Any]) -> Any | None:
        """The first choice's delta."""
        if self._parse is None:
            reader = self._request.config.get_model_response_iterator(iter(()), sync_stream=False)
            self._parse = reader.chunk_parser
            self._own = type(reader).chunk_parser.__module__ == load().OpenAIGPTConfig.__module__
        self._note(event)
        choices = [
            choice for choice in event.get("choices") or () if isinstance(choice, dict) and not choice.get("index")
        ]
        if not choices:
            return None
        self.told.finish = choices[0].get("finish_reason") or self.told.finish
        if self._own and (piece := _piece(choices[0].get("delta"))) is not None:
            return piece
        delta = self._parse({**event, "choices": choices[:1]}).choices[0].delta
        self.told.refusal = getattr(delta, "refusal", None) or self.told.refusal
        return delta

    def _note(self, fields: Mapping[str, Any]) -> None:
        told = self.told
        told.raw = told.usage = fields.get("usage") or told.usage
        told.tier = fields.get("service_tier") or told.tier
        told.answered_by = fields.get("model") or told.answered_by
        told.request_id = fields.get("id") or told.request_id


def _piece(delta: Any) -> _Piece | None:
    """A delta that is text alone, as most are; None for one that LiteLLM must read. Its reading of one costs as much
    as everything else that a piece goes through."""
    if not isinstance(delta, dict) or any(value for field, value in delta.items() if field not in _TEXT):
        return None
    content = delta.get("content")
    return _Piece(content) if content is None or isinstance(content, str) else None
