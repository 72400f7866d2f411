"""What odd and broken answers in each dialect come to: a good one is not lost over what stands beside it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lab import Lab, errors
from lab.provider.dialect import translate
from tests.servers import DONE, END, STREAM, RawServer, answer, chunk

KEY = {"api_key": "k-123456789"}


def _sse(*events: dict) -> list[object]:
    return [STREAM, *(f"data: {json.dumps(event)}\n\n".encode() for event in events), END]


def _part(text: str = "Paris", finish: str | None = "STOP") -> dict:
    ends = {"finishReason": finish} if finish else {}
    return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, **ends}]}


def _message(**more: object) -> dict:
    return {"type": "message", "content": [{"type": "text", "text": "Paris"}], "stop_reason": "end_turn", **more}


CHOICE = {"choices": [{"index": 0, "message": {"content": "Paris"}, "finish_reason": "stop"}]}
SPOKEN = {"type": "message", "content": [{"type": "output_text", "text": "Paris"}]}
GOOD = {
    "gemini, details that are none": (
        "gemini/gemini-2.5-flash",
        {**_part(), "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "promptTokensDetails": "x"}},
    ),
    "gemini, thoughts that are no count": (
        "gemini/gemini-2.5-flash",
        {**_part(), "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "thoughtsTokenCount": "5"}},
    ),
    "gemini, no count of what came": ("gemini/gemini-2.5-flash", {**_part(), "usageMetadata": {"promptTokenCount": 3}}),
    "cohere, usage that is a list": (
        "cohere_chat/c",
        {"message": {"content": [{"type": "text", "text": "Paris"}]}, "finish_reason": "COMPLETE", "usage": [1]},
    ),
    "anthropic, a count that is text": (
        "anthropic/claude-haiku-4-5",
        _message(usage={"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": "7"}),
    ),
    "openrouter, details of thoughts that are none": (
        "openrouter/x/y",
        {"choices": [{"index": 0, "message": {"content": "Paris", "reasoning_details": "x"}, "finish_reason": "stop"}]},
    ),
    "openrouter, a list of nothing": (
        "openrouter/x/y",
        {
            "choices": [
                {"index": 0, "message": {"content": "Paris", "reasoning_details": [None, 1]}, "finish_reason": "stop"}
            ]
        },
    ),
    "openrouter, a cost that is none": (
        "openrouter/x/y",
        {**CHOICE, "usage": {"cost": 1, "is_byok": True, "cost_details": "x"}},
    ),
    "responses, an item that is null": ("openai/o3-pro", {"output": [None, SPOKEN], "status": "completed"}),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_answer_is_not_lost_over_what_stands_beside_it(lab: Lab, server: RawServer, name: str) -> None:
    """Its usage is counted here, and said to be an estimate."""
    model, body = GOOD[name]
    server.plays(answer(body))
    reply = lab.ask("where?", model=model, api_base=server.url, **KEY)
    assert (reply.text, reply.usage.estimated) == ("Paris", True)
    assert reply.usage.output > 0


BROKEN = {
    "a candidate that is null": ("gemini/gemini-2.5-flash", {"candidates": [None]}),
    "a part that is null": (
        "gemini/gemini-2.5-flash",
        {"candidates": [{"content": {"parts": [None]}, "finishReason": "STOP"}]},
    ),
    "a function without a name": (
        "gemini/gemini-2.5-flash",
        {"candidates": [{"content": {"parts": [{"functionCall": {"args": {}}}]}, "finishReason": "STOP"}]},
    ),
    "a tool without a name": (
        "openai/m",
        {
            "choices": [
                {
                    "message": {
                        "content": None,
                        "tool_calls": [{"id": "a", "type": "function", "function": {"name": None, "arguments": "{}"}}],
                    },
                    "finish_reason": "tool_calls",
                }
            ]
        },
    ),
    "a tool that is null": ("ollama_chat/q", {"message": {"content": "", "tool_calls": [None]}, "done": True}),
    "a message that is text": ("ollama_chat/q", {"message": "x", "done": True}),
    "content that is text": ("cohere_chat/c", {"message": {"content": "x"}, "finish_reason": "COMPLETE"}),
    "output that is none": ("openai/o3-pro", {"output": None, "status": "completed"}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_can_not_be_read_is_malformed(lab: Lab, server: RawServer, name: str) -> None:
    model, body = BROKEN[name]
    server.plays(answer(body))
    with pytest.raises(errors.MalformedError):
        lab.ask("where?", model=model, api_base=server.url, **KEY)


def test_a_response_that_failed_says_why(lab: Lab, server: RawServer) -> None:
    error = {"code": "rate_limit_exceeded", "message": "too fast"}
    for event in (
        {"type": "response.failed", "response": {"status": "failed", "error": error, "output": []}},
        {"type": "error", **error},
    ):
        server.scripts.clear()
        server.plays(*_sse({"type": "response.created", "response": {}}, event))
        with pytest.raises(errors.RateLimitError, match="too fast"):
            list(lab.stream("hi", model="openai/o3-pro", api_base=server.url, **KEY))


def test_an_event_without_its_text_adds_none(lab: Lab, server: RawServer) -> None:
    server.plays(
        *_sse(
            {"type": "response.output_text.delta"},
            {"type": "response.output_text.delta", "delta": "Paris"},
            {"type": "response.completed", "response": {"status": "completed"}},
        )
    )
    assert "".join(lab.stream("hi", model="openai/o3-pro", api_base=server.url, **KEY)) == "Paris"


def test_a_last_line_without_an_end_is_a_line(lab: Lab, server: RawServer) -> None:
    """Ollama behind a proxy that strips it."""
    lines = [{"message": {"content": "Paris"}, "done": False}, {"message": {"content": ""}, "done": True}]
    server.plays(STREAM, "\n".join(json.dumps(line) for line in lines).encode(), END)
    assert "".join(lab.stream("hi", model="ollama_chat/q", api_base=server.url, **KEY)) == "Paris"


def test_a_length_stop_is_no_tools_end(lab: Lab, server: RawServer) -> None:
    calls = {"content": "", "tool_calls": [{"function": {"name": "look", "arguments": {}}}]}
    server.plays(answer({"message": calls, "done": True, "done_reason": "length"}))
    with pytest.raises(errors.ContentError) as failure:
        lab.ask("hi", model="ollama_chat/q", api_base=server.url, **KEY)
    assert failure.value.reason == "truncated"


def test_signatures_come_together_whatever_lies_between(lab: Lab, server: RawServer) -> None:
    """OpenRouter's pieces of a thought share an index; a null says nothing."""
    pieces = [{"text": "abc"}, {"text": None, "signature": "SIG"}, {"text": "def", "signature": None}]
    deltas = [
        {"content": "", "reasoning_details": [{"type": "reasoning.text", "index": 0, **piece}]} for piece in pieces
    ]
    events = [chunk(choices=[{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
    server.plays(STREAM, b": OPENROUTER PROCESSING\n\n", *events, chunk("Paris"), chunk(finish="stop"), DONE, END)
    stream = lab.stream("hi", model="openrouter/x/y", api_base=server.url, **KEY)
    assert "".join(stream) == "Paris"
    (kept,) = stream.reply.extra["reasoning_details"]
    assert (kept["text"], kept["signature"]) == ("abcdef", "SIG")


def test_what_a_provider_says_it_took_is_exact(lab: Lab, server: RawServer) -> None:
    for usage, cost in (
        ({"cost": 0.01}, 0.01),
        ({"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}, 0.21),
    ):
        server.scripts.clear()
        server.plays(answer({**CHOICE, "usage": usage}))
        reply = lab.ask("hi", model="openrouter/x/y", api_base=server.url, **KEY)
        assert reply.cost == pytest.approx(cost)
        assert not lab.attempts(reply.call_id).iloc[0]["cost_estimated"]


def test_an_error_in_mid_stream_has_the_kind_of_its_code(lab: Lab, server: RawServer) -> None:
    error = {"code": 429, "message": "Provider returned error", "metadata": {"raw": "slow down", "provider_name": "x"}}
    server.plays(STREAM, chunk("Par"), f"data: {json.dumps({'error': error, 'choices': []})}\n\n".encode(), END)
    with pytest.raises(errors.RateLimitError, match="slow down") as failure:
        list(lab.stream("hi", model="openrouter/x/y", api_base=server.url, **KEY))
    assert (failure.value.partial, failure.value.status) == ("Par", 200)


def test_a_filter_says_what_it_caught(lab: Lab, server: RawServer) -> None:
    caught = {"violence": {"filtered": True, "severity": "medium"}, "hate": {"filtered": False, "severity": "safe"}}
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": caught}
    refused = {"error": {"code": "content_filter", "message": "filtered", "innererror": inner}}
    where = {"model": "azure/gpt-4o", "api_base": server.url, **KEY}
    server.plays(answer(refused, 400))
    with pytest.raises(errors.ContentError, match=r"violence \(medium\)") as failure:
        lab.ask("hi", **where)
    assert failure.value.reason == "filtered"
    server.scripts.clear()
    stopped = {"index": 0, "message": {"content": ""}, "finish_reason": "content_filter"}
    server.plays(answer({"choices": [{**stopped, "content_filter_results": caught}]}))
    with pytest.raises(errors.ContentError, match=r"stopped the answer: violence \(medium\)"):
        lab.ask("hi", **where)


def test_a_token_that_is_given_goes_before_a_key_that_lies_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_API_KEY", "planted-key")
    params = {"azure_ad_token": "token-of-entra", "api_base": "https://mine.openai.azure.com"}
    request = translate("azure/gpt-4o", [{"role": "user", "content": "hi"}], params, streamed=False)
    assert request is not None
    assert request.headers["Authorization"] == "Bearer token-of-entra"
    assert "planted-key" not in str(request.headers)


def test_text_before_a_thought_is_the_answers_first(lab: Lab, server: RawServer) -> None:
    """Thoughts between the pieces of an answer don't make it late."""

    def thought(text: str) -> bytes:
        return chunk(choices=[{"index": 0, "delta": {"reasoning_content": text}, "finish_reason": None}])

    server.plays(STREAM, chunk("Par"), thought("hm"), 0.05, chunk("is"), chunk(finish="stop"), DONE, END)
    stream = lab.stream("hi", model="openai/m", api_base=server.url, **KEY)
    assert "".join(stream) == "Paris"
    assert (stream.reply.reasoning, stream.reply.thinking) == ("hm", None)


def test_thoughts_keep_the_stream_they_come_from(lab: Lab) -> None:
    """A stream that is only asked for its thoughts runs on, and ends."""
    assert len(list(lab.stream("hi", model="sim/thinker", reasoning_effort="minimal").reasoning)) == 40


def test_thoughts_end_where_a_tool_is_called(lab: Lab, server: RawServer) -> None:
    def delta(**more: object) -> bytes:
        return chunk(choices=[{"index": 0, "delta": more, "finish_reason": None}])

    called = {"index": 0, "id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    server.plays(STREAM, delta(reasoning_content="hm"), delta(tool_calls=[called]), 30.0)
    stream = lab.stream("hi", model="openai/m", api_base=server.url, **KEY)
    assert list(stream.reasoning) == ["hm"], "though the call still runs"
    assert not stream.done
    stream.close()


def test_rows_of_an_embedding_are_in_the_order_of_the_texts(lab: Lab, server: RawServer) -> None:
    rows = [{"object": "embedding", "index": place, "embedding": [float(place), 1.0]} for place in (1, 0)]
    server.plays(
        answer({"object": "list", "data": rows, "model": "m", "usage": {"prompt_tokens": 2, "total_tokens": 2}})
    )
    found = lab.embed(["a", "b"], model="openai/text-embedding-3-small", api_base=server.url, **KEY)
    assert found.vectors[:, 0].tolist() == [0.0, 1.0]


@pytest.mark.parametrize("provider", ["together_ai", "litellm_proxy"])
def test_an_embedding_takes_nobody_elses_key_along(
    lab: Lab, server: RawServer, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "planted-openai-key")
    server.plays(answer({"error": {"message": "boom"}}, 500))
    with pytest.raises(errors.LabError):
        lab.embed(["a"], model=f"{provider}/m", api_base=server.url)
    assert all("planted" not in str(request.headers) for request in server.received)


def test_numbers_of_any_kind_are_vectors(fresh: object) -> None:
    """A function in a provider's place may hand back what it has."""
    for rows in ([[1, 2]], [np.array([1.0, 2.0])], np.array([[1.0, 2.0]])):
        with Lab(fresh, provider=lambda call, rows=rows: rows) as lab:
            assert lab.embed([f"text {type(rows)} {type(rows[0])}"], model="own").vectors.tolist() == [[1.0, 2.0]]


def test_another_address_is_another_model(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of two servers are not to be compared."""
    with RawServer() as one, RawServer() as other:
        for server, number in ((one, 1.0), (other, 2.0)):
            row = {"object": "embedding", "index": 0, "embedding": [number, 0.0]}
            server.plays(answer({"data": [row], "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}))
            monkeypatch.setenv("OPENAI_API_BASE", server.url)
            found = lab.embed(["a"], model="openai/text-embedding-3-small", **KEY)
            assert found.vectors[0][0] == number


def test_a_vector_of_words_that_are_not_kept_is_not_kept(fresh: object) -> None:
    with Lab(fresh, redact=lambda text: text.replace("4711", "[x]")) as lab:
        lab.embed(["my pin is 4711", "hello"], model="sim/embedder")
        assert lab.embed(["my pin is 4711", "hello"], model="sim/embedder").known == 1
