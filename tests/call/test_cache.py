"""Exact hits: what is the same, what is kept, who waits for whom."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from lab import Cache, Fallback, Lab, Policy, Prompt, Repair, Timeout, checks, errors
from lab.ledger import cached
from lab.values import Answer, Call, Usage
from tests.servers import DONE, END, STREAM, RawServer, answer, chunk, completion

ON = Policy(cache=Cache())


class Counting:
    """A provider that numbers its answers."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.fails = 0
        self.wait = threading.Event()
        self.wait.set()

    async def __call__(self, call: Call) -> str:
        self.calls.append(call)
        await asyncio.to_thread(self.wait.wait)
        if self.fails:
            self.fails -= 1
            raise errors.ProviderError("down")
        return f"answer {len(self.calls)}"


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def lab(fresh: Path, counting: Counting) -> Iterator[Lab]:
    with Lab(fresh, provider=counting, policy=ON) as opened:
        yield opened


def test_the_same_request_is_answered_from_the_store(lab: Lab, counting: Counting) -> None:
    first, again = lab.ask("hi", model="m"), lab.ask("hi", model="m")
    assert len(counting.calls) == 1
    assert (first.cached, first.cached_from, again.cached, again.cached_from) == (False, None, "exact", first.call_id)
    assert (again.text, again.attempts, again.latency, again.ttft) == (first.text, 0, 0.0, None)
    assert again.call_id != first.call_id, "it is a call of its own"
    assert again.facts().endswith("· exact hit")
    assert f"out of the cache (exact), the answer of call {first.call_id}" in lab.trace(again.call_id).head
    rows = lab.calls()
    assert rows["cached"].tolist() == [True, False]
    assert rows["cached_as"].tolist()[0] == "exact"
    assert rows["cached_from"].tolist()[0] == first.call_id
    assert lab.texts(again.call_id)["answer"] == first.text


def test_a_hit_costs_nothing_and_says_what_it_saved(tmp_path: Path, server: RawServer) -> None:
    server.plays(answer(completion()))
    with Lab(tmp_path / "lab.db", policy=ON) as lab:
        where = {"model": "gpt-4o-mini", "api_base": server.url, "api_key": "k-123456789"}
        first, again = lab.ask("hi", **where), lab.ask("hi", **where)
        assert first.cost
        assert (again.cost, again.saved) == (0.0, first.cost)
        assert 0 <= again.saved_seconds <= first.elapsed
        row = lab.calls().iloc[0]
        assert (row["cost"], row["saved"]) == (0.0, first.cost)
        assert lab.metrics().iloc[0]["cached"] == 1
        assert len(lab.ledger.rows("SELECT * FROM timed_calls WHERE cached_as = 'exact'")) == 0, "it has no time"
        assert lab.cache().usd == first.cost


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "ho"},
        {"model": "m2"},
        {"temperature": 0.5},
        {"schema": {"type": "string"}},
        {"checks": [checks.length(most=100)]},
        {"api_key": "another-tenants-key"},
        {"api_base": "http://elsewhere.example/v1"},
        {"extra_headers": {"Authorization": "Bearer another"}},
        {"extra_headers": {"OpenAI-Organization": "another"}},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        {"prompt": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]},
        {"prompt": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
        {"prompt": Prompt("greeting", "hi")},
    ],
    ids=lambda other: "-".join(other),
)
def test_what_is_asked_otherwise_is_asked(other: dict[str, Any], lab: Lab, counting: Counting) -> None:
    lab.ask("hi", model="m")
    prompt = other.pop("prompt", "hi")
    asked = lab.ask(prompt, **{"model": "m", **other}, policy=Policy(cache=Cache(), repair=Repair(then="return")))
    assert not asked.cached
    assert len(counting.calls) >= 2


def test_two_classes_of_one_name_are_two_schemas(lab: Lab, counting: Counting) -> None:
    def model(kind: type) -> type[BaseModel]:
        return type("Order", (BaseModel,), {"__annotations__": {"quantity": kind}, "__module__": __name__})

    lab.ask("hi", model="m", response_format=model(int))
    assert not lab.ask("hi", model="m", response_format=model(str)).cached
    assert lab.ask("hi", model="m", response_format=model(int)).cached == "exact"


