"""Scripts in the words of those who speak as OpenAI does, and refuse in their own: Azure, Mistral, LM Studio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from lab.sim.openai import OpenAI
from lab.sim.script import Script, Step

_CAUGHT = {"violence": {"filtered": True, "severity": "medium"}, "hate": {"filtered": False, "severity": "safe"}}


class Azure(OpenAI):
    """One answer under way; what the filter found is said of the prompt and of the answer."""

    @classmethod
    def addressed(cls, body: dict[str, Any], address: Mapping[str, str]) -> dict[str, Any]:
        """The deployment is in the address."""
        return {**body, "model": address["name"]}

    @classmethod
    def error(cls, status: int, code: str, message: str, headers: Mapping[str, str]) -> web.Response:
        """A filter's finding is in an inner error."""
        error: dict[str, Any] = {"message": message, "code": code, "type": None, "param": None}
        if code == "content_filter":
            inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _CAUGHT}
            error |= {"message": "The response was filtered due to the prompt", "innererror": inner, "status": 400}
        if code == "insufficient_quota":
            error |= {"code": "insufficient_quota", "message": "You exceeded your current quota"}
        return web.json_response({"error": error}, status=status, headers=headers)

    def whole(self) -> dict[str, Any]:
        """A chat completion."""
        body = super().whole()
        for choice in body["choices"]:
            choice["content_filter_results"] = _CAUGHT if choice["finish_reason"] == "content_filter" else {}
        return body | {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}

    def events(self, step: Step) -> Iterator[str]:
        """First what the filter found in the prompt, in a chunk without choices."""
        if not self._started:
            yield self.data({"id": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]})
        if step.action == "finish" and step.text == "content_filter":
            choice = {
                "index": 0,
                "finish_reason": None,
                "content_filter_results": _CAUGHT,
                "content_filter_offsets": {},
            }
            yield self.data({"id": "", "model": "", "choices": [choice]})
        yield from super().events(step)


class Mistral(OpenAI):
    """One answer under way; what it took is said without being asked for."""

    FINISHES = {"length": "model_length"}

    def __init__(self, name: str, body: dict[str, Any], script: Script):
        super().__init__(name, body, script)
        self._wants_usage = script.usage

    @classmethod
    def error(cls, status: int, code: str, message: str, headers: Mapping[str, str]) -> web.Response:
        """Without an `error` around it; what can't be processed is told field by field."""
        body: dict[str, Any] = {"object": "error", "message": message, "type": code, "code": "1000"}
        if status == 401:
            body = {"detail": "Unauthorized"}
        if status == 422:
            body = {"detail": [{"type": "value_error", "loc": ["body", "temperature"], "msg": message}]}
        return web.json_response(body, status=status, headers=headers)


class LMStudio(OpenAI):
    """One answer under way."""

    @classmethod
    def error(cls, status: int, code: str, message: str, headers: Mapping[str, str]) -> web.Response:
        """An error is a text."""
        said = f"{code}: {message}" if code in ("insufficient_quota", "content_filter") else message
        return web.json_response({"error": said}, status=status, headers=headers)
