"""One Lab, asked from scripts, threads, notebooks' loops and other loops; streams left early; what is refused."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path

import pytest

from lab import Fallback, Lab, Policy, Retry, Timeout, checks, errors
from lab.show import charts, units
from lab.values import Answer, Usage
from tests.servers import DONE, END, HANG, STREAM, RawServer, chunk


@pytest.fixture
def echo(tmp_path: Path) -> Lab:
    """A Lab whose provider is a function."""
    with Lab(tmp_path / "lab.db", provider=lambda call: f"echo: {call.messages[-1]['content']}") as opened:
        yield opened


def test_asked_from_a_script(echo: Lab) -> None:
    reply = echo.ask("hi", model="m")
    assert reply.text == "echo: hi"
    assert reply.attempts == 1


def test_asked_where_a_loop_is_running(echo: Lab) -> None:
    """As in a notebook's cell: both names work there."""

    async def cell() -> tuple[str, str]:
        return echo.ask("plain", model="m").text, (await echo.aask("awaited", model="m")).text

    assert asyncio.run(cell()) == ("echo: plain", "echo: awaited")


def test_awaited_from_several_loops_and_asked_from_threads(echo: Lab) -> None:
    async def many(name: str) -> list[str]:
        replies = await asyncio.gather(*(echo.aask(f"{name} {number}", model="m") for number in range(20)))
        return [reply.text for reply in replies]

    with ThreadPoolExecutor(4) as pool:
        loops = [pool.submit(lambda name=name: asyncio.run(many(name))) for name in "ab"]
        plain = [pool.submit(echo.ask, f"t {number}", model="m") for number in range(20)]
        assert [loop.result() for loop in loops] == [[f"echo: {name} {n}" for n in range(20)] for name in "ab"]
        assert [future.result().text for future in plain] == [f"echo: t {number}" for number in range(20)]
    assert echo.count(status="ok") == 60


def test_without_a_schema_a_reply_has_no_value(echo: Lab) -> None:
    """Whether it was checked or not, streamed or not, asked just now or out of the store."""
    same = {"model": "m", "checks": [checks.contains("hi")]}
    stream = echo.stream("hi", **same)
    assert list(stream) == ["echo: hi"]
    replies = [echo.ask("hi", model="m"), echo.ask("hi", **same), stream.reply]
    replies += [echo.ask("hi", **same, key="k"), echo.ask("hi", **same, key="k")]
    assert [reply.cached for reply in replies] == [False, False, False, False, True]
    assert [reply.value for reply in replies] == [None] * 5


def test_a_function_can_stand_in_and_fail(tmp_path: Path) -> None:
    async def slow(call: object) -> Answer:
        if "fail" in call.messages[0]["content"]:
            raise errors.ProviderError("down")
        return Answer(text="yes", finish_reason="stop", usage=Usage(input=3, output=1))

    with Lab(tmp_path / "lab.db", provider=slow, policy=Policy(retry=None)) as lab:
        assert lab.ask("go", model="m").usage.input_tokens == 3
        with pytest.raises(errors.ProviderError) as failure:
            lab.ask("fail", model="m")
        assert failure.value.attempts == 1
        assert lab.calls()["kind"][0] == "provider"


