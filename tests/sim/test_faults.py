"""Every fault of the simulation happens as it is named, plain and streamed, and is seen for what it is."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from lab import Lab, Policy, Timeout, errors
from lab.provider import child, own
from lab.sim.faults import FAULTS, Bursts, Chosen, parse

EXPECTED = {
    "slow": "ok",
    "trickle": "timeout",
    "hang": "timeout",
    "stall": "timeout",
    "http_400": "invalid_request",
    "http_401": "auth",
    "http_403": "auth",
    "http_404": "unsupported",
    "http_408": "timeout",
    "http_413": "invalid_request",
    "http_422": "invalid_request",
    "http_500": "provider",
    "http_503": "provider",
    "http_504": "timeout",
    "overloaded": "provider",
    "rate_limit": "rate_limit",
    "rate_limit_ms": "rate_limit",
    "quota": "quota",
    "context": "unsupported",
    "filtered_request": "content",
    "empty": "content",
    "null": "content",
    "no_choices": "malformed",
    "refusal": "content",
    "filter": "content",
    "length": "content",
    "html": "malformed",
    "error_in_200": "provider",
    "broken": "malformed",
    "error_event": "provider",
    "no_usage": "ok",
    "reset": "transport",
    "cut": "transport",
    "cut_reset": "transport",
    "short": "transport",
    "heartbeats": "ok",
    "no_done": "ok",
    "crlf": "ok",
    "split": "ok",
}
STREAMED_ELSEWISE = {"no_choices": "transport", "short": "ok"}
"""A stream has no choices to miss, no body to be short, and no JSON in one piece."""
PROTOCOLS = ["", *(f"{protocol}/" for protocol in own.PROTOCOLS)]
QUICK = Policy(retry=None, breaker=None, timeout=Timeout(attempt=1.0, first_token=0.6, idle=0.6))
PATIENT = Policy(retry=None, breaker=None, timeout=Timeout(attempt=30.0, first_token=30.0, idle=30.0))
"""For what is no timeout, however busy the machine."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One Lab for all of them."""
    with Lab(tmp_path_factory.mktemp("faults") / "lab.db", policy=QUICK) as shared:
        yield shared


def _kind(lab: Lab, model: str, streamed: bool, policy: Policy) -> str:
    try:
        if streamed:
            assert "".join(lab.stream("hi", model=model, policy=policy)).startswith("This is")
        else:
            assert lab.ask("hi", model=model, policy=policy).text.startswith("This is")
    except errors.LabError as failure:
        return failure.kind if failure.attempts == 1 else f"{failure.kind} after {failure.attempts} attempts"
    return "ok"


def test_every_fault_is_in_this_test() -> None:
    assert set(EXPECTED) == set(FAULTS)


AS_OPENAI = ("azure/", "openrouter/", "mistral/", "lm_studio/")
"""Those who stream as OpenAI does: what is late in its words is as late in theirs."""


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.rstrip("/") or "openai")
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_seen_for_what_it_is(lab: Lab, name: str, protocol: str) -> None:
    """In everybody's own words, all on the lab's wire."""
    if EXPECTED[name] == "timeout" and protocol in AS_OPENAI and not name.startswith("http"):
        return
    model = f"sim/{protocol}instant+{name}"
    for streamed in (False, True):
        expected = STREAMED_ELSEWISE.get(name, EXPECTED[name]) if streamed else EXPECTED[name]
        assert _kind(lab, model, streamed, QUICK if expected == "timeout" else PATIENT) == expected


def test_every_kind_that_a_provider_can_cause_can_be_made_to_happen() -> None:
    own = {"validation", "budget", "busy"}
    assert set(EXPECTED.values()) | own == {"ok", *errors.BY_KIND}


