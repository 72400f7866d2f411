"""A translated request, and what a shape of answers must be able to tell of one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx


@dataclass(frozen=True, slots=True)
class Request:
    """One translated request: where it goes, what it says, and the configuration that reads the answer."""

    provider: str
    model: str
    url: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    config: Any
    optional: Mapping[str, Any]
    known: Mapping[str, Any] = field(default_factory=dict)
    """What the configuration noted of the request, for reading its answer."""
    json_tool: bool = False
    """Whether a tool stands for the JSON schema that was asked for."""


@dataclass(slots=True)
class Told:
    """What an answer says of itself besides its text, in the provider's own words; `usage` in OpenAI's names, as the
    provider sent it in `raw`."""

    finish: Any = None
    usage: Any = None
    raw: Any = None
    tier: Any = None
    answered_by: Any = None
    request_id: Any = None
    refusal: Any = None


class Reading(Protocol):
    """Reads one answer of one shape: either `whole`, or `delta` by `delta`. May raise anything: the answer is then
    one that can't be read."""

    told: Told

    def lacks(self, body: Mapping[str, Any]) -> str | None:
        """What a whole answer must have and `body` hasn't; None where it has all."""

    def whole(self, body: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
        """The text and the tool calls of a whole answer."""

    def delta(self, event: dict[str, Any]) -> Any | None:
        """What one event of a stream adds, as LiteLLM's delta; None where it adds nothing."""


class Silent:
    """Stands where LiteLLM wants a logging object."""

    def __init__(self) -> None:
        self.model_call_details: dict[str, Any] = {}
        self.optional_params: dict[str, Any] = {}

    def post_call(self, *_args: object, **_more: object) -> None:
        """Nothing is logged: the ledger has it."""


class Answered(httpx.Response):
    """An answer that has been read, as LiteLLM wants it."""

    def __init__(self, body: Any):
        super().__init__(200, headers={"content-type": "application/json"})
        self._body = body

    def json(self, **_more: Any) -> Any:
        """The body."""
        return self._body

    @property
    def content(self) -> bytes:
        """The body, written again."""
        return json.dumps(self._body).encode()

    @property
    def text(self) -> str:
        """Nothing: LiteLLM logs it, and reads `json()`."""
        return ""
