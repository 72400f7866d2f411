"""Attempts as rows: who won, why each was made, what it cost, when the call as a whole needed more than one."""

from __future__ import annotations

import threading

import pytest

from lab import Fallback, Hedge, Lab, Policy, Retry, errors
from tests.servers import DONE, END, HANG, RESET, STREAM, RawServer, answer, chunk, completion

FAST = Retry(attempts=3, initial=0.01)
BOOM = answer({"error": {"message": "boom"}}, 500)


def where(server: RawServer, model: str = "gpt-4o-mini") -> dict:
    return {"model": model, "api_base": server.url, "api_key": "k-123456789"}


def test_each_retry_is_a_row(lab: Lab, server: RawServer) -> None:
    for script in ([BOOM], [answer(completion())[:-9], END], [answer(completion())]):
        server.plays(*script)
    reply = lab.ask("hi", policy=Policy(retry=FAST), **where(server))
    rows = lab.attempts(reply.call_id)
    assert rows["role"].tolist() == ["first", "retry", "retry"]
    assert rows["kind"].fillna("ok").tolist() == ["provider", "transport", "ok"]
    assert rows["http_status"].tolist() == [500, 200, 200]
    assert rows["won"].tolist() == [False, False, True]
    assert rows["wait"][0] == 0
    assert rows["wait"][1:].gt(0).all()
    assert rows["cost"][0] == 0, "a refused request is free"
    assert rows["cost_estimated"].tolist() == [True, True, False]
    assert reply.attempts == 3
    assert reply.cost == pytest.approx(rows["cost"].sum())
    assert lab.calls().iloc[0]["n_attempts"] == 3


def test_ask_mends_a_cut_answer_and_stream_does_not_send_twice(lab: Lab, server: RawServer) -> None:
    server.plays(STREAM, chunk("Par"), RESET)
    stream = lab.stream("hi", policy=Policy(retry=FAST), **where(server))
    with pytest.raises(errors.TransportError) as cut:
        list(stream)
    assert (cut.value.partial, cut.value.attempts) == ("Par", 1)
    assert len(server.received) == 1


def test_a_stream_is_sent_again_before_its_first_piece(lab: Lab, server: RawServer) -> None:
    server.plays(BOOM)
    server.plays(STREAM, chunk("Par"), chunk("is"), chunk(finish="stop"), DONE, END)
    stream = lab.stream("hi", policy=Policy(retry=FAST), **where(server))
    assert "".join(stream) == "Paris"
    assert stream.reply.attempts == 2


def test_a_fallback_is_on_the_reply_and_on_the_ledger(lab: Lab, server: RawServer) -> None:
    server.plays(BOOM)
    server.plays(answer(completion()))
    policy = Policy(retry=None, fallback=Fallback("openai/other"))
    reply = lab.ask("hi", policy=policy, **where(server))
    assert (reply.fell_back, reply.model, reply.answered_by) == (True, "gpt-4o-mini", "served-model")
    assert [request.body["model"] for request in server.received] == ["gpt-4o-mini", "other"]
    assert lab.calls()["fell_back"][0]
    assert lab.attempts(reply.call_id)["role"].tolist() == ["first", "fallback"]
    assert reply.cost is None, "the fallback's price is not known"


def test_a_hedge_wins_and_the_loser_is_closed_and_costed(lab: Lab, server: RawServer) -> None:
    server.plays(answer(completion()))
    server.plays(HANG)
    server.plays(answer(completion("from the hedge")))
    policy = Policy(retry=None, hedge=Hedge(after=0.2, budget=1.0, follow=0.0))
    lab.ask("earns the share", policy=policy, **where(server))
    reply = lab.ask("hi", policy=policy, **where(server))
    assert (reply.text, reply.hedged, reply.attempts) == ("from the hedge", True, 2)
    assert server.gone.wait(10), "the loser's connection is closed"
    rows = lab.attempts(reply.call_id)
    assert rows["status"].tolist() == ["cancelled", "ok"]
    assert rows["role"].tolist() == ["first", "hedge"]
    assert rows["cost_estimated"].tolist() == [True, False]
    assert rows["cost"][0] > 0
    assert reply.cost == pytest.approx(rows["cost"].sum())


def test_a_loser_that_runs_on_is_known_and_costed_in_the_end(lab: Lab, server: RawServer) -> None:
    """Its true latency is what a study of tails needs; the call's cost follows."""
    server.plays(answer(completion()))
    server.plays(0.6, answer(completion("late", usage={"prompt_tokens": 5, "completion_tokens": 900})))
    server.plays(answer(completion("from the hedge")))
    policy = Policy(retry=None, hedge=Hedge(after=0.2, budget=1.0, follow=1.0))
    lab.ask("earns the share", policy=policy, **where(server))
    reply = lab.ask("hi", policy=policy, **where(server))
    assert (reply.text, reply.attempts) == ("from the hedge", 2)
    assert reply.cost is not None
    for _ in range(400):
        rows = lab.attempts(reply.call_id)
        if rows["status"][0] == "ok":
            break
        threading.Event().wait(0.02)
    assert rows["status"].tolist() == ["ok", "ok"]
    assert rows["won"].tolist() == [False, True]
    assert rows["latency"][0] > 0.5
    assert rows["loop_lag"][0] < 0.5, "nobody else was watched when it ended, and it was watched all the same"
    row = lab.calls().iloc[0]
    assert row["cost"] == pytest.approx(rows["cost"].sum())
    assert row["cost"] > reply.cost
    assert not row["cost_estimated"]


def test_all_that_failed_is_on_the_failure(lab: Lab, server: RawServer) -> None:
    server.plays(BOOM)
    with pytest.raises(errors.ProviderError) as failure:
        lab.ask("hi", policy=Policy(retry=FAST), **where(server))
    assert (failure.value.attempts, failure.value.cost, failure.value.status) == (3, 0.0, 500)
    assert lab.calls().iloc[0]["n_attempts"] == 3


def test_the_limits_state_is_shared_by_all_calls_of_a_lab(lab: Lab, server: RawServer) -> None:
    server.plays(BOOM)
    for _ in range(20):
        with pytest.raises(errors.ProviderError):
            lab.ask("hi", **where(server))
    with pytest.raises(errors.BusyError, match="left alone: ask again in"):
        lab.ask("hi", **where(server))
    assert len(server.received) == 20
