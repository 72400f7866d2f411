"""What could go wrong around a worker: forks, silent receivers, a lock that is looked at, too many endings."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
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
        until(lambda: _is_dead(locks, "parent"))  # the fork may have had no turn yet, to let go of it
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


def _is_dead(locks: FileLocks, worker: str) -> bool:
    with of_the_dead(locks, worker) as dead:
        return dead


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


def test_a_flow_that_would_end_the_process_ends_its_job(fresh: Path) -> None:
    """Whatever it is: a plain function, an async one, a step. The worker goes on."""
    with Lab(fresh, provider=lambda call: "x") as lab:

        @flow_of(lab)
        def plain() -> None:
            sys.exit(3)

        @flow_of(lab)
        async def asynchronous() -> None:
            sys.exit("now")

        @flow_of(lab)
        async def in_a_step() -> None:
            await lab.step(sys.exit, 1)

        good = flow_of(lab)(said)
        with working(lab) as mine:
            for flow, why in (
                (plain, "SystemExit: 3"),
                (asynchronous, "SystemExit: now"),
                (in_a_step, "SystemExit: 1"),
            ):
                with pytest.raises(errors.JobError, match=why):
                    lab.submit(flow).result(20)
            assert mine.alive
            assert lab.submit(good, "x").result(20) == "x"


def test_two_who_resume_at_once_leave_one_run(fresh: Path) -> None:
    go = threading.Event()
    with Lab(fresh, provider=lambda call: "x") as lab:
        begun: list[int] = []

        @flow_of(lab)
        async def fails_once() -> str:
            begun.append(1)
            if len(begun) == 1:
                raise ValueError("once")
            await lab.step(go.wait, 20)
            return "done"

        with working(lab):
            job = lab.submit(fails_once)
            with pytest.raises(ValueError, match="once"):
                job.result(20)
            stale = job.status
            job.resume()
            until(lambda: len(begun) == 2)
            with pytest.raises(ValueError, match="can't be resumed"):
                lab._office.store.resume(stale, stale.facts["queue"])
            go.set()
            assert job.result(20) == "done"


def test_jobs_of_this_process_alone_wait_here_are_gone_on_with_here_and_end_with_it(fresh: Path) -> None:
    """As of a notebook's cells: more than run at once, one that failed, and what is left when the worker closes."""
    go = threading.Event()
    with Lab(fresh, provider=lambda call: "x") as lab:
        tries: list[int] = []

        @lab.flow
        async def cell(number: int) -> int:
            await lab.step(go.wait, 20)
            return number

        @lab.flow
        async def fails_once() -> str:
            tries.append(1)
            if len(tries) == 1:
                raise ValueError("once")
            return "done"

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            with working(lab, concurrency=2):
                jobs = [lab.submit(cell, number) for number in range(4)]
                failed = lab.submit(fails_once)
                go.set()
                assert [job.result(20) for job in jobs] == [0, 1, 2, 3]
                with pytest.raises(ValueError, match="once"):
                    failed.result(20)
                failed.resume()
                assert failed.result(20) == "done"
                go.clear()
                left = lab.submit(cell, 7)
                until(lambda: left.state == "running")
        go.set()
        assert left.state == "cancelled"
        assert "ran in a process that has ended" in str(left.status.message)


def test_the_same_id_from_two_processes_takes_no_place_for_good(fresh: Path) -> None:
    """DBOS hands back what another process has begun a moment ago; nothing runs here then."""
    with Lab(fresh, provider=lambda call: "x") as lab:
        flow = flow_of(lab)(said)
        with working(lab, concurrency=1) as mine:
            lab.submit(flow, "x", id="theirs").result(20)
            with lab._office.store.engine.begin() as db:
                from lab.jobs.workflows import sa

                db.execute(sa.text("UPDATE workflow_status SET executor_id = 'another', status = 'PENDING'"))
            queue = lab._office.queue(flow, "interactive")
            facts = {"lane": "interactive", "queue": queue}
            assert mine.begin(flow, ["x"], {}, job="theirs", user=None, timeout=None, facts=facts, queue=queue)
            until(lambda: mine.runs.room(queue) == 1)


def test_a_claim_that_got_lost_goes_back_in_line(fresh: Path) -> None:
    with Lab(fresh, provider=lambda call: "x") as lab:
        flow = flow_of(lab)(said)
        with working(lab, name="w"):
            job = lab.submit(flow, "x", id="j")
            job.result(20)
            with lab._office.store.engine.begin() as db:
                from lab.jobs.workflows import sa

                db.execute(sa.text("UPDATE workflow_status SET status = 'PENDING', output = NULL, owner_xid = 'lost'"))
            assert job.result(20) == "x"


def test_whose_jobs_have_no_user_do_not_wait_for_each_other(fresh: Path) -> None:
    go = threading.Event()
    with Lab(fresh, provider=lambda call: "x") as lab:
        running: list[int] = []

        @flow_of(lab)
        async def waits(number: int) -> int:
            running.append(number)
            await lab.step(go.wait, 20)
            return number

        with working(lab, per_user=1):
            jobs = [lab.submit(waits, number) for number in range(3)]
            until(lambda: len(running) == 3)
            go.set()
            assert [job.result(20) for job in jobs] == [0, 1, 2]


@pytest.mark.parametrize("url", ["postgresql://u:se/cret@h/n", "postgresql://u:p@ss:wo@h:x/n", "mysql://u:secret@h/n"])
def test_a_password_that_spoils_the_address_is_not_in_the_error(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("LAB_JOBS", url)
    with Lab(fresh, provider=lambda call: "x") as lab:
        with pytest.raises(errors.InvalidRequestError) as refused:
            lab.jobs()
        assert "%40 for @" in str(refused.value)
        assert not any(part in str(refused.value) for part in ("se/", "cret", "ss:wo"))


def test_a_plain_flow_does_not_hold_up_the_end_of_its_process(fresh: Path) -> None:
    code = """
import sys, time
from lab import Lab
lab = Lab(sys.argv[1], provider=lambda call: "x")
def plain():
    print("begun", flush=True)
    time.sleep(600)
plain.__qualname__ = "plain"
flow = lab.flow(plain)
flow.module, flow.name = "elsewhere", "elsewhere:plain"
lab._office.flows[flow.name] = flow
lab.worker()
lab.submit(flow)
time.sleep(1)
lab.close()
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, str(fresh)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.stdout == "begun\n", ran.stderr