def test_whose_key_is_in_the_environment_counts(lab: Lab, counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "the-first-tenants-key")
    lab.ask("hi", model="groq/llama")
    monkeypatch.setenv("SOMETHING_ELSE_API_KEY", "no-business-of-groqs")
    assert lab.ask("hi", model="groq/llama").cached == "exact"
    monkeypatch.setenv("GROQ_API_KEY", "the-second-tenants-key")
    assert not lab.ask("hi", model="groq/llama").cached


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gemini/flash", "GOOGLE_API_KEY"),
        ("huggingface/x", "HF_TOKEN"),
        ("bedrock/x", "AWS_SECRET_ACCESS_KEY"),
        ("gpt-4o-mini", "OPENAI_API_KEY"),
        ("gpt-4o-mini", "OPENAI_BASE_URL"),
    ],
)
def test_so_does_whatever_else_says_whose_and_where_it_is(
    model: str, name: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "the-same-for-all")
    monkeypatch.setenv(name, "https://the-first.example")
    lab.ask("hi", model=model)
    monkeypatch.setenv("GITHUB_TOKEN", "rotated-every-hour-or-so")
    assert lab.ask("hi", model=model).cached == "exact"
    monkeypatch.setenv(name, "https://the-second.example")
    assert not lab.ask("hi", model=model).cached


def test_a_user_without_a_name_is_not_everybody_without_one(lab: Lab) -> None:
    policy = Policy(cache=Cache(scope="user"))
    lab.ask("hi", model="m", policy=policy)
    assert not lab.ask("hi", model="m", policy=policy).cached


def test_another_version_of_a_prompt_is_another_request(lab: Lab, counting: Counting) -> None:
    """Even where both come to the same words."""
    one, two = Prompt("greet", "{{a}}{{b}}", blank=["b"]), Prompt("greet", "{{b}}{{a}}", blank=["b"])
    lab.ask(one.fill(a="hi", b=""), model="m")
    assert lab.ask(one.fill(a="hi", b=""), model="m").cached == "exact"
    assert not lab.ask(two.fill(a="hi", b=""), model="m").cached


@pytest.mark.parametrize(("scope", "hit"), [("all", True), ("user", False), ("prompt", False)])
def test_the_scope_says_who_may_have_it(scope: Any, hit: bool, lab: Lab) -> None:
    policy = Policy(cache=Cache(scope=scope))
    lab.ask("hi", model="m", user="a", policy=policy)
    again = lab.ask("hi", model="m", user="b", policy=policy)
    assert bool(again.cached) is hit
    if scope == "user":
        assert lab.ask("hi", model="m", user="a", policy=policy).cached == "exact"


def test_of_a_prompt_all_calls_may_have_it_and_no_other_ones(lab: Lab) -> None:
    policy = Policy(cache=Cache(scope="prompt"))
    lab.ask(Prompt("one", "hi"), model="m", policy=policy)
    assert lab.ask(Prompt("one", "hi"), model="m", user="b", policy=policy).cached == "exact"
    assert not lab.ask(Prompt("two", "hi"), model="m", policy=policy).cached


def test_without_the_cache_nothing_is_kept_or_given(lab: Lab, counting: Counting) -> None:
    lab.ask("hi", model="m", cache=None)
    assert not lab.ask("hi", model="m").cached
    assert not lab.ask("hi", model="m", cache=None).cached
    assert list(lab.stream("hi", model="m", cache=None)) == ["answer 4"]
    assert len(counting.calls) == 4
    assert all("cache" not in call.params for call in counting.calls)
    with pytest.raises(errors.InvalidRequestError, match="Cache"):
        lab.ask("hi", model="m", cache=True)


def test_a_stream_is_served_as_a_stream(lab: Lab, counting: Counting) -> None:
    text = lab.ask("hi", model="m").text
    stream = lab.stream("hi", model="m")
    assert "".join(stream) == text
    assert stream.reply.cached == "exact"
    long = "word " * 400
    cached_long = Lab(lab.path, provider=lambda _call: long, policy=ON)
    with cached_long:
        cached_long.ask("long", model="m")
        pieces = list(cached_long.stream("long", model="m"))
    assert "".join(pieces) == long
    assert 2 <= len(pieces) <= 33


def test_a_failure_is_never_kept(lab: Lab, counting: Counting) -> None:
    counting.fails = 1
    with pytest.raises(errors.ProviderError):
        lab.ask("hi", model="m", policy=Policy(cache=Cache(), retry=None))
    assert not lab.ask("hi", model="m").cached


