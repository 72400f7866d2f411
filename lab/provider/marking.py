"""What of a prompt stays the same from call to call, marked for providers that keep it when they are told to."""

from __future__ import annotations

from typing import Any

from lab.values import Call

MARK = {"type": "ephemeral"}


def stable(call: Call) -> bool:
    """Whether the system's messages of a call are said to stay the same."""
    return call.prompt is not None and call.prompt.stable == "system"


def takes_marks(provider: str, model: str) -> bool:
    """Whether such a mark means anything to it: others keep what they have seen by themselves, or not at all."""
    low = model.lower()
    if provider in ("bedrock", "vertex_ai"):
        return "claude" in low
    return provider == "anthropic" or (provider == "openrouter" and any(name in low for name in ("claude", "gemini")))


def marked(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages, the last one of the system's marked: what stands up to there is to be kept."""
    places = [place for place, message in enumerate(messages) if message.get("role") == "system"]
    if not places:
        return messages
    last = messages[places[-1]]
    content = last.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())
    if not parts:
        return messages
    changed = {**last, "content": [*parts[:-1], {**parts[-1], "cache_control": dict(MARK)}]}
    return [changed if place == places[-1] else message for place, message in enumerate(messages)]
