"""Each provider on the lab's own wire is sent what `litellm.acompletion` would send it, and read as it would read."""

from __future__ import annotations

import asyncio
import copy
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from types import SimpleNamespace

import httpx
import pytest

from lab import Lab, errors
from lab.provider.dialect import ADMITTED, translate
from lab.provider.loading import load
from lab.provider.usage import read
from lab.values import Reply
from tests.servers import DONE, END, STREAM, RawServer, answer, chunk, completion, event, message

MESSAGES = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
LOOK = {
    "name": "look",
    "description": "look it up",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
}
TOOLS = {"tools": [{"type": "function", "function": LOOK}], "tool_choice": "auto"}
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABAQAAAAA3bvkkAAAACklEQVR4AWNgAAAAAgABc3UBGAAAAABJRU5ErkJggg=="
)
IMAGE = [
    {
        "role": "user",
        "content": [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": PIXEL}}],
    }
]
CALLED = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}
CONVERSATION = [
    *MESSAGES,
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "look"},
    {"role": "assistant", "content": None, "tool_calls": [CALLED]},
    {"role": "tool", "tool_call_id": "call_1", "content": "seen"},
    {"role": "user", "content": "and?"},
]
REQUESTS = {
    "plain": (MESSAGES, {}),
    "parameters": (MESSAGES, {"temperature": 0.5, "max_tokens": 9}),
    "more parameters": (MESSAGES, {"top_p": 0.9, "stop": ["END"], "max_completion_tokens": 7}),
    "tools": (MESSAGES, TOOLS),
    "schema": (MESSAGES, {"response_format": SCHEMA}),
    "image": (IMAGE, {}),
    "conversation": (CONVERSATION, TOOLS),
}
NAMES = {
    "openai": ["gpt-4o-mini", "openai/o3-mini", "openai/o3-pro", "openai/responses/gpt-5"],
    "anthropic": ["claude-haiku-4-5", "anthropic/claude-3-haiku-20240307"],
    "gemini": ["gemini/gemini-2.5-flash", "gemini/gemini-3-pro-preview"],
    "azure": ["azure/gpt-4o", "azure/o3-mini", "azure/gpt-5-mini"],
    "openrouter": ["openrouter/openai/gpt-4o-mini", "openrouter/anthropic/claude-sonnet-4.5"],
    "mistral": ["mistral/mistral-small-latest", "mistral/magistral-medium-latest"],
    "cohere_chat": ["cohere_chat/command-a-03-2025"],
    "ollama_chat": ["ollama_chat/qwen3", "ollama_chat/gpt-oss:20b"],
}
QUIET = {"num_retries": 0, "max_retries": 0, "_skip_mcp_handler": True}
LOOP = asyncio.Runner()
"""One loop for all of them: LiteLLM keeps clients by loop."""
TOLD = """authorization x-api-key api-key x-goog-api-key anthropic-version anthropic-beta content-type x-extra
http-referer x-title request-source""".split()
"""Headers that a provider goes by."""


CARRIED = "carried"
SCHEMAS_CARRIED = {"groq"}
"""Providers whose schemas LiteLLM turns into a tool, and back in its own handler."""


def _asked(provider: str) -> list[tuple[str, str, bool]]:
    """Models, requests, and whether they are streamed: all of them where a provider has a form of its own, elsewhere
    every request whole or streamed, in turn."""
    both = list(product(_names(provider), REQUESTS, (False, True)))
    return both if provider in NAMES else [asked for number, asked in enumerate(both) if number % 4 in (0, 3)]


def _names(provider: str) -> list[str]:
    return NAMES.get(provider, [f"{provider}/some-model"])


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
    "anthropic/some-model": "ANTHROPIC_API_KEY",
    "claude-haiku-4-5": "ANTHROPIC_AUTH_TOKEN",
    "gemini/gemini-2.5-flash": "GEMINI_API_KEY",
    "minimax/some-model": "MINIMAX_API_KEY",
    "mistral/some-model": "MISTRAL_API_KEY",
    "openrouter/some-model": "OPENROUTER_API_KEY",
    "azure/gpt-4o": "AZURE_API_KEY",
    "azure/gpt-4o-mini": "AZURE_OPENAI_AD_TOKEN",
    "cohere_chat/some-model": "COHERE_API_KEY",
    "ollama_chat/some-model": "OLLAMA_API_KEY",
    "openai/o3-pro": "OPENAI_API_KEY",
}


