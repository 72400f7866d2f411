"""A script in Gemini's words (`generateContent`)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from lab.sim.script import Script, Step
from lab.sim.speaker import Speaker

_STATUS = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_GOOGLE = "type.googleapis.com/google.rpc."


class Gemini(Speaker):
    """One answer under way."""

    FINISHES = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY", "tool_calls": "STOP"}

    def __init__(self, name: str, body: dict[str, Any], script: Script):
        super().__init__(name, body, script)
        self._called = 0

    @classmethod
    def asked(cls, body: dict[str, Any]) -> dict[str, Any]:
        """Contents, limit and seed; the system instruction is one of the messages."""
        messages = cls.messages(body.get("contents"), "contents")
        config = body.get("generationConfig") or {}
        system = body.get("system_instruction") or body.get("systemInstruction")
        before = [{"role": "system", **system}] if isinstance(system, dict) else []
        budget, level, _shown = _thinking(config)
        return {
            "messages": before + messages,
            "max_tokens": config.get("max_output_tokens") or config.get("maxOutputTokens"),
            "seed": config.get("seed"),
            "thinking": budget if budget is not None else str(level or "medium").lower(),
            "tools": [
                {"name": tool["name"], "parameters": _lower(tool.get("parameters") or tool.get("parametersJsonSchema"))}
                for holder in body.get("tools") or ()
                for tool in holder.get("functionDeclarations") or holder.get("function_declarations") or ()
            ],
            "results": _results(messages),
        }

    @classmethod
    def addressed(cls, body: dict[str, Any], address: Mapping[str, str]) -> dict[str, Any]:
        """Its model, and whether it is streamed."""
        return {**body, "model": address["name"], "stream": address["method"].startswith("stream")}

    @classmethod
    def error(cls, status: int, code: str, message: str, headers: Mapping[str, str]) -> web.Response:
        """Google's error object: waits and quotas are in its details, not in headers; a wrong key is a 400, a blocked
        prompt a 200."""
        if code == "content_filter":
            return web.json_response({"promptFeedback": {"blockReason": "SAFETY"}})
        details: list[dict[str, Any]] = []
        if code == "context_length_exceeded":
            message = "The input token count (9000) exceeds the maximum number of tokens allowed (8192)."
        if status == 401:
            message = "API key not valid. Please pass a valid API key."
            status, details = 400, [{"@type": f"{_GOOGLE}ErrorInfo", "reason": "API_KEY_INVALID"}]
        if status == 429:
            per = "Day" if code == "insufficient_quota" else "Minute"
            message = "You exceeded your current quota, please check your plan and billing details."
            violation = {"quotaId": f"GenerateRequestsPer{per}PerProjectPerModel"}
            details = [{"@type": f"{_GOOGLE}QuotaFailure", "violations": [violation]}]
            if wait := _seconds(headers):
                details.append({"@type": f"{_GOOGLE}RetryInfo", "retryDelay": f"{wait:g}s"})
        error = {"code": status, "message": message, "status": _STATUS.get(status, "UNKNOWN"), "details": details}
        return web.json_response({"error": error}, status=status)

    def whole(self) -> dict[str, Any]:
        """A generated content, whole."""
        script = self.script
        parts = [{"text": script.thoughts, "thought": True}] if script.thoughts and self._shows else []
        parts += [{"text": script.text}] if script.text or not script.calls else []
        parts += [self._call(place, call) for place, call in enumerate(script.calls)]
        return self._body(parts, self.finish())

    def finish(self) -> str | None:
        """Gemini says a refusal by its finish."""
        return "PROHIBITED_CONTENT" if self.script.refusal is not None else super().finish()

    def events(self, step: Step) -> Iterator[str]:
        """Generated contents, piece by piece; nothing follows the finish."""
        if step.action == "error":
            yield self.data({"error": {"code": 503, "message": step.text, "status": "UNAVAILABLE"}})
        if step.action == "piece":
            if self.script.quirk == "heartbeats":
                yield ": heartbeat\n\n"
            yield self.data(self._body([{"text": step.text}], None))
        if step.action == "thought" and self._shows:
            yield self.data(self._body([{"text": step.text, "thought": True}], None))
        if step.action == "call":
            yield self.data(self._body([self._call(self._called, json.loads(step.text))], None))
            self._called += 1
        if step.action == "finish":
            yield self.data(self._body([{"text": ""}], self.finish()))

    @property
    def _shows(self) -> bool:
        """Whether it is asked to say what it thinks."""
        return bool(_thinking(self.body.get("generationConfig") or {})[2])

    def _call(self, place: int, call: dict[str, Any]) -> dict[str, Any]:
        signed = {"thoughtSignature": base64.b64encode(f"signed by {self.name}".encode()).decode()}
        said = {"functionCall": {"name": call["name"], "args": call["arguments"]}}
        return said | (signed if place == 0 and self.script.thought else {})

    def _body(self, parts: list[dict[str, Any]], finish: str | None) -> dict[str, Any]:
        script = self.script
        candidate: dict[str, Any] = {"index": 0}
        if script.content != "null":
            candidate["content"] = {"role": "model", "parts": parts}
        if finish is not None:
            candidate["finishReason"] = finish
        body: dict[str, Any] = {"modelVersion": self.name, "responseId": f"sim-{self.identity[:16]}"}
        if script.choices:
            body["candidates"] = [candidate]
        if script.usage and finish is not None:
            asked, answered, thought = script.prompt_tokens, script.tokens, script.thought
            body["usageMetadata"] = {
                "promptTokenCount": asked,
                "candidatesTokenCount": answered,
                "totalTokenCount": asked + answered + thought,
                **({"thoughtsTokenCount": thought} if thought else {}),
            }
        return body


def _seconds(headers: Mapping[str, str]) -> float | None:
    """The wait that a script asks for, out of the headers that other providers send it in."""
    if "retry-after-ms" in headers:
        return float(headers["retry-after-ms"]) / 1000
    return float(headers["retry-after"]) if "retry-after" in headers else None


def _thinking(config: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The budget, the level, and whether thoughts are to be shown, in both ways in which names are written."""
    asked = config.get("thinkingConfig") or config.get("thinking_config") or {}
    names = (("thinkingBudget", "thinking_budget"), ("thinkingLevel", "thinking_level"))
    budget, level, shown = (
        next((asked[name] for name in pair if name in asked), None)
        for pair in (*names, ("includeThoughts", "include_thoughts"))
    )
    return budget, level, shown


def _results(contents: list[Any]) -> list[str]:
    """What functions have answered, in the last content."""
    parts = contents[-1].get("parts") if isinstance(contents[-1], dict) else None
    said = [
        part.get("functionResponse") or part.get("function_response") for part in parts or () if isinstance(part, dict)
    ]
    return [json.dumps(response.get("response"), ensure_ascii=False) for response in said if isinstance(response, dict)]


def _lower(schema: Any) -> Any:
    """A schema with its types as JSON Schema writes them: Google's are in capitals."""
    if isinstance(schema, dict):
        return {
            name: inner.lower() if name == "type" and isinstance(inner, str) else _lower(inner)
            for name, inner in schema.items()
        }
    return [_lower(inner) for inner in schema] if isinstance(schema, list) else schema
