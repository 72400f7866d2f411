"""The providers' own clients talk to the simulation, whole and streamed, and read what they expect."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.provider import child

LOOK = {
    "name": "look",
    "description": "look it up",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]},
}
ASKED = "please look"


@pytest.fixture(scope="module")
def root() -> str:
    """Where the simulation is, without its version."""
    return child.shared("lab.sim").endpoint().url.removesuffix("/v1")


@pytest.fixture
def openai(root: str) -> Iterator[Any]:
    """OpenAI's client."""
    with importlib.import_module("openai").OpenAI(
        base_url=f"{root}/v1", api_key="none-needed", max_retries=0
    ) as client:
        yield client


@pytest.fixture
def anthropic(root: str) -> Iterator[Any]:
    """Anthropic's client."""
    with importlib.import_module("anthropic").Anthropic(base_url=root, api_key="none-needed", max_retries=0) as client:
        yield client


@pytest.fixture
def gemini(root: str) -> Iterator[Any]:
    """Google's client."""
    genai = importlib.import_module("google.genai")
    client = genai.Client(api_key="none-needed", http_options={"base_url": root})
    yield client
    client.close()


@pytest.fixture
def ollama(root: str) -> Iterator[Any]:
    """Ollama's client."""
    client = importlib.import_module("ollama").Client(host=root)
    yield client
    client.close()


def test_openais_client_chats(openai: Any) -> None:
    said = [{"role": "user", "content": "hi"}]
    whole = openai.chat.completions.create(model="thinker", messages=said, reasoning_effort="minimal")
    message = whole.choices[0].message
    assert message.content.startswith("This is thinker")
    assert message.reasoning_content
    assert whole.usage.completion_tokens_details.reasoning_tokens == 40
    stream = openai.chat.completions.create(
        model="instant", messages=said, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices).startswith("This is")
    assert chunks[-1].usage.total_tokens > 0


