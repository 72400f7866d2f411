"""The simulated provider: it repeats exactly, keeps the shape it states, and any OpenAI client can talk to it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from random import Random

import openai
import pytest

from lab import Lab, Policy, errors
from lab.provider import child
from lab.sim.catalogue import MODELS
from lab.sim.server import plan

BODY = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A simulated provider in its own process, a hundred times faster than it says."""
    server = child.Child("lab.sim", "--speed", "100", "--seed", "7")
    yield server.endpoint().url
    server.close()


def _post(url: str, body: object) -> tuple[int, dict]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/chat/completions", data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def test_the_same_seed_and_requests_give_the_same_answers_and_times() -> None:
    model = MODELS["heavy-tail"]
    runs = [[plan("heavy-tail", model, BODY, seed, nth) for nth in range(50)] for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert len({script.first for script in runs[0]}) == 50, "each repeat of a request is a new draw"


def test_two_servers_with_one_seed_say_the_same() -> None:
    answers = []
    for _ in range(2):
        server = child.Child("lab.sim", "--speed", "100", "--seed", "3")
        answers.append([_post(server.endpoint().url, BODY | {"model": "heavy-tail"})[1] for _ in range(5)])
        server.close()
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("name", "median", "p95", "p99"),
    [("steady", 0.536, (0.60, 0.70), (0.65, 0.80)), ("heavy-tail", 0.541, (1.0, 1.6), (3.3, 5.0))],
)
def test_the_latency_has_the_shape_that_is_stated(
    name: str, median: float, p95: tuple[float, float], p99: tuple[float, float]
) -> None:
    random = Random(0)
    draws = sorted(MODELS[name].first_token(random) for _ in range(20_000))
    assert draws[10_000] == pytest.approx(median, rel=0.05)
    assert p95[0] < draws[19_000] < p95[1]
    assert p99[0] < draws[19_800] < p99[1]


def test_the_official_client_can_talk_to_it(url: str) -> None:
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        assert {model.id for model in client.models.list()} == set(MODELS)
        whole = client.chat.completions.create(model="steady", messages=BODY["messages"])
        assert whole.choices[0].finish_reason == "stop"
        assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
        chunks = list(
            client.chat.completions.create(
                model="steady", messages=BODY["messages"], stream=True, stream_options={"include_usage": True}
            )
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text.startswith("This is steady, a simulation.")
        assert chunks[-1].usage.completion_tokens == len(text.split(" "))
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="nothing", messages=BODY["messages"])


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{nonsense", 400, "not JSON"),
        ([], 400, "messages"),
        ({"model": "steady"}, 400, "messages"),
        ({"model": "steady", "messages": []}, 400, "messages"),
        (BODY | {"model": "x"}, 404, "there is steady, heavy-tail"),
        (BODY, 404, "no model 'None'"),
    ],
)
def test_what_it_can_not_serve_it_refuses_as_openai_does(url: str, body: object, status: int, words: str) -> None:
    got, answer = _post(url, body)
    assert got == status
    assert words in answer["error"]["message"]


def test_the_answer_is_cut_where_max_tokens_says(url: str) -> None:
    _, answer = _post(url, BODY | {"model": "steady", "max_tokens": 4})
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["choices"][0]["message"]["content"] == "This is steady, a"


def test_the_lab_measures_what_the_simulation_planned(lab: Lab) -> None:
    """The plan is in the answer: the measured first token is not before it, and not much after."""
    for _ in lab.stream("what was planned?", model="sim/steady"):  # asked nowhere else: the first of its kind
        pass
    row = lab.attempts().iloc[0]
    request = {"messages": [{"role": "user", "content": "what was planned?"}]}
    planned = plan("steady", MODELS["steady"], request, 0, 0).first
    assert row["ttft"] >= planned
    assert f"{planned:.3f} s" in lab.calls()["answer"][0]
    assert row["cost"] > 0


def test_it_stops_with_the_process_that_started_it() -> None:
    """However that ends: its standard input closes."""
    code = (
        "import os; from lab.provider import child; server = child.Child('lab.sim'); server.endpoint();"
        "print(server._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    pid = int(out.stdout)
    for _ in range(1000):
        if not _runs(pid):
            return
        subprocess.run(["sleep", "0.01"], check=True)
    pytest.fail("the simulated provider outlived its parent")


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().split(")")[-1].split()[0] != "Z"
    except OSError:
        return False


def test_a_crowded_model_refuses_what_is_too_much_at_once(lab: Lab) -> None:
    """And takes the next once one has ended."""
    policy = Policy(retry=None, breaker=None, limit=None)
    streams = [lab.stream("hi", model="sim/crowded", policy=policy) for _ in range(20)]
    waits = []
    for stream in streams:
        try:
            list(stream)
        except errors.RateLimitError as failure:
            waits.append(failure.retry_after)
    assert 0 < len(waits) <= 12
    assert set(waits) == {0.2}
    assert lab.ask("hi", model="sim/crowded", policy=policy).text
