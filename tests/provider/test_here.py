"""Servers of other makers on this machine are found where they usually are, at once; nobody else is taken for one."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from lab import Lab
from lab.cli import app
from lab.provider import catalogue, child, here
from lab.provider.dialect import translate, usual_address
from tests.servers import HANG, RawServer, answer

TAGS = {"models": [{"name": "qwen3:8b", "size": 5}, {"name": "llama3.2:latest", "size": 2}]}
SERVED = {"object": "list", "data": [{"id": "some/model", "object": "model", "owned_by": "vllm"}]}


def _at(stack: ExitStack, server: here.Server, *script: object) -> here.Server:
    listening = stack.enter_context(RawServer())
    listening.plays(*script)
    return replace(server, port=int(listening.url.rsplit(":", 1)[1].split("/")[0]))


def test_each_kind_lists_its_models() -> None:
    with ExitStack() as stack:
        servers = tuple(
            _at(stack, server, answer(TAGS if server.name == "Ollama" else SERVED)) for server in here.SERVERS
        )
        found = here.found(servers, seconds=30)
    assert [(model.server, model.model) for model in found] == [
        ("Ollama", "ollama_chat/qwen3:8b"),
        ("Ollama", "ollama_chat/llama3.2:latest"),
        ("LM Studio", "lm_studio/some/model"),
        ("llama.cpp", "llamafile/some/model"),
        ("vLLM", "hosted_vllm/some/model"),
    ]


@pytest.mark.parametrize(
    "script",
    [
        [answer(b"<html>")],
        [answer([1, 2])],
        [answer({"data": [{"name": "x"}]})],
        [answer({"models": "all"})],
        [answer({"data": None})],
        [answer(SERVED, 404)],
        [answer(SERVED, 302, location="http://elsewhere.invalid/")],
        [b"SSH-2.0-OpenSSH_9\r\n"],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 5000000\r\n\r\n", b"[" * 2_000_000],
        [HANG],
    ],
    ids=["HTML", "a list", "no ids", "no models", "null", "404", "redirect", "SSH", "huge", "silent"],
)
def test_who_else_listens_there_is_no_such_server(script: list) -> None:
    with ExitStack() as stack:
        servers = tuple(_at(stack, server, *script) for server in here.SERVERS[:2])
        assert here.found(servers, seconds=0.5) == []


def test_it_waits_no_longer_than_it_says() -> None:
    """Two that say nothing, together: not one after the other."""
    with ExitStack() as stack:
        servers = tuple(_at(stack, server, HANG) for server in here.SERVERS)
        start = time.monotonic()
        assert here.found(servers, seconds=0.3) == []
        assert time.monotonic() - start < 4 * 0.3, "they are asked at the same time"


def test_a_found_model_is_asked_where_it_was_found() -> None:
    for server in here.SERVERS:
        model = f"{server.provider}/m"
        address = usual_address(model, {})
        params = {} if address is None else {"api_base": address}
        request = translate(model, [{"role": "user", "content": "hi"}], params, streamed=False)
        assert request is not None
        assert request.url.startswith((server.address, "http://localhost:11434"))


def test_the_simulation_is_found_as_an_ollama_and_answers(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    address = child.shared("lab.sim").endpoint().url.removesuffix("/v1")
    port = int(address.rsplit(":", 1)[1])
    monkeypatch.setattr(here, "SERVERS", (replace(here.SERVERS[0], port=port),))
    monkeypatch.setattr(catalogue, "found", lambda: here.found(here.SERVERS, seconds=30))
    monkeypatch.setenv("OLLAMA_API_BASE", address)
    names = catalogue.here()
    assert "ollama_chat/instant" in names
    assert lab.ask("hi", model="ollama_chat/instant").text.startswith("This is instant")
    ran = CliRunner().invoke(app, ["models", "--here", "instant"])
    assert [line.split()[:3] for line in ran.stdout.splitlines()[1:]] == [["ollama_chat/instant", "wire", "not"]]
    monkeypatch.setattr(catalogue, "found", list)
    ran = CliRunner().invoke(app, ["models", "--here"])
    assert (ran.exit_code, "no Ollama" in ran.output) == (1, True)
    assert json.dumps(catalogue.here()) == "[]"
