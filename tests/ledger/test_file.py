"""Real SQLite: made, upgraded, shared between processes, killed, full, and not ours."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlite_utils import Database

from lab import Lab, Policy, Prompt, Timeout, errors
from lab.ledger.file import Ledger
from lab.ledger.migrations import STEPS
from lab.ledger.opening import connect, migrations


def echo(call: object) -> str:
    return f"echo: {call.messages[-1]['content']}"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A Lab whose provider is a function."""
    with Lab(tmp_path / "lab.db", provider=echo) as lab:
        yield lab


def test_a_call_and_its_attempt_are_rows(lab: Lab) -> None:
    reply = lab.ask("hello", model="any/model", user="u1", tags=["a", "b"], temperature=0.1)
    call, attempt = lab.calls().iloc[0], lab.attempts().iloc[0]
    assert (call["call_id"], call["status"], call["model"]) == (reply.call_id, "ok", "any/model")
    assert (call["user"], call["tags"], call["n_attempts"]) == ("u1", ["a", "b"], 1)
    assert (attempt["call_id"], attempt["number"], attempt["role"], attempt["won"]) == (reply.call_id, 1, "first", True)
    texts = lab.texts(reply.call_id)
    assert (texts["prompt"], texts["answer"]) == ("hello", "echo: hello")
    assert texts["config"]["params"] == {"temperature": 0.1}
    assert texts["config"]["policy"]["timeout"]["total"] == 300


def test_the_same_configuration_is_kept_once(lab: Lab) -> None:
    for temperature in (0.1, 0.1, 0.2):
        lab.ask("hello", model="m", temperature=temperature)
    assert lab.calls()["config"].nunique() == 2


def test_any_sqlite_tool_can_read_it(lab: Lab) -> None:
    lab.ask("hello", model="m")
    lab.close()
    rows = sqlite3.connect(lab.path).execute("select model, status from calls").fetchall()
    assert rows == [("m", "ok")]


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("zürich", 1),
        ("ZURICH", 1),
        ("zür", 1),
        ("echo weather", 1),
        ("weather zürich tomorrow", 0),
        ('"', 2),
        ("NEAR( OR *", 0),
        ("", 2),
    ],
)
def test_search_takes_what_people_type(lab: Lab, words: str, count: int) -> None:
    """Words in prompt or answer, the last one begun; never a syntax error."""
    lab.ask("the weather in Zürich", model="m")
    lab.ask("something else", model="m")
    assert len(lab.calls(search=words)) == lab.count(search=words) == count


def test_filters_and_pages(lab: Lab) -> None:
    for number in range(25):
        lab.ask(f"question {number}", model=f"m{number % 2}", user="u" if number < 5 else None, tags=[f"t{number}"])
    assert lab.count(model="m0") == 13
    assert lab.count(user="u", model="m0") == 3
    assert lab.count(tag="t7") == 1
    assert [len(lab.calls(limit=10, offset=offset)) for offset in (0, 10, 20, 30)] == [10, 10, 5, 0]
    assert lab.calls(limit=1)["prompt"][0] == "question 24", "newest first"
    assert lab.models() == ["m0", "m1"]
    middle = lab.calls()["started_at"].iloc[10]
    assert lab.count(since=middle) + lab.count(until=middle) == 25
    with pytest.raises(ValueError, match="status='bad': one of running, ok, failed, cancelled"):
        lab.calls(status="bad")