@dataclass
class Sent:
    """A request that LiteLLM was about to send."""

    url: str
    headers: dict[str, str]
    body: dict


@pytest.fixture
def bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    """LiteLLM's way to OpenAI's responses, open: a module on it wants a package that LiteLLM doesn't bring."""
    gateway = SimpleNamespace(should_use_litellm_mcp_gateway=lambda *_args, **_more: False)
    without = SimpleNamespace(LiteLLM_Proxy_MCP_Handler=gateway)
    monkeypatch.setitem(sys.modules, "litellm.responses.mcp.litellm_proxy_mcp_handler", without)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, bridge: None) -> list[Sent]:
    """What LiteLLM sends, caught at its transport; nothing leaves."""
    load()
    from litellm.litellm_core_utils.litellm_logging import Logging
    from litellm.llms.custom_httpx.aiohttp_transport import LiteLLMAiohttpTransport

    caught: list[Sent] = []

    async def catch(_self: object, request: httpx.Request) -> httpx.Response:
        body = json.loads(await request.aread())
        caught.append(Sent(str(request.url), _told(request.headers), body))
        return httpx.Response(400, json={"error": {"message": "caught"}}, request=request)

    async def silent(*_args: object, **_more: object) -> None: ...

    monkeypatch.setattr(Logging, "failure_handler", lambda *_args, **_more: None)  # half of the time would go into it
    monkeypatch.setattr(Logging, "async_failure_handler", silent)
    monkeypatch.setattr(LiteLLMAiohttpTransport, "handle_async_request", catch)
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", catch)
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-openai")
    for name in ("HOSTED_VLLM", "LM_STUDIO", "LITELLM_PROXY"):
        monkeypatch.setenv(f"{name}_API_BASE", f"http://{name.lower().replace('_', '-')}.invalid/v1")
    monkeypatch.setenv("AZURE_API_BASE", "https://mine.openai.azure.com/")
    return caught


