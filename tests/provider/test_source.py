"""One attempt against servers that answer well, badly, or not at all."""

from __future__ import annotations

import asyncio
import json
import threading
import traceback
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import Lab, Policy, Timeout, errors
from lab.provider import reading
from lab.provider.here import ADDRESSES
from lab.provider.prices import price_of
from lab.provider.source import GIVE_WAY, Provider
from lab.values import Call, Event
from tests.servers import DONE, END, RESET, STREAM, RawServer, answer, chunk, completion, message

HTML = b"<html><body>502 from a proxy</body></html>"


def ask(lab: Lab, server: RawServer, **params: object) -> object:
    return lab.ask("hi", model="openai/served", api_base=server.url, api_key="k-123456789", **params)


def stream(lab: Lab, server: RawServer) -> object:
    streamed = lab.stream("hi", model="openai/served", api_base=server.url, api_key="k-123456789")
    return "".join(streamed), streamed.reply


def test_a_plain_answer_with_its_usage(lab: Lab, server: RawServer) -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 30,
        "total_tokens": 130,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 10},
    }
    server.plays(answer(completion("Paris", usage=usage)))
    reply = ask(lab, server, temperature=0.5)
    assert (reply.text, reply.finish_reason, reply.answered_by) == ("Paris", "stop", "served-model")
    assert (reply.usage.input, reply.usage.cache_read, reply.usage.output, reply.usage.reasoning) == (40, 60, 20, 10)
    assert not reply.usage.estimated
    assert reply.cost is None, "an unknown price is unknown, not 0"
    sent = server.received[0]
    assert sent.path == "/v1/chat/completions"
    assert sent.headers["authorization"] == "Bearer k-123456789"
    assert sent.body == {"model": "served", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5}


def test_a_known_price_is_applied_to_each_bucket(lab: Lab, server: RawServer) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 60}}
    server.plays(answer(completion(usage=usage)))
    reply = lab.ask("hi", model="gpt-4o-mini", api_base=server.url, api_key="k-123456789")
    assert reply.cost == pytest.approx(40 * 0.15e-6 + 60 * 0.075e-6 + 10 * 0.6e-6)
    price = json.loads(lab.attempts()["price"][0])
    assert price["cache_read"] == pytest.approx(0.075e-6)


def test_a_streamed_answer_with_harmless_oddities(lab: Lab, server: RawServer) -> None:
    """Heartbeats, CR LF, UTF-8 split between chunks, usage after the finish, no [DONE]."""
    text = chunk("Zürich ").replace(b"\n", b"\r\n")
    half = text.index("ü".encode()) + 1
    last = chunk(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 4})
    server.plays(STREAM, b": ping\n\n", text[:half], text[half:], chunk("is nice"), chunk(finish="stop"), last, END)
    text, reply = stream(lab, server)
    assert text == reply.text == "Zürich is nice"
    assert (reply.usage.input, reply.usage.output) == (3, 4)
    assert reply.ttft is not None
    assert reply.ttft <= reply.latency
    assert server.received[0].body["stream_options"] == {"include_usage": True}


def test_missing_usage_is_counted_and_marked(lab: Lab, server: RawServer) -> None:
    server.plays(answer(completion("Paris is the capital", usage=False)))
    reply = ask(lab, server)
    assert reply.usage.estimated
    assert 3 <= reply.usage.output <= 8
    assert lab.calls()["cost_estimated"][0]


def test_tool_calls_without_text_are_an_answer(lab: Lab, server: RawServer) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    server.plays(answer(completion(None, "tool_calls", tool_calls=[call])))
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
    reply = ask(lab, server, tools=tools)
    assert reply.tool_calls[0]["function"]["name"] == "look"


def test_streamed_tool_calls_are_put_together(lab: Lab, server: RawServer) -> None:
    def piece(**function: str) -> bytes:
        delta = {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}
        return chunk(choices=[{"index": 0, "delta": delta, "finish_reason": None}])

    server.plays(
        STREAM, piece(name="look", arguments='{"at":'), piece(arguments='"it"}'), chunk(finish="tool_calls"), END
    )
    _, reply = stream(lab, server)
    assert reply.tool_calls[0]["function"] == {"name": "look", "arguments": '{"at":"it"}'}