def test_a_bug_in_a_stand_in_is_raised_and_on_record(tmp_path: Path) -> None:
    """Whatever goes wrong, no call is left on the ledger as if it still ran."""
    with Lab(tmp_path / "lab.db", provider=lambda call: 1 / 0) as lab:
        with pytest.raises(ZeroDivisionError):
            lab.ask("go", model="m")
        row = lab.calls().iloc[0]
        assert (row["status"], row["error"]) == ("failed", "ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    ("prompt", "more", "words"),
    [
        ("", {}, "the prompt is empty"),
        ("  \n", {}, "the prompt is empty"),
        ([], {}, "a prompt is a string, a Prompt"),
        (None, {}, "not NoneType"),
        (7, {}, "not int"),
        ([{"content": "x"}], {}, "message 0 has no role"),
        ([{"role": "user", "content": ""}], {}, r"message 0 \(user\) has no content"),
        (["x"], {}, "message 0 has no role"),
        ("hi", {"model": ""}, "name one, such as local/smollm2"),
        ("hi", {"model": None}, "name one, such as local/smollm2"),
        ("hi", {"lane": "fast"}, "lane='fast': one of interactive, batch"),
        ("hi", {"tags": "one"}, "tags='one': a list of strings"),
        ("hi", {"temperature": object()}, "can't be sent as JSON"),
        ("hi", {"tags": None}, "tags=None: a list of strings"),
        ("hi", {"user": {"id": 1}}, "user={'id': 1}: a string"),
        ("hi", {"policy": "fast"}, r"policy='fast': a Policy\(\.\.\.\)"),
        ([{"role": "user", "content": ["hi"]}], {}, "message 0: a list of parts"),
        ([{"role": "user", "content": 7}], {}, "message 0: content is text or a list of parts"),
    ],
)
def test_what_can_not_be_sent_is_refused_before_anything_is_spent(
    echo: Lab, prompt: object, more: dict, words: str
) -> None:
    with pytest.raises(errors.InvalidRequestError, match=words):
        echo.ask(prompt, **{"model": "m", **more})
    with pytest.raises(errors.InvalidRequestError, match=words):
        echo.stream(prompt, **{"model": "m", **more})


def test_a_wrong_policy_is_refused_when_made() -> None:
    with pytest.raises(TypeError, match=r"Policy\(timeout=3\): a Timeout\(\.\.\.\), or None"):
        Policy(timeout=3)


def _stream(lab: Lab, server: RawServer, policy: Policy | None = None) -> object:
    return lab.stream("hi", model="openai/served", api_base=server.url, api_key="k-123456789", policy=policy)


def test_a_stream_by_for_and_by_async_for(lab: Lab, server: RawServer) -> None:
    server.plays(STREAM, chunk("Par"), chunk("is"), chunk(finish="stop"), DONE, END)
    stream = _stream(lab, server)
    assert list(stream) == ["Par", "is"]
    assert (stream.reply.text, stream.text, stream.done) == ("Paris", "Paris", True)

    async def read() -> list[str]:
        return [piece async for piece in _stream(lab, server)]

    assert asyncio.run(read()) == ["Par", "is"]
    assert lab.count(status="ok") == 2


def test_the_reply_of_a_running_stream_is_not_there_yet(lab: Lab, server: RawServer) -> None:
    server.plays(STREAM, chunk("Par"), HANG)
    stream = _stream(lab, server)
    assert next(iter(stream)) == "Par"
    with pytest.raises(RuntimeError, match="still running"):
        _ = _stream(lab, server).reply


@pytest.mark.parametrize("way", ["break", "close", "forgotten"])
def test_a_stream_left_early_frees_its_connection(lab: Lab, server: RawServer, way: str) -> None:
    """The server sees the client leave, and the ledger says that the call was cancelled."""
    server.plays(STREAM, chunk("Par"), HANG)
    stream = _stream(lab, server)
    for piece in stream:
        assert piece == "Par"
        break
    if way == "close":
        stream.close()
    if way == "forgotten":
        del stream
        gc.collect()
    assert server.gone.wait(10)
    lab._ledger.flush()
    row = lab.calls().iloc[0]
    assert (row["status"], row["answer"]) == ("cancelled", "Par")


@pytest.mark.parametrize(
    ("script", "limits", "phase"),
    [
        ([HANG], {"attempt": 0.3}, "attempt"),
        ([HANG], {"total": 0.3}, "total"),
        ([STREAM, HANG], {"first_token": 0.3}, "first_token"),
        ([STREAM, chunk("Par"), HANG], {"idle": 0.3}, "idle"),
    ],
)
def test_a_hanging_provider_is_left(lab: Lab, server: RawServer, script: list, limits: dict, phase: str) -> None:
    """Over real sockets: the call ends, and so does the connection."""
    server.plays(*script)
    with pytest.raises(errors.TimeoutError) as late:
        list(_stream(lab, server, Policy(timeout=Timeout(**limits), retry=None)))
    assert late.value.phase == phase
    assert isinstance(late.value, TimeoutError)
    assert server.gone.wait(10)
    assert lab.attempts()["phase"][0] == phase


