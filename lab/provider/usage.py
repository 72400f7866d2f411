"""What an answer used: as its provider says, or counted here where that can't be read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lab.provider.tokens import count
from lab.show.text import plain_text
from lab.values import Usage

_INPUT = ("prompt_tokens", "input_tokens", "promptTokens", "inputTokens", "prompt_token_count", "promptTokenCount")
_OUTPUT = (
    "completion_tokens",
    "output_tokens",
    "completionTokens",
    "outputTokens",
    "candidates_token_count",
    "candidatesTokenCount",
)
"""The names under which servers give the two totals, OpenAI's first."""
_INPUT_DETAILS, _OUTPUT_DETAILS = (
    ("prompt_tokens_details", "input_tokens_details"),
    ("completion_tokens_details", "output_tokens_details"),
)
MOST = 1e12
"""Tokens beyond which a number is no count."""


def tokens(holder: Any, *names: str) -> int | None:
    """The count under the first of `names` that `holder` has; None where it has none, or where it is no count: text,
    negative, not finite, absurd."""
    if not isinstance(holder, Mapping):
        return None
    value = next((holder[name] for name in names if holder.get(name) is not None), None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST:
        return None
    return int(value)


def read(told: Any, raw: Any = None) -> Usage | None:
    """Disjoint buckets out of an OpenAI-shaped usage object, whose totals include the parts; `raw` is what was sent.
    None where one of the totals can't be read, or both are 0, as no answer's are: that would be an exact cost of $0.

    Some providers (xAI) leave reasoning out of `completion_tokens`; their `total_tokens` tells.
    """
    total_in, total_out = tokens(told, *_INPUT), tokens(told, *_OUTPUT)
    if total_in is None or total_out is None or not (total_in or total_out):
        return None
    sent = next((told[name] for name in _INPUT_DETAILS if told.get(name)), None)
    received = next((told[name] for name in _OUTPUT_DETAILS if told.get(name)), None)
    cached = min(total_in, tokens(sent, "cached_tokens") or tokens(told, "cache_read_input_tokens") or 0)
    written = tokens(sent, "cache_creation_tokens") or tokens(told, "cache_creation_input_tokens") or 0
    written = min(total_in - cached, written)
    reasoning = tokens(received, "reasoning_tokens") or 0
    if reasoning and tokens(told, "total_tokens") == total_in + total_out + reasoning:
        total_out += reasoning
    reasoning = min(total_out, reasoning)
    return Usage(
        input=total_in - cached - written,
        cache_read=cached,
        cache_write=written,
        output=total_out - reasoning,
        reasoning=reasoning,
        raw=_plain(told if raw is None else raw),
    )


def readable(count: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """What LiteLLM makes of a usage; None where it trips over it: then it is counted here, and the answer stands."""
    try:
        return count()
    except Exception:  # whatever it was, it is no reason to lose an answer that came
        return None


def counted(
    messages: Sequence[Any], text: str, tools: Sequence[Any] = (), raw: Any = None, reasoning: str = ""
) -> Usage:
    """An estimate of what was sent and of what came; `raw`: what the provider said instead."""
    came = text + "".join(json.dumps(tool.get("function"), default=str) for tool in tools)
    return Usage(
        input=count(plain_text(messages)) + 4 * len(messages),
        output=count(came) if came else 0,
        reasoning=count(reasoning) if reasoning else 0,
        estimated=True,
        raw=_plain(raw) if isinstance(raw, Mapping) else None,
    )


def _plain(raw: Any) -> Any:
    return json.loads(json.dumps(raw, default=str))