@pytest.mark.parametrize("finish", ["error", "network_error", "insufficient_system_resource", "abort", 7, None, ""])
def test_a_finish_that_no_whole_answer_has_is_no_success(lab: Lab, server: RawServer, finish: object) -> None:
    """LiteLLM calls them all "stop"."""
    server.plays(answer(completion("Par", finish)))
    with pytest.raises(errors.ProviderError, match="broke off"):
        ask(lab, server)


def test_only_the_first_choice_of_a_stream_is_read(lab: Lab, server: RawServer) -> None:
    def piece(index: int, text: str, finish: str | None = None) -> bytes:
        return chunk(choices=[{"index": index, "delta": {"content": text}, "finish_reason": finish}])

    server.plays(
        STREAM, piece(0, "Paris"), piece(1, "Berlin"), piece(0, " is"), piece(1, "", "stop"), piece(0, "", "stop")
    )
    assert stream(lab, server)[0] == "Paris is"
    with pytest.raises(errors.InvalidRequestError, match="n=2: one answer a call"):
        ask(lab, server, n=2)


def test_a_character_split_over_two_chunks_is_whole(lab: Lab, server: RawServer) -> None:
    half = b'data: {"choices": [{"index": 0, "delta": {"content": "a\\ud83d"}, "finish_reason": null}]}\n\n'
    rest = b'data: {"choices": [{"index": 0, "delta": {"content": "\\ude00b"}, "finish_reason": "stop"}]}\n\n'
    server.plays(STREAM, half, rest, DONE, END)
    assert stream(lab, server)[0] == "a😀b"


UNREADABLE = [
    "n/a",
    [1],
    {"prompt_tokens": -1, "completion_tokens": "x"},
    {"prompt_tokens": 1e400},
    {"prompt_tokens": "12", "completion_tokens": "3"},
    {"prompt_tokens": float("nan"), "completion_tokens": float("nan")},
    {"prompt_tokens": 0, "completion_tokens": 0},
    {"prompt_tokens": True, "completion_tokens": True},
    {"total_tokens": 15},
    {"tokens_in": 12, "tokens_out": 3},
]


@pytest.mark.parametrize("usage", UNREADABLE, ids=repr)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_usage_that_cant_be_read_is_counted_and_marked(
    lab: Lab, server: RawServer, usage: object, streamed: bool
) -> None:
    """It would be an exact cost of $0 otherwise; nor is a paid answer lost over it."""
    server.plays(STREAM, chunk("Paris"), chunk(finish="stop"), chunk(choices=[], usage=usage), DONE, END) if (
        streamed
    ) else server.plays(answer(completion("Paris", usage=usage)))
    reply = stream(lab, server)[1] if streamed else ask(lab, server)
    assert reply.text == "Paris"
    assert reply.usage.estimated
    assert reply.usage.input > 0
    assert reply.usage.output > 0
    assert bool(lab.calls()["cost_estimated"][0])


@pytest.mark.parametrize(
    "names", [("input_tokens", "output_tokens"), ("promptTokens", "completionTokens"), ("inputTokens", "outputTokens")]
)
def test_usage_under_other_known_names_is_read(lab: Lab, server: RawServer, names: tuple[str, str]) -> None:
    server.plays(answer(completion("Paris", usage=dict(zip(names, (12, 3), strict=True)))))
    usage = ask(lab, server).usage
    assert (usage.input, usage.output, usage.estimated) == (12, 3, False)


GEMINI = [{"promptTokenCount": "x"}, {"promptTokenCount": 7, "candidatesTokenCount": "q"}, {"foo": 1}, "n/a", [1]]


@pytest.mark.parametrize("usage", GEMINI, ids=repr)
def test_a_gemini_usage_that_cant_be_read_is_counted(lab: Lab, server: RawServer, usage: object) -> None:
    candidate = {"content": {"parts": [{"text": "Paris"}], "role": "model"}, "finishReason": "STOP", "index": 0}
    event = {"candidates": [candidate], "usageMetadata": usage}
    where = {"model": "gemini/gemini-2.5-flash", "api_base": server.url, "api_key": "k-123456789"}
    server.plays(answer(event))
    whole = lab.ask("hi", **where)
    server.scripts.clear()
    server.plays(STREAM, f"data: {json.dumps(event)}\n\n".encode(), END)
    stream = lab.stream("hi", **where)
    list(stream)
    for reply in (whole, stream.reply):
        assert (reply.text, reply.usage.estimated) == ("Paris", True)
        assert reply.usage.input > 0


