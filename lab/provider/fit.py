"""Whether a model can take what it is to be sent: known before anything is sent, and so before anything is spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from lab import errors
from lab.provider.loading import load
from lab.provider.prices import listed
from lab.provider.tokens import count
from lab.show.text import plain_text

SLACK = 1.15
"""How far the count of another tokenizer than OpenAI's may be off before a text is called too long."""
_NEEDS = {
    "image_url": ("supports_vision", "images"),
    "input_audio": ("supports_audio_input", "audio"),
    "file": ("supports_pdf_input", "files"),
}


def fit(
    model: str, name: str, messages: Sequence[Any], params: Mapping[str, Any], own: Mapping[str, Any] | None = None
) -> None:
    """Raise `UnsupportedError`, naming the field, where the model's context window can't hold the messages and
    `max_tokens` of answer, or where a part is of a kind that it does not take. A model that is on no list, or at an
    address of the caller's own, is asked as it is."""
    if own is None and ("api_base" in params or "base_url" in params):
        return
    entry, exact = (own, False) if own is not None else _entry(name)
    if entry is None:
        return
    for number, message in enumerate(messages):
        content = message.get("content")
        for place, part in enumerate(content if isinstance(content, list) else ()):
            needs, what = _NEEDS.get(part.get("type"), (None, ""))
            if needs and not entry.get(needs):
                raise errors.UnsupportedError(f"messages[{number}].content[{place}]: {model} takes no {what}")
    window = entry.get("max_input_tokens") or entry.get("max_tokens")
    if not window:
        return
    room = params.get("max_completion_tokens") or params.get("max_tokens") or 0
    room = room if isinstance(room, int) and own is not None else 0  # elsewhere the answer may have a limit of its own
    text = plain_text(messages)
    most = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    if most + 8 * len(messages) + room <= window:  # a token is a byte at least
        return
    size = count(text) + 4 * len(messages)
    if (size if exact else size / SLACK) + room > window:
        answer = f" and {room:,} of answer (max_tokens)" if room else ""
        raise errors.UnsupportedError(
            f"the prompt is about {size:,} tokens{answer}: {model} holds {window:,}. Shorten it, or ask a larger model"
        )


@lru_cache(maxsize=512)
def _entry(name: str) -> tuple[Mapping[str, Any] | None, bool]:
    """What LiteLLM's list says of a model, and whether tokens are counted here as it counts them."""
    litellm = load()
    try:
        model, provider, _, _ = litellm.get_llm_provider(name)
    except litellm.exceptions.BadRequestError:
        return None, False
    return listed(provider, model), provider == "openai"
