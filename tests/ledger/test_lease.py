"""Leases: one at a time, void with their time or with their owner's death, fenced by their token."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab import Lab, errors
from lab.ledger import lease, owner
from lab.ledger.file import Ledger
from lab.ledger.lease import Lease, held_for
from lab.ledger.owner import Owner, me


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "lab.db")
    yield ledger
    ledger.close()


def _give_to(book: Ledger, process: Owner) -> None:
    """As if the leases that are held had been taken by another process."""
    columns = (process.host, process.boot, process.pid, process.began)
    book.submit(("UPDATE leases SET host = ?, boot = ?, pid = ?, began = ?", columns)).result()
    book.flush()


def test_one_at_a_time_and_free_when_dropped(book: Ledger) -> None:
    first, second = Lease(book, "cache", "a"), Lease(book, "cache", "a")
    assert first.take() is None
    assert 0 < second.take() <= lease.SECONDS
    assert Lease(book, "experiment", "a").take() is None, "another kind of name"
    second.drop()
    assert second.take() is not None, "what one doesn't hold one can't drop"
    first.drop()
    assert second.take() is None


def test_it_ends_with_its_time_and_is_lost_to_who_takes_it_then(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Lease(book, "cache", "a"), Lease(book, "cache", "a")
    first.take()
    assert first.renew().result() is True
    book.submit(("UPDATE leases SET expires_at = ?", (time.time() - 1,)))
    assert second.take() is None
    assert first.renew().result() is False
    assert book.transact(first.holds).result() is False
    first.drop()
    assert book.transact(second.holds).result() is True


def test_one_whose_owner_was_killed_is_free_at_once(book: Ledger) -> None:
    """And while nobody has looked after the dead process yet."""
    code = (
        "import sys, time; from lab.ledger.file import Ledger; from lab.ledger.lease import Lease\n"
        "Lease(Ledger(sys.argv[1]), 'experiment', 'nightly').take(); print('taken', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(book.path)], stdout=subprocess.PIPE)
    process.stdout.readline()
    assert Lease(book, "experiment", "nightly").take() > 10
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert Lease(book, "experiment", "nightly").take() is None
    process.wait()
    process.stdout.close()


def test_who_lives_who_is_dead_and_who_can_not_be_told() -> None:
    mine = me()
    assert not mine.is_dead()
    assert replace(mine, began="1").is_dead(), "its number was given to another process"
    assert replace(mine, boot="another").is_dead(), "the machine was started again"
    assert replace(mine, pid=2**22 + 1).is_dead()
    assert not replace(mine, host="elsewhere", pid=2**22 + 1).is_dead(), "another machine's numbers say nothing here"
    assert not Owner("", "", 2**22 + 1, "").is_dead()


def test_a_fork_is_another_owner() -> None:
    mine, pipe = me(), os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of newer Pythons, of forks beside threads
        child = os.fork()
    if child == 0:
        os.write(pipe[1], json.dumps([me().pid, me().began]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    pid, began = json.loads(os.read(pipe[0], 200))
    assert (pid, mine.pid) == (child, os.getpid())
    assert Owner(mine.host, mine.boot, pid, began).is_dead()


def test_where_the_system_does_not_say_when_a_process_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS: a process that is there is taken for the owner, and one that isn't is dead."""
    monkeypatch.setattr(owner, "_STAT", "/nowhere/{}/stat")
    unknown = replace(me(), began="")
    assert not unknown.is_dead()
    assert replace(unknown, pid=2**22 + 1).is_dead()


def test_keys_and_experiments_of_one_name_do_not_meet(tmp_path: Path) -> None:
    """A stored reply under `experiment: nightly` stays, and the experiment `nightly` runs."""
    with Lab(tmp_path / "lab.db", provider=lambda call: "yes") as lab:
        first = lab.ask("hi", model="m", key="experiment: nightly")
        assert lab.compare("Say yes.", "m", name="nightly", progress=None).progress.done == 1
        again = lab.ask("hi", model="m", key="experiment: nightly")
        assert (again.call_id, again.cached) == (first.call_id, True)


