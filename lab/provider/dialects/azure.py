"""Azure OpenAI: OpenAI's words, by deployment and version, with a key or a token of Entra's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from lab import errors
from lab.provider.dialects import openai
from lab.provider.failures import filtered
from lab.provider.loading import load
from lab.provider.request import Order, Part, Request, written_out

TAKES = frozenset({"api_version", "azure_ad_token"})
"""Parameters of LiteLLM's own that are the dialect's: `api_version`, and a token (Microsoft Entra ID)."""
_NEWER = ("v1", "latest", "preview")
"""Versions that are served without deployments in the address, and without a date."""


class Way(NamedTuple):
    """Where a resource is, and what it is asked with: a `key`, or a `token` of Entra's."""

    base: str
    key: str | None
    token: str | None
    version: str | None


def way(order: Order) -> Way | None:
    """How the resource is reached; None where a token has to be fetched first (a service principal's, OIDC), and for
    other gateways. Raises `InvalidRequestError` where no address is known, `AuthError` without a credential."""
    params = order.params
    base = order.base or os.environ.get("AZURE_API_BASE")
    key = order.params.get("api_key")
    if not key and not params.get("azure_ad_token"):
        key = order.key or os.environ.get("AZURE_OPENAI_API_KEY") or os.environ.get("AZURE_API_KEY")
    token = params.get("azure_ad_token") or os.environ.get("AZURE_AD_TOKEN") or os.environ.get("AZURE_OPENAI_AD_TOKEN")
    signs_in = all(os.environ.get(f"AZURE_{part}") for part in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET"))
    fetched = (token or "").startswith("oidc/") or (not key and not token and signs_in)
    if not base:
        raise errors.InvalidRequestError(f"no address is known for {order.model}: set AZURE_API_BASE, or api_base=...")
    if fetched or "gateway.ai.cloudflare.com" in base:
        return None
    if not (key or token):
        raise errors.AuthError(
            f"no key for {order.model}: set AZURE_API_KEY or AZURE_AD_TOKEN, or pass api_key=... or azure_ad_token=..."
        )
    return Way(base, key, token, params.get("api_version") or os.environ.get("AZURE_API_VERSION"))


def written(order: Order) -> Request | None:
    """The request; None where `way` has none. Raises what that raises."""
    reached = way(order)
    if reached is None:
        return None
    base, key, token, version = reached
    name, version = order.name, version or load().AZURE_DEFAULT_API_VERSION
    optional = order.optional
    if optional.keys() & {"json_mode", "fake_stream"}:
        return None
    extra = optional.pop("extra_body", None) or {}
    for dropped in ("stream", "max_retries", "extra_headers"):
        optional.pop(dropped, None)
    openai.ask_usage(order)
    known = {"custom_llm_provider": "azure", "api_base": base, "api_key": key}
    body = {**order.config.transform_request(name, order.messages, optional, known, order.headers), **extra}
    if order.streamed:
        body["stream"] = True
    newer = version in _NEWER
    credential = {"api-key": key} if key and not newer else {"Authorization": f"Bearer {key or token}"}
    headers = {"Content-Type": "application/json", **credential, **order.headers}
    return Request(
        "azure",
        name,
        _address(base.rstrip("/"), name, None if newer else version),
        written_out(headers),
        body,
        order.config,
        optional,
        AzureReading,
    )


def _address(base: str, deployment: str, version: str | None) -> str:
    """Of a deployment: below the resource's own address, or an address that names the deployment itself; of the
    resource, where there is no version."""
    if version is None:
        return f"{base}/openai/v1/chat/completions"
    if "/openai/deployments" not in base:
        base = f"{base}/openai/deployments/{deployment}"
    return f"{base}/chat/completions?api-version={version}"


class AzureReading(openai.OpenAIReading):
    """One answer, and what its filter found."""

    def whole(self, body: dict[str, Any]) -> Part:
        """The whole answer."""
        self._note_filter(body["choices"][0])
        return super().whole(body)

    def delta(self, event: dict[str, Any]) -> Part | None:
        """What an event adds; those that say only what the filter found add nothing."""
        choices = [choice for choice in event.get("choices") or () if isinstance(choice, dict)]
        if choices:
            self._note_filter(choices[0])
            if choices[0].get("delta") is None and not choices[0].get("finish_reason"):
                self._note(event)
                return None
        return super().delta(event)

    def _reader(self) -> Any:
        """OpenAI's: Azure's own leaves the reading to OpenAI's client."""
        return load().OpenAIGPTConfig()

    def _note_filter(self, choice: Mapping[str, Any]) -> None:
        if caught := filtered(choice.get("content_filter_results")):
            self.told.filtered = caught
