"""Ledgers made one: by call identifier, prompt versions by what they say, twice the same as once."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lab import Cache, Lab, Policy, Prompt, checks, errors, metrics
from lab.call import intake
from lab.ledger import migrations, verdicts
from lab.ledger.merging import merge
from lab.ledger.opening import prepare


def made(path: Path, who: str, *prompts: str) -> None:
    """A ledger with calls under these versions of one prompt, checked, tagged, cached, keyed, compared, labelled."""
    with Lab(path, provider=lambda call: f"{who} says yes", policy=Policy(cache=Cache(ttl=3600))) as lab:
        for number, template in enumerate(prompts, 1):
            prompt = Prompt("triage", template)
            lab.ask(prompt.fill(n=1), model="m", tags=[who], user=who, checks=[checks.contains("yes")])
            lab.label("triage", "production", version=number)
        lab.ask(f"keyed by {who}", model="m", key=f"key-{who}")
        lab.compare([Prompt("triage", prompts[0])], ["m"], [{"id": "a", "input": {"n": 2}}], name=who, progress=None)
        with pytest.raises(errors.ValidationError):
            lab.ask("never right", model="m", checks=[checks.contains("no")], policy=Policy(repair=None))


def rows(path: Path, *tables: str) -> dict[str, list[tuple[object, ...]]]:
    """All rows, the number of a row apart."""
    with sqlite3.connect(path) as db:
        names = {
            table: [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})") if name not in ("id", "rowid")]
            for table in tables
        }
        return {
            table: sorted(db.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall(), key=repr)
            for table, columns in names.items()
        }


ALL = """calls attempts texts keys checks prompts labels experiments cells scores verdicts ratings configs
    cache_entries cases notes asks set_cases""".split()


def test_two_are_one_by_identifiers_and_by_what_a_version_says(tmp_path: Path) -> None:
    """Version 1 here is version 2 there: calls, cells and labels follow."""
    one, two, both = tmp_path / "one.db", tmp_path / "two.db", tmp_path / "new" / "both.db"
    made(one, "ann", "A {{n}}", "B {{n}}")
    made(two, "bob", "B {{n}}", "C {{n}}")
    assert str(merge(both, one)) == "5 calls, 2 prompt versions, 1 experiments"
    assert str(merge(both, two)) == "5 calls, 1 prompt versions, 1 experiments"
    with Lab(both, provider=lambda call: "unasked") as lab:
        templates = lab.ledger.rows("SELECT version, template FROM prompts ORDER BY version")
        assert [(version, text[text.index("{{") - 2]) for version, text in templates] == [(1, "A"), (2, "B"), (3, "C")]
        assert lab.prompt("triage", label="production").messages[0]["content"] == "C {{n}}"
        calls = lab.calls(limit=None)
        assert len(calls) == 10
        mine = calls[(calls["user"] == "bob")].sort_values("started_at")
        assert mine["prompt_version"].tolist() == [2, 3]
        assert lab.calls(search="bob")["answer"].str.contains("bob").all()
        assert len(lab.calls(search="keyed")) == 2
        assert lab.experiment("bob").df()["status"].tolist() == ["ok"]
        assert lab.experiment("bob").df()["version"].tolist() == [2]
        assert metrics.metrics(lab.ledger, by=("tag",))["calls"].sum() == 10
        assert lab.ask("keyed by bob", model="m", key="key-bob").cached is True
        again = {"checks": [checks.contains("yes")], "policy": Policy(cache=Cache(ttl=3600))}
        assert lab.ask(Prompt("triage", "C {{n}}").fill(n=1), model="m", user="bob", **again).cached == "exact"


def test_twice_is_the_same_as_once_and_in_both_orders_the_same_calls(tmp_path: Path) -> None:
    one, two = tmp_path / "one.db", tmp_path / "two.db"
    made(one, "ann", "A {{n}}")
    made(two, "bob", "A {{n}}", "B {{n}}")
    before = rows(two, *ALL)
    both, other = tmp_path / "both.db", tmp_path / "other.db"
    for source in (one, two):
        merge(both, source)
    first = rows(both, *ALL)
    for source in (two, one, two):
        assert str(merge(both, source)) == "0 calls, 0 prompt versions, 0 experiments"
    assert rows(both, *ALL) == first
    for source in (two, one):
        merge(other, source)
    assert rows(other, "calls", "attempts", "checks", "keys") == rows(both, "calls", "attempts", "checks", "keys")
    assert rows(two, *ALL) == before, "what is merged is only read"
    with sqlite3.connect(both) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        db.execute("INSERT INTO texts_fts(texts_fts) VALUES ('integrity-check')")


def test_a_call_that_still_ran_is_brought_to_its_end(tmp_path: Path) -> None:
    one, both = tmp_path / "one.db", tmp_path / "both.db"
    made(one, "ann", "A {{n}}")
    with sqlite3.connect(one) as db:
        (call,) = db.execute("SELECT call_id FROM calls LIMIT 1").fetchone()
        kept = db.execute("SELECT status, ended_at, latency FROM calls WHERE call_id = ?", (call,)).fetchone()
        db.execute("UPDATE calls SET status = 'running', ended_at = NULL, latency = NULL WHERE call_id = ?", (call,))
    merge(both, one)
    with sqlite3.connect(one) as db:
        db.execute("UPDATE calls SET status = ?, ended_at = ?, latency = ? WHERE call_id = ?", (*kept, call))
    assert str(merge(both, one)) == "0 calls, 1 ended since, 0 prompt versions, 0 experiments"
    assert rows(both, "calls") == rows(one, "calls")
    assert str(merge(both, one)).startswith("0 calls, 0 prompt")


def test_an_older_ledger_is_read_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that no newer lab has opened yet stays as old as it is."""
    one, both = tmp_path / "one.db", tmp_path / "both.db"
    monkeypatch.setattr("lab.ledger.opening.STEPS", migrations.STEPS[:9])
    prepare(one)
    monkeypatch.undo()
    with sqlite3.connect(one) as db:
        db.execute(
            "INSERT INTO calls (call_id, started_at, status, model, streamed, lane)"
            " VALUES ('c', ?, 'ok', 'm', 0, 'batch')",
            (time.time(),),
        )
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    assert str(merge(both, one)).startswith("1 calls")
    with sqlite3.connect(one) as db:
        assert {name for (name,) in db.execute("SELECT name FROM sqlite_master")} == tables