def test_who_has_lost_his_key_returns_the_stored_reply(tmp_path: Path) -> None:
    """The first caller stands still for longer than its lease holds; another asks under the same key meanwhile; both
    are handed the same reply, and the first one's own answer is on record as what it cost, not as the reply."""
    calls = []

    def slow(call: object) -> str:
        calls.append(call)
        if len(calls) == 1:
            with Lab(tmp_path / "lab.db", provider=lambda _: "the second's") as other:
                other.ledger.submit(("UPDATE leases SET expires_at = ?", (time.time() - 1,)))
                assert other.ask("hi", model="m", key="k").text == "the second's"
        return "the first's"

    with Lab(tmp_path / "lab.db", provider=slow) as lab:
        reply = lab.ask("hi", model="m", key="k")
        assert (reply.text, reply.cached) == ("the second's", True)
        rows = lab.calls().sort_values("started_at")
        assert rows["cached"].tolist() == [True, False]
        assert rows["n_attempts"].tolist() == [1, 1]
        assert lab.attempts()["won"].sum() == 1
        assert lab.ask("hi", model="m", key="k").call_id == reply.call_id


def test_a_stream_that_has_lost_its_key_does_not_pass_for_the_stored_reply(tmp_path: Path) -> None:
    def slow(call: object) -> str:
        with Lab(tmp_path / "lab.db", provider=lambda _: "the second's") as other:
            other.ledger.submit(("UPDATE leases SET expires_at = ?", (time.time() - 1,)))
            other.ask("hi", model="m", key="k")
        return "the first's"

    with Lab(tmp_path / "lab.db", provider=slow) as lab:
        stream = lab.stream("hi", model="m", key="k")
        with pytest.raises(errors.BusyError, match="key 'k' was taken over by another process"):
            list(stream)
        assert lab.ask("hi", model="m", key="k").text == "the second's"


def test_an_experiment_that_was_taken_over_asks_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.evals import run

    monkeypatch.setattr(run, "SECONDS", 0.03)
    taken = []

    def provider(call: object) -> str:
        if not taken:
            taken.append(Lease(lab.ledger, "experiment", "x"))
            lab.ledger.submit(("UPDATE leases SET expires_at = 0", ())).result()
            taken[0].take()
        time.sleep(0.05)
        return "yes"

    with Lab(tmp_path / "lab.db", provider=provider) as lab:
        experiment = lab.compare("{{n}}", "m", [str(n) for n in range(50)], name="x", concurrency=1, progress=None)
        assert experiment.progress.done < 50
        assert "another process has taken it over" in experiment.progress.stopped
        assert lab.ledger.transact(lambda db: held_for(db, "experiment", "x")).result() is not None


STOPPED = """
import sys
from lab import Lab

def slow(call):
    print("asked", flush=True)
    sys.stdin.readline()
    return "the stopped one's"

with Lab(sys.argv[1], provider=slow) as lab:
    reply = lab.ask("hi", model="m", key="k")
    print(reply.text, reply.cached, flush=True)
"""


def test_who_was_suspended_for_longer_than_his_lease_returns_the_stored_reply(tmp_path: Path) -> None:
    """A process that is stopped in the middle, as by the lid of a laptop, and woken after another has answered."""
    path = tmp_path / "lab.db"
    command = [sys.executable, "-c", STOPPED, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "asked\n"
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        with Lab(path, provider=lambda call: "the other's") as lab:
            lab.ledger.submit(("UPDATE leases SET expires_at = ?", (time.time() - 1,)))
            assert lab.ask("hi", model="m", key="k").text == "the other's"
            os.kill(process.pid, signal.SIGCONT)
            told, _ = process.communicate("\n", timeout=60)
            assert told == "the other's True\n"
            assert lab.ask("hi", model="m", key="k").text == "the other's"
