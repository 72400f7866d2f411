"""`lab jobs`, `lab worker`, `lab merge`: what they print, what they refuse."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab
from tests.cli.test_verbs import run
from tests.jobs.working import ROOT, Folder, until


@pytest.fixture
def folder(tmp_path: Path, empty: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    (tmp_path / "lab.db").write_bytes(empty)
    made = Folder(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "some_flows", raising=False)
    yield made
    made.close()
    sys.modules.pop("some_flows", None)


def test_a_job_from_a_shell(folder: Folder) -> None:
    """Handed in, listed, shown, stopped, gone on with, run again, forgotten."""
    assert run("jobs")[:2] == (0, "no job\n")
    assert not (folder.path / "lab.jobs.db").exists(), "looking makes nothing"
    code, out, err = run("jobs", "submit", "some_flows:report", '["tides"]', "--id", "order-7", "--user", "ann")
    assert (code, out) == (0, "order-7\n"), err
    assert "waiting" in run("jobs")[1]
    worker = folder.worker()
    until(lambda: len(folder.asked()) == 3)
    assert run("jobs", "--state", "running", "--user", "ann")[1].count("order-7") == 1
    assert run("jobs", "cancel", "order-7")[0] == 0
    with Lab(folder.path / "lab.db", provider=lambda call: "unasked") as lab:
        until(lambda: lab.job("order-7").state == "cancelled")
        assert run("jobs", "cancel", "order-7")[2] == "usage: job 'order-7' is cancelled\n"
        folder.go()
        assert run("jobs", "resume", "order-7")[0] == 0
        lab.job("order-7").result(30)
    out = run("jobs", "show", "order-7")[1]
    assert out.startswith("job order-7\nsome_flows:report · done · ")
    out = run("jobs", "events", "order-7")[1]
    assert out.splitlines()[-1].endswith(" done")
    code, out, _ = run("jobs", "submit", "some_flows:report", '{"topic": "sand"}', "--wait")
    assert json.loads(out.split("\n", 1)[1])[0].startswith("answer to For")
    assert run("jobs", "again", "order-7")[0] == 0
    assert run("jobs", "webhooks", "--dead")[1] == "no webhook\n"
    assert run("jobs", "resend", "order-7")[2] == "usage: job 'order-7' has no webhook that was to be told\n"
    worker.terminate()
    worker.wait()
    assert run("jobs", "prune", "--days", "1")[1] == "0 jobs removed\n"


def test_bad_input_is_one_sentence(folder: Folder) -> None:
    for words, why in (
        (("jobs", "submit", "some_flows:report", "[tides]"), "usage: arguments: JSON, such as"),
        (("jobs", "submit", "nowhere:report"), "invalid_request: module 'nowhere' can't be imported"),
        (
            ("jobs", "submit", "some_flows:nothing"),
            "invalid_request: no flow 'some_flows:nothing': there is batch",
        ),
        (("jobs", "show", "x"), "usage: no job 'x'"),
        (("jobs", "--state", "odd"), "usage: state='odd': one of waiting, running, done"),
        (("merge", str(folder.path / "a.db"), str(folder.path / "none.db")), "ledger: there is no ledger at"),
    ):
        code, _, err = run(*words)
        assert code == 1
        assert err.startswith(why), err
    code = "import sys; from lab.cli import app; app(sys.argv[1:])"
    command = [sys.executable, "-c", code, "worker", "nowhere"]
    refused = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=folder.path, capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("invalid_request: module 'nowhere' can't be imported: No module named 'nowhere'")


def test_ledgers_are_merged(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with Lab(tmp_path / f"{name}.db", provider=lambda call: "yes") as lab:
            lab.ask(name, model="m")
    code, out, _ = run("merge", *(str(tmp_path / f"{name}.db") for name in ("all", "one", "two")))
    assert code == 0
    assert [line.split(": ")[1] for line in out.splitlines()] == ["1 calls, 0 prompt versions, 0 experiments"] * 2
    with sqlite3.connect(tmp_path / "all.db") as db:
        assert db.execute("SELECT count(*) FROM calls").fetchone() == (2,)
