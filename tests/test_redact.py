"""Secrets are taken out by name, by value and by shape; what is none stays."""

from __future__ import annotations

import pytest

from lab import redact


def test_parameters_are_masked_by_name_at_any_depth() -> None:
    masked = redact.params(
        {
            "api_key": "planted-1",
            "extra_headers": {"X-Anything": "planted-2"},
            "extra_body": {"auth": {"access_token": "planted-3"}, "list": [{"password": "planted-4"}]},
            "temperature": 0.5,
            "max_tokens": 9,
            "stop": ["key"],
        }
    )
    assert "planted" not in str(masked)
    assert (masked["temperature"], masked["max_tokens"], masked["stop"]) == (0.5, 9, ["key"])


def test_addresses_lose_their_credentials() -> None:
    params = {
        "api_base": "http://user:hunter2secret@host/v1?api-key=hunter3secret",
        "extra_body": {"api_keys": ["hunter4secret"]},
    }
    assert "hunter" not in str(redact.params(params))
    assert {"hunter2secret", "hunter3secret", "hunter4secret"} <= redact.secrets(params)


def test_values_of_parameters_headers_and_environment_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "planted-env-1")
    known = redact.secrets({"api_key": "planted-par-1", "extra_headers": {"Authorization": "Bearer planted-hed-1"}})
    message = "a planted-env-1 b planted-par-1 c planted-hed-1 d Bearer planted-hed-1"
    assert redact.text(message, known) == "a [redacted] b [redacted] c [redacted] d [redacted]"


@pytest.mark.parametrize(
    "secret",
    ["sk-proj-abcdefghijklmnop", "gsk_abcdefghijklmnop", "AIzaSyA1234567890abcdefghijk", "Bearer abcdefgh12345"],
)
def test_what_is_shaped_like_a_key_is_taken_out(secret: str) -> None:
    assert secret.removeprefix("Bearer ") not in redact.text(f"Incorrect key provided: {secret}.")


def test_ordinary_words_stay() -> None:
    text = "the task-oriented skeleton asked for a token bucket"
    assert redact.text(text) == text