def test_batches_keep_their_lines(tmp_path: Path) -> None:
    one, both = tmp_path / "one.db", tmp_path / "both.db"
    for path, name in ((one, "x"), (both, "y")):
        prepare(path)
        with sqlite3.connect(path) as db:
            db.execute(
                "INSERT INTO batches (token, experiment, service, model, state, lines, made_at)"
                " VALUES (?, 'e', 'openai', 'm', 'ended', 1, 1.0)",
                (name,),
            )
            db.execute("INSERT INTO batch_lines VALUES (1, ?, NULL)", (f"line of {name}",))
    merge(both, one)
    with sqlite3.connect(both) as db:
        joined = db.execute("SELECT token, line FROM batches JOIN batch_lines ON batch = id ORDER BY token").fetchall()
    assert joined == [("x", "line of x"), ("y", "line of y")]


def test_what_is_no_ledger_is_said_and_nothing_changes(tmp_path: Path) -> None:
    good, odd = tmp_path / "good.db", tmp_path / "odd.db"
    made(good, "ann", "A {{n}}")
    before = rows(good, *ALL)
    odd.write_text("not a database, whatever its name says" * 100)
    for into, other, why in (
        (good, tmp_path / "none.db", "there is no ledger at"),
        (good, good, "are one file"),
        (good, odd, "can't be"),
        (odd, good, "can't be"),
    ):
        with pytest.raises(errors.LedgerError, match=why):
            merge(into, other)
    with sqlite3.connect(tmp_path / "else.db") as db:
        db.execute("CREATE TABLE things (name TEXT)")
    with pytest.raises(errors.LedgerError, match="something else"):
        merge(good, tmp_path / "else.db")
    assert rows(good, *ALL) == before


def test_verdicts_follow_their_versions_and_the_latest_counts_wherever_it_was_given(tmp_path: Path) -> None:
    """A pass of version 1 there, which is version 2 here, is none of version 1 here."""
    one, both = tmp_path / "one.db", tmp_path / "both.db"
    made(both, "ann", "A {{n}}")
    made(one, "bob", "B {{n}}", "A {{n}}")
    verdict = (
        "INSERT INTO verdicts (given_at, eval_set, prompt_name, prompt_version, model, baseline, candidate, verdict,"
        " margin, n) VALUES (?, 'triage', 'triage', ?, 'm', 'x', 'y', ?, 0.02, 100)"
    )
    with sqlite3.connect(both) as db:
        db.execute(verdict, (200.0, 1, "fail"))
    with sqlite3.connect(one) as db:
        db.execute(verdict, (150.0, 1, "pass"))  # of B
        db.execute(verdict, (100.0, 2, "pass"))  # of A, and older than what is known here
    for _ in range(2):
        merge(both, one)
    with Lab(both, provider=lambda call: "x") as lab:
        rows = lab.ledger.rows("SELECT prompt_version, verdict, given_at FROM verdicts ORDER BY given_at")
        assert rows == [(1, "pass", 100.0), (2, "pass", 150.0), (1, "fail", 200.0)]
        assert lab.experiment("bob").df()["version"].tolist() == [2]
        content = json.loads(lab.ledger.rows("SELECT content FROM experiments WHERE experiment = 'bob'")[0][0])
        assert content["prompts"] == [["triage", 2]]

        def refused(template: str) -> str | None:
            call = intake.call_of(Prompt("triage", template).fill(n=1), model="m", streamed=False, params={})
            number = {"A {{n}}": 1, "B {{n}}": 2}[template]
            return verdicts.refused(lab.ledger, "triage", replace(call, prompt_version=number), "m")

        assert "said fail" in str(refused("A {{n}}"))
        assert refused("B {{n}}") is None


def test_scores_that_were_given_since_come_with_the_next_merge(tmp_path: Path) -> None:
    one, both = tmp_path / "one.db", tmp_path / "both.db"
    made(one, "ann", "A {{n}}")
    merge(both, one)
    with sqlite3.connect(one) as db:
        db.execute("INSERT INTO scores SELECT call_id, 'later', 1.0, NULL FROM calls")
    merge(both, one)
    assert rows(both, "scores") == rows(one, "scores") != {"scores": []}
