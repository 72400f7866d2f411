"""Batches: joined by identifier, each line ending as its kind, half the price, and nothing sent twice."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import Cache, Lab, Policy, Prompt, Retry, errors
from lab.evals.progress import line
from lab.provider import child
from lab.values import Call

DATA = Path(__file__).parents[2] / "data"
ONCE = Policy(retry=None)
SAY = Prompt("say", "Say {{what}}")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A simulated provider in its own process: a batch takes a tenth of a second."""
    server = child.Child("lab.sim", "--speed", "20", "--seed", "3")
    yield server.endpoint().url
    server.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path / "lab.db") as opened:
        yield opened


def at(url: str, service: str) -> dict[str, Any]:
    """How the simulation is reached that speaks like this provider."""
    return {"api_base": url if service == "openai" else url.removesuffix("/v1")}


def named(service: str, model: str) -> str:
    return f"sim/{model}" if service == "openai" else f"sim/anthropic/{model}"


def received(url: str) -> Counter[str]:
    """How often each request came in a batch, by the provider's own count."""
    with urllib.request.urlopen(f"{url}/batches-received") as answer:
        whole = Counter[str]()
        for name, count in json.load(answer).items():
            whole[name.partition("-")[2]] += count
        return whole


def cases(count: int) -> list[dict[str, str]]:
    return [{"id": f"c{number}", "input": f"number {number}"} for number in range(count)]


@pytest.mark.parametrize("service", ["openai", "anthropic"])
def test_cells_are_joined_by_their_identifiers(lab: Lab, url: str, service: str) -> None:
    """The simulation hands its lines back in another order; its model that is never wrong tells which is whose."""
    before = received(url)
    settings: dict[str, Any] = {"scorers": ["exact"], "batch": True, "progress": None, "policy": ONCE, "name": "x"}
    asked = (Prompt.load(DATA / "prompts" / "triage.md"), named(service, "sure"), DATA / "evals" / "triage.jsonl")
    experiment = lab.compare(*asked, **settings, **at(url, service))
    frame = experiment.df()
    count = len(frame)
    assert count > 100
    assert (frame["score"] == 1.0).all()
    assert list((received(url) - before).values()) == [1] * count
    (batch,) = lab.batches().to_dict("records")
    assert (batch["state"], batch["lines"], batch["completed"], batch["failed"]) == ("done", count, count, 0)
    assert set(lab.attempts(limit=None)["way"]) == {"batch"}
    again = lab.compare(*asked, **settings, **at(url, service))
    assert again.progress.known == count
    assert len(lab.batches()) == 1


def test_half_the_price_is_on_each_call_and_in_the_plan(lab: Lab) -> None:
    """The prices are the simulation's own, which has them for batches."""
    params = {"progress": None, "policy": ONCE}
    live = lab.compare(SAY, ["sim/instant"], cases(4), name="live", run=False, **params)
    batched = lab.compare(SAY, ["sim/instant"], cases(4), name="batched", run=False, batch=True, **params)
    assert batched.plan.usd == pytest.approx(live.plan.usd / 2)
    assert "through the batch service, within 24 h" in str(batched.plan)
    live.run(None), batched.run(None)
    each = lab.attempts(limit=None).merge(lab.calls(limit=None)[["call_id", "experiment"]], on="call_id")
    each["price"] = each["cost"] / (each["input_tokens"] * 0.1 + each["output_tokens"] * 0.4)
    prices = each.groupby("experiment")["price"].median()
    assert prices["batched"] == pytest.approx(prices["live"] / 2, rel=1e-6)
    assert not each["cost_estimated"].any()


def test_a_budget_is_kept_at_the_worst_of_what_a_batch_costs(lab: Lab) -> None:
    """No more is sent together than it covers at half the price, and all is asked in the end."""
    params: dict[str, Any] = {"progress": None, "max_tokens": 1000, "batch": True, "policy": ONCE}
    lab.ask("how long is an answer?", model="sim/instant")
    experiment = lab.compare(SAY, "sim/instant", cases(10), budget=4.5 * 1000 * 0.3e-6, name="x", **params)
    assert (experiment.df()["status"] == "ok").all()
    assert sorted(lab.batches()["lines"]) == [2, 4, 4]


