"""What an HTTP answer that is no success means: status, headers and body -> one of the kinds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from lab import errors
from lab.show.text import shortened

_QUOTA = ("insufficient_quota", "billing", "credit balance", "exceeded your current quota", "payment required")
_CONTEXT = (
    "context_length_exceeded",
    "context window",
    "maximum context length",
    "exceed_context_size",
    "too long:",
    "exceeds the maximum number of tokens",
)
_FILTER = ("content_filter", "content_policy", "responsibleaipolicy", "content management policy", "content filtering")
_FLAGGED = ("flagged_input", "flagged by moderation")
_KEY = ("api_key_invalid", "api key not valid", "api key expired")
_NO_MODEL = ("model_not_found", "does not exist", "no such model", "unknown model", "model not found")


def from_status(
    status: int, headers: Mapping[str, str], body: str, *, model: str, now: float, inside: bool = False
) -> errors.LabError:
    """The failure behind an HTTP status of 300 or more, or one that is said `inside` an answer. `now` is Unix time, for
    dates in `Retry-After`."""
    told = "" if inside else f" (HTTP {status})"
    message = message_of(body)
    low = body.lower()
    wait = retry_after(headers, now)
    wait = _google_wait(body) if wait is None else wait

    def failure(cls: type[errors.LabError], text: str, **more: Any) -> errors.LabError:
        return cls(f"{model}: {text}{told}", status=status, body=body, retry_after=wait, **more)

    def says(words: tuple[str, ...]) -> bool:
        return any(word in low for word in words)

    if status == 429 and "perminute" in low:  # Gemini calls its rates quotas
        return failure(errors.RateLimitError, f"too many requests: {message}{_hint(wait)}")
    if status == 402 or (status in (400, 403, 429) and says(_QUOTA)):
        return failure(errors.QuotaError, f"the account has no quota left: {message}")
    if status == 429:
        return failure(errors.RateLimitError, f"too many requests: {message}{_hint(wait)}")
    if status == 403 and says(_FLAGGED):
        return failure(errors.ContentError, f"the provider's filter refused the request: {message}", reason="filtered")
    if status in (401, 403) or (status == 400 and says(_KEY)):
        return failure(errors.AuthError, f"the provider refuses the key: {message}")
    if status in (408, 504):
        return failure(errors.TimeoutError, f"the provider timed out: {message}", phase="attempt")
    if status == 404 or (status == 400 and says(_NO_MODEL)):
        return failure(errors.UnsupportedError, f"no such model or address: {message}")
    if status in (400, 413, 422) and says(_CONTEXT):
        return failure(errors.UnsupportedError, f"more than the model's context window holds: {message}")
    if status == 400 and says(_FILTER):
        return failure(errors.ContentError, f"the provider's filter refused the request: {message}", reason="filtered")
    if status >= 500:
        return failure(errors.ProviderError, f"the provider failed: {message}")
    if 300 <= status < 400:
        return failure(errors.ProviderError, "the provider redirects elsewhere, which is not followed")
    return failure(errors.InvalidRequestError, f"the provider refuses the request: {message}")


def from_object(error: Any, *, model: str, status: int) -> errors.LabError:
    """The failure behind an error object inside an answer that said success; its secrets are out already."""
    body = json.dumps(error, ensure_ascii=False)
    message = message_of(body)
    code = str(error.get("code") or error.get("type")) if isinstance(error, dict) else ""
    if code.isdecimal() and len(code) == 3 and 400 <= int(code) < 600:  # the status that it would have had
        failure = from_status(int(code), {}, body, model=model, now=0.0, inside=True)
        failure.status = status
        return failure
    if code in ("rate_limit_exceeded", "rate_limit_error"):
        return errors.RateLimitError(f"{model}: too many requests: {message}", status=status, body=body)
    if code in ("insufficient_quota", "billing_error"):
        return errors.QuotaError(f"{model}: the account has no quota left: {message}", status=status, body=body)
    return errors.ProviderError(
        f"{model}: the provider sent an error as its answer: {message}", status=status, body=body
    )


def _hint(wait: float | None) -> str:
    return "" if wait is None else f"; it asks for {wait:g} s"


def _google_wait(body: str) -> float | None:
    """The wait that Google's error details ask for (`RetryInfo`), in seconds."""
    match = re.search(r'"retryDelay":\s*"([0-9.]{1,9})s"', body)
    try:
        return float(match[1]) if match else None
    except ValueError:
        return None


def message_of(body: str) -> str:
    """What a provider's error body says, on one line of at most 300 characters."""
    try:
        content: Any = json.loads(body)
    except ValueError:
        content = body
    for _ in range(3):
        if isinstance(content, list) and content:
            content = content[0]
        elif isinstance(content, dict):
            content = _behind(content) or next(
                (content[name] for name in ("error", "message", "detail", "msg") if content.get(name)),
                json.dumps(content),
            )
    line = " ".join(str(content).split()) or "nothing more was said"
    return shortened(line, 300)


def _behind(error: dict[str, Any]) -> str | None:
    """What the provider behind OpenRouter said, or the categories that Azure's filter caught, with the message."""
    metadata, inner = error.get("metadata"), error.get("innererror")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if isinstance(raw, str) and raw:
        return f"{error['message']}: {raw}" if error.get("message") else raw
    caught = inner.get("content_filter_result") if isinstance(inner, dict) else None
    return f"{error.get('message') or 'filtered'} ({words})" if (words := filtered(caught)) else None


def filtered(results: Any) -> str | None:
    """The categories that a filter caught, in words; None where it caught nothing."""
    if not isinstance(results, Mapping):
        return None
    caught = [
        f"{category} ({result['severity']})" if result.get("severity") else str(category)
        for category, result in results.items()
        if isinstance(result, Mapping) and result.get("filtered")
    ]
    return ", ".join(caught) or None


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The wait that the headers ask for, in seconds; None when they ask for none or can't be read."""
    low = {name.lower(): value for name, value in headers.items()}
    try:
        if "retry-after-ms" in low:
            return max(0.0, float(low["retry-after-ms"]) / 1000)
        if "retry-after" not in low:
            return None
        return max(0.0, float(low["retry-after"]))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(low.get("retry-after", ""))
    except (ValueError, OverflowError):
        return None
    return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now)