ANTHROPIC = [{"input_tokens": "x", "output_tokens": 2}, {"input_tokens": -1, "output_tokens": -2}, {"foo": 1}, "n/a"]


@pytest.mark.parametrize("usage", ANTHROPIC, ids=repr)
def test_an_anthropic_usage_that_cant_be_read_is_counted(lab: Lab, server: RawServer, usage: object) -> None:
    server.plays(answer(message([{"type": "text", "text": "Paris"}], "end_turn", usage)))
    reply = lab.ask("hi", model="anthropic/claude-haiku-4-5", api_base=server.url, api_key="k-123456789")
    assert (reply.text, reply.usage.estimated) == ("Paris", True)
    assert reply.usage.input > 0


def test_missing_usage_is_counted_without_a_download(lab: Lab, server: RawServer) -> None:
    """LiteLLM's counter would fetch a tokenizer for a name with "llama" in it."""
    server.plays(answer(completion("Paris", usage=False)))
    where = {"api_base": server.url, "api_key": "k-123456789"}
    reply = lab.ask("hi", model="openai/meta-llama-3-8b", **where)
    assert reply.usage.estimated
    parts = [{"type": "text", "text": "look"}, {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}}]
    assert lab.ask([{"role": "user", "content": parts}], model="openai/m", **where).text == "Paris"


def test_reasoning_that_is_left_out_of_the_completion_is_counted(lab: Lab, server: RawServer) -> None:
    """As xAI does: its total tells."""
    usage = {
        "prompt_tokens": 32,
        "completion_tokens": 9,
        "total_tokens": 341,
        "completion_tokens_details": {"reasoning_tokens": 300},
    }
    server.plays(answer(completion(usage=usage)))
    reply = ask(lab, server)
    assert (reply.usage.output, reply.usage.reasoning) == (9, 300)


def test_prices_of_long_requests_and_of_service_tiers() -> None:
    entry = {
        "input_cost_per_token": 1.0,
        "output_cost_per_token": 2.0,
        "input_cost_per_token_above_200k_tokens": 3.0,
        "output_cost_per_token_above_200k_tokens": 4.0,
        "input_cost_per_token_priority": 5.0,
        "output_cost_per_token_priority": 6.0,
    }
    assert [
        (price_of(entry, n, t).input, price_of(entry, n, t).output)
        for n, t in ((9, None), (200_001, None), (9, "priority"))
    ] == [
        (1, 2),
        (3, 4),
        (5, 6),
    ]
    assert price_of(entry, 9, "flex") is None, "a tier without a known price is unknown"
    assert price_of({}) is None


def test_a_stream_that_only_thinks_is_not_late(lab: Lab, server: RawServer) -> None:
    def thought() -> bytes:
        return chunk(choices=[{"index": 0, "delta": {"reasoning_content": "hm"}, "finish_reason": None}])

    server.plays(
        STREAM, thought(), 0.4, thought(), 0.4, thought(), 0.4, chunk("Paris"), chunk(finish="stop"), DONE, END
    )
    policy = Policy(timeout=Timeout(first_token=0.9, idle=0.9), retry=None)
    streamed = lab.stream("hi", model="openai/served", api_base=server.url, api_key="k-123456789", policy=policy)
    assert "".join(streamed) == "Paris"


@pytest.mark.parametrize(
    "more",
    [
        {"api_base": "http://[::1/v1"},
        {"extra_headers": "abc"},
        {"api_key": "sk-ends-with-a-line\n"},
        {"api_base": "http://user:pw@127.0.0.1:9/v1"},
    ],
)
def test_odd_connections_end_in_a_kind(lab: Lab, server: RawServer, more: dict) -> None:
    server.plays(answer(completion()))
    where = {"model": "openai/m", "api_base": server.url, "api_key": "k-123456789", **more}
    if more.get("api_key"):
        assert lab.ask("hi", **where).text == "Paris", "a line's end is no part of a key"
    else:
        with pytest.raises(errors.InvalidRequestError):
            lab.ask("hi", **where)


