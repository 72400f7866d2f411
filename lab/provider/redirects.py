"""No redirect is followed on the way to a provider: it would post the prompt, and headers such as Azure's `api-key`,
to whatever place the answer names."""

from __future__ import annotations

from contextvars import ContextVar
from functools import wraps
from typing import Any

import httpx

refused: ContextVar[bool] = ContextVar("refused", default=False)
"""Set while LiteLLM sends a request of the lab's: its clients, and the SDKs that it brings, follow redirects each in
its own way, but all of them through httpx."""


def install() -> None:
    """Make httpx's clients ask; whoever else uses them in this process is served as before."""
    for client in (httpx.Client, httpx.AsyncClient):
        client.send = _asking(client.send)  # type: ignore[method-assign]


def _asking(send: Any) -> Any:
    @wraps(send)
    def asking(self: Any, request: httpx.Request, **options: Any) -> Any:
        if refused.get():
            options["follow_redirects"] = False
        return send(self, request, **options)

    return asking
