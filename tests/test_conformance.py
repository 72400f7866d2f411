"""Each provider on the lab's own wire is sent what `litellm.acompletion` would send it: host, key and body."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import httpx
import pytest

from lab import Lab, errors
from lab.provider import ADMITTED, load, translate
from tests.servers import DONE, END, STREAM, RawServer, answer, chunk, completion

MESSAGES = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
REQUESTS = {
    "plain": {},
    "parameters": {"temperature": 0.5, "max_tokens": 9},
    "streamed": {"stream": True},
}
KEYS = {
    "openai/some-model": "OPENAI_API_KEY",
    "groq/some-model": "GROQ_API_KEY",
    "deepseek/some-model": "DEEPSEEK_API_KEY",
    "together_ai/some-model": "TOGETHERAI_API_KEY",
    "fireworks_ai/some-model": "FIREWORKS_AI_API_KEY",
    "perplexity/some-model": "PERPLEXITYAI_API_KEY",
    "xai/some-model": "XAI_API_KEY",
    "cerebras/some-model": "CEREBRAS_API_KEY",
    "nvidia_nim/some-model": "NVIDIA_NIM_API_KEY",
}


@dataclass
class Sent:
    """A request that LiteLLM was about to send."""

    url: str
    key: str | None
    body: dict


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Sent]:
    """What LiteLLM sends, caught at its transport; nothing leaves."""
    load()
    from litellm.llms.custom_httpx.aiohttp_transport import LiteLLMAiohttpTransport

    caught: list[Sent] = []

    async def catch(_self: object, request: httpx.Request) -> httpx.Response:
        body = json.loads(await request.aread())
        caught.append(Sent(str(request.url), request.headers.get("authorization"), body))
        return httpx.Response(500, json={"error": {"message": "caught"}}, request=request)

    monkeypatch.setattr(LiteLLMAiohttpTransport, "handle_async_request", catch)
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", catch)
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-openai")
    monkeypatch.setenv("HOSTED_VLLM_API_BASE", "http://vllm.invalid/v1")
    return caught


def _theirs(sent: list[Sent], model: str, params: dict) -> Sent:
    litellm = load()
    extra = {"stream_options": {"include_usage": True}} if params.get("stream") else {}

    async def call() -> None:
        with pytest.raises(Exception, match="caught"):
            await litellm.acompletion(
                model=model,
                messages=[dict(message) for message in MESSAGES],
                num_retries=0,
                max_retries=0,
                **params,
                **extra,
            )

    asyncio.run(call())
    return sent[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("provider", sorted(ADMITTED))
def test_the_request_is_litellms_own(provider: str, sent: list[Sent]) -> None:
    model = "gpt-4o-mini" if provider == "openai" else f"{provider}/some-model"
    for params in REQUESTS.values():
        sent.clear()
        theirs = _theirs(sent, model, {**params, "api_key": f"key-of-{provider}"})
        given = {name: value for name, value in params.items() if name != "stream"} | {"api_key": f"key-of-{provider}"}
        ours = translate(model, MESSAGES, given, streamed="stream" in params)
        assert ours is not None
        headers = {name.lower(): value for name, value in ours.headers.items()}
        assert (ours.url, headers.get("authorization"), dict(ours.body)) == (theirs.url, theirs.key, theirs.body)
        assert theirs.key == f"Bearer key-of-{provider}"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", KEYS)
def test_a_key_from_the_environment_is_the_one_litellm_takes(
    model: str, sent: list[Sent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEYS[model], "key-of-this-one")
    theirs = _theirs(sent, model, {})
    ours = translate(model, MESSAGES, {}, streamed=False)
    assert ours is not None
    headers = {name.lower(): value for name, value in ours.headers.items()}
    assert (ours.url, headers["authorization"]) == (theirs.url, theirs.key)
    assert theirs.key == "Bearer key-of-this-one"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("provider", sorted(ADMITTED))
def test_a_whole_answer_is_read_as_litellm_reads_it(provider: str, lab: Lab, server: RawServer) -> None:
    usage = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
    server.plays(answer({**completion("Paris", usage=usage), "service_tier": "default"}))
    server.plays(STREAM, chunk("Par"), chunk("is"), chunk(finish="stop"), chunk(choices=[], usage=usage), DONE, END)
    where = {"model": f"{provider}/some-model", "api_base": server.url, "api_key": "k-123456789"}
    reply, stream = lab.ask("hi", **where), lab.stream("hi", **where)
    assert "".join(stream) == reply.text == "Paris"
    for one in (reply, stream.reply):
        assert (one.usage.input_tokens, one.usage.output_tokens, one.finish_reason) == (12, 5, "stop")


def test_a_provider_that_is_not_admitted_is_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "planted")
    assert translate("anthropic/claude-haiku-4-5", MESSAGES, {}, streamed=False) is None


def test_a_call_that_openai_serves_elsewhere_is_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    """LiteLLM sends tools with reasoning models to OpenAI's other interface."""
    monkeypatch.setenv("OPENAI_API_KEY", "planted")
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
    assert translate("gpt-5.4", MESSAGES, {"tools": tools, "reasoning_effort": "high"}, streamed=False) is None


def test_a_parameter_that_a_provider_does_not_take_is_named() -> None:
    with pytest.raises(
        errors.InvalidRequestError, match="does not take one of these parameters: logit_bias, temperature"
    ):
        translate(
            "perplexity/sonar", MESSAGES, {"logit_bias": {"1": 2}, "temperature": 1, "api_key": "k"}, streamed=False
        )
