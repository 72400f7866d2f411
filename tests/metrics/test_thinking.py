"""How long a model thinks is a part of its own wherever time is shown, and what providers cached is seen in dollars."""

from __future__ import annotations

import pytest

from lab import Lab, Policy, Prompt, metrics
from lab.provider.dialect import translate
from lab.show import charts
from tests.servers import RawServer, answer, completion

SYSTEM = "You are a careful clerk. " * 60
PROMPT = Prompt(
    "clerk", [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "{{text}}"}], stable="system"
)


@pytest.fixture
def thought(lab: Lab) -> Lab:
    """A ledger with calls that think and calls that don't."""
    for model in ("sim/thinker", "sim/instant"):
        for number in range(8):
            deep = {"reasoning_effort": "minimal"} if model == "sim/thinker" else {}
            stream = lab.stream(f"hi {number}", model=model, **deep)
            list(stream)
    return lab


def test_the_parts_of_a_call_add_up(thought: Lab) -> None:
    phases = metrics.phases(thought.ledger)
    mine = phases[(phases["group"] == "sim/thinker") & (phases["calls"] == "all")].set_index("part")["seconds"]
    assert mine["thinking"] > 0
    calls = thought.calls(model="sim/thinker")
    assert mine.sum() == pytest.approx(calls["elapsed"].mean(), rel=0.05)
    assert mine["thinking"] == pytest.approx(calls["thinking"].mean())
    assert phases[(phases["group"] == "sim/instant") & (phases["part"] == "thinking")]["seconds"].max() == 0


def test_the_first_token_and_the_first_of_the_answer_are_two_times(thought: Lab) -> None:
    figures = thought.metrics(by=("model",)).set_index("model")
    assert figures.loc["sim/thinker", "answer_ttft_p50"] > figures.loc["sim/thinker", "ttft_p50"]
    assert figures.loc["sim/instant", "answer_ttft_p50"] == figures.loc["sim/instant", "ttft_p50"]
    curves = metrics.curves(thought.ledger, "answer_ttft")
    assert set(curves["group"]) == {"sim/thinker", "sim/instant"}


def test_a_trace_shows_it(thought: Lab) -> None:
    call = thought.calls(model="sim/thinker").iloc[0]
    trace = thought.trace(call["call_id"])
    parts = trace.df().set_index("part")
    assert parts.loc["thinking", "end"] - parts.loc["thinking", "start"] == pytest.approx(call["thinking"], abs=1e-3)
    assert parts.loc["generation", "start"] == parts.loc["thinking", "end"]
    assert "o" in str(trace)
    assert "thinking" in trace._repr_html_()
    segments = charts.timeline(thought.calls(model="sim/thinker")).to_dict()
    assert '"thinking"' in str(segments).replace("'", '"')


def test_a_system_that_stays_the_same_is_cached_and_its_saving_is_seen(lab: Lab) -> None:
    for number in range(4):
        lab.ask(PROMPT.fill(text=f"case {number}"), model="sim/anthropic/instant")
    rows = lab.attempts().sort_values("started_at")
    assert list(rows["cache_write_tokens"] > 0) == [True, False, False, False]
    assert list(rows["cache_read_tokens"] > 0) == [False, True, True, True]
    assert (rows["input_tokens"] < 100).all(), "a token is in one bucket"
    (seen,) = metrics.prompt_caches(lab.ledger).to_dict("records")
    price = 0.15e-6
    expected = seen["read"] * 0.9 * price - seen["written"] * 0.25 * price
    assert seen["saved"] == pytest.approx(expected)
    assert seen["saved"] > 0
    assert seen["hit_rate"] == pytest.approx(seen["read"] / seen["sent"])
    plain = rows["input_tokens"] + rows["cache_read_tokens"] + rows["cache_write_tokens"]
    paid, output = rows["cost"].sum(), rows["output_tokens"].sum() * 0.6e-6
    assert plain.sum() * price + output - paid == pytest.approx(seen["saved"])
    assert metrics.prompt_caches(lab.ledger, model="sim/instant").empty


@pytest.mark.parametrize(
    ("model", "marked"),
    [
        ("anthropic/claude-haiku-4-5", True),
        ("openrouter/anthropic/claude-sonnet-4.5", True),
        ("openrouter/openai/gpt-4o-mini", False),
        ("openai/gpt-4o-mini", False),
        ("gemini/gemini-2.5-flash", False),
        ("ollama_chat/qwen3", False),
    ],
)
def test_the_mark_goes_to_whom_it_means_something(model: str, marked: bool) -> None:
    messages = PROMPT.fill(text="x").messages
    said = {"api_key": "k-123456789"}
    request = translate(model, messages, said, streamed=False, stable=True)
    assert request is not None
    assert ("cache_control" in str(request.body)) == marked
    assert (request.body == translate(model, messages, said, streamed=False).body) != marked


def test_what_is_stable_comes_back_with_the_prompt(lab: Lab) -> None:
    lab.save(PROMPT)
    assert lab.prompt("clerk").stable == "system"
    assert lab.save(Prompt("clerk", list(PROMPT.messages))) == 1, "it is no other version"
    assert lab.prompt("clerk").stable == "system", "nor is it taken back by who says nothing"


@pytest.mark.parametrize("stable", ["user", True, "all"])
def test_only_the_system_can_be_stable(stable: object) -> None:
    with pytest.raises(ValueError, match="'system', or left out"):
        Prompt("clerk", list(PROMPT.messages), stable=stable)
    with pytest.raises(ValueError, match="no message of the system's"):
        Prompt("clerk", "hi", stable="system")


def test_a_comparison_keeps_it(lab: Lab) -> None:
    from lab.evals.spec import Spec

    spec = Spec.of(PROMPT, ["sim/anthropic/instant"], [{"text": "a"}, {"text": "b"}])
    assert Spec.read(spec.written()).prompts[0].stable == "system"
    lab.planned(spec).run(None)
    assert lab.attempts()["cache_read_tokens"].max() > 0


def test_openais_own_cache_is_read_in_its_words(lab: Lab, server: RawServer) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 800}}
    server.plays(answer(completion("Paris", usage=usage)))
    policy = Policy(retry=None)
    lab.ask("hi", model="openai/gpt-4o-mini", api_base=server.url, api_key="k-123456789", policy=policy)
    (seen,) = metrics.prompt_caches(lab.ledger).to_dict("records")
    assert (seen["read"], seen["written"], seen["sent"]) == (800, 0, 1000)
    assert seen["saved"] == pytest.approx(800 * (0.15e-6 - 0.075e-6))