def test_openais_client_calls_tools_answers_and_embeds(openai: Any) -> None:
    said: list[Any] = [{"role": "user", "content": ASKED}]
    tools = [{"type": "function", "function": LOOK}]
    message = openai.chat.completions.create(model="instant", messages=said, tools=tools).choices[0].message
    (call,) = message.tool_calls
    assert (call.function.name, list(json.loads(call.function.arguments))) == ("look", ["at"])
    said += [message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": "seen"}]
    after = openai.chat.completions.create(model="instant", messages=said, tools=tools)
    assert "seen" in after.choices[0].message.content
    embedded = openai.embeddings.create(model="embedder", input=["a cat", "a cat sat", "stocks fell"]).data
    near, far = (sum(map(_product, zip(embedded[0].embedding, other.embedding, strict=True))) for other in embedded[1:])
    assert near > far


def _product(pair: tuple[float, float]) -> float:
    return pair[0] * pair[1]


def test_openais_client_asks_for_responses(openai: Any) -> None:
    whole = openai.responses.create(model="thinker", input="hi", reasoning={"effort": "minimal", "summary": "auto"})
    assert whole.output_text.startswith("This is thinker")
    assert whole.output[0].summary[0].text
    assert whole.usage.output_tokens_details.reasoning_tokens == 40
    kinds = []
    for event in openai.responses.create(model="instant", input="hi", stream=True):
        kinds.append(event.type)
    assert kinds[0] == "response.created"
    assert "response.output_text.delta" in kinds
    assert (kinds[-1], event.response.status) == ("response.completed", "completed")


def test_anthropics_client_thinks_and_calls_tools(anthropic: Any) -> None:
    asked = {"model": "thinker", "max_tokens": 3000, "messages": [{"role": "user", "content": ASKED}]}
    asked |= {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    tools = [{"name": "look", "description": "look it up", "input_schema": LOOK["parameters"]}]
    whole = anthropic.messages.create(**asked, tools=tools)
    assert [block.type for block in whole.content] == ["thinking", "tool_use"]
    assert whole.stop_reason == "tool_use"
    assert whole.content[0].signature
    with anthropic.messages.stream(**asked) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text.startswith("This is thinker")
    assert [block.type for block in final.content] == ["thinking", "text"]
    assert final.content[0].signature == whole.content[0].signature
    results = [{"type": "tool_result", "tool_use_id": whole.content[1].id, "content": "seen"}]
    said = [*asked["messages"], {"role": "assistant", "content": [block.model_dump() for block in whole.content]}]
    after = anthropic.messages.create(**{**asked, "messages": [*said, {"role": "user", "content": results}]})
    assert "seen" in after.content[-1].text


def test_anthropics_client_sees_what_was_cached(anthropic: Any) -> None:
    system = [{"type": "text", "text": "Be kind. " * 200, "cache_control": {"type": "ephemeral"}}]
    asked = {"model": "instant", "max_tokens": 200, "system": system}
    used = [
        anthropic.messages.create(**asked, messages=[{"role": "user", "content": text}]).usage for text in ("a", "b")
    ]
    assert used[0].cache_creation_input_tokens == used[1].cache_read_input_tokens > 200
    assert used[0].cache_read_input_tokens == used[1].cache_creation_input_tokens == 0


def test_googles_client_thinks_calls_functions_and_embeds(gemini: Any) -> None:
    types = importlib.import_module("google.genai.types")
    thinks = types.GenerateContentConfig(
        thinking_config=types.ThinkingConfig(thinking_budget=1024, include_thoughts=True)
    )
    whole = gemini.models.generate_content(model="thinker", contents="hi", config=thinks)
    assert [bool(part.thought) for part in whole.candidates[0].content.parts] == [True, False]
    assert whole.text.startswith("This is thinker")
    assert whole.usage_metadata.thoughts_token_count == 150
    parts = [
        part
        for event in gemini.models.generate_content_stream(model="thinker", contents="hi", config=thinks)
        for part in event.candidates[0].content.parts
    ]
    assert "".join(part.text for part in parts if not part.thought).startswith("This is thinker")
    assert len([part for part in parts if part.thought]) == 150
    tool = types.Tool(function_declarations=[types.FunctionDeclaration(**LOOK)])
    called = gemini.models.generate_content(
        model="instant", contents=ASKED, config=types.GenerateContentConfig(tools=[tool])
    )
    assert (called.function_calls[0].name, list(called.function_calls[0].args)) == ("look", ["at"])
    embedded = gemini.models.embed_content(model="embedder", contents=["a cat", "a dog"])
    assert len(embedded.embeddings[1].values) == 64


def test_ollamas_client_chats_thinks_calls_tools_and_lists(ollama: Any) -> None:
    said = [{"role": "user", "content": ASKED}]
    whole = ollama.chat(model="thinker", messages=said, think="low")
    assert whole.message.thinking
    assert whole.message.content.startswith("This is thinker")
    lines = list(ollama.chat(model="thinker", messages=said, stream=True, think="low"))
    assert "".join(line.message.content for line in lines).startswith("This is thinker")
    assert (lines[-1].done, lines[-1].done_reason) == (True, "stop")
    called = ollama.chat(model="instant", messages=said, tools=[{"type": "function", "function": LOOK}])
    assert called.message.tool_calls[0].function.name == "look"
    assert "thinker" in {model.model for model in ollama.list().models}
    assert len(ollama.embed(model="embedder", input=["a", "b"]).embeddings) == 2


def test_a_client_is_told_an_error_as_its_provider_tells_it(
    openai: Any, anthropic: Any, gemini: Any, ollama: Any
) -> None:
    said = [{"role": "user", "content": "hi"}]
    with pytest.raises(importlib.import_module("openai").RateLimitError):
        openai.chat.completions.create(model="instant+rate_limit", messages=said)
    with pytest.raises(importlib.import_module("anthropic").InternalServerError):
        anthropic.messages.create(model="instant+overloaded", max_tokens=9, messages=said)
    with pytest.raises(importlib.import_module("google.genai.errors").ServerError):
        gemini.models.generate_content(model="instant+http_503", contents="hi")
    with pytest.raises(importlib.import_module("ollama").ResponseError, match="internal error"):
        ollama.chat(model="instant+http_500", messages=said)