def test_orders_are_of_numbers_over_the_whole_ledger(lab: Lab) -> None:
    """Nine cents are less than ten, and what isn't known comes last, whichever way."""
    for number in range(12):
        lab.ask(f"question {number}", model="m")
    with sqlite3.connect(lab.path) as other:
        for number, call_id in enumerate(lab.calls()["call_id"]):
            known = number < 11
            values = (number * 0.9, f"{number}" if known else None, number * 10 if known else None, call_id)
            other.execute(
                "UPDATE calls SET ended_at = started_at + ?, cost = ?, input_tokens = ?, output_tokens = 1"
                " WHERE call_id = ?",
                values,
            )
    assert lab.calls(order="slowest", limit=1)["elapsed"].round(3).tolist() == [9.9]
    assert lab.calls(order="fastest", limit=1)["elapsed"].round(3).tolist() == [0.0]
    assert lab.calls(order="costliest")["cost"].tolist()[:3] == [10, 9, 8]
    assert lab.calls(order="cheapest")["cost"].tolist()[:3] == [0, 1, 2]
    assert lab.calls(order="longest", limit=2, offset=1)["input_tokens"].tolist() == [90, 80]
    assert lab.calls(order="shortest", limit=1)["input_tokens"].tolist() == [0]
    assert lab.calls(order="oldest")["prompt"].tolist() == lab.calls()["prompt"].tolist()[::-1]
    for order in ("costliest", "cheapest", "longest", "shortest"):
        assert lab.calls(order=order)["cost"].isna().tolist() == [False] * 11 + [True]
    with pytest.raises(ValueError, match="order='dearest': one of newest, oldest, slowest"):
        lab.calls(order="dearest")


@pytest.mark.parametrize(
    "text", ["", "a\x00b", "\ud800 lone", "🙂" * 10_000, "x" * 2_000_000, "'; DROP TABLE calls; --"]
)
def test_whatever_was_said_can_be_kept(lab: Lab, text: str) -> None:
    lab.ask(f"say {text}", model="m")
    assert lab.calls()["status"].tolist() == ["ok"]


def test_an_upgrade_from_a_blank_file_and_a_second_start(tmp_path: Path) -> None:
    path = tmp_path / "blank.db"
    path.touch()
    for _ in range(2):
        Ledger(path).close()
    assert [step.name for step in migrations().applied(Database(path))] == [step.__name__ for step in STEPS]


def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("create table mine (x)")
    before = path.read_bytes()
    with pytest.raises(errors.LedgerError, match="SQLite file of something else, left as it is"):
        Lab(path)
    assert path.read_bytes() == before


def test_a_corrupt_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "corrupt.db"
    path.write_bytes(b"this was never a database" * 100)
    before = path.read_bytes()
    with pytest.raises(errors.LedgerError, match=r"corrupt\.db can't be used as a ledger: file is not a database"):
        Lab(path)
    assert path.read_bytes() == before


def test_a_newer_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    Ledger(path).close()
    Database(path)["_sqlite_migrations"].insert(
        {"migration_set": "lab", "name": "m999_future", "applied_at": "2030-01-01"}
    )
    with pytest.raises(errors.LedgerError, match=r"written by a newer lab \(m999_future\)"):
        Lab(path)


def test_a_place_where_no_file_can_be_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(errors.LedgerError, match=r"no ledger can be opened at .*file/lab\.db: .*Choose another"):
        Lab(tmp_path / "file" / "lab.db")
    with pytest.raises(errors.LedgerError, match="no ledger can be opened at"):
        Lab(tmp_path)


def test_a_write_that_fails_carries_the_paid_reply(lab: Lab) -> None:
    """A full disk must not throw away an answer."""
    lab.ask("first", model="m")
    with sqlite3.connect(lab.path) as other:
        other.execute("create trigger full before update on calls begin select raise(abort, 'disk full'); end")
    with pytest.raises(errors.LedgerError, match="can't be written: disk full") as failure:
        lab.ask("second", model="m")
    assert failure.value.reply.text == "echo: second"
    with sqlite3.connect(lab.path) as other:
        other.execute("drop trigger full")
    assert lab.ask("third", model="m").text == "echo: third", "one bad write does not stop the writer"


def test_a_first_row_that_could_not_be_written_is_written_with_the_last(lab: Lab) -> None:
    lab.ask("warm", model="m")
    with sqlite3.connect(lab.path) as other:
        other.execute(
            "create trigger full before insert on calls when new.model = 'x' begin select raise(abort, 'full'); end"
        )

    def freed(call: object) -> str:
        with sqlite3.connect(lab.path) as other:
            other.execute("drop trigger full")
        return "paid"

    with Lab(lab.path, provider=freed) as late:
        reply = late.ask("hi", model="x")
        assert late.texts(reply.call_id)["answer"] == "paid"
        assert late.calls(model="x")["status"].tolist() == ["ok"]


