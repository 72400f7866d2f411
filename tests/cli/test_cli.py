"""The verbs: what they print, how they fail, and that they stream."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab import Lab, cli
from lab.cli import shared
from tests.servers import DONE, END, STREAM, RawServer, chunk

LAB = str(Path(sys.executable).parent / "lab")


def run(*words: str, stdin: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [LAB, *words], input=stdin, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}
    )
    return done.returncode, done.stdout, done.stderr


def test_ask_streams_the_answer_and_then_says_what_it_took() -> None:
    code, out, err = run("ask", "What is the capital of France?", "-m", "local/smollm2")
    assert (code, out) == (0, "The capital of France is Paris.\n")
    assert re.fullmatch(r"local/smollm2 · first token .* · total .* · \d+→\d+ tokens · \$0\n", err)
    code, out, _ = run("calls", "capital")
    assert code == 0
    assert "local/smollm2" in out
    assert "1 of 1 calls in" in out


def test_ask_says_what_is_thought_apart_from_the_answer() -> None:
    code, out, err = run("ask", "Is it Monday?", "-m", "sim/thinker", "--effort", "minimal")
    assert code == 0
    assert out.startswith("This is thinker, a simulation.")
    thoughts, facts = err.removesuffix("\n").rsplit("\n", 1)
    assert "So far this fits." in thoughts.replace("\n", " ")
    assert "So far this fits." not in out
    assert re.match(r"sim/thinker · first token .* · thinking .* \(40 thought\)", facts)


def test_ask_reads_standard_input_and_takes_a_system_message() -> None:
    code, out, _ = run("ask", "-", "-m", "sim/steady", "-s", "be brief", stdin="hello")
    assert code == 0
    assert out.startswith("This is steady, a simulation.")
    with Lab() as lab:
        assert [message["role"] for message in lab.texts(lab.calls()["call_id"][0])["messages"]] == ["system", "user"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("ask", "hi", "-m", "nonsense"), "unsupported: no provider is known for model 'nonsense'"),
        (("ask", "hi", "-m", "gpt-4o-mini"), "auth: no key for gpt-4o-mini: set OPENAI_API_KEY"),
        (("ask", " ", "-m", "sim/steady"), "invalid_request: the prompt is empty"),
        (("ask", "hi", "-m", "sim/steady", "--db", "/proc/none/lab.db"), "ledger: no ledger can be opened at /proc"),
        (("calls", "--status", "bad"), "usage: status='bad': one of running, ok, failed, cancelled"),
    ],
)
def test_a_failure_is_one_sentence(words: tuple[str, ...], sentence: str) -> None:
    code, out, err = here(*words)
    assert (code, out) == (1, "")
    assert err.startswith(sentence)
    assert err.count("\n") == 1


def test_a_failure_ends_the_process_with_its_sentence() -> None:
    assert run("calls", "--status", "bad") == (1, "", "usage: status='bad': one of running, ok, failed, cancelled\n")


def test_an_answer_can_not_drive_the_terminal(server: RawServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.plays(STREAM, chunk("\x1b[2J\x1b]0;owned\x07plain\u202e"), chunk(finish="stop"), DONE, END)
    with Lab() as lab:
        for piece in lab.stream("\x1b[31mred", model="openai/m", api_base=server.url, api_key="k"):
            assert shared.printable(piece) == "[2J]0;ownedplain"
    code, out, _ = run("calls")
    assert code == 0
    assert "\x1b" not in out


def test_an_empty_ledger_says_what_to_do() -> None:
    assert "no calls yet: lab ask 'Hello' -m local/smollm2" in here("calls")[1]
    assert "no call matches" in here("calls", "nothing")[1]


def test_a_port_in_use_is_said_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for verb in ("playground", "sim"):
            code, _, err = run(verb, "--port", port)
            assert code == 1
            assert err.startswith(f"port {port} can't be used: Address already in use. Take another: --port N")


def test_the_simulation_runs_alone_and_lists_its_models() -> None:
    assert "sim/heavy-tail" in run("sim", "--list")[1]
    with subprocess.Popen([LAB, "sim", "--port", "0"], stdout=subprocess.PIPE, text=True) as alone:
        assert alone.stdout.readline().startswith("simulated provider at http://127.0.0.1:")
        alone.terminate()


def test_help_names_every_verb() -> None:
    shown = CliRunner().invoke(cli.app, ["--help"]).output
    for verb in ("ask", "calls", "sim", "local", "playground"):
        assert f"  {verb} " in shown


def here(*words: str) -> tuple[int, str, str]:
    """The same in this process, which saves seconds."""
    done = CliRunner().invoke(cli.app, list(words))
    return done.exit_code, done.stdout, done.stderr


def _prompt(folder: Path, text: str = "Label it: {{ticket}}") -> str:
    path = folder / "triage.md"
    path.write_text(text, encoding="utf-8")
    return str(path)


def _set(folder: Path, rows: int = 60) -> str:
    path = folder / "set.jsonl"
    path.write_text("\n".join(f'{{"id": "c{n}", "input": "ticket {n}", "expected": "x"}}' for n in range(rows)))
    return str(path)


def test_eval_and_gate_for_a_build_server(tmp_path: Path) -> None:
    """Two evaluations, a verdict as the exit status, and reports that people and machines can read."""
    asked = [_prompt(tmp_path), "--set", _set(tmp_path), "--scorer", "exact", "--concurrency", "30"]
    report = ["--markdown", str(tmp_path / "out" / "a.md"), "--junit", str(tmp_path / "out" / "a.xml")]
    code, out, err = here("eval", *asked, "-m", "sim/instant", "--name", "a", *report)
    assert code == 0, err
    assert "60 of 60 cells" in err
    assert "sim/instant" in out
    assert "experiment: a" in out
    assert "# a" in (tmp_path / "out" / "a.md").read_text()
    assert 'tests="60"' in (tmp_path / "out" / "a.xml").read_text()
    assert here("eval", *asked, "-m", "sim/twenty", "--name", "b")[0] == 0
    code, out, err = here("gate", "a", "b", "--margin", "0.2", "--junit", str(tmp_path / "g.xml"))
    assert (code, err) == (0, "")
    assert out.startswith("pass: b 0.0% against a 0.0%")
    assert "<testcase" in (tmp_path / "g.xml").read_text()
    assert here("gate", "a", "b", "--margin", "0.0")[0] == 3
    code, out, err = here("gate", "a", "nobody")
    assert (code, out) == (2, "")
    assert "no experiment 'nobody'" in err


def test_compare_can_say_what_it_would_take_and_stop(tmp_path: Path) -> None:
    asked = [_prompt(tmp_path), "--set", _set(tmp_path), "-m", "sim/instant", "-m", "sim/twenty"]
    code, out, err = here("compare", *asked, "--plan", "--max-tokens", "30")
    assert (code, out) == (0, "")
    assert "120 of 120 cells" in err
    assert "about $0.002" in err
    with Lab() as lab:
        assert lab.count() == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--budget", "0.00001"], "over the budget"),
        (["--scorer", "best"], "scorer 'best': one of exact, label"),
        (["--set", "missing.jsonl"], "no eval set can be read from it"),
    ],
)
def test_what_can_not_be_compared_is_one_sentence(tmp_path: Path, words: list[str], sentence: str) -> None:
    code, out, err = here("compare", _prompt(tmp_path), "-m", "sim/instant", "--set", _set(tmp_path, 5), *words)
    assert (code, out) == (1, "")
    assert sentence in err
