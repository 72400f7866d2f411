"""A call to be written, its request, and what a dialect must be able to tell of the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A call on its way into its provider's words: the `model` as its caller wrote it, the `name` it has there; its
    parameters as they were given (`params`) and as the `config`, LiteLLM's, has mapped them (`optional`), and the names
    of those it knows (`supported`). `messages`, `params` and `optional` are the dialect's own to change."""

    model: str
    provider: str
    name: str
    config: Any
    messages: list[dict[str, Any]]
    params: Mapping[str, Any]
    optional: dict[str, Any] = field(default_factory=dict)
    supported: frozenset[str] = frozenset()
    base: str | None = None
    key: str | None = None
    streamed: bool = False

    @property
    def headers(self) -> dict[str, Any]:
        """Those that the caller adds."""
        return dict(self.params.get("extra_headers") or {})


@dataclass(frozen=True, slots=True)
class Request:
    """One translated request: where it goes, what it says, and what reads the answer: `reading`, by the `config` that
    wrote it. `lines`: a stream is JSON objects, a line each, and no events."""

    provider: str
    model: str
    url: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    config: Any
    optional: Mapping[str, Any]
    reading: Callable[[Request, list[dict[str, Any]]], Reading]
    known: Mapping[str, Any] = field(default_factory=dict)
    """What the configuration noted of the request, for reading its answer."""
    json_tool: bool = False
    """Whether a tool stands for the JSON schema that was asked for."""
    lines: bool = False


@dataclass(slots=True)
class Told:
    """What an answer says of itself besides its text, in the provider's own words; `usage` in OpenAI's names, as the
    provider sent it in `raw`. `charged` is US dollars, where the provider says what it took; `filtered` what its filter
    found; `error` is one that an event says where no field of that name does; `extra` what it wants to be handed back
    with the answer, as fields of an assistant's message."""

    finish: Any = None
    usage: Any = None
    raw: Any = None
    tier: Any = None
    answered_by: Any = None
    request_id: Any = None
    refusal: Any = None
    charged: Any = None
    filtered: str | None = None
    error: Any = None
    ended: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Part:
    """What an answer, or one event of it, brings: text, thoughts, and tool calls or pieces of them."""

    text: str = ""
    reasoning: str = ""
    tools: list[dict[str, Any]] = field(default_factory=list)


class Reading(Protocol):
    """Reads one answer in one dialect: either `whole`, or `delta` by `delta`. May raise anything: the answer is then
    one that can't be read. `told.ended` is set where an event says that no other follows."""

    told: Told

    def lacks(self, body: Mapping[str, Any]) -> str | None:
        """What a whole answer must have and `body` hasn't; None where it has all."""

    def whole(self, body: dict[str, Any]) -> Part:
        """The whole answer."""

    def delta(self, event: dict[str, Any]) -> Part | None:
        """What one event of a stream adds; None where it adds nothing."""

    def rest(self) -> Part:
        """What was held back, once the stream has ended."""


def of_message(message: Any) -> Part:
    """A part out of LiteLLM's message or delta."""
    tools = [tool.model_dump() for tool in message.tool_calls or ()]
    return Part(message.content or "", getattr(message, "reasoning_content", None) or "", tools)


class Reader:
    """What readings share: what is told, and that nothing is held back."""

    def __init__(self, request: Request, messages: list[dict[str, Any]]):
        self.told = Told()
        self._request, self._messages = request, messages

    def rest(self) -> Part:
        """What was held back, once the stream has ended: nothing."""
        return Part()


def written_out(headers: Mapping[Any, Any]) -> dict[str, str]:
    """Headers as texts."""
    return {str(name): str(value) for name, value in headers.items()}


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
