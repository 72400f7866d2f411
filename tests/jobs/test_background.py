"""Experiments in the background: one worker, found again, stopped and gone on with, never begun unasked."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import Lab, errors
from lab.jobs import background
from lab.jobs.background import Jobs
from tests.evals.test_code import spec

WAIT = 20.0


class Gate:
    """A provider that answers when it is let."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.asked = 0
        self.running = 0
        self.most = 0

    async def __call__(self, call: object) -> str:
        self.asked += 1
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.to_thread(self.open.wait, WAIT)
        self.running -= 1
        return "billing"


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def lab(tmp_path: Path, gate: Gate) -> Iterator[Lab]:
    with Lab(tmp_path / "lab.db", provider=gate) as lab:
        yield lab
        gate.open.set()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def state(work: Jobs, name: str) -> str:
    return work.listing().set_index("name").loc[name, "state"]


def test_one_goes_on_whoever_looks_and_ends_as_done(lab: Lab, gate: Gate) -> None:
    work = Jobs(lab)
    name = work.start(spec(models=["m"]))
    until(lambda: gate.asked > 0)
    assert state(work, name) == "running"
    assert Jobs.listing(work)["total"].tolist() == [3]
    gate.open.set()
    until(lambda: state(work, name) == "done")
    row = work.listing().iloc[0]
    assert (row["done"], row["failed"]) == (3, 0)
    assert lab.experiment(name).df()["score"].tolist() == [1.0, 1.0, 1.0]
    work.close()


def test_the_second_waits_for_the_first(lab: Lab, gate: Gate) -> None:
    """One worker: two tabs do not run two at once, and the same experiment twice is one."""
    work = Jobs(lab)
    first = work.start(spec(models=["m"], concurrency=1))
    second = work.start(spec(models=["n"], concurrency=1))
    assert work.start(spec(models=["m"], concurrency=1)) == first
    until(lambda: gate.asked == 1)
    assert (state(work, first), state(work, second)) == ("running", "waiting")
    gate.open.set()
    until(lambda: state(work, second) == "done")
    assert (gate.asked, gate.most) == (6, 1)
    work.close()


def test_stopped_and_gone_on_with_it_asks_only_what_is_left(
    lab: Lab, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "BEAT", 0.05)
    work = Jobs(lab)
    name = work.start(spec(models=["m"], concurrency=1))
    until(lambda: gate.asked == 1)
    work.stop(name)
    until(lambda: state(work, name) == "stopped")
    gate.open.set()
    assert lab.experiment(name).df()["status"].eq("unanswered").any()
    known = int(lab.experiment(name).df()["status"].eq("ok").sum())
    before = gate.asked
    work.resume(name)
    until(lambda: state(work, name) == "done")
    assert gate.asked == before + 3 - known
    work.close()


def test_a_server_that_ends_leaves_it_interrupted_and_the_next_does_not_begin_unasked(
    lab: Lab, gate: Gate, tmp_path: Path
) -> None:
    first = Jobs(lab)
    name = first.start(spec(models=["m"], concurrency=1))
    until(lambda: gate.asked == 1)
    threading.Timer(0.2, gate.open.set).start()
    first.close()
    lab.ledger.submit(("UPDATE jobs SET state = 'running', updated_at = 1", ())).result()  # as a killed one leaves it
    with Lab(tmp_path / "lab.db", provider=gate) as later:
        second = Jobs(later)
        asked = gate.asked
        assert state(second, name) == "interrupted"
        time.sleep(0.3)
        assert gate.asked == asked
        second.resume(name)
        until(lambda: state(second, name) == "done")
        second.close()


def test_what_goes_wrong_is_on_its_row_and_the_next_runs(lab: Lab, gate: Gate, tmp_path: Path) -> None:
    gate.open.set()
    file = tmp_path / "set.jsonl"
    file.write_text(json.dumps({"id": "a", "input": {"ticket": "t"}}))
    lab.ledger.submit(
        (
            "INSERT INTO jobs (name, spec, state, asked_at, updated_at) VALUES ('bad', ?, 'waiting', 1, 1)",
            (json.dumps({**spec(models=["m"], name="bad").written(), "rows": None, "set": "gone.jsonl"}),),
        )
    ).result()
    work = Jobs(lab)
    name = work.start(spec(models=["m"]))
    until(lambda: state(work, name) == "done")
    row = work.listing().set_index("name").loc["bad"]
    assert row["state"] == "failed"
    assert "no eval set can be read from it" in row["message"]
    work.close()


def test_what_would_cost_too_much_is_not_put_in_line(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab.db") as lab:
        work = Jobs(lab)
        with pytest.raises(errors.BudgetError, match="over the budget"):
            work.start(spec(models=["sim/large"], budget=0.0000001))
        assert work.listing().empty
        with pytest.raises(ValueError, match="no experiment 'x' was started"):
            work.resume("x")
        work.close()


def test_stopped_and_at_once_gone_on_with_it_goes_on(lab: Lab, gate: Gate) -> None:
    work = Jobs(lab)
    name = work.start(spec(models=["m"], concurrency=1))
    until(lambda: gate.asked == 1)
    work.stop(name)
    work.resume(name)
    gate.open.set()
    until(lambda: state(work, name) == "done")
    work.close()


def test_keys_are_not_written_down_and_words_no_longer_than_needed(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab.db", provider=lambda call: "billing", keep="hashes") as quiet:
        work = Jobs(quiet)
        with pytest.raises(errors.InvalidRequestError, match="api_key: what runs in the background is written down"):
            work.start(spec(models=["m"], params={"api_key": "planted"}))
        name = work.start(spec(models=["m"]))
        until(lambda: state(work, name) == "done")
        until(lambda: work.spec(name) is None)
        with pytest.raises(ValueError, match="its words are gone"):
            work.resume(name)
        work.close()


def test_one_that_a_script_is_running_waits_for_it(lab: Lab, gate: Gate, tmp_path: Path) -> None:
    """The lease is the script's: nothing is paid twice, and nothing is called failed."""
    work = Jobs(lab)
    with Lab(tmp_path / "lab.db", provider=gate) as other:
        script = threading.Thread(target=other.planned(spec(models=["m"], concurrency=1)).run, args=(None,))
        script.start()
        until(lambda: gate.asked == 1)
        name = work.start(spec(models=["m"], concurrency=1))
        until(lambda: "is being run by another process" in str(work.listing()["message"][0]))
        gate.open.set()
        script.join()
    until(lambda: state(work, name) == "done")
    assert gate.asked == 3
    work.close()
