"""A batch service that is late, forgetful, hostile: every call that waits is answered, or told how it failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab import errors
from lab.call.batching import MISSING, Batching, Pace
from lab.ledger import batches
from lab.ledger.file import Ledger
from lab.provider.batch import FileBatches, MessageBatches, _read
from lab.values import BatchLine, BatchResult, BatchState

QUICK = Pace(quiet=0.0, first=0.0, longest=0.0, settled=0.0)
DONE = BatchState("ended")


@dataclass
class Service:
    """A double: `says` is what its questions are answered with, one after the other, then as the last; an exception is
    raised."""

    name: str = "double"
    most_lines: int = 100
    most_bytes: int = 10_000
    account: tuple[str, ...] = ()
    hidden: Any = ()
    sent: list[list[bytes]] = field(default_factory=list)
    states: list[Any] = field(default_factory=lambda: [DONE])
    sends: list[Any] = field(default_factory=lambda: ["b1"])
    finds: list[Any] = field(default_factory=lambda: [None])
    answers: Callable[[str], tuple[str | None, Any]] = lambda name: (name, BatchResult(200, b"{}"))
    only: int | None = None
    went: asyncio.Event = field(default_factory=asyncio.Event)

    def line(self, identity: str, body: bytes) -> bytes:
        return identity.encode()

    @staticmethod
    def _next(queue: list[Any]) -> Any:
        told = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(told, BaseException):
            raise told
        return told

    async def send(self, token: str, lines: Sequence[bytes]) -> str:
        self.sent.append(list(lines))
        self.went.set()
        name: str = self._next(self.sends)
        return name

    async def find(self, token: str, lines: int, since: float, known: frozenset[str]) -> Any:
        return self._next(self.finds)

    async def state(self, name: str) -> Any:
        return self._next(self.states)

    async def results(self, name: str, state: Any) -> AsyncGenerator[tuple[str | None, Any]]:
        for row in [line.decode() for line in self.sent[-1]][: self.only]:
            yield self.answers(row)


def line(service: Any, number: int, scope: str = "x") -> BatchLine:
    return BatchLine(service, "m", f'{{"n": {number}}}'.encode(), f"call{number}", scope, f"cell{number}")


def posted(book: Ledger, service: Any, count: int = 3, pace: Pace = QUICK) -> list[Any]:
    """What each of so many lines comes to."""

    async def ask() -> list[Any]:
        batching = Batching(book, pace)
        try:
            return await asyncio.wait_for(
                asyncio.gather(*(batching.post(line(service, n)) for n in range(count)), return_exceptions=True), 20
            )
        finally:
            await batching.close()

    return asyncio.run(ask())


@pytest.fixture
def book(fresh: Path) -> Any:
    with_ledger = Ledger(fresh)
    yield with_ledger
    with_ledger.close()


def kinds(answers: Sequence[Any]) -> list[str]:
    return [
        type(answer).kind if isinstance(answer, errors.LabError) else answer.ended  # type: ignore[union-attr]
        for answer in answers
    ]


ODD = [KeyError("id"), TypeError("str"), AttributeError("get"), ValueError("json"), TimeoutError(), RecursionError()]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
def test_what_can_not_be_read_is_asked_again(book: Ledger, odd: Exception) -> None:
    """When it is sent, when it is looked for, when it is looked at: and nothing is sent twice, for it is found."""
    service = Service(sends=[odd, "never"], finds=[odd, False, "b1"], states=[odd, BatchState("working"), DONE])
    assert kinds(posted(book, service)) == ["answered"] * 3
    assert len(service.sent) == 1


def test_what_was_never_sent_is_sent_anew(book: Ledger) -> None:
    service = Service(sends=[errors.TransportError("reset"), "b2"])
    assert kinds(posted(book, service)) == ["answered"] * 3
    assert [len(lines) for lines in service.sent] == [3, 3]
    assert batches.listing(book)["state"].tolist() == ["done", "never sent"]


@pytest.mark.parametrize(("rest", "kind"), [("lost", "lost"), ("expired", "expired"), ("cancelled", "cancelled")])
def test_a_line_that_is_not_among_the_results_has_its_batchs_end(book: Ledger, rest: Any, kind: str) -> None:
    assert kinds(posted(book, Service(states=[BatchState("ended", rest=rest)], only=1))) == ["answered", kind, kind]


def test_results_of_others_and_results_told_twice_change_nothing(book: Ledger) -> None:
    """The first counts."""

    class Twice(Service):
        async def results(self, name: str, state: Any) -> AsyncGenerator[tuple[str | None, Any]]:
            for row in [None, "", "-", "stranger", "a-stranger"]:
                yield row, BatchResult(200, b"theirs")
            for body in (b"first", b"second"):
                for row in self.sent[-1]:
                    yield row.decode(), BatchResult(200, body)

    assert {answer.body for answer in posted(book, Twice())} == {b"first"}


@pytest.mark.parametrize(
    "refusal", [errors.AuthError("no"), errors.QuotaError("empty"), errors.InvalidRequestError("x")]
)
def test_a_refusal_ends_all_of_them(book: Ledger, refusal: errors.LabError) -> None:
    answers = posted(book, Service(sends=[refusal]))
    assert kinds(answers) == [refusal.kind] * 3
    assert len({id(answer) for answer in answers}) == 3
    assert batches.listing(book)["state"].tolist() == ["refused"]


def test_a_key_that_is_refused_while_it_waits_loses_nothing(book: Ledger) -> None:
    """The batch is still there: with another key the same again has what it was answered."""
    service = Service(states=[errors.AuthError("revoked")])
    assert kinds(posted(book, service)) == ["auth"] * 3
    service.states = [DONE]
    assert kinds(posted(book, service)) == ["answered"] * 3
    assert len(service.sent) == 1


def test_a_batch_that_is_gone_is_lost_and_is_sent_anew_the_next_time(book: Ledger) -> None:
    service = Service(states=[errors.UnsupportedError("no such batch", status=404)])
    assert MISSING > 1, "one that is not seen for a moment is not gone"
    assert kinds(posted(book, service)) == ["lost"] * 3
    service.states = [DONE]
    assert kinds(posted(book, service)) == ["answered"] * 3
    assert len(service.sent) == 2


def test_a_service_that_fails_for_longer_than_a_day_is_given_up(book: Ledger) -> None:
    service = Service(states=[errors.ProviderError("500")])
    assert kinds(posted(book, service, pace=Pace(quiet=0.0, first=0.0, longest=0.0, patience=-1.0))) == ["provider"] * 3


def test_a_ledger_that_can_not_be_written_sends_nothing(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise errors.LedgerError("the disk is full")

    monkeypatch.setattr(batches, "begin", full)
    service = Service()
    answers = posted(book, service)
    assert [str(answer) for answer in answers] == ["the disk is full"] * 3
    assert service.sent == []


def test_who_leaves_before_it_is_sent_asks_nothing(book: Ledger) -> None:
    service = Service()

    async def ask() -> Any:
        batching = Batching(book, Pace(quiet=0.05, first=0.0))
        leaves = asyncio.create_task(batching.post(line(service, 1)))
        stays = asyncio.create_task(batching.post(line(service, 2)))
        await asyncio.sleep(0.01)
        leaves.cancel()
        answer = await stays
        await batching.close()
        return answer

    assert asyncio.run(ask()).status == 200
    assert [len(lines) for lines in service.sent] == [1]


def test_who_leaves_while_it_waits_finds_it_again(book: Ledger) -> None:
    """In the same process, by the same office: the batch is looked after all the while."""
    service = Service(states=[BatchState("working"), BatchState("working"), DONE])

    async def ask() -> Any:
        batching = Batching(book, QUICK)
        leaves = asyncio.create_task(batching.post(line(service, 1)))
        await asyncio.wait_for(service.went.wait(), 20)
        leaves.cancel()
        batching.opened("x")
        answer = await asyncio.wait_for(batching.post(line(service, 1)), 20)
        await batching.close()
        return answer

    assert asyncio.run(ask()).status == 200
    assert len(service.sent) == 1


def test_what_is_still_being_sent_is_sent_once(book: Ledger) -> None:
    """However long that takes, and whatever comes meanwhile; here and in another office, as of another process."""
    service, later = Service(), Service()

    async def ask() -> Any:
        go = asyncio.Event()

        async def slow(token: str, lines: Sequence[bytes]) -> str:
            service.sent.append(list(lines))
            service.went.set()
            await go.wait()
            return "b1"

        service.send = slow  # type: ignore[method-assign]
        batching, other = Batching(book, QUICK), Batching(book, QUICK)
        first = asyncio.create_task(batching.post(line(service, 1)))
        await service.went.wait()
        second = asyncio.create_task(batching.post(line(later, 2)))
        again = asyncio.create_task(other.post(line(service, 1)))
        await second
        await asyncio.sleep(0.05)
        go.set()
        answers = await asyncio.wait_for(asyncio.gather(first, again), 20)
        await batching.close()
        await other.close()
        return answers

    assert [answer.status for answer in asyncio.run(ask())] == [200, 200]
    assert len(service.sent) == 1


def test_what_never_comes_there_is_given_up_after_some_times(book: Ledger) -> None:
    service = Service(sends=[errors.ProviderError("500")])
    answers = posted(book, service)
    assert kinds(answers) == ["provider"] * 3
    assert [(answer.phase, str(answer)) for answer in answers] == [("batch", "500")] * 3
    assert len(service.sent) == 5


def test_one_that_comes_while_results_are_read_is_not_lost(book: Ledger) -> None:
    service = Service()

    async def ask() -> Any:
        batching = Batching(book, QUICK)
        late: list[asyncio.Task[Any]] = []
        results = service.results

        async def slowly(name: str, state: Any) -> AsyncGenerator[tuple[str | None, Any]]:
            async for row in results(name, state):
                yield row
            if not late:
                batching.opened("x")
                late.append(asyncio.create_task(batching.post(line(service, 1))))
                await asyncio.sleep(0.05)

        service.results = slowly  # type: ignore[method-assign]
        first = await batching.post(line(service, 1))
        again = await asyncio.wait_for(late[0], 20) if late else first
        await batching.close()
        return first, again

    assert [answer.ended for answer in asyncio.run(ask())] == ["answered"] * 2
    assert len(service.sent) == 1


def test_a_ledger_that_fails_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lab import Lab

    async def full(*_: object) -> None:
        raise errors.LedgerError("the disk is full")

    with Lab(tmp_path / "lab.db") as lab:
        monkeypatch.setattr(batches, "begin", full)
        with pytest.raises(errors.LedgerError, match="the disk is full"):
            lab.compare("Say {{x}}", "sim/instant", [{"input": "a"}], batch=True, progress=None, name="x")


def test_answers_of_calls_that_were_cancelled_are_there_for_the_next(book: Ledger) -> None:
    service = Service()
    posted(book, service, 1)
    columns = "call_id, started_at, model, streamed, lane, status"
    book.submit((f"INSERT INTO calls ({columns}) VALUES ('call0', 1, 'm', 0, 'batch', 'cancelled')", ())).result()
    assert len(batches.unused(book, "x")) == 1
    book.submit(("UPDATE calls SET status = 'ok'", ())).result()
    assert batches.unused(book, "x") == {}


HOSTILE = [
    b"", b"null", b"[]", b"{}", b'{"custom_id": 3}', b'{"custom_id": "a"}', b'{"custom_id": "a", "response": 7}',
    b'{"custom_id": "a", "response": {"status_code": "x", "body": {}}}',
    b'{"custom_id": "a", "response": {"status_code": 1e999, "body": {}}}',
    b'{"custom_id": "a", "response": {"status_code": 1000000000000000000000000, "body": {}}}',
    b'{"custom_id": "a", "result": null}',
    b'{"custom_id": "a", "result": {"type": ["x"]}}', b'{"custom_id": "a", "error": "expired", "response": null}',
    b"[" * 100_000, b'{"custom_id": "a", "response": {"status_code": 200', b"\xff\xfe",
]  # fmt: skip


@pytest.mark.parametrize("shape", ["file", "message"])
def test_no_line_of_results_raises(shape: str) -> None:
    from lab.provider import batch

    read = {"file": batch._of_file, "message": batch._of_message}[shape]
    for row in HOSTILE:
        identity, result = _read(row, read)
        assert identity in (None, "a", "3")
        assert isinstance(result, BatchResult)


@pytest.mark.parametrize("kind", [FileBatches, MessageBatches])
@pytest.mark.parametrize(
    "told",
    [{}, {"status": ["x"]}, {"request_counts": "many"}, {"request_counts": [1]}, {"request_counts": {"completed": "x"}},
     {"status": "failed", "errors": "none"}, {"status": "failed", "errors": {"data": [None]}}],
)  # fmt: skip
def test_an_odd_state_is_working_or_can_not_be_read(kind: Any, told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is looked at again: never over, and never a crash."""
    service = kind(None, "https://host/v1/chat/completions", {})

    async def answered(*_: object) -> Any:
        return told

    monkeypatch.setattr(kind, "_json", answered)
    try:
        state = asyncio.run(service.state("b"))
    except (LookupError, ValueError, TypeError, AttributeError):
        return
    assert state.stands in ("working", "refused")


def test_a_batch_is_found_by_its_token_on_any_page(monkeypatch: pytest.MonkeyPatch) -> None:
    service = FileBatches(None, "https://host/v1/chat/completions", {})  # type: ignore[arg-type]
    asked: list[str] = []

    async def answered(_self: object, _method: str, url: str) -> Any:
        asked.append(url)
        if "after=" in url:
            return {"data": [{"id": "b9", "metadata": {"lab": "token"}, "created_at": 2_000_000_000}]}
        rows = [{"id": f"../b{n}", "metadata": {"lab": "other"}, "created_at": 2_000_000_000} for n in range(3)]
        return {"data": [None, "x", *rows, {"metadata": None, "id": "/b3", "created_at": 2e9}], "has_more": True}

    monkeypatch.setattr(FileBatches, "_json", answered)
    assert asyncio.run(service.find("token", 3, 1_900_000_000.0, frozenset())) == "b9"
    assert asked[1].endswith("&after=%2Fb3")
