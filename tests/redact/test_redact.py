"""Secrets are taken out by name, by value and by shape; what is none stays."""

from __future__ import annotations

import base64
import random

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


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Token planted-0123456789",
        "authorization='Basic cGxhbnRlZDpwbGFudGVk planted'",
        '{"Authorization": "planted0123"}',
        "got bearer planted0123456789 for it",
        "BEARER planted_token_value",
        "can't reach http://planted-user:planted@proxy:3128/",
        "can't reach socks5://:planted@proxy",
    ],
)
def test_what_a_header_or_an_address_carries_is_taken_out(text: str) -> None:
    assert "planted" not in redact.text(text.replace(" planted'", "'"))


@pytest.mark.parametrize("name", ["https_proxy", "HTTP_PROXY", "ALL_PROXY", "DATABASE_URL"])
def test_the_password_of_a_proxy_is_a_secret(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is written in the address, as it is meant, and as a header has it."""
    monkeypatch.setenv(name, "http://ann:hunter%40planted@proxy.example:3128")
    known = redact.secrets({})
    header = base64.b64encode(b"ann:hunter@planted").decode()
    for said in ("hunter%40planted", "hunter@planted", header):
        assert said not in redact.text(f"proxy said {said}, ann", known)
    assert "ann" in redact.text("ann", known)


@pytest.mark.parametrize(
    "text",
    [
        "the task-oriented skeleton asked for a token bucket",
        "the bearer certificates and token generation of http://example.com/a:b@c",
        "authorization: who may do what",
        "write to ann@example.com: soon",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert redact.text(text) == text


PIECES = [
    *("sk-", "hf_", "gsk_", "task-", "AIza", "abcDEF123456_x", "x" * 22, "token_abc12345", "9", "@", "/", '"', ","),
    *("Bearer ", "bearer  ", "Authorization: ", "authorization=", "AUTHORIZATION : ", "Basic ", "://", "u:p@", " "),
    *("\n", "\t", "é", "狐", "İ", "\ud83d"),
]


def test_a_long_text_is_masked_as_a_short_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is cut on the way, and whatever stands together."""
    draw = random.Random(7)
    texts = ["".join(draw.choices(PIECES, k=draw.randint(1, 14))) for _ in range(5000)]
    short = [redact.text(text, {"DEF123456_"}) for text in texts]
    monkeypatch.setattr(redact, "LONG", 0)
    monkeypatch.setattr(redact.long, "BITE", 5)
    assert [redact.text(text, {"DEF123456_"}) for text in texts] == short
    assert sum(text != masked for text, masked in zip(texts, short, strict=True)) > 1000