def test_a_price_that_no_list_has_is_half_and_an_estimate() -> None:
    from lab.provider.prices import batch_pricer
    from lab.values import Usage

    listed = {"input_cost_per_token": 2e-6, "output_cost_per_token": 8e-6, "cache_read_input_token_cost": 1e-6}
    half = batch_pricer("openai", "x", listed)(Usage(input=1, output=1), None)
    assert (half.input, half.output, half.cache_read, half.estimated) == (1e-6, 4e-6, 5e-7, True)
    known = {**listed, "input_cost_per_token_batches": 0.5e-6, "output_cost_per_token_batches": 2e-6}
    quarter = batch_pricer("openai", "x", known)(Usage(input=1, output=1), "batch")
    assert (quarter.input, quarter.output, quarter.cache_read, quarter.estimated) == (0.5e-6, 2e-6, 2.5e-7, False)
    assert batch_pricer("openai", "x", {})(Usage(), None) is None


def test_progress_says_how_far_the_provider_is(lab: Lab, url: str) -> None:
    seen: list[str] = []
    more: dict[str, Any] = {"batch": True, "name": "x", "policy": ONCE, **at(url, "openai")}
    lab.compare(SAY, "sim/instant+batch_late", cases(9), progress=lambda now: seen.append(line(now)), **more)
    assert any("· at the provider " in words and " of 9 done in 1 batch" in words for words in seen)
    assert "at the provider" not in seen[-1]


@pytest.mark.parametrize("service", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("fault", "kind", "phase"),
    [
        ("batch_expired", "timeout", "batch"),
        ("batch_broken", "malformed", None),
        ("http_500", "provider", None),
        ("rate_limit", "rate_limit", None),
        ("length", "content", None),
    ],
)
def test_each_line_ends_as_its_kind(lab: Lab, url: str, service: str, fault: str, kind: str, phase: Any) -> None:
    answers = lab.batch(
        ["a", "b"], model=named(service, f"instant+{fault}"), policy=ONCE, progress=None, **at(url, service)
    )
    assert [(type(answer).kind, answer.phase) for answer in answers] == [(kind, phase)] * 2
    calls = lab.calls()
    assert calls["kind"].tolist() == [kind] * 2
    if kind == "timeout":
        assert lab.attempts()["cost"].tolist() == [0.0] * 2


def test_what_expires_is_asked_again_in_a_next_batch(lab: Lab, url: str) -> None:
    """As `Retry` says, however many they are; the record has each try."""
    retry = Policy(retry=Retry(attempts=25, max_delay=0.05))
    experiment = lab.compare(
        SAY,
        "sim/instant+batch_expired:0.5",
        cases(40),
        batch=True,
        progress=None,
        policy=retry,
        **at(url, "openai"),
    )
    assert (experiment.df()["status"] == "ok").all()
    assert len(lab.batches()) > 1
    assert set(lab.batches()["state"]) <= {"done", "expired"}
    attempts = lab.attempts(limit=None)
    assert (attempts["kind"] == "timeout").sum() > 10
    assert attempts["won"].sum() == 40


def test_an_expired_cell_is_no_answer_and_is_asked_when_it_is_run_again(lab: Lab, url: str) -> None:
    more: dict[str, Any] = {"batch": True, "progress": None, "policy": ONCE, "name": "x", **at(url, "openai")}
    first = lab.compare(SAY, "sim/instant+batch_expired:0.5", cases(30), **more)
    left = first.progress.total - first.progress.done
    assert 3 < left < 27
    again = lab.compare(SAY, "sim/instant+batch_expired:0.5", cases(30), **more)
    assert again.progress.known == 30 - left
    assert lab.batches()["lines"].tolist() == [left, 30]


@pytest.mark.parametrize("service", ["openai", "anthropic"])
def test_a_lost_reply_sends_nothing_twice(lab: Lab, url: str, service: str) -> None:
    """The simulation takes the batch and closes the connection, and once more when it is asked how it stands."""
    before = received(url)
    model = named(service, "instant+batch_lost")
    answers = lab.batch([f"say {number}" for number in range(9)], model=model, progress=None, **at(url, service))
    assert all(answer.text for answer in answers)
    assert list((received(url) - before).values()) == [1] * 9


@pytest.mark.parametrize("service", ["openai", "anthropic"])
def test_a_cancelled_batch_is_busy_and_may_be_asked_again(lab: Lab, url: str, service: str) -> None:
    address = url if service == "openai" else f"{url}/messages"

    def cancel() -> None:
        while True:
            with urllib.request.urlopen(f"{address}/batches?limit=1") as answer:
                newest = json.load(answer)["data"][:1]
            mine = lab.ledger.rows("SELECT name FROM batches WHERE name IS NOT NULL")
            if newest and mine and newest[0]["id"] == mine[0][0]:
                request = urllib.request.Request(f"{address}/batches/{mine[0][0]}/cancel", method="POST")
                urllib.request.urlopen(request).close()
                return

    canceller = threading.Thread(target=cancel)
    canceller.start()
    model = named(service, "instant+batch_late")
    answers = lab.batch(["a", "b", "c"], model=model, policy=ONCE, progress=None, name="x", **at(url, service))
    canceller.join()
    kinds = {getattr(type(answer), "kind", "ok") for answer in answers}
    assert "busy" in kinds
    assert kinds <= {"busy", "ok"}


