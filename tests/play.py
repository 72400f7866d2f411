"""A provider that follows a script, on a clock that needs no waiting: for testing policies alone and in pairs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from random import Random

from lab import Policy, errors
from lab.policies.compose import LAYERS, held
from lab.policies.kernel import Memory, Try, World, composed
from lab.values import Answer, Call, Event, Usage

OFF = {
    "timeout": None,
    "retry": None,
    "hedge": None,
    "fallback": None,
    "repair": None,
    "limit": None,
    "breaker": None,
    "budget": None,
}


def only(**parts: object) -> Policy:
    """A policy with nothing on but these."""
    return Policy(**{**OFF, **parts})


@dataclass
class Step:
    """What one attempt does: wait, then fail or answer; streamed answers come in `pieces`, `gap` seconds apart."""

    wait: float = 1.0
    fail: Callable[[], errors.LabError] | None = None
    pieces: int = 1
    gap: float = 0.0
    cut_after: int | None = None


def fail(kind: str, wait: float = 1.0, **more: object) -> Step:
    """An attempt that fails with this kind."""
    return Step(wait, lambda: errors.BY_KIND[kind](kind, **more))


@dataclass
class Stage:
    """The scripted provider, and what it saw."""

    script: Callable[[Try, int], Step]
    tries: list[Try] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    closed: int = 0
    running: int = 0
    most_running: int = 0

    async def source(self, attempt: Try) -> AsyncGenerator[Event]:
        """One attempt."""
        loop = asyncio.get_running_loop()
        self.tries.append(attempt)
        self.at.append(loop.time())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        step = self.script(attempt, len(self.tries))
        try:
            yield Event("sent", loop.time())
            await asyncio.sleep(step.wait)
            if step.fail is not None and step.cut_after is None:
                raise step.fail()
            for number in range(step.pieces):
                if step.fail is not None and number == step.cut_after:
                    raise step.fail()
                yield Event("piece", loop.time(), text=f"{attempt.model}{number} ")
                await asyncio.sleep(step.gap)
            answer = Answer(text=f"{attempt.model}", finish_reason="stop", usage=Usage(input=10, output=10))
            yield Event("done", loop.time(), answer=answer, attempt=len(self.tries))
        finally:
            self.running -= 1
            self.closed += 1


@dataclass
class Outcome:
    """How one call ended, and when."""

    text: str = ""
    failure: errors.LabError | None = None
    took: float = 0.0
    winner: int = 0
    pieces: list[str] = field(default_factory=list)


class Player:
    """Calls through one policy's layers to a stage; state is kept between calls, as in a Lab."""

    def __init__(self, policy: Policy, *script: Step, seed: int = 0, rule: Callable[[Try, int], Step] | None = None):
        steps = list(script)
        self.stage = Stage(rule or (lambda _attempt, number: steps[min(number, len(steps)) - 1]))
        self.memory = Memory(Random(seed))
        self.world = World(settings=policy.settings(), memory=self.memory)
        self._proceed = composed(LAYERS, self.world, self.stage.source)

    def breakers(self) -> dict[str, str]:
        """The state of each model's breaker."""
        return {row["model"]: row["breaker"] for row in held(self.memory)}

    def queues(self) -> dict[str, tuple[int, int]]:
        """How many attempts run and wait, by model."""
        return {row["model"]: (row["running"], row["waiting"]) for row in held(self.memory)}

    async def call(self, *, streamed: bool = False, model: str = "m", **more: object) -> Outcome:
        """One call, to its end."""
        loop = asyncio.get_running_loop()
        start, out = loop.time(), Outcome()
        call = Call(call_id="c", model=model, messages=({"role": "user", "content": "hi"},), streamed=streamed, **more)
        events = self._proceed(Try(call=call, model=model))
        try:
            async for event in events:
                if event.kind == "piece":
                    out.pieces.append(event.text)
                if event.answer is not None:
                    out.text, out.winner = event.answer.text, event.attempt
        except errors.LabError as failure:
            out.failure = failure
        finally:
            await events.aclose()
        out.took = loop.time() - start
        return out