def _told(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that matter; the content's type is the HTTP client's own to add."""
    kept = {name.lower(): value for name, value in headers.items() if name.lower() in TOLD}
    return {"content-type": "application/json", **kept}


def _theirs(sent: list[Sent], model: str, messages: list, params: dict, *, streamed: bool = False) -> Sent | None:
    """What `litellm.acompletion` sends; None where it refuses the parameters."""
    litellm = load()
    extra = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {}

    async def call() -> None:
        try:
            answer = await litellm.acompletion(
                model=model, messages=copy.deepcopy(messages), **QUIET, **params, **extra
            )
            async for _part in answer if streamed else ():  # some of its handlers send a streamed request only now
                break
        except litellm.UnsupportedParamsError:
            return
        except Exception as failed:
            if "caught" not in str(failed):
                raise

    LOOP.run(call())
    return sent[0] if sent else None


def _ours(model: str, messages: list, params: dict, *, streamed: bool = False) -> Sent | str | None:
    try:
        request = translate(model, messages, copy.deepcopy(params), streamed=streamed)
    except errors.InvalidRequestError:
        return None
    return (
        CARRIED if request is None else Sent(request.url, _told(request.headers), json.loads(json.dumps(request.body)))
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("provider", sorted(ADMITTED))
def test_the_request_is_litellms_own(provider: str, sent: list[Sent]) -> None:
    refused = 0
    for model, name, streamed in _asked(provider):
        messages, params = REQUESTS[name]
        sent.clear()
        connection = {"api_key": f"key-of-{provider}", "extra_headers": {"x-extra": "1"}}
        theirs = _theirs(sent, model, messages, {**params, **connection}, streamed=streamed)
        ours = _ours(model, messages, {**params, **connection}, streamed=streamed)
        if ours == CARRIED:
            assert (provider in SCHEMAS_CARRIED, name) == (True, "schema")
            continue
        assert ours == theirs, f"{name}, streamed: {streamed}"
        refused += theirs is None
        if theirs is not None:
            sent_as = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
            assert {theirs.headers.get(name) for name in sent_as} & {
                f"Bearer key-of-{provider}",
                f"key-of-{provider}",
            }
    assert refused <= 4 * len(_names(provider)), "most of these requests must be sent for this to say anything"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", KEYS)
def test_a_key_from_the_environment_is_the_one_litellm_takes(
    model: str, sent: list[Sent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEYS[model], "key-of-this-one")
    theirs = _theirs(sent, model, MESSAGES, {})
    assert _ours(model, MESSAGES, {}) == theirs
    assert any("key-of-this-one" in value for value in theirs.headers.values())


USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 5,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
CLAUDE = {
    "input_tokens": 5,
    "cache_read_input_tokens": 4,
    "cache_creation_input_tokens": 3,
    "output_tokens": 5,
    "output_tokens_details": {"thinking_tokens": 2},
}


def _piece(index: int, delta: dict) -> bytes:
    return event("content_block_delta", index=index, delta=delta)


def _block(index: int, kind: str, **more: object) -> bytes:
    return event("content_block_start", index=index, content_block={"type": kind, **more})


OPENAI_ANSWERS = {
    "whole": [answer({**completion("Paris", usage=USAGE), "service_tier": "default"})],
    "tool": [answer({**completion(None, "tool_calls", usage=USAGE, tool_calls=[CALLED]), "service_tier": "default"})],
    "streamed": [STREAM, chunk("Par"), chunk("is"), chunk(finish="stop"), chunk(choices=[], usage=USAGE), DONE, END],
}
THINKS = {"type": "thinking", "thinking": "hm", "signature": "s"}
ANTHROPIC_ANSWERS = {
    "whole": [answer(message([THINKS, {"type": "text", "text": "Par"}, {"type": "text", "text": "is"}], usage=CLAUDE))],
    "tool": [
        answer(
            message([{"type": "tool_use", "id": "call_1", "name": "look", "input": {"at": "it"}}], "tool_use", CLAUDE)
        )
    ],
    "streamed": [
        STREAM,
        event("message_start", message=message([], None, {**CLAUDE, "output_tokens": 1})),
        event("ping"),
        _block(0, "thinking", thinking=""),
        _piece(0, {"type": "thinking_delta", "thinking": "hm"}),
        event("content_block_stop", index=0),
        _block(1, "text", text=""),
        _piece(1, {"type": "text_delta", "text": "Par"}),
        _piece(1, {"type": "text_delta", "text": "is"}),
        event("content_block_stop", index=1),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage=CLAUDE),
        event("message_stop"),
        END,
    ],
    "tool streamed": [
        STREAM,
        event("message_start", message=message([], None, {**CLAUDE, "output_tokens": 1})),
        _block(0, "tool_use", id="call_1", name="look", input={}),
        _piece(0, {"type": "input_json_delta", "partial_json": '{"at": '}),
        _piece(0, {"type": "input_json_delta", "partial_json": '"it"}'}),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "tool_use"}, usage=CLAUDE),
        event("message_stop"),
        END,
    ],
}

GOOGLE = {
    "promptTokenCount": 12,
    "cachedContentTokenCount": 4,
    "candidatesTokenCount": 3,
    "thoughtsTokenCount": 2,
    "totalTokenCount": 17,
}


def _content(*parts: dict, finish: str | None = None, **more: object) -> dict:
    ends = {} if finish is None else {"finishReason": finish}
    content = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **ends}
    return {"candidates": [content], "modelVersion": "gemini-2.5-flash", "responseId": "r-1", **more}


def _sse(*events: dict) -> list[bytes]:
    return [STREAM, *(f"data: {json.dumps(event)}\n\n".encode() for event in events), END]


CALLING = {"functionCall": {"name": "look", "args": {"at": "it"}}, "thoughtSignature": "c2ln"}
GEMINI_ANSWERS = {
    "whole": [
        answer(
            _content({"text": "hm", "thought": True}, {"text": "Par"}, {"text": "is"}, finish="STOP")
            | {"usageMetadata": GOOGLE}
        )
    ],
    "tool": [answer(_content(CALLING, finish="STOP", usageMetadata=GOOGLE))],
    "streamed": _sse(
        _content({"text": "hm", "thought": True}),
        _content({"text": "Par"}),
        _content({"text": "is"}, finish="STOP", usageMetadata=GOOGLE),
    ),
    "tool streamed": _sse(
        _content({"functionCall": {"name": "look", "args": {"at": "it"}}}),
        _content({"text": ""}, finish="STOP", usageMetadata=GOOGLE),
    ),
}
COUNTED = {"prompt_eval_count": 12, "eval_count": 5}


def _said(message: dict, **more: object) -> dict:
    return {"model": "qwen3", "message": {"role": "assistant", "content": "", **message}, "done": False, **more}


def _lines(*objects: dict) -> list[bytes]:
    return [STREAM, *(json.dumps(line).encode() + b"\n" for line in objects), END]


DID = {"done": True, "done_reason": "stop", **COUNTED}
LOOKS = {"tool_calls": [{"function": {"name": "look", "arguments": {"at": "it"}}}]}
OLLAMA_ANSWERS = {
    "whole": [answer(_said({"content": "Paris", "thinking": "hm"}, **DID))],
    "tool": [answer(_said(LOOKS, **DID))],
    "streamed": _lines(
        _said({"thinking": "hm"}), _said({"content": "Par"}), _said({"content": "is"}), _said({}, **DID)
    ),
    "tool streamed": _lines(_said(LOOKS), _said({}, **DID)),
}
BILLED = {"usage": {"tokens": {"input_tokens": 12, "output_tokens": 5}}, "finish_reason": "COMPLETE", "id": "c-1"}
COHERE_ANSWERS = {  # whole text: LiteLLM reads no finish of a tool's call, and of a stream neither end nor usage
    "whole": [answer({"message": {"role": "assistant", "content": [{"type": "text", "text": "Paris"}]}, **BILLED})],
}
ANSWERS = {
    "anthropic": ANTHROPIC_ANSWERS,
    "gemini": GEMINI_ANSWERS,
    "ollama_chat": OLLAMA_ANSWERS,
    "cohere_chat": COHERE_ANSWERS,
}


def _read_by_litellm(model: str, url: str, *, streamed: bool) -> tuple:
    litellm = load()
    where = {"model": model, "messages": copy.deepcopy(MESSAGES), "api_base": url, "api_key": "k-123456789"}

    async def call() -> tuple:
        response = await litellm.acompletion(**where, **QUIET, **({"stream": True, **WANTS_USAGE} if streamed else {}))
        if streamed:
            response = litellm.stream_chunk_builder([part async for part in response], messages=where["messages"])
        choice, usage = response.choices[0], read(response.usage.model_dump())
        tools = [(tool.function.name, json.loads(tool.function.arguments)) for tool in choice.message.tool_calls or ()]
        buckets = (usage.input, usage.cache_read, usage.cache_write, usage.output + usage.reasoning)
        return choice.message.content or "", tools, choice.finish_reason, buckets

    return LOOP.run(call())


WANTS_USAGE = {"stream_options": {"include_usage": True}}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("provider", sorted(ADMITTED))
def test_an_answer_is_read_as_litellm_reads_it(provider: str, lab: Lab, server: RawServer) -> None:
    for name, script in ANSWERS.get(provider, OPENAI_ANSWERS).items():
        server.scripts = [list(script)]
        streamed, model = "streamed" in name, _names(provider)[0]
        theirs = _read_by_litellm(model, server.url, streamed=streamed)
        where = {"model": model, "api_base": server.url, "api_key": "k-123456789"}
        reply = _streamed(lab, **where) if streamed else lab.ask(MESSAGES, **where)
        tools = [(tool["function"]["name"], json.loads(tool["function"]["arguments"])) for tool in reply.tool_calls]
        usage = reply.usage
        buckets = (usage.input, usage.cache_read, usage.cache_write, usage.output + usage.reasoning)
        assert (reply.text, tools, reply.finish_reason, buckets) == theirs, name
        assert usage.input_tokens == 12
        assert "tool" in name or reply.text == "Paris"


def _streamed(lab: Lab, **where: str) -> Reply:
    stream = lab.stream(MESSAGES, **where)
    assert "".join(stream) == stream.reply.text
    return stream.reply


def test_a_schema_that_travels_as_a_tool_comes_back_as_text(lab: Lab, server: RawServer) -> None:
    """Older Claude models have no structured output: LiteLLM makes a tool of the schema."""
    where = {"model": "anthropic/claude-3-haiku-20240307", "api_base": server.url, "api_key": "k-123456789"}
    tool = {"type": "tool_use", "id": "call_1", "name": "json_tool_call", "input": {"city": "Paris"}}
    server.plays(answer(message([tool], "tool_use", CLAUDE)))
    start = event("message_start", message=message([], None, CLAUDE))
    server.plays(
        STREAM,
        start,
        _block(0, "tool_use", id="call_1", name="json_tool_call", input={}),
        _piece(0, {"type": "input_json_delta", "partial_json": '{"city": "Paris"}'}),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "tool_use"}, usage=CLAUDE),
        event("message_stop"),
        END,
    )
    whole = lab.ask("where?", response_format=SCHEMA, **where)
    stream = lab.stream("where?", response_format=SCHEMA, **where)
    list(stream)
    for reply in (whole, stream.reply):
        assert json.loads(reply.text) == {"city": "Paris"}
        assert (reply.finish_reason, reply.tool_calls) == ("stop", ())


def test_an_image_that_would_have_to_be_fetched_is_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "planted")
    for address, carried in (("http://pictures.invalid/a.png", True), ("https://pictures.invalid/a.png", False)):
        parts = [{"type": "image_url", "image_url": {"url": address}}]
        request = translate("claude-haiku-4-5", [{"role": "user", "content": parts}], {}, streamed=False)
        assert (request is None) == carried


def test_a_provider_that_is_not_admitted_is_carried() -> None:
    assert translate("bedrock/anthropic.claude-3-haiku-20240307-v1:0", MESSAGES, {}, streamed=False) is None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", ["gpt-5.4", "azure/gpt-5.4"])
def test_a_call_that_openai_serves_elsewhere_goes_there(model: str, sent: list[Sent]) -> None:
    """LiteLLM sends tools with reasoning models to OpenAI's other interface."""
    for more in ({"api_key": "key-of-this-one"}, {"api_key": "key-of-this-one", "api_version": "2025-04-01-preview"}):
        asked = {**TOOLS, "reasoning_effort": "high", **more}
        if model == "gpt-5.4":
            asked.pop("api_version", None)
        for streamed in (False, True):
            sent.clear()
            theirs = _theirs(sent, model, CONVERSATION, asked, streamed=streamed)
            assert "/responses" in theirs.url
            assert _ours(model, CONVERSATION, asked, streamed=streamed) == theirs


REASONED = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]}
SPOKEN = {
    "type": "message",
    "id": "msg_1",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Paris", "annotations": []}],
}
CALLS = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": '{"at": "it"}'}
RESPONDED = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "o3-pro",
    "status": "completed",
    "usage": {
        "input_tokens": 12,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 17,
    },
}


