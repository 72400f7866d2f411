"""Jobs in Postgres: workers with a ledger each, one killed, one whose database goes away."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab, errors
from lab.ledger.merging import merge
from tests import postgres
from tests.jobs.working import Folder, until, working

if postgres.programs() is None and not os.environ.get("CI"):
    pytest.skip(
        "NO TEST ON POSTGRES WAS RUN: it is not installed (Debian: apt install postgresql).", allow_module_level=True
    )


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    with postgres.running() as server:
        yield server


@pytest.fixture
def url(server: postgres.Server, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    made = server.made(f"jobs-{abs(hash(request.node.name)) % 10**9}")
    monkeypatch.setenv("LAB_JOBS", made)
    return made


@pytest.fixture
def folder(tmp_path: Path, empty: bytes, url: str) -> Iterator[Folder]:
    for name in ("lab.db", "one.db", "two.db"):
        (tmp_path / name).write_bytes(empty)
    made = Folder(tmp_path, LAB_JOBS=url)
    yield made
    made.close()


def test_a_worker_with_a_ledger_of_its_own_goes_on_with_anothers_job(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was answered on the other machine is not asked again, though its ledger is not here; merged they are one."""
    monkeypatch.syspath_prepend(str(folder.path))
    with Lab(folder.path / "lab.db", provider=lambda call: "unasked") as lab:
        first = folder.worker("--name", "first", ledger="one.db")
        monkeypatch.delitem(__import__("sys").modules, "some_flows", raising=False)
        job = lab.submit("some_flows:report", "tides", id="j", user="ann")
        until(lambda: len(folder.asked()) == 3)
        assert lab.workers()[["worker", "modules"]].values.tolist() == [["first", ["lab", "some_flows"]]]
        folder.worker("--name", "second", ledger="two.db")
        first.send_signal(signal.SIGKILL)
        first.wait()
        until(lambda: len(folder.asked()) == 5)
        folder.go()
        assert job.result(30) == [f"answer to {side} slow: answer to Points on tides" for side in ("For", "Against")]
        assert (job.status.worker, job.status.starts) == ("second", 2)
        assert folder.asked().count("Points on tides") == 1
        with pytest.raises(errors.InvalidRequestError, match="was submitted with another flow or other arguments"):
            lab.submit("some_flows:report", "sand", id="j")
        assert lab.jobs(user="ann", state="done")["job"].tolist() == ["j"]
    joined = folder.path / "joined.db"
    for name in ("one.db", "two.db", "one.db"):
        merge(joined, folder.path / name)
    with Lab(joined, provider=lambda call: "unasked") as together:
        calls = together.calls(job="j")
        assert calls["call_id"].is_unique
        assert sorted(calls["status"]) == ["ok", "ok", "ok", "running", "running"]


def test_in_this_process_too_steps_values_and_progress(url: str, fresh: Path) -> None:
    with Lab(fresh, provider=lambda call: '{"a": 1}') as lab:

        async def value() -> list[object]:
            lab.progress(1, of=2)
            reply = await lab.aask("hi", model="m", schema={"type": "object"})
            return [reply.value, reply.text]

        value.__qualname__ = "value"
        flow = lab.flow(value)
        lab.schedule("nightly", flow, "0 3 * * *")
        assert lab.schedules()["name"].tolist() == ["nightly"]
        with working(lab):
            job = lab.submit(flow)
            assert job.result(20) == [{"a": 1}, '{"a": 1}']
            assert str(job.progress) == "1 of 2"
            assert job.again().result(20) == job.result()
            status = job.status
            assert status.submitted_at <= status.started_at <= status.ended_at
        assert lab.prune_jobs(status.ended_at + 3600) == 2


def test_away_the_callers_are_busy_the_jobs_wait_and_the_worker_says_so(
    server: postgres.Server, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock dies with its session, so the worker ends: another may have its jobs. Started again, it goes on."""
    monkeypatch.syspath_prepend(str(folder.path))
    monkeypatch.delitem(__import__("sys").modules, "some_flows", raising=False)
    with Lab(folder.path / "lab.db", provider=lambda call: "unasked") as lab:
        worker = folder.worker(ledger="one.db")
        job = lab.submit("some_flows:report", "tides")
        until(lambda: len(folder.asked()) == 3)
        server.stop()
        try:
            with pytest.raises(errors.BusyError, match="the jobs' database can't be reached") as away:
                lab.submit("some_flows:report", "sand")
            assert away.value.retry_after
            with pytest.raises(errors.BusyError):
                job.state  # noqa: B018
            assert worker.wait(60) == 75
        finally:
            server.start()
        folder.go()
        folder.worker(ledger="one.db")
        assert len(job.result(60)) == 2


def test_two_processes_that_make_the_tables_at_once(
    server: postgres.Server, url: str, tmp_path: Path, empty: bytes
) -> None:
    from lab.jobs.workflows import Store

    stores: list[Store] = []
    place = url.replace("postgresql://", "postgresql+psycopg://")
    threads = [threading.Thread(target=lambda: stores.append(Store(place))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores) == 3
    for store in stores:
        assert store.listing() == []
        store.close()