NO_ANSWERS = {
    "html": (answer(HTML), errors.MalformedError, "HTML"),
    "broken json": (answer(b'{"choices": [{'), errors.MalformedError, "broken JSON"),
    "a list": (answer([1]), errors.MalformedError, "no JSON object"),
    "no choices": (answer({"choices": []}), errors.MalformedError, "no choices"),
    "no message": (answer({"choices": [{"index": 0}]}), errors.MalformedError, "no message"),
    "error object in a 200": (answer({"error": {"message": "overloaded"}}), errors.ProviderError, "overloaded"),
    "cut short": (answer(completion())[:-9], errors.TransportError, "cut short"),
    "null content": (answer(completion(None)), errors.ContentError, "empty"),
    "empty content": (answer(completion("")), errors.ContentError, "empty"),
    "blank content": (answer(completion(" \n")), errors.ContentError, "empty"),
    "refusal": (answer(completion(None, refusal="I can't")), errors.ContentError, "refused: I can't"),
    "filter": (answer(completion("Par", "content_filter")), errors.ContentError, "filter"),
    "length": (answer(completion("Par", "length")), errors.ContentError, "max_tokens"),
    "500": (answer({"error": {"message": "boom"}}, 500), errors.ProviderError, "boom"),
    "529": (answer({"error": {"message": "overloaded"}}, 529), errors.ProviderError, "HTTP 529"),
    "429": (answer({"error": {"message": "slow down"}}, 429, retry_after="7"), errors.RateLimitError, "asks for 7 s"),
    "401": (answer({"error": {"message": "bad key"}}, 401), errors.AuthError, "refuses the key"),
    "404": (answer({"error": {"message": "no such"}}, 404), errors.UnsupportedError, "no such"),
    "400": (answer({"error": {"message": "bad field"}}, 400), errors.InvalidRequestError, "bad field"),
    "504": (answer(b"", 504), errors.TimeoutError, "timed out"),
    "redirect": (answer(b"", 302, location="http://127.0.0.1:9/"), errors.ProviderError, "redirects"),
}


@pytest.mark.parametrize("name", NO_ANSWERS)
def test_nothing_that_is_no_answer_passes(lab: Lab, server: RawServer, name: str) -> None:
    script, kind, words = NO_ANSWERS[name]
    server.plays(script, END)
    with pytest.raises(kind, match=words) as failure:
        ask(lab, server)
    row = lab.calls().iloc[0]
    assert (row["status"], row["kind"], row["n_attempts"]) == ("failed", failure.value.kind, 1)
    assert failure.value.call_id == row["call_id"]
    assert len(server.received) == 1, "one attempt is one request"


NO_STREAMS = {
    "cut after text": ([chunk("Par"), RESET], errors.TransportError, "cut short|before its finish", "Par"),
    "ended without a finish": ([chunk("Par"), END], errors.TransportError, "before its finish", "Par"),
    "done without a finish": ([chunk("Par"), DONE, END], errors.TransportError, "before its finish", "Par"),
    "empty": ([END], errors.TransportError, "before its finish", ""),
    "finish without text": ([chunk(finish="stop"), DONE, END], errors.ContentError, "empty", ""),
    "error event": (
        [chunk("Par"), b'data: {"error": {"message": "gone"}}\n\n', END],
        errors.ProviderError,
        "gone",
        "Par",
    ),
    "broken chunk": ([chunk("Par"), b"data: {nonsense\n\n", END], errors.MalformedError, "broken JSON", "Par"),
    "length": ([chunk("Par"), chunk(finish="length"), DONE, END], errors.ContentError, "max_tokens", "Par"),
}


@pytest.mark.parametrize("name", NO_STREAMS)
def test_no_broken_stream_passes(lab: Lab, server: RawServer, name: str) -> None:
    """What had arrived is kept: on the error, on the ledger, and in what was iterated."""
    script, kind, words, partial = NO_STREAMS[name]
    server.plays(STREAM, *script)
    streamed = lab.stream("hi", model="openai/served", api_base=server.url, api_key="k-123456789")
    got = []
    with pytest.raises(kind, match=words) as failure:
        got.extend(streamed)
    assert "".join(got) == failure.value.partial == partial
    assert (lab.calls()["answer"][0] or "") == partial or not partial


