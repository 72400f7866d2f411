"""What of a call's words is written: without secrets, after the user's own redaction, whole or as hashes and sizes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from lab import redact
from lab.aside import parsed
from lab.show.text import plain_text
from lab.values import Call

Keep = Literal["all", "hashes"] | float
"""`all`, `hashes` (with sizes), or the share of calls whose words are kept, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Payload:
    """The rule of one Lab. `keep`: whose prompts and answers are written; those of failed calls always are, and an
    answer that is to be given again, under a key or out of the cache. `redact` is applied to each text before it is
    written.
    """

    keep: Keep = "all"
    redact: Callable[[str], str] | None = None

    def __post_init__(self) -> None:
        share = isinstance(self.keep, int | float) and not isinstance(self.keep, bool) and 0 <= self.keep <= 1
        if self.keep not in ("all", "hashes") and not share:
            raise ValueError(f"keep={self.keep!r}: 'all', 'hashes', or the share of calls to keep, from 0 to 1")
        if self.redact is not None and not callable(self.redact):
            raise TypeError(f"redact={self.redact!r}: a function of a text that returns the text to keep")

    def whole(self, call: Call) -> bool:
        """Whether this call's words are written even if it succeeds; a call's lot is in its identifier."""
        if isinstance(self.keep, str):
            return self.keep == "all"
        return int(call.call_id[-8:], 16) / 16**8 < self.keep

    def plain(self, params: Mapping[str, Any] | None = None) -> Clean:
        """What texts go through that belong to no call; `params` may hold keys that are to be found in them."""
        return Clean(frozenset(redact.secrets(params or {})), self.redact)

    def clean(self, call: Call) -> Clean:
        """What every text of this call goes through."""
        return Clean(frozenset(redact.secrets(call.params)), self.redact)


def masked(value: Any) -> bool:
    """Whether something of a value was taken out when it was written."""
    return redact.MASK in json.dumps(value, ensure_ascii=False, default=str)


_NOTHING: Mapping[str, Any] = {}


class Said(NamedTuple):
    """An answer as it is written: its text, its tool calls as JSON, what was thought, and what its provider wants back,
    as JSON; None where there is none."""

    answer: str | None = None
    tool_calls: str | None = None
    reasoning: str | None = None
    extra: str | None = None


_NO_WORDS = ("role", "type")
"""Fields of a message that say what it is."""


@dataclass(frozen=True, slots=True)
class Clean:
    """Removes `secrets`, whatever is shaped like a key, and what `own` removes; a text on which `own` fails is not
    kept at all."""

    secrets: frozenset[str]
    own: Callable[[str], str] | None

    def without_secrets(self, text: str) -> str:
        """A text as it may leave the lab."""
        return redact.text(text, self.secrets)

    @staticmethod
    def params(values: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that are no keys and hold none, to be asked with again."""
        return {name: value for name, value in values.items() if redact.params({name: value}) == {name: value}}

    def text(self, text: str) -> str:
        """One text, as it may be written."""
        if text[:1] in ("{", "[") and "\\" in text:
            text = self._unescaped(text)
        masked = redact.text(text, self.secrets)
        if self.own is None or not masked:
            return masked
        try:
            mine = self.own(masked)
        except Exception as failed:  # a user's function: what it could not look at must not be written
            return f"[not kept: the redaction failed with {type(failed).__name__}]"
        return mine if isinstance(mine, str) else f"[not kept: the redaction returned {type(mine).__name__}]"

    def _unescaped(self, text: str) -> str:
        """JSON in a text, cleaned inside: what is to be removed may be written in escapes there."""
        try:
            return json.dumps(self.deep(parsed(text.encode("utf-8", "surrogatepass"))), ensure_ascii=False)
        except (ValueError, RecursionError):
            return text

    def deep(self, value: Any) -> Any:
        """A JSON value with each text in it cleaned."""
        return redact.deep(value, self.text, _NO_WORDS)

    def messages(self, call: Call) -> tuple[str, str]:
        """The messages as JSON, and as plain text."""
        cleaned = self.deep(call.messages)
        return json.dumps(cleaned, ensure_ascii=False, default=str), plain_text(cleaned)

    def answer(self, text: str, tools: Sequence[Any], reasoning: str = "", extra: Mapping[str, Any] = _NOTHING) -> Said:
        """The answer as it may be written. What its provider wants back is signed: it is kept as it is, or not at
        all."""
        called = json.dumps(self.deep(tools), ensure_ascii=False) if tools else None
        kept = json.dumps(extra, ensure_ascii=False, default=str) if extra else None
        if kept is not None and json.dumps(self.deep(json.loads(kept)), ensure_ascii=False) != kept:
            kept = None
        return Said(self.text(text) or None, called, self.text(reasoning) or None, kept)


def digest(call: Call, text: str, tools: Sequence[Any], reasoning: str = "") -> str:
    """In the place of words: SHA-256 and size (in characters) of each message, of the answer, of its tool calls, and of
    what was thought."""
    messages = [{"role": message.get("role"), **_digest(message.get("content"))} for message in call.messages]
    thought = {"reasoning": _digest(reasoning)} if reasoning else {}
    tools = [_digest(tool) for tool in tools]
    return json.dumps({"messages": messages, "answer": _digest(text), "tools": tools, **thought})


def _digest(content: Any) -> dict[str, Any]:
    text = content if isinstance(content, str) else json.dumps(content, sort_keys=True, default=str)
    return {"sha256": hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(), "characters": len(text)}
