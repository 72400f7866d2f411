"""OpenAI's responses, its own and Azure's: the interface of models that have no other, and of newer ones where they
think and call tools at once."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from lab.provider.dialects import azure
from lab.provider.loading import load
from lab.provider.request import Order, Part, Reader, Request, Silent, written_out


@cache
def _bridge() -> Any:
    """LiteLLM's own way from a chat to this interface."""
    return importlib.import_module(
        "litellm.completion_extras.litellm_responses_transformation.transformation"
    ).LiteLLMResponsesTransformationHandler()


@cache
def _tools() -> tuple[Any, Any, Any]:
    base = importlib.import_module("litellm.llms.base_llm.responses.transformation").BaseResponsesAPIConfig
    types = importlib.import_module("litellm.types.llms.openai").ResponsesAPIOptionalRequestParams
    return base, types.__annotations__.keys(), importlib.import_module("litellm.types.router").GenericLiteLLMParams


def written(order: Order) -> Request | None:
    """The request."""
    litellm, name = load(), order.name
    base_config, fields, Settings = _tools()
    config, optional = litellm.OpenAIResponsesAPIConfig(), order.optional
    where: dict[str, Any] = {"api_key": order.key or os.environ.get("OPENAI_API_KEY"), "api_base": order.base}
    if order.provider == "azure":
        way = azure.way(order)
        if way is None:
            return None
        config = litellm.AzureOpenAIResponsesAPIConfig()
        where = {"api_key": way.key, "api_base": way.base, "api_version": way.version, "azure_ad_token": way.token}
        where = {field: value for field, value in where.items() if value}
    extra = optional.pop("extra_body", None) or {}
    for dropped in ("max_retries", "extra_headers", "stream"):
        optional.pop(dropped, None)
    if order.streamed:
        optional["stream"] = True
    effort = order.params.get("reasoning_effort")
    if isinstance(effort, Mapping) and "summary" in effort:
        optional["reasoning_effort"] = dict(effort)
    data = _bridge().transform_request(
        model=name,
        messages=order.messages,
        optional_params=optional,
        litellm_params={},
        headers={},
        litellm_logging_obj=Silent(),
    )
    settings = Settings(**where)
    body = config.transform_responses_api_request(
        model=name,
        input=data["input"],
        response_api_optional_request_params={field: data[field] for field in data if field in fields},
        litellm_params=settings,
        headers={},
    )
    body = {**base_config.normalize_responses_api_request_dict(body), **extra}
    headers = {**config.validate_environment(headers={}, model=name, litellm_params=settings), **order.headers}
    url = config.get_complete_url(api_base=where.get("api_base"), litellm_params=where)
    return Request(order.provider, name, url, written_out(headers), body, config, {}, ResponsesReading)


class ResponsesReading(Reader):
    """One answer: a response of items (thoughts, messages, calls of functions), whole or event by event."""

    def __init__(self, request: Request, messages: list[dict[str, Any]]):
        super().__init__(request, messages)
        self._called = 0
        self._places: dict[Any, int] = {}

    def lacks(self, body: Mapping[str, Any]) -> str | None:
        """Output."""
        return None if isinstance(body.get("output"), list) else "output"

    def whole(self, body: dict[str, Any]) -> Part:
        """Text, thoughts and tool calls."""
        self._end(body)
        part = Part()
        for item in _items(body):
            kind = item.get("type")
            if kind == "reasoning":
                self._keep(item)
                part.reasoning += "\n\n".join(
                    block["text"] for block in item.get("summary") or item.get("content") or ()
                )
            elif kind == "message":
                for block in item.get("content") or ():
                    part.text += block.get("text") or ""
                    self.told.refusal = block.get("refusal") or self.told.refusal
            elif kind == "function_call":
                part.tools.append(self._tool(item))
        return part

    def delta(self, event: dict[str, Any]) -> Part | None:
        """What an event adds."""
        kind, added = str(event.get("type")), event.get("delta")
        added = added if isinstance(added, str) else ""
        if kind == "response.output_text.delta":
            return Part(added)
        if kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            return Part(reasoning=added)
        if kind == "response.refusal.delta":
            self.told.refusal = f"{self.told.refusal or ''}{added}"
        if kind == "response.output_item.added" and (event.get("item") or {}).get("type") == "function_call":
            return Part(tools=[self._tool({**event["item"], "arguments": ""}, event.get("output_index"))])
        if kind == "response.function_call_arguments.delta":
            index = self._places.get(event.get("output_index"), 0)
            return Part(tools=[{"index": index, "function": {"arguments": added}}])
        if kind == "response.reasoning_summary_part.added" and event.get("summary_index"):
            return Part(reasoning="\n\n")
        if kind == "response.output_item.done" and (event.get("item") or {}).get("type") == "reasoning":
            self._keep(event["item"])
        if kind == "error" or (kind == "response.failed" and (event.get("response") or {}).get("error")):
            self.told.error = event["response"]["error"] if kind != "error" else event
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            self.told.ended = True
            self._end(event.get("response") or {})
        return None

    def _tool(self, item: Mapping[str, Any], place: Any = None) -> dict[str, Any]:
        index, self._called = self._called, self._called + 1
        self._places[place] = index
        named = {"name": item["name"], "arguments": item.get("arguments") or ""}
        return {"index": index, "id": item.get("call_id") or item.get("id"), "type": "function", "function": named}

    def _keep(self, item: Mapping[str, Any]) -> None:
        """A thought as it is to be handed back."""
        kept = {field: item[field] for field in ("id", "summary", "encrypted_content") if item.get(field) is not None}
        self.told.extra.setdefault("reasoning_items", []).append({"type": "reasoning", **kept})

    def _end(self, response: Mapping[str, Any]) -> None:
        told = self.told
        told.answered_by, told.request_id = response.get("model"), response.get("id")
        told.usage = told.raw = response.get("usage")
        told.tier = response.get("service_tier")
        told.finish = response.get("status")
        if told.finish == "incomplete":
            told.finish = (response.get("incomplete_details") or {}).get("reason")
        if told.finish == "completed" and (self._called or _calls(response)):
            told.finish = "tool_calls"


def _items(response: Mapping[str, Any]) -> list[dict[str, Any]]:
    output = response.get("output")
    return [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []


def _calls(response: Mapping[str, Any]) -> bool:
    return any(item.get("type") == "function_call" for item in _items(response))
