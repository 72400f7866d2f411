"""Secrets out of whatever is about to be kept or shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "[redacted]"
_NAME = re.compile(r"key|token(?!s)|secret|passw|authori[sz]ation|credential|cookie", re.IGNORECASE)
_NOT_SECRET = {"prompt_cache_key", "max_tokens"}
_SHAPES = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|r8|pplx|nvapi)[-_][A-Za-z0-9_-]{12,}|\bAIza[A-Za-z0-9_-]{20,}|(?<=Bearer )[^\s\"',]{8,}"
)


def secrets(params: Mapping[str, Any]) -> set[str]:
    """The values that must not be kept: those of secret-looking parameters, headers and environment variables."""
    found = {value for name, value in os.environ.items() if _is_secret(name)}
    found |= set(_secret_values(params))
    return {value for value in found if len(value) >= 8}


def params(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with secret-looking entries masked, at any depth; header values are masked whole."""
    return {name: _masked(name, value) for name, value in values.items()}


def text(value: str, known: Iterable[str] = ()) -> str:
    """`value` without the `known` secrets and without anything shaped like a provider's key."""
    for secret in sorted(known, key=len, reverse=True):
        value = value.replace(secret, MASK)
    return _SHAPES.sub(MASK, value)


def _is_secret(name: str) -> bool:
    return name not in _NOT_SECRET and bool(_NAME.search(name))


def _masked(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        whole = "headers" in name
        return {key: MASK if whole else _masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked("", inner) for inner in value]
    return MASK if isinstance(value, str) and _is_secret(name) else value


def _secret_values(values: Mapping[str, Any]) -> Iterable[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            for inner_name, inner in value.items():
                if isinstance(inner, str) and ("headers" in name or _is_secret(str(inner_name))):
                    yield inner
                    yield inner.removeprefix("Bearer ")
        elif isinstance(value, str) and _is_secret(name):
            yield value
