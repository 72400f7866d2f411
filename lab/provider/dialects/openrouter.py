"""OpenRouter: OpenAI's words, with what a call cost, errors in mid-stream, and thoughts to be handed back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lab.provider.dialects import openai
from lab.provider.loading import load
from lab.provider.request import Order, Part, Request


def written(order: Order) -> Request | None:
    """The request; LiteLLM's handler knows the address, and says who asks."""
    base = order.base or os.environ.get("OPENROUTER_API_BASE") or "https://openrouter.ai/api/v1"
    key = order.key or os.environ.get("OPENROUTER_API_KEY") or os.environ.get("OR_API_KEY")
    who = {
        "HTTP-Referer": os.environ.get("OR_SITE_URL") or "https://litellm.ai",
        "X-Title": os.environ.get("OR_APP_NAME") or "liteLLM",
    }
    request = openai.written(replace(order, base=base, key=key), headers=who)
    return None if request is None else replace(request, reading=OpenRouterReading)


class OpenRouterReading(openai.OpenAIReading):
    """One answer, and what it cost."""

    def whole(self, body: dict[str, Any]) -> Part:
        """The answer; a provider behind it that failed says so in a choice."""
        part = super().whole(body)
        self._keep(body["choices"][0]["message"].get("reasoning_details"))
        return part

    def delta(self, event: dict[str, Any]) -> Part | None:
        """What an event adds."""
        choices = event.get("choices") or [{}]
        if isinstance(choices[0], dict) and isinstance(choices[0].get("delta"), dict):
            self._keep(choices[0]["delta"].pop("reasoning_details", None))
        return super().delta(event)

    def _reader(self) -> Any:
        """OpenAI's: LiteLLM's own adds the cost, and wants more fields than an answer needs."""
        return load().OpenAIGPTConfig()

    def _note(self, fields: Mapping[str, Any]) -> None:
        super()._note(fields)
        used = fields.get("usage")
        if not isinstance(used, Mapping) or _dollars(used.get("cost")) is None:
            return
        self.told.charged = _dollars(used["cost"])
        if used.get("is_byok"):  # with a key of one's own the provider is paid, too
            details = used.get("cost_details")
            upstream = _dollars(details.get("upstream_inference_cost")) if isinstance(details, Mapping) else None
            self.told.charged = None if upstream is None else self.told.charged + upstream

    def _keep(self, details: Any) -> None:
        """Thoughts with their signatures, as they are to be handed back; their pieces share an index."""
        pieces = [piece for piece in details if isinstance(piece, dict)] if isinstance(details, list) else []
        kept: list[dict[str, Any]] = self.told.extra.setdefault("reasoning_details", []) if pieces else []
        for detail in pieces:
            before = next((known for known in kept if _goes_on(known, detail)), None)
            if before is None:
                kept.append(dict(detail))
                continue
            for field, value in ((field, value) for field, value in detail.items() if value is not None):
                grows = field in ("text", "summary", "data") and isinstance(before.get(field), str)
                before[field] = before[field] + value if grows and isinstance(value, str) else value


def _goes_on(known: Mapping[str, Any], piece: Mapping[str, Any]) -> bool:
    """Whether a piece goes on with what is known."""
    same = known.get("index") is not None and known.get("index") == piece.get("index")
    return same and known.get("type") == piece.get("type")


def _dollars(value: Any) -> float | None:
    plain = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6
    return float(value) if plain else None