def test_an_answer_that_failed_its_checks_is_not_kept(lab: Lab, counting: Counting) -> None:
    policy = Policy(cache=Cache(), repair=Repair(attempts=1, then="return"))
    wrong = lab.ask("hi", model="m", checks=[checks.contains("no such word")], policy=policy)
    assert not wrong.valid
    assert not lab.ask("hi", model="m", checks=[checks.contains("no such word")], policy=policy).cached


def test_a_fallbacks_answer_is_not_kept_as_the_models_own(tmp_path: Path) -> None:
    def provider(call: Call) -> str:
        if call.model == "m" and len(asked) < 1:
            asked.append(call)
            raise errors.ProviderError("down")
        return f"{call.model} says"

    asked: list[Call] = []
    policy = Policy(cache=Cache(), retry=None, fallback=Fallback("m2"))
    with Lab(tmp_path / "lab.db", provider=provider, policy=policy) as lab:
        assert lab.ask("hi", model="m").text == "m2 says"
        assert (lab.ask("hi", model="m").text, lab.ask("hi", model="m").cached) == ("m says", "exact")


def test_a_value_is_read_again_from_the_kept_text(tmp_path: Path) -> None:
    class Order(BaseModel):
        sku: str

    with Lab(tmp_path / "lab.db", provider=lambda _call: '{"sku": "A-7"}', policy=ON) as lab:
        lab.ask("hi", model="m", schema=Order, checks=[checks.matches(r"A-\d", at="sku")])
        again = lab.ask("hi", model="m", schema=Order, checks=[checks.matches(r"A-\d", at="sku")])
    assert (again.cached, again.value, again.valid) == ("exact", Order(sku="A-7"), True)
    assert [check.name for check in again.checks] == ["schema", "matches"]


def test_tool_calls_come_out_as_they_came(tmp_path: Path, server: RawServer) -> None:
    tool = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    server.plays(answer(completion(None, finish="tool_calls", tool_calls=[tool])))
    where = {"model": "gpt-4o-mini", "api_base": server.url, "api_key": "k-123456789"}
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    with Lab(tmp_path / "lab.db", policy=ON) as lab:
        first, again = (lab.ask("hi", tools=tools, **where) for _ in range(2))
    assert (again.cached, again.tool_calls) == ("exact", first.tool_calls)


def test_what_redaction_changes_is_not_given_to_anybody(tmp_path: Path) -> None:
    """The caller had the answer as it came; what stands on the ledger is another text."""
    with Lab(
        tmp_path / "lab.db", provider=lambda _call: "call Ann", policy=ON, redact=lambda text: text.replace("Ann", "X")
    ) as lab:
        lab.ask("who?", model="m")
        assert lab.ask("who?", model="m").text == "call Ann"


def test_with_hashes_alone_the_kept_answer_stays(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab.db", provider=lambda _call: "yes", policy=ON, keep="hashes") as lab:
        first, again = lab.ask("who?", model="m"), lab.ask("who?", model="m")
        assert (again.text, again.cached) == ("yes", "exact")
        assert lab.texts(first.call_id)["messages"] == []


def test_its_time_runs_out(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy(cache=Cache(ttl=100))
    lab.ask("hi", model="m", policy=policy)
    assert lab.ask("hi", model="m", policy=policy).cached
    later = time.time() + 101
    with monkeypatch.context() as patch:
        patch.setattr("lab.call.caching.time.time", lambda: later)
        assert not lab.ask("hi", model="m", policy=policy).cached


def test_identical_calls_in_flight_are_one_request(lab: Lab, counting: Counting) -> None:
    counting.wait.clear()
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(lab.ask, "hi", model="m") for _ in range(20)]
        while not counting.calls:
            time.sleep(0.005)
        counting.wait.set()
        replies = [one.result() for one in asked]
    assert len(counting.calls) == 1
    assert sorted(str(reply.cached) for reply in replies) == ["False", *["exact"] * 19]
    assert len({reply.text for reply in replies}) == 1


def test_where_the_one_that_is_asked_fails_each_asks_for_himself(lab: Lab, counting: Counting) -> None:
    """At once, not one after the other: whoever waited once has waited enough."""
    counting.wait.clear()
    counting.fails = 1
    alone = Policy(cache=Cache(), retry=None)
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(lab.ask, "hi", model="m", policy=alone) for _ in range(6)]
        while not counting.calls:
            time.sleep(0.005)
        counting.wait.set()
        outcomes = [one.exception() for one in asked]
    assert [type(outcome) for outcome in outcomes if outcome] == [errors.ProviderError]


