"""A call from intake to outcome: its timeline is the record's, drawn safely, for a page and for a terminal."""

from __future__ import annotations

import re

import pytest

from lab import Fallback, Lab, Policy, Retry, checks, errors
from tests.rows import put


def test_a_timeline_is_that_of_the_record(lab: Lab) -> None:
    """A failure, a wait, an answer: in their order, as long as the ledger says."""
    policy = Policy(retry=None, fallback=Fallback("sim/steady"))
    reply = lab.ask("hello", model="sim/steady+http_500", policy=policy)
    trace = lab.trace(reply.call_id)
    assert [bar.label for bar in trace.bars] == ["1 first", "2 fallback"]
    assert [bar.outcome for bar in trace.bars] == ["provider 500", "won"]
    times = trace.df()
    assert (times["end"] >= times["start"]).all()
    second = times[times["attempt"] == "2 fallback"]
    answered = second[second["part"].isin(["connect", "first token", "generation", "until its end"])]
    assert answered["end"].max() - answered["start"].min() == pytest.approx(reply.latency, abs=1e-6)
    assert trace.head.startswith("sim/steady+http_500 · ok · ")
    assert "2 attempts" in trace.head


def test_the_waits_of_a_retry_are_on_it(lab: Lab) -> None:
    with pytest.raises(errors.ProviderError):
        lab.ask("x", model="sim/steady+http_500", policy=Policy(retry=Retry(attempts=2, initial=0.2, jitter="none")))
    trace = lab.trace(lab.calls()["call_id"][0])
    waits = trace.df()[lambda frame: frame["part"] == "waiting"]
    assert waits[waits["attempt"] == "2 retry"]["end"].iloc[0] > 0
    assert trace.head.startswith("sim/steady+http_500 · failed: provider")


def test_what_checks_found_is_on_the_attempt() -> None:
    with Lab(provider=lambda call: "no digits") as lab:
        with pytest.raises(errors.ValidationError):
            lab.ask("x", model="m", checks=[checks.matches(r"\d")], policy=Policy(repair=None))
        trace = lab.trace(lab.calls()["call_id"][0])
    assert trace.bars[0].notes[0].startswith("matches failed: ")
    assert "matches failed" in str(trace)


def test_it_is_found_by_the_beginning_of_its_identifier(lab: Lab) -> None:
    put(lab, "abcdef-1")
    put(lab, "abcdef-2")
    assert lab.trace("abcdef-1").call["call_id"] == "abcdef-1"
    for odd, message in (("abcdef", "more than one call"), ("abc", "no call"), ("nothing-like-it", "no call")):
        with pytest.raises(ValueError, match=f"{message} '{odd}'"):
            lab.trace(odd)


def test_a_call_that_was_never_sent_or_still_runs(lab: Lab) -> None:
    put(lab, "running", status="running")
    put(lab, "old", {"status": "cancelled", "latency": None, "connect": None}, status="cancelled")
    assert lab.trace("running").bars == ()
    assert "running" in lab.trace("running")._repr_html_()
    assert lab.trace("old").bars[0].outcome == "cancelled"
    assert str(lab.trace("old"))


def test_a_hostile_name_is_only_text(lab: Lab) -> None:
    put(lab, "hostile", {"won": 0, "status": "failed", "kind": "<b>"}, model="<script>alert(1)</script>")
    drawn = lab.trace("hostile")._repr_html_()
    assert "<script>" not in drawn
    assert "<b>&lt;b&gt;</b>" in drawn
    assert not re.search(r"on\w+=", drawn)
