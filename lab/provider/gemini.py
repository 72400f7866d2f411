"""What Gemini's raw answers say that LiteLLM's reading of them hides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.provider.usage import tokens

_FILTERS = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY")
FINISHES = {"STOP": "stop", "MAX_TOKENS": "length", **dict.fromkeys(_FILTERS, "content_filter")}
"""Gemini's finish reasons in OpenAI's words; any other is no good end."""


class GeminiShape:
    """The error, the finish and the usage of one answer, whole or event by event."""

    def __init__(self) -> None:
        self.error: Any = None
        self.finish: str | None = None
        self.usage: Mapping[str, Any] | None = None
        self.candidates = False

    def note(self, payload: dict[str, Any]) -> None:
        """One `GenerateContentResponse`."""
        self.error = payload.get("error") or self.error
        if (payload.get("promptFeedback") or {}).get("blockReason"):
            self.finish = "SAFETY"
        usage = payload.get("usageMetadata")
        self.usage = usage if _readable(usage) else self.usage
        for candidate in payload.get("candidates") or ():
            if isinstance(candidate, dict) and not candidate.get("index"):
                self.candidates = True
                self.finish = candidate.get("finishReason") or self.finish

    def mended(self, answer: dict[str, Any], *, whole: bool) -> dict[str, Any]:
        """Without a usage that can't be read, at which LiteLLM trips; it reads no whole answer without any."""
        if "error" in answer or _readable(answer.get("usageMetadata")):
            return answer
        if whole:
            return {**answer, "usageMetadata": {}}
        if "usageMetadata" not in answer:
            return answer
        return {name: value for name, value in answer.items() if name != "usageMetadata"}


def _readable(usage: Any) -> bool:
    """Whether it says how much was sent; an empty answer's has no `candidatesTokenCount`."""
    if not isinstance(usage, Mapping) or tokens(usage, "promptTokenCount") is None:
        return False
    return usage.get("candidatesTokenCount") is None or tokens(usage, "candidatesTokenCount") is not None