def test_a_ledger_that_was_removed_is_an_error_and_not_a_loss(lab: Lab) -> None:
    lab.ask("warm", model="m")
    lab.path.rename(lab.path.with_suffix(".moved"))
    with pytest.raises(errors.LedgerError, match="was removed or replaced while it was open") as failure:
        lab.ask("hi", model="m")
    assert failure.value.reply.text == "echo: hi"
    assert not lab.path.exists(), "reading makes no empty file in its place"


def test_a_locked_ledger_is_waited_for_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.ledger.opening.BUSY", 0.2)
    with Lab(lab.path, provider=echo) as waiting, sqlite3.connect(lab.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(errors.LedgerError, match="database is locked"):
            waiting.ask("hi", model="m")
        other.execute("ROLLBACK")
        assert waiting.ask("again", model="m").text == "echo: again"


def test_who_holds_the_file_holds_no_call_beyond_its_deadline(tmp_path: Path) -> None:
    """Whole, streamed, with a key, with a budget, with a saved prompt, failing: each ends at its deadline, with the
    reply where there is one, and is written once the file is free."""

    def answers(call: object) -> str:
        if "fail" in call.messages[-1]["content"]:
            raise errors.ProviderError("down")
        return "yes"

    policy = Policy(timeout=Timeout(total=0.3), retry=None)
    with Lab(tmp_path / "lab.db", provider=answers, policy=policy) as lab:
        with sqlite3.connect(lab.path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            start = time.monotonic()
            with ThreadPoolExecutor(5) as pool:
                ended = [
                    pool.submit(_ended, lab.ask, "hi", model="m"),
                    pool.submit(_ended, lambda: list(lab.stream("hi", model="m"))),
                    pool.submit(_ended, lab.ask, "hi", model="m", key="k"),
                    pool.submit(_ended, lab.ask, Prompt("p", "hi"), model="m"),
                    pool.submit(_ended, lab.ask, "fail", model="m"),
                ]
                failures = [one.result() for one in ended]
            assert time.monotonic() - start < 6, "SQLite itself would wait for 30"
            other.execute("ROLLBACK")
        assert {type(failure) for failure in failures} == {errors.LedgerError}
        assert all("did not answer by the call's deadline" in str(failure) for failure in failures)
        assert [getattr(failure.reply, "text", None) for failure in failures] == ["yes", "yes", None, None, None]
        assert lab.calls().sort_values("status")["status"].tolist() == ["failed", "failed", "ok", "ok"]
        assert lab.ask("hi", model="m", key="k").text == "yes", "nobody holds the key"


def _ended(ask: Callable[..., object], *given: object, **more: object) -> Exception:
    with pytest.raises(errors.LedgerError) as failure:
        ask(*given, **more)
    return failure.value


OPENER = """
import sys, time
from lab.ledger.file import Ledger
print("ready", flush=True); sys.stdin.readline()
Ledger(sys.argv[1]).close()
"""


def test_many_processes_open_a_new_ledger_at_once(tmp_path: Path) -> None:
    for number in range(3):
        command = [sys.executable, "-c", OPENER, tmp_path / f"{number}.db"]
        openers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(5)
        ]
        for opener in openers:
            opener.stdout.readline()
        for opener in openers:
            opener.communicate("go\n", timeout=60)
        assert [opener.returncode for opener in openers] == [0] * 5


WRITER = """
import sys
from lab import Lab
with Lab(sys.argv[1], provider=lambda call: "ok") as lab:
    print("up", flush=True)
    for number in range(int(sys.argv[2])):
        reply = lab.ask(f"{sys.argv[3]} {number}", model="m")
        print(reply.call_id, flush=True)
"""


def _writer(path: Path, count: int, name: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", WRITER, path, str(count), name], stdout=subprocess.PIPE, text=True)


def test_two_processes_open_and_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    writers = [_writer(path, 60, name) for name in ("one", "two", "three")]
    outputs = [writer.communicate(timeout=120)[0].split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    with Lab(path, provider=echo) as lab:
        assert lab.count(status="ok") == 180
        assert set(lab.calls(limit=None)["call_id"]) == {
            call_id for output in outputs for call_id in output if call_id != "up"
        }


def test_a_killed_process_loses_no_returned_reply(tmp_path: Path) -> None:
    path = tmp_path / "killed.db"
    with _writer(path, 100_000, "x") as writer:
        returned = [writer.stdout.readline().strip() for _ in range(40)][1:]
        os.kill(writer.pid, signal.SIGKILL)
        returned += [line for line in writer.stdout.read().split("\n")[:-1] if line]
    with Lab(path, provider=echo) as lab:
        rows = lab.calls(limit=None)
        assert set(returned) <= set(rows[rows["status"] == "ok"]["call_id"])
        assert lab._ledger.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_a_ledger_of_an_earlier_lab_is_upgraded_with_what_is_in_it(tmp_path: Path) -> None:
    """As the third migration left it: tags become a table, figures are there, nothing is lost."""
    db = Database(tmp_path / "old.db")
    migrations().apply(db, stop_before="m004_packs_tags_views_jobs_ratings")
    db.execute(
        "INSERT INTO calls (call_id, started_at, ended_at, status, model, streamed, lane, tags, user)"
        " VALUES ('old', 1, 2, 'ok', 'm', 0, 'batch', '[\"a\", \"b\"]', 'u')"
    )
    db.execute(
        "INSERT INTO attempts (call_id, number, role, model, started_at, status, won, latency, cost)"
        " VALUES ('old', 1, 'first', 'm', 1, 'ok', 1, 1.0, 0.5)"
    )
    db.conn.commit()
    db.close()
    with Lab(tmp_path / "old.db") as lab:
        assert lab.calls(tag="b")["call_id"].tolist() == ["old"]
        assert lab.metrics(by=("tag",))["cost"].tolist() == [0.5, 0.5]
        assert lab.calls(user="u")["tags"][0] == ["a", "b"]
        lab.ledger.rows("SELECT * FROM latency_by_model")


def test_a_new_ledger_is_its_owners_alone(tmp_path: Path) -> None:
    """So are the files beside it; one that is there keeps the permissions it has."""
    with Lab(tmp_path / "lab.db", provider=lambda call: "yes") as lab:
        lab.ask("hi", model="m")
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.glob("lab.db*")}
    assert modes == dict.fromkeys(("lab.db", "lab.db-wal", "lab.db-shm"), "0o600")
    (tmp_path / "lab.db").chmod(0o660)
    Lab(tmp_path / "lab.db").close()
    assert (tmp_path / "lab.db").stat().st_mode & 0o777 == 0o660


def test_the_log_shrinks_again_once_a_long_reader_has_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.ledger.opening.WAL", 100_000)
    with Lab(tmp_path / "lab.db", provider=lambda call: "yes" * 20_000) as lab:
        lab.ask("hi", model="m")
        reader = connect(lab.path, readonly=True)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM calls").fetchone()
        for _ in range(100):
            lab.ask("hi", model="m")
        grown = Path(f"{lab.path}-wal").stat().st_size
        reader.close()
        for _ in range(3):
            lab.ask("hi", model="m")
        assert grown > 5_000_000
        assert Path(f"{lab.path}-wal").stat().st_size < grown / 10


@pytest.mark.parametrize("moment", [9_300_000_000.0, 1e300, float("inf")])
def test_a_row_of_another_age_is_no_obstacle(moment: float, tmp_path: Path) -> None:
    """Of a clock that is wrong, or of another tool: it is listed, as far as a calendar goes."""
    with Lab(tmp_path / "lab.db", provider=lambda call: "yes") as lab:
        lab.ask("hi", model="m")
        lab.ask("ho", model="m")
        lab.ledger.submit(("UPDATE calls SET started_at = ? WHERE id = 1", (moment,)))
        lab.ledger.submit(("UPDATE attempts SET started_at = ? WHERE id = 1", (moment,)))
        years = lab.calls()["started_at"].dt.year
        assert sorted(years.fillna(0).astype(int))[-1] == (2264 if moment < 1e10 else 2026)
        assert len(lab.attempts()) == 2
        assert len(lab.metrics(by=("day",))) >= 1
