"""What is sent becomes shorter: what loses nothing, and the passages that the question doesn't need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from lab.policies.cache import named
from lab.policies.kernel import Layer, Proceed, Settings, World, changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Compress:
    """Fewer tokens in what a prompt is filled in with.

    `to`: the share of the passages' length that stays, above 0 and at most 1: whole passages, in their order, those
    that the question needs most by words and by meaning; None leaves all of them. It looks at the variable that the
    prompt says holds passages, `Prompt(..., passages="context", question="question")`, or at messages that are marked
    so (`{"role": "user", "content": ..., "passages": True}`), and at nothing else: instructions stay, and so does what
    stands in front of a mark for the provider's own cache. `lossless`: JSON without blanks, records as CSV where every
    value comes back equal, repeated passages once. `embed`: `local/minilm` on this machine, which reads English
    (passages in other languages stay), a LiteLLM embedding model, or a function of a text that returns numbers; vectors
    are remembered by content. Whether it is safe for your questions says `lab.gate(before, after)`.
    """

    to: float | None = 0.25
    lossless: bool = True
    embed: str | Callable[[str], Any] = "local/minilm"

    def __post_init__(self) -> None:
        right = isinstance(self.to, int | float) and not isinstance(self.to, bool) and 0 < self.to <= 1
        if self.to is not None and not right:
            raise ValueError(f"Compress(to={self.to!r}): a share above 0 and at most 1, such as 0.25, or None")
        if not isinstance(self.lossless, bool):
            raise ValueError(f"Compress(lossless={self.lossless!r}): True or False")
        given: Any = self.embed
        if not ((isinstance(given, str) and given.strip()) or callable(given)):
            raise ValueError(f"Compress(embed={given!r}): the name of a model, or a function")

    def content(self) -> dict[str, Any]:
        """As plain JSON values; of a function its name alone, which can't be read back."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return plain | ({"embed": {"function": named(self.embed)}} if callable(self.embed) else {})


def _around(world: World, below: Proceed) -> Proceed:
    shortener = world.shortener
    if shortener is None or world.settings.of(Compress) is None:
        return below
    return lambda attempt: changed(shortener, attempt, below)


def _says(settings: Settings) -> str | None:
    compress = settings.of(Compress)
    if compress is None:
        return None
    parts = ["JSON and repeated passages shorter"] if compress.lossless else []
    parts += [f"of passages the {compress.to:.0%} that the question needs"] if compress.to is not None else []
    return ", ".join(parts) or "nothing"


LAYER = Layer("compress", _around, _says)
