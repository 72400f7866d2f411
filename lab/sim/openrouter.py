"""A script in OpenRouter's words: OpenAI's, with comments while it waits, errors as they come from behind it, and what
a call cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from lab.sim.openai import OpenAI
from lab.sim.script import Step

_DOLLARS = 3e-6
"""US dollars a token, whatever the model."""


class OpenRouter(OpenAI):
    """One answer under way."""

    THOUGHTS = "reasoning"

    @classmethod
    def error(cls, status: int, code: str, message: str, headers: Mapping[str, str]) -> web.Response:
        """The status is its code; what the provider behind it said is in the metadata."""
        if code == "insufficient_quota":
            return web.json_response({"error": {"code": 402, "message": "Insufficient credits"}}, status=402)
        if code == "content_filter":
            flagged = {"reasons": ["violence"], "flagged_input": "..."}
            error = {"code": 403, "message": "The input was flagged by moderation", "metadata": flagged}
            return web.json_response({"error": error}, status=403)
        metadata = {"provider_name": "Sim", "raw": message}
        error = {"code": status, "message": "Provider returned error", "metadata": metadata}
        return web.json_response({"error": error}, status=status, headers=headers)

    def told(self) -> dict[str, Any]:
        """The plain answer, or the error of a provider behind it."""
        errors = [step.text for step in self.script.steps if step.action == "error"]
        return {"error": {"code": 502, "message": errors[0]}} if errors else self.whole()

    def events(self, step: Step) -> Iterator[str]:
        """A comment first; an error in mid-stream ends a choice, too."""
        if not self._started:
            yield ": OPENROUTER PROCESSING\n\n"
        if step.action == "error":
            error = {"code": 502, "message": step.text, "metadata": {"provider_name": "Sim"}}
            choices = [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]
            yield self.data({**self._chunk_head(), "error": error, "choices": choices})
            return
        yield from super().events(step)

    def _usage(self) -> dict[str, Any]:
        used = super()._usage()
        return used | {"cost": used["total_tokens"] * _DOLLARS, "is_byok": False}