def test_a_secret_that_the_provider_echoes_is_nowhere(lab: Lab, server: RawServer) -> None:
    secret = "planted-secret-5f1c"
    server.plays(answer({"error": {"message": f"Incorrect API key provided: {secret}"}}, 401))
    with pytest.raises(errors.AuthError) as failure:
        lab.ask("hi", model="openai/served", api_base=server.url, api_key=secret, extra_headers={"x-auth": secret})
    assert server.received[0].headers["x-auth"] == secret
    assert secret not in f"{failure.value}{failure.value.body}{failure.value!r}"
    lab.close()
    for file in lab.path.parent.glob("lab.db*"):
        assert secret.encode() not in file.read_bytes()


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("nonsense", errors.UnsupportedError, "no provider is known for model 'nonsense': write provider/model"),
        ("gpt-4o-mini", errors.AuthError, "no key for gpt-4o-mini: set OPENAI_API_KEY"),
        ("groq/llama-3.1-8b-instant", errors.AuthError, "set GROQ_API_KEY in the environment or in .env"),
        ("anthropic/claude-haiku-4-5", errors.AuthError, "ANTHROPIC_API_KEY"),
        ("gemini/gemini-2.5-flash", errors.AuthError, "GEMINI_API_KEY"),
        ("sim/nothing", errors.UnsupportedError, "no model 'sim/nothing': there is sim/steady"),
    ],
)
def test_a_model_that_can_not_be_called_says_what_to_do(lab: Lab, model: str, kind: type, words: str) -> None:
    with pytest.raises(kind, match=words) as failure:
        lab.ask("hi", model=model)
    assert (failure.value.attempts, failure.value.cost) == (0, 0.0)
    assert lab.calls().iloc[0][["status", "n_attempts", "cost"]].tolist() == ["failed", 0, 0.0]


