"""What the protocols share: a script goes in, one JSON body or server-sent events come out."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from aiohttp import web

from lab.sim.script import Script, Step


class Speaker(ABC):
    """One answer under way, in one provider's words."""

    FINISHES: ClassVar[Mapping[str, str]] = {}
    """The words for a script's finishes, where they are not OpenAI's."""
    STREAM: ClassVar[str] = "text/event-stream"
    """The type of a stream."""

    def __init__(self, name: str, body: dict[str, Any], script: Script):
        self.name = name
        self.body = body
        self.script = script
        self.identity = hashlib.sha256(json.dumps(self.asked(body)["messages"], sort_keys=True).encode()).hexdigest()

    @classmethod
    @abstractmethod
    def asked(cls, body: dict[str, Any]) -> dict[str, Any]:
        """A request as the script sees it: `messages`, `max_tokens`, `seed`, and where they are asked for `schema`,
        `thinking` (an effort by name, or a budget in tokens), `tools` (each a `name` and its `parameters`), `results`
        (what tools have answered) and `stable`, the part of it that is marked to be cached. Raises ValueError for what
        is none."""

    @classmethod
    def addressed(cls, body: dict[str, Any], _address: Mapping[str, str]) -> dict[str, Any]:
        """The request, with what its address says of it."""
        return body

    @classmethod
    @abstractmethod
    def error(cls, status: int, code: str, message: str, headers: Mapping[str, str]) -> web.Response:
        """A refusal, as this provider words it."""

    @abstractmethod
    def whole(self) -> dict[str, Any]:
        """The plain answer."""

    @abstractmethod
    def events(self, step: Step) -> Iterator[str]:
        """What a step sends in a stream, event by event."""

    def told(self) -> dict[str, Any]:
        """The plain answer, or the error object that stands in its place."""
        errors = [step.text for step in self.script.steps if step.action == "error"]
        return {"error": {"message": errors[0], "type": "server_error"}} if errors else self.whole()

    def finish(self) -> str | None:
        """Why the answer ends, in this provider's words."""
        reason = self.script.finish.text if self.script.finish else None
        return self.FINISHES.get(reason, reason) if reason else None

    def packets(self, step: Step) -> Iterator[bytes]:
        """What a step puts on the wire, packet by packet."""
        for event in [step.text] if step.action == "raw" else self.events(step):
            if self.script.quirk == "crlf":
                event = event.replace("\n", "\r\n")
            raw = event.encode()
            if self.script.quirk == "split" and len(raw) > 12:
                yield raw[: len(raw) // 2]
                raw = raw[len(raw) // 2 :]
            yield raw

    @staticmethod
    def data(body: dict[str, Any], event: str | None = None) -> str:
        """One server-sent event."""
        named = f"event: {event}\n" if event else ""
        return f"{named}data: {json.dumps(body, ensure_ascii=False)}\n\n"

    @staticmethod
    def messages(messages: Any, name: str) -> list[Any]:
        """A list of messages that has one. Raises ValueError, naming the field, for anything else."""
        if not isinstance(messages, list) or not messages:
            raise ValueError(f"`{name}` is missing or empty")
        return messages
