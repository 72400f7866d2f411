"""Workers as processes of their own: killed, taken over, told to stop, limited."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab, errors
from lab.jobs.status import STARTS
from tests.jobs.working import Folder, until, working


@pytest.fixture
def folder(tmp_path: Path, empty: bytes) -> Iterator[Folder]:
    (tmp_path / "lab.db").write_bytes(empty)
    made = Folder(tmp_path)
    yield made
    made.close()


@pytest.fixture
def lab(folder: Folder) -> Iterator[Lab]:
    """A Lab that hands jobs in, in this process, and runs none."""
    with Lab(folder.path / "lab.db", provider=lambda call: "unasked") as lab:
        yield lab


def submitted(lab: Lab, folder: Folder, monkeypatch: pytest.MonkeyPatch, flow: str, *args: str, **more: object) -> str:
    """A job of the folder's module, which is imported by name alone."""
    monkeypatch.syspath_prepend(str(folder.path))
    monkeypatch.delitem(__import__("sys").modules, "some_flows", raising=False)
    return lab.submit(f"some_flows:{flow}", *args, **more).id


def test_one_that_is_killed_is_taken_over_and_nothing_on_the_ledger_is_asked_again(
    lab: Lab, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps in flight are asked again, for nobody knows what became of them; the one that is done is not."""
    first = folder.worker("--name", "first")
    job = lab.job(submitted(lab, folder, monkeypatch, "report", "tides", id="j"))
    until(lambda: len(folder.asked()) == 3)
    folder.worker("--name", "second")
    first.send_signal(signal.SIGKILL)
    first.wait()
    killed = time.time()
    until(lambda: job.status.worker == "second" and job.state == "running")
    assert job.status.facts["again"] - killed < 10, "looked for each second; busy machines are slow"
    until(lambda: len(folder.asked()) == 5)
    folder.go()
    result = job.result(20)
    assert result == [f"answer to {side} slow: answer to Points on tides" for side in ("For", "Against")]
    assert Counter(folder.asked()) == {
        "Points on tides": 1,
        "For slow: answer to Points on tides": 2,
        "Against slow: answer to Points on tides": 2,
    }
    assert job.status.starts == 2
    assert lab.workers()["worker"].tolist() == ["second"]
    trace = lab.trace(job)
    assert "begun 2 times" in str(trace)
    assert sum("lost with its worker" in bar.outcome for bar in trace.bars) == 2


def test_told_to_stop_it_hands_over_what_does_not_end_in_time(
    lab: Lab, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = folder.worker("--name", "first", "--grace", "1")
    job = lab.job(submitted(lab, folder, monkeypatch, "report", "tides"))
    until(lambda: len(folder.asked()) == 3)
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    assert (job.state, job.status.starts) == ("waiting", 0), "it is back in line, and nobody has died of it"
    assert lab.workers().empty
    folder.go()
    folder.worker("--name", "second")
    assert len(job.result(30)) == 2


def test_told_to_stop_it_lets_end_what_ends_in_time(lab: Lab, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = folder.worker()
    job = lab.job(submitted(lab, folder, monkeypatch, "report", "tides"))
    until(lambda: len(folder.asked()) == 3)
    worker.send_signal(signal.SIGTERM)
    folder.go()
    assert worker.wait(30) == 0
    assert job.state == "done"


def test_two_of_one_name_are_refused(lab: Lab, folder: Folder) -> None:
    folder.worker("--name", "mine")
    with pytest.raises(errors.InvalidRequestError, match="a worker named 'mine' runs already"):
        lab.worker(name="mine")
    with working(lab, name="other"), pytest.raises(errors.InvalidRequestError, match="this process has a worker"):
        lab.worker(name="third")


def test_what_kills_its_workers_ends(lab: Lab, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many starts; before that it is begun again each time. Here all but one of them have been."""
    folder.worker()
    job = lab.job(submitted(lab, folder, monkeypatch, "poison"))
    until(lambda: job.status.starts == 1)
    from lab.jobs import workflows

    store = lab._office.store
    until(lambda: lab.workers().empty)
    with store.engine.begin() as db:
        db.execute(workflows.sa.text("UPDATE workflow_status SET recovery_attempts = :n"), {"n": STARTS - 2})
    for _ in range(3):
        if job.state == "failed":
            break
        process = folder.worker()
        until(lambda process=process: process.poll() is not None or job.state == "failed")
    assert job.state == "failed"
    assert job.status.starts <= STARTS + 1
    with pytest.raises(errors.JobError, match=f"started {STARTS} times, and its worker died each time"):
        job.result(1)
    assert folder.asked() == ["before"], "its first step is on the ledger"


def test_one_users_jobs_wait_for_each_other_and_anothers_do_not(
    lab: Lab, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.worker("--per-user", "1")
    jobs = [
        submitted(lab, folder, monkeypatch, "report", f"{user}{n}", user=user)
        for user in ("ann", "bob")
        for n in (1, 2)
    ]
    until(lambda: Counter(lab.jobs()["state"]) == {"running": 2, "waiting": 2})
    until(lambda: len(folder.asked()) == 6)
    assert sorted(lab.jobs(state="running")["user"]) == ["ann", "bob"]
    folder.go()
    for job in jobs:
        lab.job(job).result(30)


def test_a_worker_serves_the_modules_that_it_was_given_and_no_others(
    lab: Lab, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of another module waits for a worker that knows it."""
    job = submitted(lab, folder, monkeypatch, "report", "tides")
    with working(Lab(lab.path, provider=lambda call: "x")):
        time.sleep(1.0)
        assert lab.job(job).state == "waiting"
    folder.go()
    folder.worker()
    assert len(lab.job(job).result(30)) == 2
