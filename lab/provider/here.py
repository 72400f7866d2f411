"""Models that other servers serve on this machine: Ollama, LM Studio, llama.cpp and vLLM, each looked for where it
listens unless it was told otherwise, and nowhere else."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SECONDS = 0.2
"""How long is waited for all of them."""
MOST = 2**20
"""Bytes of a list of models that are read."""


def _ollama(body: Any) -> list[str]:
    return [model["name"] for model in body["models"] if isinstance(model["name"], str)]


def _openai(body: Any) -> list[str]:
    return [model["id"] for model in body["data"] if isinstance(model["id"], str)]


@dataclass(frozen=True, slots=True)
class Server:
    """A kind of server: its port on loopback, how LiteLLM names what speaks its words, where it lists its models and
    how, and the address below which it is asked."""

    name: str
    port: int
    provider: str
    path: str
    read: Callable[[Any], list[str]] = field(repr=False)
    below: str = ""

    @property
    def address(self) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self.port}{self.below}"


SERVERS = (
    Server("Ollama", 11434, "ollama_chat", "/api/tags", _ollama),
    Server("LM Studio", 1234, "lm_studio", "/v1/models", _openai, "/v1"),
    Server("llama.cpp", 8080, "llamafile", "/v1/models", _openai, "/v1"),
    Server("vLLM", 8000, "hosted_vllm", "/v1/models", _openai, "/v1"),
)
ADDRESSES = {server.provider: server.address for server in SERVERS if server.name in ("LM Studio", "vLLM")}
"""Where those are asked of whom LiteLLM knows no address, unless something says otherwise."""


@dataclass(frozen=True, slots=True)
class Found:
    """A model that a server of this machine has: its name here, and the server's."""

    model: str
    server: str


def found(servers: tuple[Server, ...] = SERVERS, seconds: float = SECONDS) -> list[Found]:
    """The models there are, server by server. A server that hasn't said so within `seconds`, or whose port somebody
    else listens on, is not there."""
    lists: dict[str, list[str]] = {}

    def look(server: Server) -> None:
        names = _listed(server, seconds)
        if names is not None:
            lists[server.name] = names

    threads = [threading.Thread(target=look, args=(server,), name="lab-here", daemon=True) for server in servers]
    until = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    in_time = dict(lists)
    return [
        Found(f"{server.provider}/{name}", server.name)
        for server in servers
        for name in dict.fromkeys(in_time.get(server.name, ()))
    ]


def _listed(server: Server, seconds: float) -> list[str] | None:
    """The names of a server's models; None where nobody of its kind answers."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=seconds)
    try:
        connection.request("GET", server.path)
        answer = connection.getresponse()
        if answer.status != 200:
            return None
        return server.read(json.loads(answer.read(MOST)))
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, RecursionError):
        return None  # refused, late, or somebody else's port
    finally:
        connection.close()
