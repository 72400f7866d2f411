"""What was thought, called and cached, as the pages show it."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from lab import Lab, Policy, Prompt
from playground.parts import cards, drawing
from playground.parts.lanes import Lane
from tests.playground.test_playground import PAGES, fresh_server, no_components, serve, shown

__all__ = ["fresh_server", "no_components"]

HOSTILE = "<script>alert(1)</script> **bold** $x$ [a](javascript:b)"


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The Lab behind the pages, with the simulated provider."""
    from tests.playground.test_playground import _opened

    behind = _opened["lab"] = Lab(policy=Policy(retry=None))
    serve(behind, monkeypatch)
    return behind


def opened(call_id: str) -> AppTest:
    at = AppTest.from_file(str(PAGES / "calls.py"), default_timeout=60)
    at.query_params["call"] = call_id
    at.run()
    assert not at.exception
    return at


def test_a_call_shows_its_thoughts_folded_and_their_time(real: Lab) -> None:
    stream = real.stream("hi", model="sim/thinker", reasoning_effort="minimal")
    list(stream)
    at = opened(stream.call_id)
    (folded,) = [expander for expander in at.expander if expander.label.startswith("Thinking")]
    assert folded.label == "Thinking, 40 words"
    assert "thinking" in shown(at)
    assert "(40 thought)" in shown(at)


def test_a_call_without_thoughts_has_no_such_fold(real: Lab) -> None:
    at = opened(real.ask("hi", model="sim/instant").call_id)
    assert not [expander for expander in at.expander if expander.label.startswith("Thinking")]


def test_a_conversation_with_tools_is_shown_whole(real: Lab) -> None:
    def weather(city: str) -> str:
        """The weather."""

    reply = real.ask("weather?", model="sim/instant", tools=[weather])
    at = opened(reply.call_id)
    assert "weather" in shown(at)
    assert [json.value for json in at.json if "city" in json.value]
    result = {"role": "tool", "tool_call_id": reply.tool_calls[0]["id"], "content": "rain " + HOSTILE}
    last = real.ask([*reply.messages, result], model="sim/instant", tools=[weather])
    at = opened(last.call_id)
    said = shown(at)
    assert "tool" in said
    assert "<script>" not in "".join(html.proto.body for html in at.get("html") if hasattr(html.proto, "body"))


def test_cost_shows_what_providers_cached(real: Lab) -> None:
    prompt = Prompt(
        "clerk",
        [{"role": "system", "content": "Careful. " * 200}, {"role": "user", "content": "{{x}}"}],
        stable="system",
    )
    for number in range(3):
        real.ask(prompt.fill(x=str(number)), model="sim/anthropic/instant")
    at = AppTest.from_file(str(PAGES / "cost.py"), default_timeout=60).run()
    assert not at.exception
    assert "Prompt caches of providers" in shown(at)
    (read,) = [metric for metric in at.metric if metric.label == "Read from a cache"]
    assert 50 < int(read.value.rstrip("%")) < 70


def test_tokens_a_second_know_which_were_thought_when() -> None:
    """Thoughts that were seen to come count from the first token on; those out of sight were before it."""
    row = {"output_tokens": 150, "reasoning_tokens": 100, "latency": 2.0, "ttft": 1.0}
    assert drawing.speed({**row, "thinking": 0.5}) == pytest.approx(150)
    assert drawing.speed({**row, "thinking": None}) == pytest.approx(50)


def test_a_card_says_how_long_was_thought_where_anything_was() -> None:
    row = {"ttft": 0.3, "elapsed": 2.0, "latency": 2.0, "status": "ok", "output_tokens": 40, "input_tokens": 3}
    thinks = cards.figures_of(Lane("m", "1", row={**row, "thinking": 1.25}))
    assert list(thinks)[:2] == ["First token", "Thinking"]
    assert thinks["Thinking"] == "1.25 s"
    assert "Thinking" not in cards.figures_of(Lane("m", "2", row={**row, "thinking": None}))
    assert "&lt;script&gt;" in drawing.thinking(HOSTILE)
