"""Secrets out of whatever is about to be kept or shown."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from lab.redact import long

MASK = "[redacted]"
_NAME = re.compile(r"key|token(?!s)|secret|passw|^auth|authori[sz]ation|credential|cookie", re.IGNORECASE)
_ADDRESSES = {"api_base", "base_url"}
_NOT_SECRET = {"prompt_cache_key", "max_tokens"}
_MAKERS = "sk pk rk gsk xai hf r8 pplx nvapi".split()
_BEGIN = r"(?:\b|(?<=\\[bfnrt]))"
"""Where a word begins, behind an escape, too: `\\nsk-...` in JSON."""
_SHAPES = re.compile(
    rf"{_BEGIN}(?:{'|'.join(_MAKERS)})[-_][A-Za-z0-9_-]{{12,}}|{_BEGIN}AIza[A-Za-z0-9_-]{{20,}}"
    r"|(?<=Bearer )[^\s\"',]{8,}"
)
_BEGINNINGS = (*(f"{maker}{joint}" for maker in _MAKERS for joint in "-_"), "AIza")
_ASKED_AS = re.compile(r"(?<=://)[^\s/@:\"']*:[^\s/@\"']+(?=@)")
"""Who an address is asked as."""
_CARRIED = re.compile(
    r"(\bauthorization[\"']?\s*[:=]\s*[\"']?(?:[a-z-]+\s+)?|\bbearer\s+)(?=[^\s\"',]*[\d_])[^\s\"',]{8,}",
    re.IGNORECASE,
)
"""A credential as a header carries it: after `Authorization:` in any scheme, and after `Bearer` on its own."""
_CARRIERS = re.compile(r"\bauthorization|\bbearer", re.IGNORECASE)
LONG = 64 * 1024
"""Characters from which a text is looked at where there are marks, not all over."""

_PICTURE = re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,[A-Za-z0-9+/=]*\Z")
"""Bytes that have no words in them, and may be many."""


def secrets(params: Mapping[str, Any]) -> set[str]:
    """The values that must not be kept: those of secret-looking parameters, headers and environment variables."""
    return {form for value in _secret_values(params) if len(value) >= 8 for form in _forms(value)} | _in_environment()


def _forms(value: str) -> set[str]:
    """A secret as it is, and as JSON, Python or a quoted JSON write it: where it has quotes or backslashes."""
    if not any(char in value for char in "\"'\\/"):
        return {value}
    once = json.dumps(value, ensure_ascii=False)[1:-1]
    twice = json.dumps(once, ensure_ascii=False)[1:-1]
    return {value, once, twice, repr(value)[1:-1], repr(once)[1:-1], value.replace("/", "\\/")}


_CREDENTIAL = re.compile(r"(?:KEY|KEY_ID|TOKEN|SECRET|PASSWORD|CREDENTIALS?)$")
_PLACE = re.compile(r"(?:API_BASE|BASE_URL|ENDPOINT|ORGANIZATION|ORG_ID|PROJECT|PROJECT_ID|REGION|API_VERSION)$")
"""What says where a provider is asked, and for whom."""
_ALSO = {
    **{"GEMINI": ("GOOGLE",), "VERTEX_AI": ("GOOGLE", "VERTEX", "VERTEXAI"), "HUGGINGFACE": ("HF",)},
    **{"BEDROCK": ("AWS",), "SAGEMAKER": ("AWS",), "SCALEWAY": ("SCW",), "AZURE_AI": ("AZURE",)},
}
"""How the names of a provider's settings begin besides."""
_environment: tuple[dict[Any, Any], frozenset[str]] = ({}, frozenset())


def _in_environment() -> frozenset[str]:
    """Those of the environment, looked for again only when it has changed: it is asked for in every call."""
    global _environment
    now = getattr(os.environ, "_data", None)  # what the mapping stands on: compared without being decoded
    if now is None or now != _environment[0]:
        named = {value for name, value in os.environ.items() if is_secret(name)}
        carried = {part for value in os.environ.values() for part in _passwords(value)}
        _environment = (
            dict(now or {}),
            frozenset(form for value in named | carried if len(value) >= 8 for form in _forms(value)),
        )
    return _environment[1]


