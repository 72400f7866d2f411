"""What goes through the jobs' database comes back as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lab import errors
from lab.jobs import carried
from lab.values import Checked, Part, Reply, Usage


def same(text: str) -> str:
    return text


def there_and_back(failure: BaseException) -> Exception:
    return carried.to_failure(json.loads(carried.as_json("it", carried.of_failure(failure, same))))


@pytest.mark.parametrize("kind", sorted(errors.BY_KIND))
def test_every_kind_of_failure_with_all_its_evidence(kind: str) -> None:
    found = Checked(
        name="figures", passed=False, score=0.5, message="7", parts=(Part(start=0, end=1, text="7", why="x"),)
    )
    more: dict[str, Any] = {"phase": "total", "reason": "refused", "retry_after": 1.5, "partial": "so"}
    failure = errors.BY_KIND[kind]("no", status=500, body="{}", checks=(found,), **more)
    failure.call_id, failure.attempts, failure.cost = "c", 3, 0.25
    again = there_and_back(failure)
    assert type(again) is type(failure)
    assert isinstance(again, errors.LabError)
    assert {**vars(again)} == {**vars(failure)}
    assert str(again) == "no"


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        (ValueError("x"), ValueError, "x"),
        (FileNotFoundError("gone"), FileNotFoundError, "gone"),
        (errors.JobError("as it is"), errors.JobError, "as it is"),
        (errors.LedgerError("away"), errors.JobError, "LedgerError: away"),
        (UnicodeDecodeError("utf8", b"\xff", 0, 1, "odd"), errors.JobError, "UnicodeDecodeError: 'utf8'"),
        (type("Own", (Exception,), {})("mine"), errors.JobError, "Own: mine"),
        (type("print", (Exception,), {})("no exception"), errors.JobError, "print: no exception"),
    ],
)
def test_other_exceptions_are_themselves_where_python_has_them(failure: Any, kind: type, message: str) -> None:
    again = there_and_back(failure)
    assert type(again) is kind
    assert str(again).startswith(message)


def test_a_reply_but_for_its_value_which_is_read_again() -> None:
    usage = Usage(input=3, cache_read=1, output=2, estimated=True, before=9)
    checks = (Checked(name="schema", passed=True, step="strict"),)
    more: dict[str, Any] = {"cost": None, "latency": 0.5, "ttft": None, "elapsed": 0.7, "attempts": 2, "hedged": True}
    tools = ({"function": {"name": "f", "arguments": '{"who": "Ann"}'}},)
    reply = Reply(
        text="Ann ☃", call_id="c", model="m", finish_reason="stop", usage=usage, checks=checks, tool_calls=tools, **more
    )
    again = carried.to_reply(json.loads(json.dumps(carried.of_reply(reply, same))))
    assert again == replace(reply, cached=True, cached_from="c")
    hidden = json.dumps(carried.of_reply(reply, lambda text: text.replace("Ann", "-")))
    assert "Ann" not in hidden


@pytest.mark.parametrize("value", [object(), {1, 2}, float("inf"), {"a": b"bytes"}, [[float("nan")]]])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(errors.InvalidRequestError, match="it: JSON alone, so that another process can read it"):
        carried.as_json("it", value)
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(errors.InvalidRequestError, match="JSON alone"):
        carried.as_json("it", loop)
