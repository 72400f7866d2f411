"""A plain function in a provider's place: for tests, demonstrations, and what answers without a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from lab.values import Answer, Call, Event, Price, Usage


@dataclass(frozen=True, slots=True)
class Function:
    """A plain (or async) function `Call -> str | Answer` in a provider's place; its vectors, where it embeds."""

    function: Callable[[Call], Any]

    async def ready(self, call: Call) -> None:
        """At once: nothing is loaded."""

    async def open(self, call: Call, *, connect: float | None = None) -> AsyncGenerator[Event]:
        """One attempt: the whole answer is its only piece."""
        loop = asyncio.get_running_loop()
        yield Event("sent", loop.time(), way="function")
        returned = self.function(call)
        returned = await returned if isinstance(returned, Awaitable) else returned
        if call.embeds:
            yield Event(
                "done", loop.time(), answer=Answer(text="", finish_reason="stop", usage=Usage()), value=returned
            )
            return
        answer = (
            returned if isinstance(returned, Answer) else Answer(text=returned, finish_reason="stop", usage=Usage())
        )
        if answer.text:
            yield Event("piece", loop.time(), text=answer.text)
        yield Event("done", loop.time(), answer=answer)

    async def worst_case(self, call: Call) -> float | None:
        """A function's price is not known."""
        return None

    async def price(self, call: Call) -> Price | None:
        """Nor what a token costs."""
        return None

    async def embed(self, model: str, text: str) -> tuple[Any, float | None]:
        """A model's, as anywhere: see `lab.provider.embedding.embedded`."""
        from lab.provider.embedding import embedded  # its clients are slow to import, and a function needs none

        return await embedded(model, text)

    async def tokens(self, text: str) -> int:
        """At four characters each."""
        return -(-len(text) // 4)

    async def close(self) -> None:
        """Nothing to let go of."""