def test_what_a_wait_asks_for_arrives(lab: Lab) -> None:
    for protocol in PROTOCOLS:
        for name, wait in (("rate_limit", 1.0), ("rate_limit_ms", 0.2)):
            with pytest.raises(errors.RateLimitError) as failure:
                lab.ask("hi", model=f"sim/{protocol}instant+{name}")
            assert failure.value.retry_after == wait


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_protocol_brings_the_same_answer(lab: Lab, protocol: str) -> None:
    """Text, tokens, cost and times, whole and streamed; and a failure's raw status and body."""
    model = f"sim/{protocol}twenty"
    whole, stream = lab.ask("hi", model=model), lab.stream("hi", model=model)
    assert "".join(stream) == stream.reply.text
    for reply in (whole, stream.reply):
        assert (reply.usage.output, reply.finish_reason, reply.usage.estimated) == (20, "stop", False)
        assert reply.cost > 0
        row = lab.attempts(reply.call_id).iloc[0]
        assert (row["way"], row["http_status"], row["status"]) == ("wire", 200, "ok")
    assert 0 < stream.reply.ttft <= stream.reply.latency
    for ask in (lab.ask, lambda *args, **more: list(lab.stream(*args, **more))):
        with pytest.raises(errors.ProviderError) as failure:
            ask("hi", model=f"{model}+http_500")
        assert failure.value.status == 500
        assert "internal error" in failure.value.body
        with pytest.raises(errors.TransportError) as failure:
            ask("hi", model=f"{model}+cut")
        row = lab.attempts(failure.value.call_id).iloc[0]
        assert (row["http_status"], row["cost"] > 0, row["cost_estimated"]) == (200, True, True)


def test_a_cut_stream_keeps_what_had_come_in_every_protocol(lab: Lab) -> None:
    for protocol in PROTOCOLS:
        stream = lab.stream("hi", model=f"sim/{protocol}instant+cut")
        got = []
        with pytest.raises(errors.TransportError) as failure:
            got.extend(stream)
        assert "".join(got) == failure.value.partial
        assert failure.value.partial.startswith("This")


def test_missing_usage_is_estimated(lab: Lab) -> None:
    for protocol in ("", "anthropic/", "gemini/"):
        reply = lab.ask("hi", model=f"sim/{protocol}instant+no_usage")
        assert reply.usage.estimated
        assert reply.cost > 0


def test_faults_compose_and_hit_their_share() -> None:
    """The same share each on its own and in bursts; only the runs differ."""
    for burst in (1.0, 10.0):
        lots = Bursts(Chosen("cut", 0.2, burst), Random(3))
        hits = [lots.next() for _ in range(20_000)]
        assert sum(hits) / len(hits) == pytest.approx(0.2, abs=0.03)
        runs = sum(hit and not before for hit, before in zip(hits, [False, *hits], strict=False))
        assert sum(hits) / runs == pytest.approx(1.25 if burst == 1 else 10, rel=0.15)
    assert all(Bursts(Chosen("cut", 1.0, 10.0), Random(0)).next() for _ in range(100))


def test_the_same_seed_hits_the_same_requests(tmp_path: object) -> None:
    def outcomes() -> list[str]:
        server = child.Child("lab.sim", "--seed", "5")
        with Lab(tmp_path / "lab.db", policy=QUICK) as lab:
            where = {"api_base": server.endpoint().url, "api_key": "none"}
            ends = []
            for _ in range(40):
                try:
                    lab.ask("hi", model="openai/instant+http_500:0.3+empty:0.2x4", **where)
                    ends.append("ok")
                except errors.LabError as failure:
                    ends.append(failure.kind)
        server.close()
        return ends

    first = outcomes()
    assert first == outcomes()
    assert {"ok", "provider", "content"} == set(first)


@pytest.mark.parametrize("name", ["steady+nothing", "steady+cut:2", "steady+cut:x", "steady+cut:0.5x0.1", "steady+"])
def test_what_is_no_fault_is_refused_with_the_list(lab: Lab, name: str) -> None:
    with pytest.raises(ValueError, match=r"fault|share"):
        parse(name)
    with pytest.raises(errors.UnsupportedError, match=r"one of slow, trickle|a share from 0 to 1"):
        lab.ask("hi", model=f"sim/{name}")