def _response(*output: dict) -> dict:
    fixed = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None}
    return {**RESPONDED, **fixed, "output": list(output)}


ADDS = {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 1, "content_index": 0}
RESPONSES = {
    "whole": [answer(_response(REASONED, SPOKEN))],
    "tool": [answer(_response(REASONED, {**CALLS, "status": "completed"}))],
    "streamed": _sse(
        {"type": "response.created", "response": {**_response(), "status": "in_progress"}},
        *({**ADDS, "delta": delta} for delta in ("Par", "is")),
        {"type": "response.completed", "response": _response(REASONED, SPOKEN)},
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_is_read_as_litellm_reads_it(name: str, lab: Lab, server: RawServer, bridge: None) -> None:
    streamed, model = "streamed" in name, "openai/o3-pro"
    server.plays(*RESPONSES[name])
    theirs = _read_by_litellm(model, server.url, streamed=streamed)
    where = {"model": model, "api_base": server.url, "api_key": "k-123456789"}
    reply = _streamed(lab, **where) if streamed else lab.ask(MESSAGES, **where)
    tools = [(tool["function"]["name"], json.loads(tool["function"]["arguments"])) for tool in reply.tool_calls]
    usage = reply.usage
    buckets = (usage.input, usage.cache_read, usage.cache_write, usage.output + usage.reasoning)
    assert (reply.text, tools, reply.finish_reason, buckets) == theirs


THINKING = {
    "openai/o3-mini": {"reasoning_effort": "low"},
    "openai/o3-pro": {"reasoning_effort": "low"},
    "openai/gpt-5-mini": {"reasoning_effort": "minimal"},
    "azure/o3-mini": {"reasoning_effort": "high"},
    "anthropic/claude-sonnet-4-5": {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 4000},
    "claude-haiku-4-5": {"reasoning_effort": "medium"},
    "gemini/gemini-2.5-flash": {"reasoning_effort": "low"},
    "gemini/gemini-2.5-pro": {"thinking": {"type": "enabled", "budget_tokens": 2048}},
    "gemini/gemini-3-pro-preview": {"reasoning_effort": "high"},
    "openrouter/deepseek/deepseek-r1": {"reasoning_effort": "low"},
    "mistral/magistral-medium-latest": {"reasoning_effort": "high"},
    "deepseek/deepseek-reasoner": {"thinking": {"type": "enabled"}},
    "ollama_chat/qwen3": {"reasoning_effort": "low"},
    "ollama_chat/gpt-oss:20b": {"reasoning_effort": "high"},
    "groq/openai/gpt-oss-120b": {"reasoning_effort": "low"},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", THINKING)
def test_how_much_is_thought_is_asked_as_litellm_asks_it(model: str, sent: list[Sent]) -> None:
    asked = {**THINKING[model], "api_key": "key-of-this-one"}
    for streamed in (False, True):
        sent.clear()
        theirs = _theirs(sent, model, MESSAGES, asked, streamed=streamed)
        assert theirs is not None
        assert _ours(model, MESSAGES, asked, streamed=streamed) == theirs


SIGNED = {"type": "thinking", "thinking": "hm", "signature": "c2lnbmVk"}
WANTED_BACK = {
    "anthropic/claude-sonnet-4-5": {"thinking_blocks": [SIGNED]},
    "gemini/gemini-2.5-flash": {
        "tool_calls": [{**CALLED, "provider_specific_fields": {"thought_signature": "c2lnbmVk"}}]
    },
    "openrouter/anthropic/claude-sonnet-4.5": {"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
    "deepseek/deepseek-reasoner": {"reasoning_content": "hm"},
    "ollama_chat/qwen3": {"reasoning_content": "hm"},
    "openai/o3-pro": {"reasoning_items": [{"type": "reasoning", "id": "rs_1", "summary": []}]},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", WANTED_BACK)
def test_thoughts_go_back_to_whom_they_came_from(model: str, sent: list[Sent]) -> None:
    """In a conversation with tools, as LiteLLM hands them back."""
    thoughtful = [dict(said) for said in CONVERSATION]
    thoughtful[4] |= WANTED_BACK[model]
    asked = {"api_key": "key-of-this-one", "tools": TOOLS["tools"]}
    theirs = _theirs(sent, model, thoughtful, asked)
    ours = _ours(model, thoughtful, asked)
    assert ours == theirs
    assert ours != _ours(model, CONVERSATION, asked)


def test_thoughts_go_to_nobody_else() -> None:
    """What one provider signed, another refuses as an unknown field."""
    thoughtful = [dict(said) for said in CONVERSATION]
    thoughtful[4] |= {name: value for fields in WANTED_BACK.values() for name, value in fields.items()}
    for model in ("openai/gpt-4o-mini", "mistral/mistral-small-latest", "groq/llama-3.1-8b-instant"):
        asked = {"api_key": "key-of-this-one", **TOOLS}
        assert _ours(model, thoughtful, asked) == _ours(model, CONVERSATION, asked)


AZURE = [
    {"api_key": "key-of-azure"},
    {"api_key": "key-of-azure", "api_version": "2024-10-21"},
    {"api_key": "key-of-azure", "api_version": "v1", "api_base": "https://mine.openai.azure.com"},
    {"api_key": "key-of-azure", "api_base": "https://mine.openai.azure.com/openai/deployments/own"},
    {"azure_ad_token": "token-of-entra"},
    {"azure_ad_token": "token-of-entra", "api_version": "preview", "api_base": "https://mine.openai.azure.com"},
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", AZURE, ids=str)
def test_azure_is_reached_by_key_or_token_deployment_and_version(how: dict, sent: list[Sent]) -> None:
    for streamed in (False, True):
        sent.clear()
        theirs = _theirs(sent, "azure/gpt-4o", MESSAGES, how, streamed=streamed)
        assert _ours("azure/gpt-4o", MESSAGES, how, streamed=streamed) == theirs
        credential = how.get("api_key") or how["azure_ad_token"]
        assert credential in (theirs.headers.get("api-key") or theirs.headers["authorization"])


@pytest.mark.parametrize("model", ["gemini/gemini-2.5-flash"])
def test_a_picture_that_would_be_fetched_is_carried(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "planted")
    parts = [{"type": "image_url", "image_url": {"url": "https://pictures.invalid/a.png"}}]
    assert translate(model, [{"role": "user", "content": parts}], {}, streamed=False) is None
    assert translate(model, IMAGE, {}, streamed=False) is not None


def test_a_parameter_that_a_provider_does_not_take_is_named() -> None:
    with pytest.raises(errors.InvalidRequestError, match="perplexity/sonar does not take `logit_bias`: leave it out"):
        translate(
            "perplexity/sonar", MESSAGES, {"logit_bias": {"1": 2}, "temperature": 1, "api_key": "k"}, streamed=False
        )