def test_who_waits_has_his_own_deadline(lab: Lab, counting: Counting) -> None:
    counting.wait.clear()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(lab.ask, "hi", model="m")
        while not counting.calls:
            time.sleep(0.005)
        with pytest.raises(errors.TimeoutError, match="same request"):
            lab.ask("hi", model="m", policy=Policy(cache=Cache(), timeout=Timeout(total=0.2)))
        counting.wait.set()
        assert slow.result().text == "answer 1"


def test_one_who_leaves_holds_nobody_up(lab: Lab, counting: Counting) -> None:
    counting.wait.clear()
    stream = lab.stream("hi", model="m")
    while not counting.calls:
        time.sleep(0.005)
    stream.close()
    counting.wait.set()
    assert lab.ask("hi", model="m").text == "answer 2"
    assert lab.ask("hi", model="m").cached == "exact"


def test_a_pruned_entry_is_asked_again(lab: Lab, counting: Counting) -> None:
    first = lab.ask("hi", model="m")
    lab.prune(time.time() + 1)
    assert lab.cache().entries == 0
    assert not lab.ask("hi", model="m").cached
    lab.prune(time.time() + 1, words_only=True)
    assert not lab.ask("hi", model="m").cached
    lab.ledger.submit(("DELETE FROM texts", ())).result()  # another tool
    assert not lab.ask("hi", model="m").cached
    assert first.text


def test_what_is_forgotten_is_asked(lab: Lab) -> None:
    for user in ("a", "b"):
        lab.ask(f"hi {user}", model="m", user=user)
    assert lab.forget(user="a") == 1
    assert not lab.ask("hi a", model="m").cached
    assert lab.ask("hi b", model="m").cached
    assert lab.forget(before=time.time() - 60) == 0
    assert lab.forget() == 2
    assert lab.count() == 4, "the calls stay"


def test_what_is_kept_is_bounded_in_number_and_size(lab: Lab) -> None:
    few = Policy(cache=Cache(entries=3))
    for number in range(6):
        lab.ask(f"hi {number}", model="m", policy=few)
    assert lab.cache().entries == 3
    assert [bool(lab.ask(f"hi {number}", model="m", policy=few).cached) for number in (5, 4, 3)] == [True] * 3
    assert not lab.ask("hi 0", model="m", policy=few).cached
    small = Policy(cache=Cache(megabytes=25 / 1e6))
    for number in range(6):
        lab.ask(f"ho {number}", model="m", policy=small)
    assert 0 < lab.cache().megabytes * 1e6 <= 25


def test_the_counts_stay_true(lab: Lab) -> None:
    for number in range(4):
        lab.ask(f"hi {number}", model="m")
    lab.forget(model="nobody")
    rows = lab.ledger.rows("SELECT count(*), coalesce(sum(size), 0) FROM cache_entries")
    assert lab.ledger.rows("SELECT entries, bytes FROM cache_size") == rows


def test_a_key_and_the_cache_do_not_stand_in_each_others_way(lab: Lab, counting: Counting) -> None:
    first = lab.ask("hi", model="m", key="k1")
    assert lab.ask("hi", model="m", key="k1").cached is True
    other = lab.ask("hi", model="m", key="k2")
    assert (other.cached, other.cached_from) == ("exact", first.call_id)
    assert len(counting.calls) == 1


def test_a_key_that_was_answered_from_the_cache_means_that_answer(lab: Lab, counting: Counting) -> None:
    """It is done with, and brings the same reply whatever becomes of the cache."""
    first = lab.ask("hi", model="m")
    lab.ask("hi", model="m", key="k")
    assert lab.ledger.rows("SELECT done FROM keys") == [(1,)]
    assert lab.ledger.rows("SELECT count(*) FROM leases") == [(0,)]
    lab.forget()
    again = lab.ask("hi", model="m", key="k")
    assert (again.text, again.cached) == (first.text, True)
    assert len(counting.calls) == 1


