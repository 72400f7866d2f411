"""What a model thinks comes apart from what it answers, is timed apart, kept, found again, and paid for once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lab import Hedge, Lab, Policy, Retry, Timeout, archive, errors
from lab.policies.hedge import Hedging, hedged
from lab.policies.kernel import Try
from lab.provider import own
from lab.values import Call, Event
from tests.servers import DONE, END, STREAM, RawServer, answer, chunk, completion

PROTOCOLS = ["", *(f"{protocol}/" for protocol in own.PROTOCOLS)]
ONCE = Policy(retry=None, breaker=None, timeout=Timeout(total=60))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_thoughts_come_apart_in_everybodys_words(lab: Lab, protocol: str) -> None:
    stream = lab.stream("hi", model=f"sim/{protocol}thinker", **_deep(protocol))
    thoughts = list(stream.reasoning)
    assert len(thoughts) > 10
    assert not stream.done or stream.text, "the thoughts end where the answer begins"
    text, reply = "".join(stream), stream.reply
    assert reply.text == text
    assert text.startswith("This is thinker")
    assert reply.reasoning == str(stream.reasoning) == "".join(thoughts)
    assert reply.thinking > 0
    assert 0 < reply.ttft < reply.ttft + reply.thinking <= reply.latency
    row = lab.attempts(reply.call_id).iloc[0]
    assert (row["way"], row["thinking"], row["ttft"]) == ("wire", reply.thinking, reply.ttft)
    whole = lab.ask("hi", model=f"sim/{protocol}thinker", **_deep(protocol))
    assert len(whole.reasoning.split()) > 10
    assert (whole.thinking, whole.ttft) == (None, None), "a plain answer tells nothing of when it was thought"


def _deep(protocol: str) -> dict:
    """How to ask for thoughts, where they are not given unasked."""
    return {"reasoning_effort": "minimal"} if protocol in ("anthropic/", "gemini/", "responses/") else {}


def test_a_model_that_does_not_think_has_no_thoughts(lab: Lab) -> None:
    stream = lab.stream("hi", model="sim/instant")
    assert list(stream.reasoning) == []
    assert "".join(stream)
    assert (stream.reply.reasoning, stream.reply.thinking) == ("", None)
    assert not stream.reasoning


def test_thoughts_are_read_on_any_loop(lab: Lab) -> None:
    async def read() -> tuple[list[str], str]:
        stream = lab.astream("hi", model="sim/thinker", reasoning_effort="minimal")
        thoughts = [piece async for piece in stream.reasoning]
        return thoughts, "".join([piece async for piece in stream])

    thoughts, text = asyncio.run(read())
    assert len(thoughts) == 40
    assert text.startswith("This is thinker")


def test_thoughts_may_be_left_unread(lab: Lab) -> None:
    stream = lab.stream("hi", model="sim/thinker", reasoning_effort="minimal")
    assert "".join(stream).startswith("This is thinker")
    assert stream.reasoning.text == stream.reply.reasoning


def test_thoughts_are_kept_and_found_again(lab: Lab, server: RawServer) -> None:
    server.plays(answer(completion("Paris", reasoning_content="the capital, a zygomorphic question")))
    reply = lab.ask("where?", model="openai/m", api_base=server.url, api_key="k-123456789")
    assert lab.texts(reply.call_id)["reasoning"] == "the capital, a zygomorphic question"
    assert list(lab.calls(search="zygomorphic")["call_id"]) == [reply.call_id]
    assert list(lab.calls(search="Paris", model="openai/m", limit=3)["call_id"]) == [reply.call_id]
    assert lab.calls(search="nowhere").empty
    archive.prune(lab.ledger, before="2999-01-01", words_only=True)
    assert lab.calls(search="zygomorphic").empty
    assert lab.texts(reply.call_id)["reasoning"] is None


def test_thoughts_go_through_the_redaction(tmp_path: Path, server: RawServer) -> None:
    secret = "sk-Planted1Shape2key3Planted1Shape2key3"
    server.plays(answer(completion("Paris", reasoning_content=f"Ann's key is {secret}")))
    with Lab(tmp_path / "mine.db", redact=lambda text: text.replace("Ann", "[name]")) as lab:
        reply = lab.ask("where?", model="openai/m", api_base=server.url, api_key="k-123456789")
        assert "Ann" in reply.reasoning, "the caller's own words are his own"
        kept = lab.texts(reply.call_id)["reasoning"]
    assert kept.startswith("[name]'s key is")
    assert secret not in kept


def test_where_no_words_are_kept_no_thoughts_are(tmp_path: Path, server: RawServer) -> None:
    server.plays(answer(completion("Paris", reasoning_content="hm")))
    with Lab(tmp_path / "mine.db", keep="hashes") as lab:
        reply = lab.ask("where?", model="openai/m", api_base=server.url, api_key="k-123456789")
        texts = lab.texts(reply.call_id)
    assert texts["reasoning"] is None
    assert texts["digest"]["reasoning"]["characters"] == 2


def test_a_key_gives_the_thoughts_again_and_the_conversation_goes_on(lab: Lab) -> None:
    def look(at: str) -> str:
        """Look it up."""

    asked = {"model": "sim/anthropic/thinker", "tools": [look], "reasoning_effort": "minimal", "key": "once"}
    first, again = lab.ask("please look", **asked), lab.ask("please look", **asked)
    assert again.cached
    assert first.extra["thinking_blocks"][0]["signature"]
    for field in ("reasoning", "extra", "tool_calls", "messages"):
        assert getattr(again, field) == getattr(first, field), field
    result = {"role": "tool", "tool_call_id": again.tool_calls[0]["id"], "content": "it is raining"}
    last = lab.ask([*again.messages, result], model="sim/anthropic/thinker", reasoning_effort="minimal")
    assert "it is raining" in last.text


def test_what_breaks_off_while_it_thinks_is_asked_again_by_ask_alone(lab: Lab, server: RawServer) -> None:
    """A stream that has handed on a thought is not asked again in silence: its reader would read two beginnings."""

    def thought(text: str) -> bytes:
        return chunk(choices=[{"index": 0, "delta": {"reasoning_content": text}, "finish_reason": None}])

    where = {"model": "openai/m", "api_base": server.url, "api_key": "k-123456789"}
    server.plays(STREAM, thought("one way"), END)
    server.plays(STREAM, thought("another"), chunk("Paris"), chunk(finish="stop"), DONE, END)
    stream = lab.stream("hi", policy=Policy(retry=Retry(initial=0.01), breaker=None), **where)
    with pytest.raises(errors.TransportError) as failure:
        list(stream)
    assert (failure.value.attempts, str(stream.reasoning)) == (1, "one way")
    assert lab.texts(failure.value.call_id)["reasoning"] == "one way"
    assert lab.attempts(failure.value.call_id).iloc[0]["cost_estimated"]
    server.scripts.clear()
    server.plays(answer({"error": {"message": "boom"}}, 500))
    server.plays(answer(completion("Paris", reasoning_content="another")))
    assert lab.ask("hi", policy=Policy(retry=Retry(initial=0.01), breaker=None), **where).reasoning == "another"


def test_a_hedge_goes_by_the_first_token_be_it_of_a_thought() -> None:
    """A model that thinks for long is not late, and which request is taken is settled by its first thought."""

    async def run() -> list[str]:
        asked: list[str] = []

        async def slowly(attempt: Try) -> object:
            asked.append(attempt.role)
            now = asyncio.get_running_loop().time
            yield Event("sent", now())
            yield Event("thought", now(), text="hm")
            await asyncio.sleep(0.05)
            yield Event("piece", now(), text="Paris")
            yield Event("done", now())

        state = Hedging(Hedge(after=0.02, budget=1.0))
        state.tokens.left = 5.0
        call = Call(call_id="c", model="m", messages=(), streamed=True)
        async for _ in hedged(state, None, __import__("random").Random(0), Try(call=call, model="m"), slowly):
            pass
        return asked

    assert asyncio.run(run()) == ["first"]


LONG = "<think>first,\n<b>this</b></think>\n\nParis, of <think>course</think>."


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 100])
def test_thoughts_in_tags_are_told_from_the_answer_however_they_come(lab: Lab, server: RawServer, size: int) -> None:
    where = {"model": "openai/m", "api_base": server.url, "api_key": "k-123456789"}
    pieces = [LONG[start : start + size] for start in range(0, len(LONG), size)]
    server.plays(STREAM, *(chunk(piece) for piece in pieces), chunk(finish="stop"), DONE, END)
    stream = lab.stream("hi", **where)
    thoughts, text = "".join(stream.reasoning), "".join(stream)
    assert (thoughts, text) == ("first,\n<b>this</b>", "\n\nParis, of <think>course</think>.")
    server.scripts.clear()
    server.plays(answer(completion(LONG)))
    whole = lab.ask("hi", **where)
    assert (whole.reasoning, whole.text) == (thoughts, text)


@pytest.mark.parametrize("text", ["<b>Paris</b>", "a < b", "<", "  <thin ice>", "<th", "<thinking machines>"])
def test_what_only_looks_like_a_tag_is_the_answer(lab: Lab, server: RawServer, text: str) -> None:
    where = {"model": "openai/m", "api_base": server.url, "api_key": "k-123456789"}
    server.plays(STREAM, *(chunk(char) for char in text), chunk(finish="stop"), DONE, END)
    stream = lab.stream("hi", **where)
    assert ("".join(stream), stream.reply.reasoning) == (text, "")


IN = {"prompt_tokens": 20, "completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 30}}
OUTSIDE = {**IN, "completion_tokens": 20, "total_tokens": 70}
SAYS = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "Paris"}]
CLAUDE = {"input_tokens": 20, "output_tokens": 50}
GOOGLE = {"promptTokenCount": 20, "candidatesTokenCount": 20, "thoughtsTokenCount": 30, "totalTokenCount": 70}
PART = {"content": {"role": "model", "parts": [{"text": "Paris"}]}, "finishReason": "STOP"}
NEW = {"input_tokens": 20, "output_tokens": 50, "output_tokens_details": {"reasoning_tokens": 30}}
ITEM = {"type": "message", "content": [{"type": "output_text", "text": "Paris"}]}
BILLED = {"usage": {"billed_units": {"input_tokens": 20, "output_tokens": 50}}, "finish_reason": "COMPLETE"}
WAYS = {
    "openai/o3-mini": (completion("Paris", usage=IN), 20, 30),
    "xai/grok-4": (completion("Paris", usage=OUTSIDE), 20, 30),
    "deepseek/deepseek-reasoner": (completion("Paris", usage=IN, reasoning_content="hm"), 20, 30),
    "openrouter/some/model": (completion("Paris", usage={**IN, "cost": 0.25}, reasoning="hm"), 20, 30),
    "azure/o3-mini": (completion("Paris", usage=IN), 20, 30),
    "openai/o3-pro": ({"output": [ITEM], "status": "completed", "usage": NEW}, 20, 30),
    "gemini/gemini-2.5-flash": ({"candidates": [PART], "usageMetadata": GOOGLE}, 20, 30),
    "anthropic/claude-sonnet-4-5": (
        {
            "type": "message",
            "content": SAYS,
            "stop_reason": "end_turn",
            "usage": {**CLAUDE, "output_tokens_details": {"thinking_tokens": 30}},
        },
        20,
        30,
    ),
    "anthropic/claude-haiku-4-5": (
        {"type": "message", "content": SAYS, "stop_reason": "end_turn", "usage": CLAUDE},
        50,
        0,
    ),
    "ollama_chat/qwen3": (
        {
            "message": {"content": "Paris", "thinking": "hm"},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 20,
            "eval_count": 50,
        },
        50,
        0,
    ),
    "cohere_chat/command-a": ({"message": {"content": [{"type": "text", "text": "Paris"}]}, **BILLED}, 50, 0),
}
"""What each provider reports, and how much of it is the answer's and the thoughts'; where it does not tell them apart,
all is the answer's, which is what it is paid as."""


@pytest.mark.parametrize("model", WAYS)
def test_a_token_is_in_one_bucket_however_it_is_reported(lab: Lab, server: RawServer, model: str) -> None:
    body, output, reasoning = WAYS[model]
    server.plays(answer(body))
    reply = lab.ask("where?", model=model, api_base=server.url, api_key="k-123456789")
    usage = reply.usage
    assert (usage.input, usage.output, usage.reasoning, usage.estimated) == (20, output, reasoning, False)
    row = lab.calls().iloc[0]
    assert (row["output_tokens"], row["reasoning_tokens"]) == (50, reasoning)
    assert reply.cost == (0.25 if model.startswith("openrouter") else lab.attempts().iloc[0]["cost"])
