"""A script in Gemini's words (`generateContent`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from lab.sim.script import Step
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

    FINISHES = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}

    @classmethod
    def asked(cls, body: dict[str, Any]) -> dict[str, Any]:
        """Contents, limit and seed; the system instruction is one of the messages."""
        messages = cls.messages(body.get("contents"), "contents")
        config = body.get("generationConfig") or {}
        system = body.get("system_instruction") or body.get("systemInstruction")
        before = [{"role": "system", **system}] if isinstance(system, dict) else []
        return {
            "messages": before + messages,
            "max_tokens": config.get("max_output_tokens"),
            "seed": config.get("seed"),
        }

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
        return self._body(self.script.text, self.finish())

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
            yield self.data(self._body(step.text, None))
        if step.action == "finish":
            yield self.data(self._body("", self.finish()))

    def _body(self, text: str, finish: str | None) -> dict[str, Any]:
        script = self.script
        candidate: dict[str, Any] = {"index": 0}
        if script.content != "null":
            candidate["content"] = {"role": "model", "parts": [{"text": text}]}
        if finish is not None:
            candidate["finishReason"] = finish
        body: dict[str, Any] = {"modelVersion": self.name, "responseId": f"sim-{self.identity[:16]}"}
        if script.choices:
            body["candidates"] = [candidate]
        if script.usage and finish is not None:
            asked, answered = script.prompt_tokens, script.pieces
            counts = {"promptTokenCount": asked, "candidatesTokenCount": answered, "totalTokenCount": asked + answered}
            body["usageMetadata"] = counts
        return body


def _seconds(headers: Mapping[str, str]) -> float | None:
    """The wait that a script asks for, out of the headers that other providers send it in."""
    if "retry-after-ms" in headers:
        return float(headers["retry-after-ms"]) / 1000
    return float(headers["retry-after"]) if "retry-after" in headers else None
