"""What one request gets, step by step: decided before any of it is sent, so that a run repeats exactly."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

Action = Literal["piece", "finish", "raw", "error", "hang", "close", "reset"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing the server does, `at` seconds after the request came.

    `piece` sends text; `finish` ends the answer, `text` being the reason; `raw` sends `text` as it is; `error` sends
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
    def pieces(self) -> int:
        """How many tokens are sent."""
        return sum(step.action == "piece" for step in self.steps)

    @property
    def first(self) -> float:
        """When the first piece is due, in seconds after the request came."""
        return next((step.at for step in self.steps if step.action == "piece"), 0.0)

    @property
    def finish(self) -> Step | None:
        """How the answer ends, if it does."""
        return next((step for step in self.steps if step.action == "finish"), None)

    def until(self, count: int, *then: Step) -> Script:
        """The first `count` pieces, and then something else."""
        kept = [step for step in self.steps if step.action == "piece"][:count]
        return replace(self, steps=(*kept, *then))

    def delayed(self, factor: float) -> Script:
        """Every step later, by this factor."""
        return replace(self, steps=tuple(replace(step, at=step.at * factor) for step in self.steps))
