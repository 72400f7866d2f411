"""Embeddings: the small model on this machine, and others by LiteLLM."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab import errors
from lab.provider import embedding, minilm
from tests.servers import RawServer, answer


def cosine(one: Any, other: Any) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.fixture(scope="module")
def model() -> minilm.MiniLM:
    return minilm.minilm()


def test_what_is_said_otherwise_is_near(model: minilm.MiniLM) -> None:
    first, again, other = (
        model.embed(text) for text in ("How do I reset my password?", "How can I reset it, my password?", "bake bread")
    )
    assert first.shape == (384,)
    assert cosine(first, again) > 0.9 > 0.4 > cosine(first, other)


def test_a_text_has_one_embedding(model: minilm.MiniLM) -> None:
    """Whatever was embedded before, and however it is spaced."""
    first = model.embed("one text")
    model.embed("another, much longer text that stands before it " * 5)
    assert np.array_equal(model.embed("one text"), first)


@pytest.mark.parametrize("text", ["", " ", "\x00", "x" * 100_000, "word " * 5000, "\U0001f600", "密码"])
def test_whatever_is_embedded_has_an_embedding(text: str, model: minilm.MiniLM) -> None:
    assert np.isfinite(model.embed(text)).all()


def test_it_is_made_quick_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file stands beside the user's other caches, whole or not at all; where none can be written it is made for the
    process."""

    def quantise(model: Path, work: Path) -> Path:
        (work / "made.onnx").write_bytes(model.read_bytes()[:100])
        return work / "made.onnx"

    places = minilm.weights()
    assert places is not None
    monkeypatch.setattr(minilm, "_quantise", quantise)  # it takes seconds, and the model above was made by it
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = minilm.quantised(places[0])
    assert made.parent == tmp_path / "cache" / "lab"
    before = made.stat().st_mtime_ns
    assert minilm.quantised(places[0]) == made
    assert made.stat().st_mtime_ns == before
    assert [path.name for path in made.parent.iterdir()] == [made.name]
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert minilm.quantised(places[0]).is_file()


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "_shared", None)
    monkeypatch.setenv("LAB_EMBEDDING", str(tmp_path))
    with pytest.raises(errors.InvalidRequestError, match="make weights"):
        minilm.minilm()
    (tmp_path / "model.onnx").write_bytes(b"no model")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(errors.InvalidRequestError, match="can't be loaded"):
        minilm.minilm()


def test_another_model_is_asked_by_litellm(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key goes to its own host, and what it costs is known."""
    body = {"object": "list", "model": "e", "usage": {"prompt_tokens": 7, "total_tokens": 7}}
    server.plays(answer({**body, "data": [{"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}]}))
    monkeypatch.setenv("OPENAI_API_KEY", "the-users-own-key")
    monkeypatch.setenv("OPENAI_API_BASE", server.url)
    vector, usd = asyncio.run(embedding.embedded("text-embedding-3-small", "a text"))
    assert list(vector) == [0.6, 0.8]
    assert usd == pytest.approx(7 * 0.02e-6)
    (asked,) = server.received
    assert asked.body["input"] == ["a text"]


def test_its_failure_has_a_kind_and_no_key(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.plays(answer({"error": {"message": "bad key the-users-own-key"}}, status=401))
    monkeypatch.setenv("OPENAI_API_KEY", "the-users-own-key")
    monkeypatch.setenv("OPENAI_API_BASE", server.url)
    with pytest.raises(errors.AuthError) as caught:
        asyncio.run(embedding.embedded("text-embedding-3-small", "a text"))
    assert "the-users-own-key" not in str(caught.value)
