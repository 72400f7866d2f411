"""What LiteLLM's exceptions mean: each is one of the kinds."""

from __future__ import annotations

import time
from typing import Any

import httpx

from lab import errors, redact
from lab.provider import failures
from lab.provider.loading import load
from lab.values import Call

_TRIPPED = (AttributeError, ImportError, LookupError, TypeError, ValueError)
"""What a reader raises over an answer it did not expect."""


def meaning(failed: BaseException, call: Call) -> errors.LabError:
    """The kind of failure behind one of LiteLLM's exceptions, without secrets."""
    known = load().exceptions
    if isinstance(failed, known.MidStreamFallbackError) and failed.original_exception is not None:
        return meaning(failed.original_exception, call)  # a status that came before the stream is in there, too
    model, hidden = call.model, redact.secrets(call.params)
    message = failures.message_of(redact.text(str(getattr(failed, "message", failed)), hidden))
    bottom = _bottom(failed)
    if isinstance(bottom, httpx.TimeoutException):
        return errors.TimeoutError(f"{model}: {message}", phase="connect")
    if isinstance(bottom, httpx.TransportError):
        return errors.TransportError(f"{model}: no whole answer: {redact.text(str(bottom), hidden)}")
    status = getattr(failed, "status_code", None)
    status = int(status) if isinstance(status, int | str) and str(status).isdigit() else None
    body = redact.text(str(getattr(failed, "body", None) or message), hidden)
    for names, cls, words, more in _KINDS:
        if isinstance(failed, tuple(getattr(known, name) for name in names)):
            return cls(f"{model}: {words}{message}", status=status, body=body, **more)
    if isinstance(failed, known.APIConnectionError):
        if isinstance(bottom, _TRIPPED):
            return errors.MalformedError(f"{model}: the answer can't be read: {message}", body=body)
        return errors.TransportError(f"{model}: {message}", body=body)
    if status is not None and status >= 300:
        headers = dict(getattr(getattr(failed, "response", None), "headers", None) or {})
        return failures.from_status(status, headers, f"{message}\n{body}", model=model, now=time.time())
    return errors.ProviderError(f"{model}: {message}", body=body)


_KINDS: tuple[tuple[tuple[str, ...], type[errors.LabError], str, dict[str, Any]], ...] = (
    (("ContextWindowExceededError",), errors.UnsupportedError, "more than the context window holds: ", {}),
    (("LiteLLMUnknownProvider",), errors.UnsupportedError, "", {}),
    (
        ("ContentPolicyViolationError", "BlockedPiiEntityError", "GuardrailRaisedException", "ModifyResponseException"),
        errors.ContentError,
        "refused by a filter: ",
        {"reason": "filtered"},
    ),
    (("UnsupportedParamsError", "ImageFetchError"), errors.InvalidRequestError, "", {}),
    (("Timeout",), errors.TimeoutError, "", {"phase": "attempt"}),
    (("APIResponseValidationError", "JSONSchemaValidationError"), errors.MalformedError, "", {}),
    (("MidStreamFallbackError",), errors.TransportError, "", {}),
    (("BudgetExceededError",), errors.BudgetError, "", {}),
)
"""Exceptions whose class says more than their status; the more special first."""


def _bottom(failed: BaseException) -> BaseException:
    """What was raised first, under LiteLLM's wrappings; a broken connection wherever it is."""
    seen = failed
    for _ in range(12):
        if isinstance(seen, httpx.TransportError):
            return seen
        below = seen.__cause__ or seen.__context__
        if below is None:
            return seen
        seen = below
    return seen
