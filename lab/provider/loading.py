"""LiteLLM, imported once, when first needed: that takes seconds."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
import threading
import warnings
from concurrent.futures import Future
from contextlib import suppress
from inspect import isawaitable
from types import ModuleType
from typing import Any

from lab.lazy import for_good, in_background

_loading = threading.Lock()
_ready: list[ModuleType] = []
_warming = threading.Lock()
_warmed: list[Future[ModuleType]] = []


def load() -> ModuleType:
    """LiteLLM, set up to be quiet and offline. Takes seconds the first time."""
    if _ready:
        return _ready[0]
    with _loading:
        if not _ready:
            with for_good():
                _ready.append(_loaded())
        return _ready[0]


def _loaded() -> ModuleType:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # otherwise it reads a .env of its own choosing
    # pydantic warns of LiteLLM's own types, a line each, when they are built: nothing a user can mend
    warnings.filterwarnings("ignore", message=".*using the `ReadOnly` qualifier", category=UserWarning)
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    choice = {"index": 0, "delta": {"content": "x"}, "finish_reason": None}
    litellm.ModelResponseStream(choices=[choice])  # built on first use: not while an answer waits
    litellm.ModelResponse()
    # its handler sends a request again by itself when the connection broke: one attempt is one request
    handler = importlib.import_module("litellm.llms.custom_httpx.http_handler").AsyncHTTPHandler
    handler.single_connection_post_request = _no_second_request
    from lab.provider import redirects  # imports httpx, which LiteLLM has just done

    redirects.install()
    module: ModuleType = litellm
    return module


async def _no_second_request(*_args: object, **_more: object) -> None:
    """Called while the first request's failure is being handled: that failure stands."""
    broken = sys.exc_info()[1]
    assert broken is not None
    raise broken


def apart() -> None:
    """Let the next call be sent by a client of its own event loop: some of LiteLLM's handlers share one among all
    loops, and whoever uses it next cuts off what another loop has under way."""
    vars(load()).pop("module_level_aclient", None)  # made again when asked for, out of those kept by loop


async def let_go() -> None:
    """Close what LiteLLM keeps open for calls of this event loop: it never does, and they are of no use to another."""
    if not _ready:
        return
    apart()
    kept: dict[str, Any] = _ready[0].in_memory_llm_clients_cache.cache_dict
    mine = f"-{id(asyncio.get_running_loop())}"
    for key in [key for key in kept if key.endswith(mine)]:
        client = kept.pop(key)
        inner = getattr(client, "_client", None) or getattr(client, "client", None)
        for close in (getattr(client, "close", None), getattr(getattr(inner, "_transport", None), "aclose", None)):
            with suppress(Exception):  # one that was never used, or is closed
                closing = close() if close is not None else None
                if isawaitable(closing):
                    await closing


def warm() -> Future[ModuleType]:
    """LiteLLM, being imported in a thread that holds up nobody's exit; started once, done once."""
    with _warming:
        if not _warmed:
            _warmed.append(Future())
            _warmed[0].set_running_or_notify_cancel()  # shared by all who wait: none of them may cancel it
            in_background(_warm, "lab-warm")
        return _warmed[0]


async def loaded() -> ModuleType:
    """LiteLLM, once it is there: no event loop waits for an import."""
    if not (importing := warm()).done():
        await asyncio.wrap_future(importing)
    return load()


def _warm() -> None:
    try:
        _warmed[0].set_result(load())
    except Exception as broken:
        _warmed[0].set_exception(broken)  # whoever waits must hear of it
        raise
    except SystemExit:  # broken off: in a task of theirs it would end the loop that they run on
        _warmed[0].set_exception(RuntimeError("LiteLLM was not imported: the program is ending"))
        raise
