"""Bytes in: server-sent events however they are cut, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import Lab, errors
from lab.provider.wire import EventStream, Marks, Wire, _Stamped
from tests.servers import DONE, END, RESET, STREAM, RawServer, answer, chunk, completion


def _feed(raw: bytes, cuts: list[int]) -> list[str]:
    stream, events, last = EventStream(), [], 0
    for cut in [*sorted(cut % (len(raw) + 1) for cut in cuts), len(raw)]:
        events += stream.feed(raw[last:cut])
        last = cut
    return events


@given(
    texts=st.lists(
        st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1), max_size=6
    ),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    comment=st.booleans(),
    cuts=st.lists(st.integers(0, 500), max_size=12),
)
def test_events_are_the_same_however_they_are_cut(
    texts: list[str], newline: str, comment: bool, cuts: list[int]
) -> None:
    """CR, LF and CR LF, heartbeat comments, and UTF-8 split between chunks change nothing."""
    beat = f": ping{newline}" if comment else ""
    raw = (
        "".join(f"{beat}event: x{newline}data: {text}{newline}{newline}" for text in texts) + f"data: end{newline * 2}"
    )
    expected = [*texts, "end"]
    events = _feed(raw.encode() + (b"\n" if newline == "\r" else b""), cuts)
    assert events == expected


def test_several_data_lines_are_one_event_and_a_mark_at_the_start_is_skipped() -> None:
    stream = EventStream()
    assert stream.feed(b"\xef\xbb\xbfdata: one\ndata:two\n\nid: 7\n\ndata") == ["one\ntwo"]
    assert stream.feed(b": half", final=True) == []


def _post(url: str, connect: float | None = None) -> tuple[int, bytes]:
    async def run() -> tuple[int, bytes]:
        wire = Wire()
        try:
            marks = Marks(asyncio.get_running_loop().time())
            async with wire.post(url, {"authorization": "Bearer secret"}, b"{}", marks, connect=connect) as response:
                return response.status, await response.body()
        finally:
            await wire.close()

    return asyncio.run(run())


def test_a_refused_connection_is_a_transport_failure() -> None:
    with pytest.raises(errors.TransportError, match=r"no answer from 127\.0\.0\.1:9: .*refused"):
        _post("http://127.0.0.1:9/v1")


def test_an_address_that_is_none_is_the_callers_mistake() -> None:
    with pytest.raises(errors.InvalidRequestError, match="api_base"):
        _post("nonsense")


@pytest.mark.parametrize("end", [END, RESET], ids=["closed", "reset"])
def test_a_body_that_is_cut_short_is_a_transport_failure(server: RawServer, end: object) -> None:
    server.plays(answer({"whole": "answer"})[:-5], end)
    with pytest.raises(errors.TransportError, match="cut short"):
        _post(server.url)


def test_a_redirect_is_not_followed(server: RawServer) -> None:
    """The key in the headers must reach no other host."""
    server.plays(answer({}, 307, location=server.url.replace("v1", "elsewhere")))
    assert _post(server.url)[0] == 307
    assert len(server.received) == 1


def test_an_endless_body_is_malformed(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.provider.wire.MAX_BODY", 1024)
    server.plays(answer(json.dumps("x" * 4096).encode()))
    with pytest.raises(errors.MalformedError, match="larger than"):
        _post(server.url)


def test_beyond_the_limit_ask_says_what_stream_says(
    lab: Lab, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.provider.wire.MAX_BODY", 1024)
    server.plays(answer(completion("x" * 4096)))
    server.plays(STREAM, chunk("x" * 4096), DONE, END)
    where = {"model": "gpt-4o-mini", "api_base": server.url, "api_key": "k-123456789"}
    told = []
    for ask in (lab.ask, lambda *given, **more: list(lab.stream(*given, **more))):
        with pytest.raises(errors.MalformedError) as failure:
            ask("hi", **where)
        told.append(str(failure.value))
    assert told[0] == told[1] == "the answer is larger than 0 MiB"


def test_a_part_of_an_answer_has_the_time_it_came_at_however_late_it_is_read(server: RawServer) -> None:
    """The reader is busy for half a second: what came in the meantime keeps its own times."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\n"
    server.plays(head, b"ab", 0.2, b"cd", 0.2, b"ef", END)

    async def read() -> list[tuple[bytes, float]]:
        wire, loop = Wire(), asyncio.get_running_loop()
        start = loop.time()
        async with wire.post(server.url, {}, b"{}", Marks(start)) as response:
            await asyncio.sleep(0.7)  # the loop goes on, the reader does not
            parts = [(chunk, response.at - start) async for chunk in response.chunks()]
        await wire.close()
        return parts

    parts = asyncio.run(read())
    assert [part for part, _ in parts] == [b"ab", b"cd", b"ef"]
    times = [at for _, at in parts]
    assert times == sorted(times)
    assert times[1] - times[0] > 0.1
    assert times[2] < 0.7, "none of them has the time it was read at"


def test_connections_are_stamped() -> None:
    """The one thing of aiohttp's that is reached into: an upgrade that moves it is noticed here."""

    async def is_stamped() -> bool:
        wire = Wire()
        stamped = isinstance(wire._session.connector._factory(), _Stamped)
        await wire.close()
        return stamped

    assert asyncio.run(is_stamped())


def test_the_times_of_a_connection_that_is_used_again_are_the_answers_own() -> None:
    """Headers that come in two parts must not be taken for a part of the answer before them."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await reader.read(65536)).strip():
            for part in (b"HTTP/1.1 200 OK\r\ncontent-", b"length: 1000\r\n\r\n", b"x" * 500, b"x" * 500):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()
        await writer.wait_closed()
        left.set()

    async def read() -> list[list[float]]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        wire, loop, arrivals = Wire(), asyncio.get_running_loop(), []
        for _ in range(8):
            start = loop.time()
            async with wire.post(url, {}, b"{}", Marks(start)) as response:
                arrivals.append([response.at - start async for _ in response.chunks()])
        await wire.close()
        await left.wait()
        server.close()
        return arrivals

    left = asyncio.Event()
    for times in asyncio.run(read()):
        assert times == sorted(times)
        assert all(time > 0.03 for time in times)
