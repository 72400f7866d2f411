"""Whose key goes where, over every provider that LiteLLM lists as OpenAI-compatible; and one attempt is one request."""

from __future__ import annotations

import re

import httpx
import pytest

from lab import Lab, Policy, Timeout, errors
from lab.provider.loading import load
from tests.servers import RawServer, answer

_LITELLM = load()
_LISTED = _LITELLM.llms.openai_like.json_loader.JSONProviderRegistry
PROVIDERS = sorted(
    {str(getattr(member, "value", member)) for member in _LITELLM.openai_compatible_providers}
    | set(_LISTED.list_providers())
    | {"openai", "anthropic", "gemini", "mistral", "cohere_chat"}
)
_SHARED = {"custom_openai": "OPENAI_API_KEY", "perplexity": "PERPLEXITYAI_API_KEY", "cohere_chat": "COHERE_API_KEY"}


def _names(provider: str) -> list[str]:
    """The environment variables that hold this provider's own key."""
    names = [f"{re.sub(r'[^A-Z0-9]', '_', provider.upper())}_API_KEY"]
    if _LISTED.exists(provider):
        names.append(_LISTED.get(provider).api_key_env)
    names += _LITELLM.validate_environment(f"{provider}/any").get("missing_keys") or []
    return [*names, *([_SHARED[provider]] if provider in _SHARED else [])]


OWN = {provider: _names(provider) for provider in PROVIDERS}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """One Lab for all of them."""
    policy = Policy(retry=None, breaker=None, timeout=Timeout(total=20))
    with Lab(tmp_path_factory.mktemp("hosts") / "lab.db", policy=policy) as shared:
        yield shared


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of every provider in the environment."""
    for name in {name for names in OWN.values() for name in names}:
        monkeypatch.setenv(name, f"planted-{name.lower()}-5f1c")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    """What would have left, by whichever client; nothing leaves."""
    from litellm.llms.custom_httpx.aiohttp_transport import LiteLLMAiohttpTransport

    import lab.provider.source as room

    caught: list[httpx.Request] = []

    async def catch(_self: object, request: httpx.Request) -> httpx.Response:
        await request.aread()
        caught.append(request)
        return httpx.Response(400, json={"error": {"message": "caught"}}, request=request)

    real = room.translate

    def translated(*args: object, **more: object) -> object:
        request = real(*args, **more)
        if request is not None:
            caught.append(httpx.Request("POST", request.url, headers=dict(request.headers), json=dict(request.body)))
            raise errors.AuthError("caught")
        return request

    for transport in (LiteLLMAiohttpTransport, httpx.AsyncHTTPTransport):
        monkeypatch.setattr(transport, "handle_async_request", catch)
    monkeypatch.setattr(room, "translate", translated)
    return caught


def _keys(request: httpx.Request) -> set[str]:
    text = f"{request.url} {dict(request.headers)} {request.content.decode()}"
    return set(re.findall(r"planted-([a-z0-9_]+)-5f1c", text))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_key_reaches_its_own_providers_host_alone(
    lab: Lab, provider: str, planted: None, sent: list[httpx.Request]
) -> None:
    """With everybody's key in the environment, a request carries its own or none."""
    for streamed in (False, True):
        with pytest.raises(errors.LabError):
            _ask(lab, streamed, model=f"{provider}/some-model")
    allowed = {name.lower() for name in OWN[provider]}
    for request in sent:
        assert _keys(request) <= allowed
        if provider not in ("openai", "custom_openai"):
            assert request.url.host != "api.openai.com"


def test_most_of_them_were_sent_something(lab: Lab, planted: None, sent: list[httpx.Request]) -> None:
    """Or the test above would say nothing."""
    reached = set()
    for provider in PROVIDERS:
        sent.clear()
        with pytest.raises(errors.LabError):
            _ask(lab, False, model=f"{provider}/some-model")
        reached |= {provider} if any(_keys(request) for request in sent) else set()
    assert len(reached) >= 0.8 * len(PROVIDERS), sorted(set(PROVIDERS) - reached)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_attempt_is_one_request(lab: Lab, provider: str, server: RawServer) -> None:
    """Whatever LiteLLM or an SDK would do by itself: some drop `max_retries=0` on the way, and retry."""
    server.plays(answer({"error": {"message": "boom"}}, 500))
    for streamed in (False, True):
        server.received.clear()
        with pytest.raises(errors.LabError):
            _ask(lab, streamed, model=f"{provider}/some-model", api_base=server.url, api_key="k-123456789")
        assert len(server.received) <= 1


def _ask(lab: Lab, streamed: bool, **more: str) -> None:
    if streamed:
        list(lab.stream("hi", **more))
    else:
        lab.ask("hi", **more)