def test_closing_cancels_what_runs_and_is_safe_twice(tmp_path: Path, server: RawServer) -> None:
    server.plays(STREAM, chunk("Par"), HANG)
    lab = Lab(tmp_path / "lab.db")
    stream = _stream(lab, server)
    assert next(iter(stream)) == "Par"
    before = threading.active_count()
    lab.close()
    lab.close()
    assert server.gone.wait(10)
    assert threading.active_count() < before
    with pytest.raises(RuntimeError, match="this Lab is closed"):
        lab.ask("hi", model="m")
    assert lab.calls()["status"].tolist() == ["cancelled"], "the ledger can still be read"


def test_a_lab_that_is_forgotten_is_closed(tmp_path: Path) -> None:
    """One line is enough: `Lab().ask(...)` leaves no thread, socket or warning behind."""
    before = threading.active_count()
    assert Lab(tmp_path / "lab.db", provider=lambda call: "yes").ask("hi", model="m").text == "yes"
    assert list(Lab(tmp_path / "lab.db", provider=lambda call: "yes").stream("hi", model="m")) == ["yes"]
    gc.collect()
    assert threading.active_count() == before


def test_a_script_that_ends_without_closing_is_quiet(tmp_path: Path, server: RawServer) -> None:
    server.plays(STREAM, chunk("Par"), HANG)
    code = (
        "import sys; from lab import Lab; lab = Lab(sys.argv[1])\n"
        "print(next(iter(lab.stream('hi', model='openai/m', api_base=sys.argv[2], api_key='k'))))"
    )
    ran = subprocess.run([sys.executable, "-c", code, tmp_path / "lab.db", server.url], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "Par\n", "")
    with Lab(tmp_path / "lab.db") as lab:
        assert lab.calls()["status"].tolist() == ["cancelled"]


FORK = """
import os, sys
from lab import Lab, errors
lab = Lab(sys.argv[1], provider=lambda call: "yes")
lab.ask("hi", model="m")
child = os.fork()
if child == 0:
    try:
        lab.ask("hi", model="m")
    except RuntimeError as failure:
        print(failure, flush=True)
    print(len(lab.calls()), flush=True)
    sys.exit(0)
os.waitpid(child, 0)
print(lab.ask("again", model="m").text)
"""


