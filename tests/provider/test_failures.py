"""What an HTTP answer that is no success means."""

from __future__ import annotations

import json
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import errors
from lab.provider import failures

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "bad field", "invalid_request"),
        (413, "too large", "invalid_request"),
        (422, "bad field", "invalid_request"),
        (418, "teapot", "invalid_request"),
        (401, "bad key", "auth"),
        (403, "not allowed", "auth"),
        (402, "pay first", "quota"),
        (429, "You exceeded your current quota, please check your plan", "quota"),
        (400, "Your credit balance is too low", "quota"),
        (429, "slow down", "rate_limit"),
        (404, "no route", "unsupported"),
        (400, "The model `x` does not exist", "unsupported"),
        (400, "This model's maximum context length is 8192 tokens", "unsupported"),
        (400, "prompt is too long: 9000 tokens > 8000", "unsupported"),
        (400, "blocked by our content management policy", "content"),
        (408, "", "timeout"),
        (504, "", "timeout"),
        (500, "boom", "provider"),
        (502, "<html>", "provider"),
        (503, "busy", "provider"),
        (529, "overloaded", "provider"),
        (302, "", "provider"),
    ],
)
def test_a_status_has_its_kind(status: int, message: str, kind: str) -> None:
    body = json.dumps({"error": {"message": message}})
    failure = failures.from_status(status, {}, body, model="m", now=NOW)
    assert failure.kind == kind
    assert (failure.status, failure.body) == (status, body)
    assert str(failure).startswith("m: ")


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(NOW - 30, usegmt=True)}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "soon"}, None),
    ],
)
def test_retry_after_in_seconds_as_a_date_and_in_milliseconds(headers: dict, wait: float | None) -> None:
    assert failures.retry_after(headers, NOW) == wait


@given(st.text())
def test_any_error_body_becomes_one_short_line(body: str) -> None:
    line = failures.message_of(body)
    assert line
    assert len(line) <= 300
    assert "\n" not in line


@pytest.mark.parametrize(
    "body",
    [
        '{"error": {"message": "why", "code": 1}}',
        '{"error": "why"}',
        '{"message": "why"}',
        '[{"error": {"message": "why"}}]',
        '{"detail": "why"}',
        " why\n",
    ],
)
def test_the_message_is_found_in_many_shapes(body: str) -> None:
    assert failures.message_of(body) == "why"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "x", "code": "rate_limit_exceeded"}, "rate_limit"),
        ({"message": "x", "code": 429}, "rate_limit"),
        ({"message": "x", "type": "insufficient_quota"}, "quota"),
        ({"message": "x"}, "provider"),
        ("x", "provider"),
    ],
)
def test_an_error_object_inside_a_success_has_its_kind(error: object, kind: str) -> None:
    failure = failures.from_object(error, model="m", status=200)
    assert failure.kind == kind
    assert str(failure).endswith(": x")


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = [line.split() for line in errors.__doc__.split("\n") if "──" in line]
    listed = {(words[1], words[2]) for words in drawn}
    assert listed == {(cls.__name__, kind) for kind, cls in errors.BY_KIND.items()}
    assert set(errors.BY_KIND) == set(errors.Kind.__args__)