def test_who_leaves_early_leaves_no_lease(lab: Lab, counting: Counting) -> None:
    async def leaves(number: int) -> None:
        asking = asyncio.create_task(lab.aask(f"hi {number}", model="m"))
        await asyncio.sleep(number % 5 / 1000)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    async def all_leave() -> None:
        for number in range(60):
            await leaves(number)

    asyncio.run(all_leave())
    end = time.monotonic() + 10
    while lab.ledger.rows("SELECT count(*) FROM leases") != [(0,)]:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_where_a_validator_is_another_one_now_it_is_asked(tmp_path: Path) -> None:
    """No JSON schema says what a validator does: what was kept has to pass what is there now."""

    def order(most: int) -> type[BaseModel]:
        class Order(BaseModel):
            quantity: int

            @field_validator("quantity")
            @classmethod
            def not_too_many(cls, value: int) -> int:
                if value > most:
                    raise ValueError("too many")
                return value

        return Order

    answers = ['{"quantity": 50}', '{"quantity": 5}']
    with Lab(tmp_path / "lab.db", provider=lambda _call: answers.pop(0), policy=ON) as lab:
        lab.ask("hi", model="m", schema=order(100))
        again = lab.ask("hi", model="m", schema=order(10))
        assert (again.cached, again.value.quantity) == (False, 5)


def test_what_cannot_be_kept_is_given_to_who_waits_all_the_same(tmp_path: Path, counting: Counting) -> None:
    """Redaction changes what stands on the ledger; whoever asked meanwhile gets what came."""
    counting.wait.clear()
    with (
        Lab(tmp_path / "lab.db", provider=counting, policy=ON, redact=lambda text: text.replace("answer", "X")) as lab,
        ThreadPoolExecutor(5) as pool,
    ):
        asked = [pool.submit(lab.ask, "hi", model="m") for _ in range(5)]
        while not counting.calls:
            time.sleep(0.005)
        time.sleep(0.1)
        counting.wait.set()
        assert {one.result().text for one in asked} == {"answer 1"}
        assert lab.ask("hi", model="m").text == "answer 2"
        assert lab.ledger.rows("SELECT count(*) FROM leases") == [(0,)]


def test_where_one_leaves_another_asks_for_all(lab: Lab, counting: Counting) -> None:
    counting.wait.clear()
    stream = lab.stream("hi", model="m")
    while not counting.calls:
        time.sleep(0.005)
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(lab.ask, "hi", model="m") for _ in range(5)]
        time.sleep(0.1)
        stream.close()
        while len(counting.calls) < 2:
            time.sleep(0.005)
        counting.wait.set()
        assert {one.result().text for one in asked} == {"answer 2"}
    assert len(counting.calls) == 2


def test_tool_calls_count_towards_the_size(tmp_path: Path) -> None:
    tool = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "x" * 10_000}}
    asked = Answer(text="", finish_reason="tool_calls", usage=Usage(), tool_calls=(tool,))
    with Lab(tmp_path / "lab.db", provider=lambda _call: asked, policy=Policy(cache=Cache(megabytes=0.005))) as lab:
        lab.ask("hi", model="m")
        assert lab.cache().entries == 0