def credentials(model: str, key: str | None = None) -> dict[str, str]:
    """By whose key, and where, `model` is asked, as far as the environment says it: what begins like the name of its
    provider, or all keys where nothing does. Where a `key` was passed, keys don't count."""
    maker = model.partition("/")[0].upper().replace("-", "_") if "/" in model else ""
    makers = tuple(f"{name}_" for name in (maker, *_ALSO.get(maker, ())) if name)
    named = {name: value for name, value in os.environ.items() if value}
    keys = {name: value for name, value in named.items() if _CREDENTIAL.search(name)}
    own = {name: value for name, value in keys.items() if name.startswith(makers)} if makers else {}
    if not own:
        own = keys if makers else {name: value for name, value in keys.items() if name.endswith("API_KEY")}
    places = {name: value for name, value in named.items() if _PLACE.search(name)}
    places = {name: value for name, value in places.items() if not makers or name.startswith(makers)}
    return {**({} if key else own), **places}


def params(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with secret-looking entries masked, at any depth; header values are masked whole, addresses lose
    their credentials and the values of their queries."""
    return {name: _masked(name, value) for name, value in values.items()}


def text(value: str, known: Iterable[str] = ()) -> str:
    """`value` without the `known` secrets and without anything shaped like a provider's key."""
    for secret in sorted(known, key=len, reverse=True):
        value = value.replace(secret, MASK)
    if value.startswith("data:") and _PICTURE.match(value):
        return value
    if len(value) >= LONG:
        begun = {*long.after(value, *_BEGINNINGS, back=True), *long.after(value, "Bearer ")}
        value = long.masked(value, _SHAPES, MASK, begun)
        value = long.masked(value, _ASKED_AS, MASK, long.after(value, "://"))
        return long.masked(value, _CARRIED, rf"\1{MASK}", long.words(value, _CARRIERS, "authorization", "bearer"))
    value = _SHAPES.sub(MASK, value)
    if "://" in value and "@" in value:
        value = _ASKED_AS.sub(MASK, value)
    low = value.lower()  # looked for as a word first: this is done to every text of every call
    return _CARRIED.sub(rf"\1{MASK}", value) if "bearer" in low or "authorization" in low else value


_FIELDS = frozenset(
    "role content type text name id function arguments prompt_tokens completion_tokens total_tokens".split()
)
"""Names that most values have, which need no look."""


def deep(value: Any, each: Callable[[str], str], spared: tuple[str, ...] = ()) -> Any:
    """A JSON value with `each` applied to every text in it, names of fields too, but for fields that are `spared`."""
    if isinstance(value, str):
        return each(value)
    if isinstance(value, Mapping):
        return {
            name if name in _FIELDS or not isinstance(name, str) else each(name): (
                child if name in spared else deep(child, each, spared)
            )
            for name, child in value.items()
        }
    return [deep(child, each, spared) for child in value] if isinstance(value, list | tuple) else value


def is_secret(name: str) -> bool:
    """Whether a parameter, a header or a variable of this name holds one."""
    return name not in _NOT_SECRET and bool(_NAME.search(name))


def _masked(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        whole = "headers" in name
        return {key: MASK if whole else _masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(name, inner) for inner in value]
    if isinstance(value, str) and "://" in value and name in _ADDRESSES:
        for secret in _address_secrets(value):
            value = value.replace(secret, MASK)
        return value
    return MASK if isinstance(value, str) and is_secret(name) else value


def _passwords(value: str) -> Iterable[str]:
    """The password in an address (a proxy's, a database's): as it is written, as it is meant, as a header has it."""
    if "://" not in value or "@" not in value:
        return
    try:
        parts = urlsplit(value)
        password = parts.password
    except ValueError:
        return
    if password:
        user, meant = unquote(parts.username or ""), unquote(password)
        yield from (password, meant, base64.b64encode(f"{user}:{meant}".encode()).decode())


def _address_secrets(address: str) -> Iterable[str]:
    try:
        parts = urlsplit(address)
    except ValueError:  # no address at all: nothing of it is kept
        yield address
        return
    yield from (secret for secret in (parts.password, parts.username) if secret)
    for _, value in parse_qsl(parts.query):
        if len(value) >= 8:
            yield value


def _secret_values(values: Mapping[str, Any]) -> Iterable[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            for inner_name, inner in value.items():
                if isinstance(inner, str) and ("headers" in name or is_secret(str(inner_name))):
                    yield inner
                    yield inner.removeprefix("Bearer ")
                elif isinstance(inner, Mapping | list | tuple):
                    yield from _secret_values({str(inner_name): inner})
        elif isinstance(value, list | tuple) and is_secret(name):
            yield from (inner for inner in value if isinstance(inner, str))
        elif isinstance(value, str) and is_secret(name):
            yield value
            yield value.strip()
        elif isinstance(value, str) and name in _ADDRESSES and "://" in value:
            yield from _address_secrets(value)