def test_the_same_again_returns_the_replies_and_asks_what_failed(lab: Lab, url: str) -> None:
    model, more = "sim/instant+batch_expired:0.5", {"progress": None, "policy": ONCE, **at(url, "openai")}
    asked = [f"say {number}" for number in range(20)]
    first = lab.batch(asked, model=model, **more)
    good = [number for number, answer in enumerate(first) if not isinstance(answer, errors.LabError)]
    assert 2 < len(good) < 18
    again = lab.batch(asked, model=model, **more)
    assert [again[number].text for number in good] == [first[number].text for number in good]
    assert all(again[number].cached is True for number in good)
    assert lab.batches()["lines"].tolist() == [20 - len(good), 20]


def test_values_are_read_and_checked(lab: Lab, url: str) -> None:
    more: dict[str, Any] = {"schema": dict[str, int], "progress": None, **at(url, "openai")}
    replies = lab.batch(["a", "a"], model="sim/instant", **more)
    again = lab.batch(["a", "a"], model="sim/instant", **more)
    assert [isinstance(reply.value, dict) for reply in replies] == [True, True]
    assert [reply.value for reply in again] == [reply.value for reply in replies]
    assert replies[0].call_id != replies[1].call_id


def test_it_splits_by_the_limits_of_the_service(lab: Lab, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.provider.batch import FileBatches

    monkeypatch.setattr(FileBatches, "most_lines", 4)
    lab.batch([f"say {number}" for number in range(10)], model="sim/instant", progress=None, **at(url, "openai"))
    assert sorted(lab.batches()["lines"]) == [2, 4, 4]
    monkeypatch.setattr(FileBatches, "most_lines", 50_000)
    monkeypatch.setattr(FileBatches, "most_bytes", 3_000)
    lab.batch(["x" * 1500, "y" * 1500, "z"], model="sim/instant", progress=None, **at(url, "openai"))
    assert sorted(lab.batches()["lines"][:2]) == [1, 2]


def test_times_in_a_batch_are_nobodys_tail(lab: Lab, url: str) -> None:
    lab.batch(["a", "b"], model="sim/instant", progress=None, **at(url, "openai"))
    lab.ask("a", model="sim/instant", **at(url, "openai"))
    (row,) = lab.metrics().to_dict("records")
    assert (row["calls"], row["answers"], row["batched"], row["left_out"]) == (3, 1, 2, 2)
    assert row["cost_unknown"] == 3, "prices of a server of one's own are not known"
    trace = lab.trace(lab.calls()["call_id"].iloc[-1])
    ((part, _start, took),) = trace.bars[0].parts
    assert (part, round(took - trace.call["elapsed"], 2)) == ("in a batch", 0.0)


def test_an_answer_out_of_a_batch_is_kept_and_saves_nobody_its_hours(lab: Lab, url: str) -> None:
    more: dict[str, Any] = {"model": "sim/instant", "policy": Policy(cache=Cache()), **at(url, "openai")}
    (first,) = lab.batch(["a"], progress=None, temperature=0, **more)
    (again,) = lab.batch(["a"], progress=None, temperature=0, name="another", **more)
    assert (again.cached, again.text, again.saved_seconds) == ("exact", first.text, 0.0)


def _refused(lab: Lab, **more: Any) -> str:
    with pytest.raises(errors.LabError) as refusal:
        lab.compare(SAY, batch=True, progress=None, cases=cases(2), **more)
    assert "\n" not in str(refusal.value)
    assert lab.calls().empty
    assert lab.batches().empty
    return f"{refusal.value.kind}: {refusal.value}"


def test_what_has_no_batch_service_is_refused_before_anything_is_sent(lab: Lab, tmp_path: Path) -> None:
    refusal = "unsupported: {} has no batch service: leave out batch=True, or ask another model"
    assert _refused(lab, models="local/smollm2") == refusal.format("local/smollm2")
    assert _refused(lab, models="mistral/mistral-small-latest", api_key="k") == refusal.format(
        "mistral/mistral-small-latest"
    )
    assert "no model 'sim/stedy'" in _refused(lab, models="sim/stedy")
    with Lab(tmp_path / "own.db", provider=lambda call: "yes") as own:
        assert "a function in a provider's place has no batch service" in _refused(own, models="mine")


@pytest.mark.parametrize(
    ("prompts", "said"),
    [([], "a list of what `ask` takes"), ("one", "a list of what"), (["a", ""], "request 2: the prompt is empty")],
)
def test_odd_requests_are_refused(lab: Lab, prompts: Any, said: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match=said):
        lab.batch(prompts, model="sim/instant")
    with pytest.raises(errors.InvalidRequestError, match="batch='yes': True or False"):
        lab.compare(SAY, "sim/instant", cases(1), batch="yes")


def test_a_batch_that_the_provider_refuses_ends_each_of_its_calls(
    lab: Lab, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lab.provider.batch import FileBatches

    monkeypatch.setattr(FileBatches, "line", lambda _self, identity, _body: json.dumps({"id": identity}).encode())
    answers = lab.batch(["a", "b"], model="sim/instant", progress=None, **at(url, "openai"))
    assert {str(answer) for answer in answers} == {
        "the provider refuses the batch: line 1 is not a request (invalid_file)"
    }
    assert answers[0] is not answers[1]
    assert answers[0].phase == "batch", "nothing was asked: it is no answer of a cell"
    (batch,) = lab.batches().to_dict("records")
    assert (batch["state"], batch["message"]) == ("refused", str(answers[0]))


@pytest.mark.parametrize("moment", ["sent", "working"])
def test_a_killed_process_sends_nothing_twice_and_loses_nothing(url: str, tmp_path: Path, moment: str) -> None:
    """The next one goes on waiting for what it had sent. More moments are in `benchmarks/batch.py`."""
    path = tmp_path / "lab.db"
    before = received(url)
    code = f"""
import os, signal
from lab import Lab, Prompt
from lab.provider.batch import FileBatches
send, state = FileBatches.send, FileBatches.state
async def sending(self, *given):
    name = await send(self, *given)
    if {moment!r} == "sent":
        os.kill(os.getpid(), signal.SIGKILL)
    return name
async def looking(self, name):
    os.kill(os.getpid(), signal.SIGKILL)
FileBatches.send, FileBatches.state = sending, looking
cases = [{{"id": f"c{{n}}", "input": f"number {{n}}"}} for n in range(40)]
Lab({str(path)!r}).compare(Prompt("say", "Say {{{{what}}}}"), "sim/instant", cases, batch=True, progress=None, name="x",
    api_base={url!r})
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    with Lab(path) as lab:
        assert lab.calls().empty, "nothing is on record that is not over"
        more: dict[str, Any] = {"batch": True, "progress": None, "name": "x", **at(url, "openai")}
        experiment = lab.compare(SAY, "sim/instant", cases(40), **more)
        assert (experiment.df()["status"] == "ok").all()
        assert len(lab.calls(limit=None)) == 40
    assert list((received(url) - before).values()) == [1] * 40


def test_another_process_is_told_that_somebody_waits_already(lab: Lab, url: str) -> None:
    from lab.ledger.lease import Lease

    assert Lease(lab.ledger, "experiment", "x").take() is None
    with pytest.raises(errors.BusyError, match="'x' is being run by another process"):
        lab.batch(["a"], model="sim/instant", name="x", progress=None, **at(url, "openai"))


def test_keys_stay_out_of_the_ledger(lab: Lab, url: str) -> None:
    lab.batch(["a"], model="sim/instant", progress=None, api_key="sk-secret-1234567890", **at(url, "openai"))
    lab.close()
    whole = b"".join(path.read_bytes() for path in lab.path.parent.iterdir())
    assert b"sk-secret" not in whole


def test_an_older_ledger_gets_the_tables(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab.db") as lab:
        assert lab.batches().empty
    tables = {row[0] for row in sqlite3.connect(tmp_path / "lab.db").execute("SELECT name FROM sqlite_master")}
    assert {"batches", "batch_lines"} <= tables


def test_a_call_of_a_router_goes_the_same_way_again(tmp_path: Path) -> None:
    """Who looks the other way is drawn by the cell, so that what was sent is found again."""
    from lab.call.routing import Routing
    from lab.policies.kernel import Memory

    routing = Routing(None, Memory())  # type: ignore[arg-type]  # no ledger is looked at
    call = Call(call_id="c", model="route/x", messages=(), params={}, cell="abc")
    assert routing._lot(call)() == routing._lot(call)()
