"""One key, one request, one reply: in this process, in another, and after a crash."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab import Lab, Policy, Timeout, errors
from lab.call import idempotency
from lab.ledger import lease
from tests.servers import DONE, END, HANG, STREAM, RawServer, answer, chunk, completion


def where(server: RawServer) -> dict:
    return {"model": "gpt-4o-mini", "api_base": server.url, "api_key": "k-123456789"}


def test_the_same_key_returns_the_stored_reply_without_a_request(lab: Lab, server: RawServer) -> None:
    server.plays(answer(completion()))
    first = lab.ask("hi", key="order-7", temperature=0.5, **where(server))
    again = lab.ask("hi", key="order-7", temperature=0.5, **where(server))
    assert len(server.received) == 1
    assert server.received[0].headers["idempotency-key"] == "order-7"
    assert (again.text, again.call_id, again.cost, again.latency) == (
        first.text,
        first.call_id,
        first.cost,
        first.latency,
    )
    assert again.usage == first.usage
    assert (first.cached, again.cached) == (False, True)
    rows = lab.calls()
    assert rows["cached"].tolist() == [True, False]
    assert rows["cost"].tolist() == [0.0, first.cost]
    assert rows["n_attempts"].tolist() == [0, 1]


def test_in_another_lab_and_as_a_stream(lab: Lab, server: RawServer) -> None:
    server.plays(STREAM, chunk("Par"), chunk("is"), chunk(finish="stop"), DONE, END)
    assert "".join(lab.stream("hi", key="k", **where(server))) == "Paris"
    with Lab(lab.path) as other:
        assert list(other.stream("hi", key="k", **where(server))) == ["Paris"]
        assert other.ask("hi", key="k", **where(server)).text == "Paris"
    assert len(server.received) == 1


def test_a_different_request_under_one_key_is_an_error(lab: Lab, server: RawServer) -> None:
    server.plays(answer(completion()))
    lab.ask("hi", key="k", **where(server))
    for change in ({"prompt": "ho"}, {"temperature": 1}, {"model": "gpt-4o"}):
        with pytest.raises(errors.InvalidRequestError, match="key 'k' was used for a different request"):
            lab.ask(**{"prompt": "hi", "key": "k", **where(server), **change})


def test_another_tenant_never_gets_the_stored_reply(lab: Lab, server: RawServer) -> None:
    """Asked of another address, under another API key (as a parameter or a header), or for another user."""
    server.plays(answer(completion()))
    mine = {**where(server), "user": "ann", "extra_headers": {"X-Api-Key": "mine-1", "X-Request-Id": "1"}}
    lab.ask("hi", key="k", **mine)
    for other in (
        {"api_base": f"{server.url}/other"},
        {"api_key": "k-987654321"},
        {"user": "bob"},
        {"user": None},
        {"extra_headers": {"X-Api-Key": "theirs"}},
        {"extra_headers": {}},
    ):
        with pytest.raises(errors.InvalidRequestError, match="key 'k' was used for a different request"):
            lab.ask("hi", key="k", **{**mine, **other})
    same = {**mine, "extra_headers": {"X-Api-Key": "mine-1", "X-Request-Id": "2"}}
    assert lab.ask("hi", key="k", **same).cached, "what names the try is no part of what is asked"
    assert len(server.received) == 1
    lab.close()
    assert b"k-123456789" not in lab.path.read_bytes()


def test_a_failed_call_may_be_tried_again_under_its_key(lab: Lab, server: RawServer) -> None:
    server.plays(answer({"error": {"message": "boom"}}, 500))
    server.plays(answer(completion()))
    with pytest.raises(errors.ProviderError):
        lab.ask("hi", key="k", **where(server))
    assert lab.ask("hi", key="k", **where(server)).text == "Paris"


def test_calls_in_flight_are_joined_not_repeated(tmp_path: Path) -> None:
    """In one process from many threads, and across two Labs as two processes would."""
    asked, go = [], threading.Event()

    async def slow(call: object) -> str:
        asked.append(call)
        await asyncio.to_thread(go.wait)
        return "once"

    with Lab(tmp_path / "lab.db", provider=slow) as first, Lab(tmp_path / "lab.db", provider=slow) as second:
        with ThreadPoolExecutor(8) as pool:
            waiting = [pool.submit(lab.ask, "hi", model="m", key="k") for lab in (first, second) * 4]
            while not asked:
                time.sleep(0.01)
            go.set()
            replies = [future.result() for future in waiting]
    assert len(asked) == 1
    assert {reply.text for reply in replies} == {"once"}
    assert sum(not reply.cached for reply in replies) == 1


CRASH = """
import sys
from lab import Lab
def never(call):
    print("asked", flush=True)
    import time; time.sleep(600)
Lab(sys.argv[1], provider=never).ask("hi", model="m", key="k")
"""


def test_a_crashed_owners_claim_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", CRASH, tmp_path / "lab.db"], stdout=subprocess.PIPE) as owner:
        owner.stdout.readline()
        os.kill(owner.pid, signal.SIGKILL)
    with Lab(tmp_path / "lab.db", provider=lambda call: "mine") as lab:
        start = time.monotonic()
        assert lab.ask("hi", model="m", key="k").text == "mine"
        assert time.monotonic() - start < 10


def test_a_claim_is_renewed_while_its_call_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SECONDS", 0.3)
    monkeypatch.setattr(idempotency, "SECONDS", 0.3)
    asked = []

    async def slow(call: object) -> str:
        asked.append(call)
        await asyncio.sleep(1.2)
        return "once"

    with Lab(tmp_path / "lab.db", provider=slow) as first, Lab(tmp_path / "lab.db", provider=slow) as second:
        with ThreadPoolExecutor(2) as pool:
            texts = [
                future.result().text
                for future in [pool.submit(lab.ask, "hi", model="m", key="k") for lab in (first, second)]
            ]
    assert (texts, len(asked)) == (["once", "once"], 1)


def test_waiting_for_another_ends_at_the_deadline(lab: Lab, server: RawServer) -> None:
    server.plays(HANG)
    running = lab.stream("hi", key="k", **where(server))
    while not server.received:
        time.sleep(0.01)
    with pytest.raises(errors.TimeoutError, match="waiting for key 'k'") as late:
        lab.ask("hi", key="k", policy=Policy(timeout=Timeout(total=0.3), retry=None), **where(server))
    assert late.value.phase == "total"
    running.close()


@pytest.mark.parametrize("key", ["", " ", 7, "a\nb", "x" * 256])
def test_a_key_that_can_not_be_one_is_refused(lab: Lab, key: object) -> None:
    with pytest.raises(errors.InvalidRequestError, match="up to 255 printable characters"):
        lab.ask("hi", model="m", key=key)
