"""The verbs that read the record: what they print, what they refuse, and the exit status a build or a cron job sees."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from lab import Cache, Lab, Policy, Prompt, cli
from tests.rows import many, month, put
from tests.servers import END, RawServer, answer


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.app, list(words))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def db(tmp_path: Path) -> str:
    """A month of traffic."""
    month(tmp_path / "month.db", 1500)
    return str(tmp_path / "month.db")


def test_metrics_is_a_row_a_group_and_says_what_is_left_out(db: str) -> None:
    code, out, _ = run("metrics", "--by", "model", "--db", db)
    assert code == 0
    assert "groq/llama" in out
    assert "times leave out" in out
    code, out, _ = run("metrics", "--csv", "--by", "prompt_name", "--by", "prompt_version", "--db", db)
    assert out.startswith("prompt_name,prompt_version,calls,ended,failed,success,")
    assert run("metrics", "--user", "nobody", "--db", db)[1].startswith("no call matches")
    assert run("metrics", "--by", "colour", "--db", db)[2].startswith("usage: by=('colour',): one or more of model")


def test_one_call_is_traced(db: str) -> None:
    with Lab(db) as lab:
        call = lab.calls(limit=1)["call_id"][0]
    code, out, _ = run("trace", call, "--words", "--db", db)
    assert code == 0
    assert out.startswith(f"call {call}\n")
    assert run("trace", "nothing-like-it", "--db", db)[2].startswith("usage: no call 'nothing-like-it'")


def test_the_cache_says_what_it_saved_and_is_emptied(tmp_path: Path) -> None:
    db = str(tmp_path / "cached.db")
    with Lab(db, provider=lambda _call: "an answer", policy=Policy(cache=Cache())) as lab:
        for _ in range(3):
            lab.ask("hi", model="m")
    code, out, _ = run("cache", "--db", db)
    assert code == 0
    assert out.startswith("2 of 3 calls came out of the cache (66.7%): 2 exact, 0 near\n")
    assert "kept now: 1 " in out
    assert "0 of 0 calls" in run("cache", "--user", "nobody", "--db", db)[1]
    assert run("prune", "--cached", "--older-than", "1 d", "--db", db)[1] == "0 kept answers removed\n"
    with Lab(db) as lab:
        assert lab.forget() == 1
        assert lab.count() == 3


def test_export_and_prune(db: str, tmp_path: Path) -> None:
    code, out, _ = run("export", "calls", str(tmp_path / "c.parquet"), "--model", "groq/llama", "--db", db)
    assert code == 0
    exported = pd.read_parquet(tmp_path / "c.parquet")
    assert out == f"{len(exported):,} calls in {tmp_path / 'c.parquet'}\n"
    assert set(exported["model"]) == {"groq/llama"}
    nowhere = str(tmp_path / "none" / "c.csv")
    assert run("export", "calls", nowhere, "--db", db)[2].startswith(f"usage: {nowhere} can't be written")
    assert "would be removed" in run("prune", "--older-than", "20 d", "--dry-run", "--db", db)[1]
    assert "calls removed" in run("prune", "--older-than", "20 d", "--db", db)[1]
    assert run("prune", "--older-than", "soon", "--db", db)[0] == 1


def test_a_ledger_that_is_not_there_is_no_empty_answer(tmp_path: Path) -> None:
    """And is not made."""
    path = tmp_path / "typo" / "lab.db"
    for words in (["metrics"], ["trace", "abc"], ["export", "calls", "x.csv"], ["prune", "--older-than", "1 d"]):
        code, _, err = run(*words, "--db", str(path))
        assert (code, err) == (1, f"usage: there is no ledger at {path}\n")
    assert run("alerts", "--db", str(path))[0] == 2
    assert not path.parent.exists()


def test_alerts_tell_a_cron_job(lab: Lab, tmp_path: Path) -> None:
    """0 where nothing fires, 1 where something does, 2 where that can't be told."""
    assert run("alerts", "--db", str(lab.path))[:2] == (0, "nothing fires\n")
    put(lab, "a", status="failed", kind="auth", error="401")
    code, out, _ = run("alerts", "--db", str(lab.path))
    assert (code, out) == (1, "keys refused: m: 1 calls failed (auth) in 1 h: 401\n")
    (tmp_path / "bad.toml").write_text("[[alert]")
    code, _, err = run("alerts", "--rules", str(tmp_path / "bad.toml"), "--db", str(lab.path))
    assert code == 2
    assert "is no TOML" in err


