"""What could go wrong around a worker: forks, silent receivers, a lock that is looked at, too many endings."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lab import Lab, errors
from lab.jobs import delivery, webhook, worker
from lab.jobs.locks import FileLocks, of_the_dead, taken
from lab.ledger.owner import Owner
from tests.jobs.test_job import flow_of
from tests.jobs.working import ROOT, until, working


async def said(topic: str) -> str:
    return topic


FORKS = """
import multiprocessing, sys, time
from pathlib import Path
from lab.jobs.locks import FileLocks
lock = FileLocks(Path(sys.argv[1])).take("parent", {"modules": []})
child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_lock_dies_with_its_process_though_a_fork_of_it_lives(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKS, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert process.stdout is not None
    child = int(process.stdout.readline())
    locks = FileLocks(tmp_path)
    try:
        assert [about["worker"] for about in locks.alive()] == ["parent"]
        process.kill()
        process.wait()
        with of_the_dead(locks, "parent") as dead:
            assert dead
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


def test_a_lock_that_is_just_looked_at_is_waited_for(tmp_path: Path) -> None:
    locks = FileLocks(tmp_path)
    looked_at = locks.take("w", {})
    assert looked_at is not None
    threading.Timer(0.3, looked_at.release).start()
    mine = taken(locks, "w", ["lab"])
    assert mine.holds()
    assert locks.alive()[0]["modules"] == ["lab"]
    mine.release()
    mine.release()
    assert not mine.holds()
    assert locks.alive() == []


def test_a_receiver_that_trickles_holds_a_try_no_longer_than_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its bytes comes in time; all of them never do."""
    monkeypatch.setattr(webhook, "TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def trickle() -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    for _ in range(200):
                        connection.sendall(b"H")
                        time.sleep(0.05)
                except OSError:
                    return

        threading.Thread(target=trickle, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(webhook.NotTold):
            webhook.once(f"http://127.0.0.1:{server.getsockname()[1]}/", {}, message_id="m", private=True)
        assert time.monotonic() - began < 8


def test_the_webhook_of_a_job_that_ended_while_nobody_worked_is_told(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many others have ended that day; and its name may be in any alphabet."""
    monkeypatch.setattr(worker, "PAGE", 2)
    monkeypatch.setenv(delivery.PRIVATE, "1")
    with Lab(fresh, provider=lambda call: "x") as lab:
        flow = flow_of(lab)(said)
        with working(lab):
            for number in range(7):
                lab.submit(flow, "x", id=f"n{number}").result(20)
        job = lab.submit(flow, "x", id="заказ-7", webhook="http://127.0.0.1:9/")
        job.cancel()
        with working(lab):
            row = until(lambda: lab._office.webhooks.listed())[0]
            args, _ = lab._office.store.input(row.job)
            assert args[1] == "webhook:%D0%B7%D0%B0%D0%BA%D0%B0%D0%B7-7"
            until(lambda: lab._office.steps(row.job))
            assert lab._office.steps(row.job)[0]["output"]["value"]["why"] == "ConnectionRefusedError"


def test_a_look_that_fails_is_said_and_looked_again(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "LOOK", 0.05)
    with Lab(fresh, provider=lambda call: "x") as lab:
        store, looks = lab._office.store, []
        plain = store.running

        def failing() -> set[str]:
            looks.append(time.monotonic())
            if len(looks) == 1:
                raise OSError("too many open files")
            return plain()

        monkeypatch.setattr(store, "running", failing)
        with working(lab):
            until(lambda: len(looks) > 2)
    assert "too many open files" in caplog.text


def test_a_job_of_a_flow_that_its_worker_does_not_know_is_stopped_and_says_so(fresh: Path) -> None:
    """As of a newer version of a module that an older worker serves."""
    with Lab(fresh, provider=lambda call: "x") as lab:
        newer = flow_of(lab)(said)
        job = lab.submit(newer, "x")
        older = lab._office.flows.pop(newer.name)
        other = flow_of(lab)(another)
        with working(lab, name="old"):
            until(lambda: job.state == "cancelled")
            assert (
                job.status.message == f"worker old has no flow {newer.name}: start one that does, then resume the job"
            )
        lab._office.flows[older.name] = older
        with working(lab, name="new"):
            job.resume()
            assert job.result(20) == "x"
            assert lab.submit(other).result(20) == 1


async def another() -> int:
    return 1


def test_a_job_that_timed_out_has_failed_in_every_list(fresh: Path) -> None:
    with Lab(fresh, provider=lambda call: "x") as lab:

        @flow_of(lab)
        async def slow() -> str:
            return await lab.step(asleep)

        with working(lab):
            job = lab.submit(slow, timeout=0.3)
            with pytest.raises(errors.TimeoutError):
                job.result(20)
            assert lab.jobs(state="failed")["job"].tolist() == [job.id]
            assert lab.jobs(state="cancelled").empty
            assert lab.jobs()["state"].tolist() == ["failed"]


async def asleep() -> str:
    import asyncio

    await asyncio.sleep(30)
    return "never"


def test_what_a_dead_worker_held_is_free_at_once_though_its_process_can_not_be_looked_at(fresh: Path) -> None:
    """As in another container: its process numbers say nothing here, its lock does."""
    with Lab(fresh, provider=lambda call: "x") as lab:
        flow = flow_of(lab)(said)
        job = lab.submit(flow, "x")
        elsewhere = Owner("elsewhere", "boot", 7, "1")
        locks = lab._office.locks()
        gone = locks.take("ghost", {"owner": [elsewhere.host, elsewhere.boot, elsewhere.pid, elsewhere.began]})
        assert isinstance(locks, FileLocks)
        gone.forget()  # its process is dead; the file stays
        columns = "space, name, token, host, boot, pid, began, expires_at"
        put = f"INSERT INTO leases ({columns}) VALUES ('key', ?, 't', ?, ?, ?, ?, ?)"
        process = (elsewhere.host, elsewhere.boot, elsewhere.pid, elsewhere.began, time.time() + 600)
        lab.ledger.submit((put, ("dead", *process))).result()
        lab.ledger.submit((put, ("alive", "third", *process[1:]))).result()
        from lab.jobs import workflows

        with lab._office.store.engine.begin() as db:
            db.execute(workflows.sa.text("UPDATE workflow_status SET status = 'PENDING', executor_id = 'ghost'"))
        with working(lab):
            assert job.result(20) == "x"
            assert lab.ledger.rows("SELECT name FROM leases WHERE space = 'key'") == [("alive",)]
