"""Each of LiteLLM's own exceptions has its kind: an upgrade can't add one that nobody looked at."""

from __future__ import annotations

import inspect

import httpx
import pytest

from lab.provider.loading import load
from lab.provider.meaning import meaning
from lab.values import Call

CALL = Call(call_id="c", model="m", messages=())
EXCEPTIONS = {
    name: cls
    for name, cls in vars(load().exceptions).items()
    if inspect.isclass(cls) and issubclass(cls, Exception) and cls.__module__.startswith("litellm")
}
KINDS = {
    "APIConnectionError": "transport",
    "APIError": "provider",
    "APIResponseValidationError": "malformed",
    "AuthenticationError": "auth",
    "BadGatewayError": "provider",
    "BadRequestError": "invalid_request",
    "BlockedPiiEntityError": "content",
    "BudgetExceededError": "budget",
    "ContentPolicyViolationError": "content",
    "ContextWindowExceededError": "unsupported",
    "GuardrailRaisedException": "content",
    "ImageFetchError": "invalid_request",
    "InternalServerError": "provider",
    "InvalidRequestError": "invalid_request",
    "JSONSchemaValidationError": "malformed",
    "LiteLLMUnknownProvider": "unsupported",
    "MidStreamFallbackError": "transport",
    "MockException": "provider",
    "ModelNotMappedError": "provider",
    "ModifyResponseException": "content",
    "NotFoundError": "unsupported",
    "OpenAIError": "provider",
    "PaymentRequiredError": "quota",
    "PermissionDeniedError": "auth",
    "RateLimitError": "rate_limit",
    "RejectedRequestError": "invalid_request",
    "SensitiveDataRouteException": "provider",
    "ServiceUnavailableError": "provider",
    "Timeout": "timeout",
    "UnprocessableEntityError": "invalid_request",
    "UnsupportedParamsError": "invalid_request",
    "VectorStoreSearchError": "invalid_request",
}
_VALUES = {
    "status_code": 500,
    "current_cost": 2.0,
    "max_budget": 1.0,
    "request_data": {},
    "failures": (),
    "original_exception": None,
}


def _instance(cls: type[Exception]) -> Exception:
    """One of these, as LiteLLM makes them."""
    needed = [
        name
        for name, parameter in inspect.signature(cls.__init__).parameters.items()
        if name != "self"
        and parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    status = 403 if cls.__name__ == "PermissionDeniedError" else 422
    response = httpx.Response(status, request=httpx.Request("POST", "http://m.invalid"))
    return cls(**{name: {**_VALUES, "response": response}.get(name, "told") for name in needed})


def test_every_one_of_them_is_known_here() -> None:
    assert set(EXCEPTIONS) == set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_each_has_its_kind(name: str) -> None:
    failure = meaning(_instance(EXCEPTIONS[name]), CALL)
    assert failure.kind == KINDS[name]
    assert str(failure).startswith("m: ")


def test_what_a_stream_exception_hides_is_found() -> None:
    """LiteLLM wraps whatever happens once a stream was asked for, a refusal with its status too."""
    inner = EXCEPTIONS["RateLimitError"]("slow down", "p", "m")
    outer = EXCEPTIONS["MidStreamFallbackError"]("m", "m", "p", original_exception=inner)
    assert meaning(outer, CALL).kind == "rate_limit"


@pytest.mark.parametrize(
    ("below", "kind"),
    [(KeyError("usage"), "malformed"), (httpx.ReadError("cut"), "transport"), (httpx.ConnectTimeout("t"), "timeout")],
)
def test_what_lies_below_decides(below: Exception, kind: str) -> None:
    failed = EXCEPTIONS["APIConnectionError"]("m", "p", "m")
    failed.__context__ = below
    assert meaning(failed, CALL).kind == kind
