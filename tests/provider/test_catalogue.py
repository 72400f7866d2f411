"""What is known of a model before it is called: its way, its prices, its context window, its key."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from lab.cli import app
from lab.provider import catalogue


def _known(name: str) -> catalogue.Known:
    return next(known for known in catalogue.listing(name) if known.model == name)


def test_a_listed_model_has_its_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    known = _known("anthropic/claude-haiku-4-5")
    assert (known.way, known.input, known.output, known.context) == ("wire", 1e-6, 5e-6, 200_000)
    assert known.key == "ANTHROPIC_API_KEY"
    monkeypatch.setenv("ANTHROPIC_API_KEY", "planted-secret-5f1c")
    assert _known("anthropic/claude-haiku-4-5").key == "there"
    assert _known("gemini/gemini-2.5-flash").way == "wire"
    assert _known("bedrock/anthropic.claude-3-haiku-20240307-v1:0").way == "carried"


def test_without_words_only_what_can_be_called_now(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {known.model for known in catalogue.listing()} == set(catalogue.own())
    monkeypatch.setenv("GROQ_API_KEY", "planted-secret-5f1c")
    more = {known.model.split("/")[0] for known in catalogue.listing()}
    assert more == {"local", "sim", "groq"}, (
        "no other provider's models, though LiteLLM says nothing of theirs is missing"
    )


def test_a_key_that_nobody_saw_is_not_there() -> None:
    keys = {known.model.split("/")[0]: known.key for known in catalogue.listing(everything=True)}
    assert "there" not in keys.values()
    assert (keys["bedrock"], keys["local"], keys["cohere_chat"]) == (
        "ambient",
        "not needed",
        "COHERE_API_KEY or CO_API_KEY",
    )


def test_a_model_on_no_list_is_looked_up() -> None:
    (known,) = catalogue.listing("openrouter/some/model")
    assert (known.way, known.key, known.input) == ("wire", "OPENROUTER_API_KEY", None)
    assert catalogue.listing("nobody/knows") == []


def test_the_command_prints_them() -> None:
    ran = CliRunner().invoke(app, ["models", "claude-haiku-4-5"])
    line = next(line for line in ran.stdout.split("\n") if line.startswith("anthropic/claude-haiku-4-5 "))
    assert line.split() == ["anthropic/claude-haiku-4-5", "wire", "ANTHROPIC_API_KEY", "1", "5", "200,000"]
    assert CliRunner().invoke(app, ["models", "nobody/knows"]).exit_code == 1
