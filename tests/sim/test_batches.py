"""The simulated batch services: an OpenAI client can use one, Anthropic's has its own words; each fault is seen."""

from __future__ import annotations

import io
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from lab.provider import child
from lab.sim.catalogue import MODELS


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A simulated provider in its own process, ten times faster than it says: a batch takes a fifth of a second."""
    server = child.Child("lab.sim", "--speed", "10", "--seed", "3")
    yield server.endpoint().url
    server.close()


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="k", max_retries=0) as opened:
        yield opened


def line(name: str, model: str, **more: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": f"hi {name}"}], **more}
    return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}


def create(client: openai.OpenAI, lines: list[Any], **more: Any) -> Any:
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in lines)
    file = client.files.create(file=("in.jsonl", io.BytesIO(text.encode())), purpose="batch")
    settings: dict[str, Any] = {"endpoint": "/v1/chat/completions", "completion_window": "24h", **more}
    return client.batches.create(input_file_id=file.id, **settings)


def until(look: Callable[[], Any], over: Callable[[Any], bool]) -> Any:
    """What `look` sees once it is over."""
    for _ in range(400):
        if over(seen := look()):
            return seen
        time.sleep(0.02)  # a real server's own time
    raise AssertionError("it never ended")


def ended(client: openai.OpenAI, batch: Any) -> Any:
    states = ("completed", "expired", "cancelled", "failed")
    return until(lambda: client.batches.retrieve(batch.id), lambda seen: seen.status in states)


def rows(client: openai.OpenAI, file: str | None) -> list[dict[str, Any]]:
    return [json.loads(row) for row in client.files.content(file).text.splitlines()] if file else []


def test_an_openai_client_sends_files_and_reads_results_by_their_identifiers(client: openai.OpenAI) -> None:
    lines = [line(f"c{number}", "instant") for number in range(30)]
    batch = create(client, lines, metadata={"of": "a test"})
    assert batch.metadata == {"of": "a test"}
    assert batch.status in ("validating", "in_progress"), "it is done later"
    done = ended(client, batch)
    assert (done.status, done.request_counts.completed, done.error_file_id) == ("completed", 30, None)
    results = rows(client, done.output_file_id)
    names = [row["custom_id"] for row in results]
    assert sorted(names) == sorted(row["custom_id"] for row in lines)
    assert names != [row["custom_id"] for row in lines], "in an order of their own"
    body = results[0]["response"]["body"]
    assert body["choices"][0]["message"]["content"].startswith("This is instant, a simulation.")
    assert body["usage"]["completion_tokens"] > 0
    assert batch.id in [each.id for each in client.batches.list(limit=2)], "all pages of the list"


def test_lines_fail_each_on_its_own(client: openai.OpenAI) -> None:
    batch = create(
        client,
        [line("good", "instant"), line("bad", "instant+http_500"), line("none", "nobody"), line("cut", "instant+cut")],
    )
    done = ended(client, batch)
    assert (done.status, done.request_counts.failed) == ("completed", 3)
    assert [row["custom_id"] for row in rows(client, done.output_file_id)] == ["good"]
    failed = {row["custom_id"]: row["response"] for row in rows(client, done.error_file_id)}
    assert {name: response["status_code"] for name, response in failed.items()} == {"bad": 500, "none": 400, "cut": 500}
    assert "no model 'nobody'" in failed["none"]["body"]["error"]["message"]


def test_some_lines_expire_and_some_results_are_cut(client: openai.OpenAI) -> None:
    lines = [line(f"e{number}", "instant+batch_expired:0.5") for number in range(20)]
    done = ended(client, create(client, [*lines, line("b", "instant+batch_broken")]))
    expired = rows(client, done.error_file_id)
    assert done.status == "expired"
    assert 3 < len(expired) < 17
    assert {(row["response"], row["error"]["code"]) for row in expired} == {(None, "batch_expired")}
    texts = client.files.content(done.output_file_id).text.splitlines()
    assert len(texts) + len(expired) == 21
    assert sum(_broken(text) for text in texts) == 1


def _broken(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return True
    return False


def test_a_lost_answer_is_a_batch_all_the_same(client: openai.OpenAI, url: str) -> None:
    """Its creation and the first look are lost; the list has it, and each line came once."""
    with pytest.raises(openai.APIConnectionError):
        create(client, [line("lost", "instant+batch_lost")], metadata={"of": "lost"})
    (batch,) = [each for each in client.batches.list() if each.metadata == {"of": "lost"}]
    with pytest.raises(openai.APIConnectionError):
        client.batches.retrieve(batch.id)
    assert ended(client, batch).status == "completed"
    with urllib.request.urlopen(f"{url}/batches-received") as response:
        assert json.load(response)["lost"] == 1


def test_a_late_one_is_cancelled_with_what_is_done(client: openai.OpenAI) -> None:
    batch = create(client, [line(f"l{number}", "instant+batch_late") for number in range(40)])
    until(lambda: client.batches.retrieve(batch.id), lambda seen: seen.request_counts.completed > 4)
    client.batches.cancel(batch.id)
    done = ended(client, batch)
    assert done.status == "cancelled"
    assert 4 < len(rows(client, done.output_file_id)) == done.request_counts.completed < 40


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["{broken"], "line 1 is not a request"),
        ([line("a", "instant"), line("a", "instant")], "line 2: custom_id must be unique"),
        ([{**line("a", "instant"), "url": "/v1/embeddings"}], "method and url"),
    ],
)
def test_a_file_that_is_none_fails_as_a_whole(client: openai.OpenAI, lines: list[Any], says: str) -> None:
    done = ended(client, create(client, lines))
    assert (done.status, says in done.errors.data[0].message) == ("failed", True)


def test_what_can_not_be_asked_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="no such file"):
        client.batches.create(input_file_id="x", endpoint="/v1/chat/completions", completion_window="24h")
    with pytest.raises(openai.NotFoundError, match="no batch 'x'"):
        client.batches.retrieve("x")
    with pytest.raises(openai.NotFoundError, match="no file 'x'"):
        client.files.content("x")


def _call(url: str, body: object | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, {"content-type": "application/json"})) as response:
        text = response.read().decode()
    return [json.loads(row) for row in text.splitlines()] if url.endswith("/results") else json.loads(text)


def asked(name: str, model: str) -> dict[str, Any]:
    params = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": f"hi {name}"}]}
    return {"custom_id": name, "params": params}


def test_anthropics_batches_end_with_a_result_a_line(url: str) -> None:
    home = f"{url}/messages/batches"
    requests = [asked("a", "instant"), asked("b", "instant+overloaded"), asked("c", "instant+batch_expired")]
    batch = _call(home, {"requests": requests})
    assert (batch["processing_status"], batch["request_counts"]["processing"]) == ("in_progress", 3)
    with pytest.raises(urllib.error.HTTPError) as early:
        _call(f"{home}/{batch['id']}/results")
    early.value.close()
    done = until(lambda: _call(f"{home}/{batch['id']}"), lambda seen: seen["processing_status"] == "ended")
    assert done["request_counts"] == {"processing": 0, "succeeded": 1, "errored": 1, "canceled": 0, "expired": 1}
    results = {row["custom_id"]: row["result"] for row in _call(done["results_url"])}
    assert results["a"]["message"]["content"][0]["text"].startswith("This is instant")
    assert results["b"]["error"]["error"]["type"] == "overloaded_error"
    assert results["c"] == {"type": "expired"}
    assert batch["id"] in [each["id"] for each in _call(home)["data"]]


def test_one_of_anthropics_is_cancelled(url: str) -> None:
    home = f"{url}/messages/batches"
    batch = _call(home, {"requests": [asked(f"x{number}", "instant+batch_late") for number in range(20)]})
    done = _call(f"{home}/{batch['id']}/cancel", {})
    assert done["processing_status"] == "ended"
    assert done["request_counts"]["canceled"] > 10
    assert sum(done["request_counts"].values()) == 20


@pytest.mark.parametrize(
    "requests", [[], [{"custom_id": "", "params": {}}], [asked("a", "m"), asked("a", "m")], "none", [1]]
)
def test_requests_that_are_none_are_refused(url: str, requests: object) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        _call(f"{url}/messages/batches", {"requests": requests})
    assert json.load(refused.value)["error"]["type"] == "invalid_request_error"
    refused.value.close()


def test_a_batch_costs_half() -> None:
    for model in MODELS.values():
        facts = model.facts()
        for name in ("input_cost_per_token", "output_cost_per_token"):
            assert facts[f"{name}_batches"] == pytest.approx(facts[name] / 2)
