"""What one request gets, step by step: decided before any of it is sent, so that a run repeats exactly."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Action = Literal["thought", "piece", "call", "finish", "raw", "error", "hang", "close", "reset"]
_ANSWER = ("piece", "call")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing the server does, `at` seconds after the request came.

    `thought` sends what is thought before the answer, `piece` text of it, `call` the call of a tool (`text` is JSON:
    `name`, `arguments`); `finish` ends the answer, `text` being the reason; `raw` sends `text` as it is; `error` sends
    an error event with `text`; `hang` says nothing more; `close` and `reset` end the connection.
    """

    at: float
    action: Action
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A whole answer, not yet in any provider's words.

    `status` other than 200 is a refusal: `message`, `code` and `headers` say why. `body` replaces a plain answer's
    bytes. `quirk` names a harmless oddity of the stream. `content` None is a null.
    `cache_read` and `cache_write` are of the prompt's tokens.
    """

    steps: tuple[Step, ...]
    prompt_tokens: int
    status: int = 200
    message: str = ""
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    short: bool = False
    choices: bool = True
    content: Literal["text", "null"] = "text"
    refusal: str | None = None
    usage: bool = True
    cache_read: int = 0
    cache_write: int = 0
    quirk: str = ""

    def refused(self, status: int, code: str, message: str, **headers: str) -> Script:
        """The same request, refused as soon as it has come."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, status=status, code=code, message=message, headers=named)

    @property
    def text(self) -> str:
        """The answer, whole."""
        return "".join(step.text for step in self.steps if step.action == "piece")

    @property
    def thoughts(self) -> str:
        """What is thought before it, whole."""
        return "".join(step.text for step in self.steps if step.action == "thought")

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls of tools: `name` and `arguments`."""
        return [json.loads(step.text) for step in self.steps if step.action == "call"]

    @property
    def pieces(self) -> int:
        """How many parts the answer comes in: pieces of text, and calls."""
        return sum(step.action in _ANSWER for step in self.steps)

    @property
    def thought(self) -> int:
        """How many tokens are thought."""
        return sum(step.action == "thought" for step in self.steps)

    @property
    def tokens(self) -> int:
        """How many tokens the answer has."""
        called = sum(len(step.text) // 4 for step in self.steps if step.action == "call")
        return called + sum(step.action == "piece" for step in self.steps)

    @property
    def first(self) -> float:
        """When the first token is due, of a thought or of the answer, in seconds after the request came."""
        return next((step.at for step in self.steps if step.action in ("thought", *_ANSWER)), 0.0)

    @property
    def thinking(self) -> float:
        """Seconds from the first token of a thought to the first of the answer; 0 where nothing is thought."""
        answer = next((step.at for step in self.steps if step.action in _ANSWER), self.first)
        return answer - self.first if self.thought else 0.0

    @property
    def finish(self) -> Step | None:
        """How the answer ends, if it does."""
        return next((step for step in self.steps if step.action == "finish"), None)

    def until(self, count: int, *then: Step) -> Script:
        """What is thought, the first `count` parts of the answer, and then something else."""
        thoughts = [step for step in self.steps if step.action == "thought"] if count else []
        return replace(self, steps=(*thoughts, *self.parts()[:count], *then))

    def parts(self) -> list[Step]:
        """The parts of the answer."""
        return [step for step in self.steps if step.action in _ANSWER]

    def delayed(self, factor: float) -> Script:
        """Every step later, by this factor."""
        return replace(self, steps=tuple(replace(step, at=step.at * factor) for step in self.steps))
