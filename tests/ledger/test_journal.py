"""Between a call and the file: what waits, what is written when, and what is never written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.ledger.file import Ledger
from lab.ledger.journal import Journal, Outcome
from lab.ledger.privacy import Payload
from lab.values import Attempt, Call, Checked

SECRET = "sk-planted-0123456789abcdef"
CALL = Call(call_id="c1", model="m", messages=({"role": "user", "content": f"hi {SECRET}"},), user="ann", tags=("t",))


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "lab.db")
    yield ledger
    ledger.close()


@pytest.fixture
def commits(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many statements were queued together, a number a commit that was asked for."""
    counted: list[int] = []
    put = book._put

    def counting(job: Any) -> Any:
        if job.statements or job.decide:
            counted.append(len(job.statements))
        return put(job)

    monkeypatch.setattr(book, "_put", counting)
    return counted


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


def attempt(number: int = 1, **more: Any) -> Attempt:
    return Attempt(call_id="c1", number=number, model="m", way="wire", started_at=1.0, **more)


def test_a_call_that_is_over_at_once_is_one_commit(book: Ledger, commits: list[int]) -> None:
    async def call() -> None:
        rows = Journal(book, Payload(), CALL, "{}", 1.0)
        rows.attempt(attempt())
        done = attempt(status="ok", latency=0.2, won=True)
        rows.attempt_ended(done, 0.1, False)
        rows.checked(1, [Checked(name="between", passed=True)])
        assert await asyncio.wrap_future(rows.end(Outcome(status="ok", columns={"n_attempts": 1}, text="yes")))

    run(call())
    assert len(commits) == 1
    assert book.rows("SELECT status, n_attempts FROM calls") == [("ok", 1)]
    assert book.rows("SELECT status, won, latency FROM attempts") == [("ok", 1, 0.2)]
    assert book.rows("SELECT name, passed FROM checks") == [("between", 1)]
    assert book.rows("SELECT answer, done FROM texts") == [("yes", 1)]


def test_what_still_runs_is_seen_after_a_moment(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    async def call() -> None:
        rows = Journal(book, Payload(), CALL, "{}", 1.0, visible=0.0)
        rows.attempt(attempt())
        await asyncio.sleep(0.01)
        assert book.rows("SELECT calls.status, attempts.status FROM calls JOIN attempts USING (call_id)") == [
            ("running", "running")
        ]
        rows.end(Outcome(status="cancelled", columns={}))

    run(call())
    assert book.rows("SELECT status FROM calls") == [("cancelled",)]


def test_a_loser_that_runs_on_corrects_what_the_call_cost(book: Ledger) -> None:
    async def call() -> None:
        rows = Journal(book, Payload(), CALL, "{}", 1.0)
        rows.end(Outcome(status="ok", columns={"cost": 1.0, "cost_estimated": True}))
        rows.attempt_ended(attempt(2, role="hedge", status="ok", cost=0.5), 1.5, False)

    run(call())
    assert book.rows("SELECT cost, cost_estimated FROM calls") == [(1.5, 0)]
    assert book.rows("SELECT number, role FROM attempts") == [(2, "hedge")]


def test_no_secret_reaches_the_file_in_any_column(book: Ledger) -> None:
    async def call() -> None:
        rows = Journal(book, Payload(redact=lambda text: text.replace("ann", "[user]")), CALL, "{}", 1.0)
        rows.attempt_ended(attempt(status="failed", kind="provider", error=f"bad {SECRET}", body=SECRET), None, True)
        rows.checked(1, [Checked(name="that", passed=False, message=f"not {SECRET}")])
        rows.end(Outcome(status="failed", columns={"error": f"bad {SECRET}", "kind": "provider"}, text=f"so {SECRET}"))

    run(call())
    book.flush()
    everything = json.dumps([book.rows(f"SELECT * FROM {table}") for table in ("calls", "attempts", "texts", "checks")])
    assert "planted" not in everything
    assert everything.count("[redacted]") == 7
    assert book.rows("SELECT user FROM calls") == [("[user]",)]


def test_words_that_are_not_kept_are_kept_after_all_where_the_call_fails(book: Ledger) -> None:
    async def call(call_id: str, outcome: Outcome) -> None:
        rows = Journal(
            book, Payload(keep="hashes"), Call(call_id=call_id, model="m", messages=CALL.messages), "{}", 1.0
        )
        row = Attempt(call_id=call_id, number=1, model="m", way="wire", status="failed", error="why")
        rows.attempt_ended(row, None, True)
        rows.end(outcome if outcome.status == "ok" else Outcome(status="failed", columns={}, attempts=[row]))

    run(call("a", Outcome(status="ok", columns={}, text="the answer")))
    run(call("b", Outcome(status="failed", columns={})))
    book.flush()
    assert book.rows("SELECT messages, answer, digest IS NOT NULL FROM texts ORDER BY id")[0] == ("[]", None, 1)
    assert "hi" in book.rows("SELECT messages FROM texts ORDER BY id")[1][0]
    assert book.rows("SELECT error FROM attempts ORDER BY call_id") == [(None,), ("why",)]
