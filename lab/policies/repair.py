"""Telling the model what was wrong with its answer, and asking again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from lab import errors
from lab.policies.kernel import Events, Examine, Findings, Layer, Proceed, Settings, Try, World
from lab.policies.validate import among, whole_number
from lab.show.text import shortened
from lab.values import Event

Then = Literal["raise", "return"]
COMPLAINT = 4_000
"""Characters of what was wrong that it is told."""
QUOTED = 20_000
"""Characters of a wrong answer that are shown to the model again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """How often an answer that fails its checks is asked for: `attempts` counts all of them, the first included.

    Each further one is shown the last answer and what was wrong with it. When none passes, `then` says what happens:
    `raise` a `ValidationError` (a `Fallback` may go on from there), or `return` the last answer, marked: its `checks`
    say what is wrong and `valid` is False. An answer handed out piece by piece is checked at its end and not repaired.
    """

    attempts: int = 2
    then: Then = "raise"

    def __post_init__(self) -> None:
        whole_number(self, "attempts", least=1)
        among(self, "then", get_args(Then))


async def repaired(repair: Repair, examine: Examine, attempt: Try, proceed: Proceed) -> Events:
    """`proceed`, its answer examined; again with what was wrong, where that may help."""
    before: list[Event] | None = None
    asked = attempt
    for nth in range(1, repair.attempts + 1):
        done: Event | None = None
        held: list[Event] = []
        events = proceed(asked)
        try:
            async for event in events:
                if event.answer is not None:
                    done = event
                elif event.kind == "piece" and not attempt.call.streamed:
                    held.append(event)
                else:
                    yield event
        except errors.LabError:
            if before is None or repair.then != "return":
                raise
            for event in before:  # an answer that was paid for, if a wrong one
                yield event
            return
        finally:
            await events.aclose()
        assert done is not None, "a source ends with `done` or raises"
        assert done.answer is not None
        findings = await examine(done)
        last = nth == repair.attempts or attempt.call.streamed or findings.broken
        if findings.passed or (last and repair.then == "return" and not findings.broken):
            for event in (*held, replace(done, value=findings.value, checks=findings.checks)):
                yield event
            return
        before = [*held, replace(done, value=findings.value, checks=findings.checks)]
        if last:
            raise failure(attempt.model, findings, done.answer.text, nth)
        messages = again(attempt.call.messages, done.answer.text, findings.wrong())
        asked = replace(attempt, role="repair", call=replace(attempt.call, messages=messages))


def failure(model: str, findings: Findings, text: str, asked: int) -> errors.ValidationError:
    """The failure that an answer ends in which did not pass."""
    often = "" if asked == 1 else f", asked {asked} times"
    message = f"{model}: the answer fails its checks{often}: {'; '.join(findings.wrong())}"
    return errors.ValidationError(shortened(message, 2000), checks=findings.checks, partial=text)


def again(messages: Sequence[Any], text: str, wrong: Sequence[str]) -> tuple[Any, ...]:
    """The conversation that asks for a better answer: what was asked, the last answer, and what is wrong with it."""
    problems = shortened("\n".join(f"- {problem}" for problem in wrong), COMPLAINT)
    complaint = (
        f"That answer can't be used:\n{problems}\nGive the whole answer again, with this put right, and nothing else."
    )
    shown = text[:QUOTED] if text.strip() else "(nothing)"
    return (*messages, {"role": "assistant", "content": shown}, {"role": "user", "content": complaint})


def _around(world: World, below: Proceed) -> Proceed:
    """Where something looks at the answer it is looked at, if only once."""
    examine = world.examine
    if examine is None:
        return below
    repair = world.settings.of(Repair) or Repair(attempts=1)
    return lambda attempt: repaired(repair, examine, attempt, below)


def _says(settings: Settings) -> str | None:
    repair = settings.of(Repair)
    if repair is None or not settings.checked:
        return None
    end = "fails" if repair.then == "raise" else "is returned, marked"
    return f"{repair.attempts} answers, each told what was wrong with the last; then it {end}"


LAYER = Layer("repair", _around, _says)
