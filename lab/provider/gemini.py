"""What Gemini's raw answers say that LiteLLM's reading of them hides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
        self.usage = payload.get("usageMetadata") or self.usage
        for candidate in payload.get("candidates") or ():
            if isinstance(candidate, dict) and not candidate.get("index"):
                self.candidates = True
                self.finish = candidate.get("finishReason") or self.finish

    def mended(self, answer: dict[str, Any]) -> dict[str, Any]:
        """With a usage: LiteLLM reads no answer without."""
        return answer if "usageMetadata" in answer or "error" in answer else {**answer, "usageMetadata": {}}
