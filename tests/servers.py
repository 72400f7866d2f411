"""Servers that misbehave on purpose, on loopback."""

from __future__ import annotations

import json
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

END = object()
"""In a script: close the connection as a polite server does."""
RESET = object()
"""In a script: reset the connection."""
HANG = object()
"""In a script: keep the connection open and say nothing more, until the client leaves."""


@dataclass
class Received:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: Any


class RawServer:
    """Reads one request a connection, then plays its script: bytes are sent, floats waited, the marks above done."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.scripts: list[list[object]] = []
        self.asked = threading.Event()
        """Set when a request is there."""
        self.gone = threading.Event()
        """Set when a client has left a hanging connection."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def plays(self, *script: object) -> None:
        """What the next connections get; the last script is repeated."""
        self.scripts.append(list(script))

    def __enter__(self) -> RawServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
            threading.Thread(target=self._play, args=(connection, script), daemon=True).start()

    def _play(self, connection: socket.socket, script: list[object]) -> None:
        with connection, suppress(ConnectionError):  # a caller may leave at any point of it
            self.received.append(_read(connection))
            self.asked.set()
            for step in script:
                if step is RESET:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                if step is HANG:
                    while connection.recv(1024):
                        pass
                    self.gone.set()
                    return
                if step is END:
                    return
                if isinstance(step, float):
                    self.gone.wait(step)
                else:
                    connection.sendall(step)


def _read(connection: socket.socket) -> Received:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    while len(body) < int(headers.get("content-length", 0)):
        body += _more(connection)
    return Received(lines[0].split(" ")[1], headers, json.loads(body) if body else None)


def _more(connection: socket.socket) -> bytes:
    """What comes next; a caller that has left sends nothing for ever."""
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("the caller has left")
    return data


def answer(body: object, status: int = 200, **headers: str) -> bytes:
    """A whole HTTP answer; `body` is sent as JSON unless it is bytes."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"content-type": "application/json", "content-length": str(len(raw)), "connection": "close"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status} Told\r\n{lines}\r\n".encode() + raw


def completion(text: object = "Paris", finish: str | None = "stop", usage: object = None, **message: object) -> dict:
    """An OpenAI-shaped answer."""
    whole = {"role": "assistant", "content": text, **message}
    body: dict[str, Any] = {
        "id": "answer-1",
        "object": "chat.completion",
        "created": 1,
        "model": "served-model",
        "choices": [{"index": 0, "message": whole, "finish_reason": finish}],
    }
    if usage is not False:
        body["usage"] = usage or {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    return body


STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def chunk(text: str | None = None, finish: str | None = None, **more: object) -> bytes:
    """One event of an OpenAI-shaped stream."""
    delta = {"content": text} if text is not None else {}
    body = {
        "id": "answer-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "served-model",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n".encode()


def message(content: object, stop_reason: str | None = "end_turn", usage: object = None) -> dict:
    """An Anthropic-shaped answer."""
    body: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "served-model",
        "content": content,
        "stop_reason": stop_reason,
    }
    return body | {"usage": usage or {"input_tokens": 5, "output_tokens": 2}} if usage is not False else body


def event(kind: str, **more: object) -> bytes:
    """One event of an Anthropic-shaped stream."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more}, ensure_ascii=False)}\n\n".encode()
