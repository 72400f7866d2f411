"""The real model on this machine: it answers, is one per process, and says so when it can't run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab import Lab, errors
from lab.provider import child

QUESTION = "What is the capital of France?"


def test_it_says_paris_and_the_ledger_holds_it(lab: Lab) -> None:
    reply = lab.ask(QUESTION, model="local/smollm2")
    assert "Paris" in reply.text
    assert reply.cost == 0.0
    assert reply.answered_by == "smollm2"
    call, attempt = lab.calls().iloc[0], lab.attempts().iloc[0]
    assert (call["model"], call["status"], call["n_attempts"]) == ("local/smollm2", "ok", 1)
    assert (attempt["call_id"], attempt["http_status"], attempt["way"]) == (reply.call_id, 200, "wire")
    assert attempt["output_tokens"] > 0


def test_it_streams_the_same_answer(lab: Lab) -> None:
    stream = lab.stream(QUESTION, model="local/smollm2")
    assert len(list(stream)) > 3
    assert stream.reply.text == lab.ask(QUESTION, model="local/smollm2").text
    assert stream.reply.ttft < stream.reply.latency


def test_two_labs_share_one_server(tmp_path: Path) -> None:
    with Lab(tmp_path / "a.db") as first_lab, Lab(tmp_path / "b.db") as second_lab:
        first_lab.ask("hi", model="local/smollm2", max_tokens=400)
        endpoint = child.shared("lab.provider.local").endpoint()
        second_lab.ask("hi", model="local/smollm2", max_tokens=400)
        assert child.shared("lab.provider.local").endpoint() is endpoint


def test_it_gives_way_to_everything_else() -> None:
    child.shared("lab.provider.local").endpoint()
    assert os.getpriority(os.PRIO_PROCESS, child.shared("lab.provider.local")._process.pid) == 10


def test_it_is_started_again_if_it_died(lab: Lab) -> None:
    lab.ask("hi", model="local/smollm2", max_tokens=400)
    process = child.shared("lab.provider.local")._process
    process.kill()
    process.wait()
    assert "Paris" in lab.ask(QUESTION, model="local/smollm2").text


def test_its_answers_can_be_held_to_a_schema(lab: Lab) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    reply = lab.ask(QUESTION, model="local/smollm2", response_format=wanted)
    assert set(json.loads(reply.text)) == {"city"}


def test_without_weights_it_says_what_to_do(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_WEIGHTS", "/nowhere/model.gguf")
    child.shared("lab.provider.local").close()
    with pytest.raises(errors.UnsupportedError, match="has no weights here: run `make weights`"):
        lab.ask("hi", model="local/smollm2")


def test_broken_weights_are_said_in_one_sentence(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"not a model")
    monkeypatch.setenv("LAB_WEIGHTS", str(tmp_path / "broken.gguf"))
    child.shared("lab.provider.local").close()
    with pytest.raises(errors.UnsupportedError, match=r"can't be loaded from broken\.gguf"):
        lab.ask("hi", model="local/smollm2")


def test_a_server_that_can_not_start_says_how_to_see_why() -> None:
    with pytest.raises(errors.UnsupportedError, match=r"could not start: run `.* -m lab\.nothing` to see why"):
        child.Child("lab.nothing").endpoint()


def test_it_runs_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-m", "lab.provider.local"], stdout=subprocess.PIPE, text=True) as alone:
        assert alone.stdout.readline().startswith("local model at http://127.0.0.1:")
        alone.terminate()
