"""Carried or not, no request of the lab's goes where an answer sends it; others in the process are served as before."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import httpx
import pytest

from lab import Lab, Policy, errors
from lab.provider.loading import load
from tests.servers import RawServer, answer, completion

CARRIED = [
    "azure/gpt-4o",
    "gemini/gemini-2.5-flash",
    "mistral/mistral-small-latest",
    "cohere_chat/command-r",
    "openrouter/x/y",
    "databricks/dbrx",
    "ollama/llama3",
    "text-completion-openai/gpt-3.5-turbo-instruct",
    "litellm_proxy/x",
    "snowflake/x",
]


@pytest.fixture
def forgetful() -> Iterator[None]:
    """LiteLLM forgets sessions of some providers: they are collected here, not in another test."""
    yield
    gc.collect()


@pytest.mark.usefixtures("forgetful")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("model", CARRIED)
def test_no_carried_provider_follows_a_redirect(lab: Lab, server: RawServer, model: str) -> None:
    """Azure's key went along, to another origin; most posted the prompt there again."""
    alone = Policy(retry=None, breaker=None)
    with RawServer() as elsewhere:
        elsewhere.plays(answer(completion()))
        where = {"api_base": server.url, "api_key": "k-123456789", "api_version": "2024-02-01"}
        for status in (302, 307, 308):
            server.plays(answer(b"", status, location=elsewhere.url.replace("127.0.0.1", "localhost")))
            with pytest.raises(errors.LabError):
                lab.ask("a secret", model=model, policy=alone, **where)
            with pytest.raises(errors.LabError):
                list(lab.stream("a secret", model=model, policy=alone, **where))
        assert len(server.received) >= 3
        assert not elsewhere.received


def test_another_client_in_the_process_still_follows(server: RawServer) -> None:
    load()
    with RawServer() as elsewhere:
        elsewhere.plays(answer(completion()))
        server.plays(answer(b"", 307, location=elsewhere.url))

        async def post() -> int:
            async with httpx.AsyncClient(follow_redirects=True) as client:
                return (await client.post(server.url, json={})).status_code

        assert httpx.post(server.url, json={}, follow_redirects=True).status_code == 200
        assert asyncio.run(post()) == 200