def test_what_sqlite_cannot_hold_is_not_given_otherwise(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab.db", provider=lambda _call: "half \ud83d pair", policy=ON) as lab:
        lab.ask("hi", model="m")
        assert lab.ask("hi", model="m").text == "half \ud83d pair"


def test_an_entry_goes_by_the_time_it_was_given(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader with more patience does not make it older than its writer wanted."""
    lab.ask("hi", model="m", policy=Policy(cache=Cache(ttl=50)))
    later = time.time() + 60
    with monkeypatch.context() as patch:
        patch.setattr("lab.ledger.cached.time.time", lambda: later)
        assert not lab.ask("hi", model="m", policy=Policy(cache=Cache(ttl=None))).cached


_ASKING = """
import sys, time
from pathlib import Path
from lab import Cache, Lab, Policy
calls = Path(sys.argv[2])
def provider(call):
    with calls.open("a") as file:
        file.write("x")
    time.sleep(0.5)
    return "answer"
with Lab(sys.argv[1], provider=provider, policy=Policy(cache=Cache())) as lab:
    print("ready", flush=True)
    sys.stdin.readline()
    reply = lab.ask("hi", model="m")
    print(reply.text, reply.cached, flush=True)
"""


def test_processes_that_ask_the_same_at_once_make_one_request(tmp_path: Path) -> None:
    """20 of them, without a key."""
    path, calls = tmp_path / "lab.db", tmp_path / "calls"
    Lab(path).close()
    start = [sys.executable, "-c", _ASKING, str(path), str(calls)]
    asking = [subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(20)]
    for process in asking:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in asking:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate()[0].strip() for process in asking]
    assert calls.read_text() == "x"
    assert sorted(said) == ["answer False", *["answer exact"] * 19]


def test_a_process_that_is_killed_while_it_asks_holds_nobody_up(tmp_path: Path) -> None:
    path, calls = tmp_path / "lab.db", tmp_path / "calls"
    Lab(path).close()
    hanging = _ASKING.replace("time.sleep(0.5)", "time.sleep(60)")
    process = subprocess.Popen(
        [sys.executable, "-c", hanging, str(path), str(calls)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    while not calls.exists() or calls.read_text() != "x":
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with Lab(path, provider=lambda _call: "mine", policy=ON) as lab:
        assert lab.ask("hi", model="m").text == "mine"
        assert lab.ask("hi", model="m").cached == "exact"
        assert lab.ledger.rows("PRAGMA integrity_check") == [("ok",)]
        lab.ledger.submit(("INSERT INTO leases VALUES ('cache', 'of old', 't', 'h', 'b', 1, 'x', 0)", ())).result()
        lab.ask("ho", model="m")
        assert lab.ledger.rows("SELECT count(*) FROM leases") == [(0,)], "what is left of the dead goes"


_WRITING = """
import itertools, sys
from lab import Cache, Lab, Near, Policy
policy = Policy(cache=Cache(entries=40, near=Near(embed=lambda text: [1.0, float(len(text))])))
with Lab(sys.argv[1], provider=lambda call: "answer to " + call.messages[-1]["content"], policy=policy) as lab:
    for number in itertools.count():
        print(lab.ask(f"question{number} of process {sys.argv[2]}", model="m").text, flush=True)
"""


def test_killed_while_it_is_written_it_is_whole(tmp_path: Path) -> None:
    """Two processes write, and are killed in the middle, three times: entries and their sizes are counted right, each
    has its answer, and what was handed over is given again."""
    path = tmp_path / "lab.db"
    Lab(path).close()
    for turn in range(3):
        start = [sys.executable, "-c", _WRITING, str(path)]
        writing = [
            subprocess.Popen([*start, str(2 * turn + which)], stdout=subprocess.PIPE, text=True) for which in range(2)
        ]
        for process in writing:
            assert process.stdout is not None
            for _ in range(30 + 7 * turn):
                assert process.stdout.readline().startswith("answer to")
        for process in writing:
            os.kill(process.pid, signal.SIGKILL)
        for process in writing:
            process.communicate()
        with Lab(path, provider=lambda _call: "asked anew", policy=ON) as lab:
            assert lab.ledger.rows("PRAGMA integrity_check") == [("ok",)]
            rows = lab.ledger.rows("SELECT count(*), coalesce(sum(size), 0) FROM cache_entries")
            assert lab.ledger.rows("SELECT entries, bytes FROM cache_size") == rows
            assert rows[0][0] <= 40
            kept = lab.ledger.rows(
                "SELECT prompt, answer FROM cache_entries JOIN calls USING (call_id) JOIN texts ON texts.id = calls.id"
            )
            assert len(kept) == rows[0][0]
            for question, given in kept:
                reply = lab.ask(question, model="m")
                assert (reply.text, reply.cached) == (given, "exact")


def test_a_cut_stream_is_not_kept(tmp_path: Path, server: RawServer) -> None:
    server.plays(STREAM, chunk("half"), END)
    server.plays(STREAM, chunk("whole"), chunk(finish="stop"), DONE, END)
    where = {"model": "gpt-4o-mini", "api_base": server.url, "api_key": "k-123456789"}
    with Lab(tmp_path / "lab.db", policy=Policy(cache=Cache(), retry=None)) as lab:
        with pytest.raises(errors.TransportError):
            list(lab.stream("hi", **where))
        assert list(lab.stream("hi", **where)) == ["whole"]
        assert lab.ask("hi", **where).cached == "exact"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ttl": 0}, "ttl"),
        ({"ttl": -1}, "ttl"),
        ({"scope": "everyone"}, "scope"),
        ({"entries": 0}, "entries"),
        ({"megabytes": 0}, "megabytes"),
        ({"near": 0.02}, "near"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Cache(**settings)


def test_a_policy_with_a_cache_is_written_and_read() -> None:
    policy = Policy(cache=Cache(ttl=60, scope="user"))
    assert Policy.of(policy.content()) == policy
    assert "again" in policy.explain()


def test_an_entry_larger_than_all_that_may_be_kept_is_not_kept(lab: Lab) -> None:
    policy = Policy(cache=Cache(megabytes=1 / 1e6))
    lab.ask("hi", model="m", policy=policy)
    assert lab.cache().entries == 0
    assert cached.forget(lab.ledger) == 0
