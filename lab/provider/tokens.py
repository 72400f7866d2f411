"""Tokens counted here, where a provider does not say."""

from __future__ import annotations

import importlib


def count(text: str) -> int:
    """About how many tokens `text` is: those of the encoding that LiteLLM ships (cl100k). Nothing is downloaded.

    LiteLLM's own counter picks a tokenizer by the model's name, and fetches it from the network.
    """
    encoding = importlib.import_module("litellm.litellm_core_utils.default_encoding").encoding
    short = text[:200_000]
    tokens = len(encoding.encode(short, disallowed_special=()))
    return tokens if len(short) == len(text) else round(tokens * len(text) / len(short))