@pytest.mark.filterwarnings("ignore")
def test_a_fork_is_told_and_ends(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", FORK, tmp_path / "lab.db"], capture_output=True, text=True, timeout=60)
    assert ran.stdout.split("\n")[:3] == [
        "this Lab was made in another process, before a fork: make a new one here",
        "1",
        "yes",
    ]


def test_closing_while_threads_ask_leaves_none_waiting(tmp_path: Path) -> None:
    lab, ended = Lab(tmp_path / "lab.db", provider=lambda call: "yes"), []

    def ask_on() -> None:
        try:
            while True:
                lab.ask("hi", model="m")
        except (RuntimeError, CancelledError, errors.LedgerError):
            ended.append(True)

    threads = [threading.Thread(target=ask_on) for _ in range(8)]
    for thread in threads:
        thread.start()
    while not lab.count():
        pass
    lab.close()
    for thread in threads:
        thread.join(20)
    assert len(ended) == 8


def test_asking_from_within_the_labs_own_loop_is_told(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab.db", provider=lambda call: lab.ask("inner", model="m").text) as lab:
        with pytest.raises(RuntimeError, match=r"would wait for itself: use `await lab\.aask"):
            lab.ask("outer", model="m")


def test_a_functions_own_timeout_is_not_the_labs(tmp_path: Path) -> None:
    def late(call: object) -> str:
        raise TimeoutError("mine")

    with Lab(tmp_path / "lab.db", provider=late) as lab, pytest.raises(TimeoutError, match="mine"):
        lab.ask("hi", model="m")


def test_it_is_a_context_manager_of_both_kinds(tmp_path: Path) -> None:
    async def both() -> str:
        async with Lab(tmp_path / "lab.db", provider=lambda call: "yes") as lab:
            return (await lab.aask("hi", model="m")).text

    assert asyncio.run(both()) == "yes"


def test_figures_read_like_a_person_would_say_them(echo: Lab) -> None:
    reply = echo.ask("<script>", model="m")
    assert repr(reply).startswith("<Reply 'echo: <script>' m · total ")
    assert "<script>" not in reply._repr_html_()
    assert "echo: &lt;script&gt;" in reply._repr_html_()


def test_it_explains_what_a_call_may_come_to_in_dollars(lab: Lab) -> None:
    """Before anything is spent, with the models' own prices; left out where one is unknown."""
    policy = Policy(retry=Retry(attempts=2), fallback=Fallback("sim/instant"))
    explained = lab.explain("hi", model="sim/steady", policy=policy, max_tokens=100)
    assert explained.startswith("at worst: 4 requests, 300 s, $0.000")
    assert "$" not in lab.explain("hi", model="openai/nobody-knows", api_key="k-123456789").split("\n")[0]
    assert lab.calls().empty


def test_the_state_of_its_policies_can_be_looked_at(lab: Lab) -> None:
    assert lab.state().empty
    for _ in range(20):
        with pytest.raises(errors.ProviderError):
            lab.ask("hi", model="sim/instant+http_500")
    row = lab.state().iloc[0]
    assert (row["model"], row["breaker"], row["running"], row["waiting"]) == ("sim/instant+http_500", "open", 0, 0)
    assert 0 < row["opens_in"] <= 15


def test_a_failed_stream_is_forgotten(lab: Lab) -> None:
    """Its exception's traceback leads back to it: whoever holds the one must not hold the other for ever."""
    gone = []
    for _ in range(5):
        stream = lab.stream("hi", model="sim/instant+cut")
        with pytest.raises(errors.TransportError):
            list(stream)
        gone.append(weakref.ref(stream))
        del stream
    gc.collect()
    assert [reference() for reference in gone] == [None] * 5


def test_calls_that_are_given_up_while_they_wait_to_start_are_on_the_ledger(lab: Lab) -> None:
    for stream in [lab.stream("hi", model="sim/steady") for _ in range(50)]:
        stream.close()
    for _ in range(500):
        if lab.count(status="cancelled") == 50:
            break
        threading.Event().wait(0.02)
    assert lab.count() == lab.count(status="cancelled")
    assert lab.count() >= 45, "but for those that were closed before their task began"


def test_total_is_what_the_caller_waited(tmp_path: Path) -> None:
    """Three attempts and the waits between them, in the reply, in the call's row and in the line for a person; the
    request that answered is the last part of it."""
    attempts = []

    def third_time(call: object) -> str:
        attempts.append(call)
        time.sleep(0.03)
        if len(attempts) < 3:
            raise errors.ProviderError("down")
        return "up"

    policy = Policy(retry=Retry(attempts=3, initial=0.1, jitter="none"))
    with Lab(tmp_path / "lab.db", provider=third_time, policy=policy) as lab:
        reply = lab.ask("hi", model="m")
        row = lab.calls().iloc[0]
        again = lab.attempts(reply.call_id).sort_values("number")
    assert reply.elapsed > 0.3 > 0.2 > reply.latency
    assert abs(reply.elapsed - row["elapsed"]) < 0.001
    assert f"total {units.seconds(reply.elapsed)}" in repr(reply)
    starts = (again["started_at"] - row["started_at"]).dt.total_seconds()
    assert starts.iloc[2] + reply.latency <= reply.elapsed + 0.001, "each begins where it began"
    drawn = charts.timeline(row.to_frame().T).to_dict()
    (bars,) = drawn["datasets"].values()
    assert [bar["part"] for bar in bars] == [charts.tails.BEFORE, charts.tails.WHOLE]
    assert bars[-1]["end"] == pytest.approx(reply.elapsed, abs=0.001)
    assert bars[0]["end"] == pytest.approx(reply.elapsed - reply.latency, abs=0.001)