def test_openais_key_is_not_lent_to_another_provider(
    lab: Lab, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiteLLM falls back to OPENAI_API_KEY for providers whose own key is missing."""
    monkeypatch.setenv("OPENAI_API_KEY", "planted-openai-key")
    for model in ("lambda_ai/m", "scaleway/m", "meta_llama/m", "groq/m", "tensormesh/m"):
        with pytest.raises(errors.AuthError, match="no key for"):
            lab.ask("hi", model=model)


def test_openais_key_does_not_follow_an_address(lab: Lab, server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given another provider's model and an address, LiteLLM would send OpenAI's key there."""
    monkeypatch.setenv("OPENAI_API_KEY", "planted-openai-key")
    server.plays(answer(completion()))
    for provider in (
        "lambda_ai",
        "scaleway",
        "meta_llama",
        "litellm_proxy",
        "lm_studio",
        "hosted_vllm",
        "custom_openai",
        "xinference",
    ):
        server.received.clear()
        lab.ask("hi", model=f"{provider}/m", api_base=server.url)
        assert "planted" not in str(server.received[0].headers), provider


@pytest.mark.parametrize("provider", ["hosted_vllm", "lm_studio", "litellm_proxy", "xinference"])
def test_a_private_models_prompt_is_not_sent_to_openai(
    lab: Lab, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where LiteLLM would fall back to it: what has a usual place on this machine is asked there, carried or not."""
    monkeypatch.setenv("OPENAI_API_KEY", "planted-openai-key")
    usual = provider in ADDRESSES
    if usual:
        monkeypatch.setitem(ADDRESSES, provider, "http://127.0.0.1:9/v1")
    expected = errors.TransportError if usual else errors.InvalidRequestError
    said = "127.0.0.1|onnect" if usual else f"no address is known for {provider}/private"
    for more in ({}, {"metadata": {"a": "b"}}, {"allowed_openai_params": ["seed"]}):
        with pytest.raises(expected, match=said):
            lab.ask("hi", model=f"{provider}/private", **more)
    with pytest.raises(errors.LabError, match=f"{said}|can't be|embedding"):
        lab.embed(["hi"], model=f"{provider}/private")


@pytest.mark.parametrize("model", ["docker_model_runner/m", "custom_openai/m", "cohere_chat/v1/command-r"])
def test_a_carried_attempt_is_one_request(lab: Lab, server: RawServer, model: str) -> None:
    """LiteLLM's own client sends again when the connection breaks."""
    server.plays(RESET)
    with pytest.raises(errors.TransportError):
        lab.ask("hi", model=model, api_base=server.url, api_key="k-123456789")
    assert len(server.received) == 1


@pytest.mark.parametrize("model", ["anthropic/claude-haiku-4-5", "mistral/mistral-small-latest", "openai/m"])
def test_a_secret_is_in_no_traceback_and_survives_no_cut(lab: Lab, server: RawServer, model: str) -> None:
    secret = "f0e1d2c3b4a5968778695a4b3c2d1e0f99887766"
    server.plays(answer({"error": {"message": f"{'x' * 262} {secret}", "type": "authentication_error"}}, 401))
    try:
        lab.ask("hi", model=model, api_base=server.url, api_key=secret)
    except errors.AuthError as failure:
        told = "".join(traceback.format_exception(failure)) + str(failure.body) + repr(failure.__context__)
    lab.close()
    for place in (told, *(file.read_bytes().decode("latin-1") for file in lab.path.parent.glob("lab.db*"))):
        assert secret[:12] not in place


@pytest.mark.parametrize(("name", "value"), [("timeout", 3), ("num_retries", 2), ("stream", True)])
def test_what_the_lab_owns_is_not_passed_by(lab: Lab, name: str, value: object) -> None:
    with pytest.raises(errors.InvalidRequestError, match=f"`{name}` is the lab's to set"):
        lab.ask("hi", model="sim/steady", **{name: value})


def test_a_carried_provider_works_whole_and_streamed(lab: Lab, server: RawServer) -> None:
    """Providers without conformance go through LiteLLM: seen here with one that takes an address."""
    server.plays(answer(completion()))
    server.plays(STREAM, chunk("Par"), chunk("is"), chunk(finish="stop"), DONE, END)
    server.plays(STREAM, chunk("Par"), END)
    where = {"model": "docker_model_runner/served", "api_base": server.url, "api_key": "k-123456789"}
    assert lab.ask("hi", **where).text == "Paris"
    assert "".join(lab.stream("hi", **where)) == "Paris"
    with pytest.raises(errors.TransportError, match="before its finish"):
        list(lab.stream("hi", **where))
    assert set(lab.attempts()["way"]) == {"carried"}


def test_a_message_that_can_not_be_translated_is_refused_without_its_secrets(lab: Lab) -> None:
    """LiteLLM quotes all messages in what it raises; nothing is sent."""
    secret = "planted-secret-5f1cd2c3"
    odd = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"data:{secret}"}}]}]
    with pytest.raises(errors.LabError) as failure:
        lab.ask(odd, model="claude-haiku-4-5", api_base="http://127.0.0.1:9", api_key=secret)
    told = "".join(traceback.format_exception(failure.value))
    assert (failure.value.kind, failure.value.attempts) == ("invalid_request", 0)
    assert secret[:12] not in told
    assert failure.value.__cause__ is None


def test_a_long_answer_holds_up_no_other_call(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is being read, another one is asked and answered."""
    begun, other_is_answered, read = threading.Event(), threading.Event(), reading.parsed

    def slowly(text: bytes) -> object:
        if len(text) > 300_000:
            begun.set()
            assert other_is_answered.wait(60), "the loop waits for what is being read"
        return read(text)

    monkeypatch.setattr(reading, "parsed", slowly)
    text = 'word "x" \\ <b> é\n' * 30_000
    with RawServer() as server, RawServer() as another:
        server.plays(answer(completion(text)))
        another.plays(answer(completion("quick")))
        with ThreadPoolExecutor() as threads:
            long = threads.submit(ask, lab, server)
            assert begun.wait(60)
            assert ask(lab, another).text == "quick"
            other_is_answered.set()
            reply = long.result()
    assert reply.text == text == lab.texts(reply.call_id)["answer"]


class Immediate(Provider):
    """A provider whose events have all come already."""

    async def _open(self, call: Call, connect: float | None) -> AsyncIterator[Event]:
        for _ in range(4000):
            yield Event("piece", 0.0, text="a")


def test_a_long_stream_gives_way() -> None:
    """Thousands of events that have come already are not read in one go."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def read_all() -> int:
        aside = asyncio.create_task(others())
        pieces = [event async for event in Immediate().open(Call(call_id="c", model="m", messages=()))]
        aside.cancel()
        return len(pieces)

    assert asyncio.run(read_all()) == 4000
    assert turns >= 4000 // GIVE_WAY