def test_alerts_are_posted(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_WEBHOOK_SECRET", "planted-webhook-secret")
    many(lab, "a", 3, status="failed", kind="quota")
    with RawServer() as server:
        server.plays(answer({}), END)
        code, _, err = run("alerts", "--webhook", f"{server.url}/token", "--db", str(lab.path))
        assert (code, err) == (1, "")
        (came,) = server.received
    assert {key.lower(): value for key, value in came.headers.items()}["webhook-signature"].startswith("v1,")
    assert came.body["alerts"][0]["name"] == "account or billing limit"
    assert "planted-webhook-secret" not in f"{came.headers} {came.body}"
    code, _, err = run("alerts", "--webhook", "http://127.0.0.1:abc/token", "--db", str(lab.path))
    assert code == 2
    assert "token" not in err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "example.org"])
def test_the_playground_starts_on_no_other_address_without_a_password(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("lab.cli.serving._become", started.append)
    monkeypatch.setattr("lab.cli.serving._refuse_used_port", lambda *_: None)
    monkeypatch.setattr("os.chdir", lambda _: None)
    monkeypatch.delenv("LAB_PASSWORD", raising=False)
    code, _, err = run("playground", "--host", host, "--db", str(tmp_path / "lab.db"))
    assert (code, started) == (1, [])
    assert "by [auth] in" in err
    monkeypatch.setenv("LAB_PASSWORD", "x")
    assert run("playground", "--host", host, "--db", str(tmp_path / "lab.db"))[0] == 0
    assert started[0][started[0].index("--server.address") + 1] == host


def test_a_router_is_fitted_asked_and_shown(tmp_path: Path) -> None:
    db, set_, prompt = str(tmp_path / "routed.db"), tmp_path / "set.jsonl", tmp_path / "sort.md"
    assert "there is no ledger" in run("route", "show", "--db", db)[2]
    words = ["parcel", "invoice", "lamp"]
    rows = [{"id": f"c{n}", "input": f"my {words[n % 3]} {n}", "expected": "x"} for n in range(60)]
    set_.write_text("\n".join(json.dumps(row) for row in rows))
    prompt.write_text("Which? {{text}}")
    asked = ["-m", "sim/instant", "-m", "sim/twenty", "--set", str(set_), "--prompt", str(prompt), "--scorer", "exact"]
    code, out, err = run("route", "fit", "sort", *asked, "--plan", "--db", db)
    assert (code, out) == (0, "")
    assert "router sort: 120 of 120 cells" in err
    assert run("route", "show", "--db", db)[1] == "no router on this ledger: `lab route fit` makes one\n"
    code, _, err = run("route", "fit", "sort", *asked, "--concurrency", "40", "--db", db)
    assert (code, "every score is 0: there is nothing to learn from" in err) == (1, True)
    with Lab(db, provider=lambda call: "x" if call.model == "dear" or "lamp" in str(call.messages) else "y") as lab:
        lab.router("sort", ["cheap", "dear"], set_, prompt=Prompt.load(prompt), scorers=["exact"], progress=None)
        lab.ask(Prompt.load(prompt).fill(text="a lamp"), model="route/sort")
    code, out, _ = run("route", "show", "--db", db)
    assert (code, out.startswith("sort@1: all to dear: 60 cases can't promise quality within 2 points")) == (0, True)
    assert "sort@1  cheap" in out
    code, _, err = run("ask", "a lamp", "-m", "route/sort", "--db", db)
    assert "route/sort was fitted on the prompt sort, and this call has no prompt" in err
    assert "has its own system message" in run("ask", "a", "-m", "m", "-p", str(prompt), "-s", "s", "--db", db)[2]


def test_a_comparison_in_a_batch_is_listed(tmp_path: Path) -> None:
    db, set_, prompt = str(tmp_path / "batched.db"), tmp_path / "set.jsonl", tmp_path / "sort.md"
    set_.write_text("\n".join(json.dumps({"id": f"c{n}", "input": str(n)}) for n in range(6)))
    prompt.write_text("Say {{text}}")
    asked = [str(prompt), "-m", "sim/instant", "--set", str(set_), "--batch", "--name", "six", "--db", db]
    code, _, err = run("compare", *asked, "--plan")
    assert (code, "through the batch service, within 24 h" in err) == (0, True)
    assert run("batches", "--db", db)[1] == "no batch on this ledger: `lab compare --batch` sends one\n"
    code, out, _ = run("compare", *asked)
    assert (code, "6" in out) == (0, True)
    code, out, _ = run("batches", "--db", db)
    assert code == 0
    assert "six" in out
    assert "6 of 6" in out
    code, _, err = run("compare", *asked[:1], "-m", "local/smollm2", *asked[3:])
    assert (code, "local/smollm2 has no batch service" in err) == (1, True)
