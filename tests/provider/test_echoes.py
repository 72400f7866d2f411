"""A provider that sends the key back, wherever it can: it reaches neither the ledger, an error, nor a reply's facts."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab, Policy, Prompt, checks, errors
from tests.servers import DONE, END, STREAM, RawServer, answer, chunk, completion

KEYS = {
    "of 1,000 characters": "Qz" + "k9Xw" * 250,
    "of no known shape": "planted8key4f7a",
    "that JSON must escape": 'pl"anted\\8/key4f7a',
}


def _event(**fields: object) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def _whole(key: str) -> Iterator[bytes]:
    yield answer({**completion(), "id": key})
    yield answer({**completion(), "model": key})
    yield answer({**completion(), "usage": {"prompt_tokens": 1, "completion_tokens": 1, "deep": {"a": [key]}}})
    yield answer({**completion(), "usage": {"prompt_tokens": 1, "completion_tokens": 1, key: 1}})
    yield answer(completion(f"your key is {key}"))
    yield answer(completion(finish=key))
    yield answer(completion("", refusal=f"no {key}"))
    function = {"name": key, "arguments": json.dumps({"a": key})}
    yield answer(
        completion(None, finish="tool_calls", tool_calls=[{"id": key, "type": "function", "function": function}])
    )
    yield answer({"error": {"message": f"bad key {key}"}}, 401)
    yield answer({"error": {"message": "x" * 1990 + key}}, 400)
    yield answer({"error": {"message": f"Authorization: Token {key}"}}, 401)
    yield answer({"error": {"message": f"bearer {key}"}}, 500)
    yield answer(f"<html>{key}</html>".encode(), 200)
    yield answer(f"<html>{'y' * 59_990}{key}</html>".encode(), 500)
    yield answer(completion(), 200, **{"x-request-id": key})
    yield answer(completion(json.dumps({"a": key, "b": ["\n", key]})))
    yield answer(completion('{"a": "' + "".join(f"\\u{ord(char):04x}" for char in key) + '"}'))
    yield answer(completion('{"a": "\\nsk-Planted1Shape2key3", "b": "\\nBearer ' + key + '"}'))
    yield answer(completion("word " * 100_000 + key + " word" * 100_000))
    yield answer({**completion(), "system_fingerprint": key, "choices": [{"index": 0, "text": key}]})
    yield answer({"error": {"message": "slow"}}, 429, **{"retry-after": key})


def _streamed(key: str) -> Iterator[list[bytes]]:
    yield [STREAM, chunk("hi"), _event(error={"message": key, "code": key}), END]
    yield [STREAM, chunk(f"part {key}"), END]
    yield [STREAM, chunk("a"), f"data: {{{key}\n\n".encode(), END]
    yield [STREAM, chunk(f"part {key[:7]}"), chunk(key[7:]), chunk(finish="stop"), DONE, END]
    choices = [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]
    yield [STREAM, _event(id=key, model=key, choices=choices), DONE, END]


def _has(thing: object, key: str) -> bool:
    """Whether the beginning of the key is in what `thing` says, as it is or escaped."""
    begin = key[:12]
    written = f"{thing!s} {thing!r}"
    return any(form in written for form in (begin, repr(begin)[1:-1], json.dumps(begin)[1:-1]))


def _leaks(reply: object, key: str) -> list[str]:
    """Facts of a reply that have the key in them; what was answered is the caller's own."""
    own = ("text", "value", "tool_calls", "reasoning", "extra", "asked")
    facts = {field.name: getattr(reply, field.name) for field in dataclasses.fields(reply) if field.name not in own}
    return [name for name, fact in facts.items() if _has(fact, key)]


@pytest.mark.parametrize("key", KEYS.values(), ids=list(KEYS))
@pytest.mark.parametrize("checked", [(), (checks.contains("zzz"),)], ids=["unchecked", "failing a check"])
def test_no_echo_leaves_the_caller(key: str, checked: tuple, tmp_path: Path, server: RawServer) -> None:
    where = {"model": "gpt-4o-mini", "api_base": server.url, "api_key": key}
    echoes = [(True, [whole]) for whole in _whole(key)] + [(False, parts) for parts in _streamed(key)]
    leaks: list[object] = []
    with Lab(tmp_path / "lab.db", policy=Policy(retry=None, repair=None)) as lab:
        for number, (whole, parts) in enumerate(echoes):
            server.plays(*parts)
            prompt = Prompt(f"p{number}", f"my key is {key}").fill()
            try:
                if whole:
                    reply = lab.ask(prompt, checks=checked, **where)
                else:
                    stream = lab.stream(prompt, checks=checked, **where)
                    list(stream)
                    reply = stream.reply
                leaks += [(number, name) for name in _leaks(reply, key)]
            except errors.LabError as failure:
                told = [*traceback.format_exception(failure), failure.partial, failure.body, failure.checks]
                leaks += [(number, said) for said in told if _has(said, key)]
    assert len(server.received) == len(echoes)
    with sqlite3.connect(tmp_path / "lab.db") as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in db.execute(f"SELECT * FROM {table}"):
                leaks += [(table, row) for cell in row if _has(cell, key) or _has(cell, "sk-Planted1Shape2key3")]
    assert leaks == []
