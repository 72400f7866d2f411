"""Each attempt of a call as it goes by: timed, costed, and checked to be an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from lab import errors
from lab.call.lag import LagMeter
from lab.ledger.journal import Journal
from lab.policies.kernel import Events, Findings, Proceed, Try
from lab.show.text import plain_text, shortened
from lab.values import Answer, Attempt, Call, Checked, Event, Price, Usage

BATCH = "batch"
"""The way of an attempt that went through a provider's batch service: such a one has no times."""
SATURATED = 0.1
"""Share of an attempt's first-token time (or latency) that the client's own lag may be before it is marked."""


class Source(Protocol):
    """Where answers come from: `lab.provider.source.Provider`, or a function in its place."""

    async def ready(self, call: Call) -> None:
        """Return once what has to be loaded for such a call, once, is loaded, or can't be: `open` says why."""

    def open(self, call: Call, *, connect: float | None = None) -> AsyncGenerator[Event]:
        """One attempt, as its events."""

    async def worst_case(self, call: Call) -> float | None:
        """The most that one attempt of `call` can cost, in US dollars; None where no price is known."""

    async def price(self, call: Call) -> Price | None:
        """US dollars a token of `call`'s model; None where it isn't known."""

    async def embed(self, model: str, text: str) -> tuple[Any, float | None]:
        """The embedding of a text by a model's name, as numbers, and what it cost in US dollars, if that is known."""

    async def tokens(self, text: str) -> int:
        """About how many tokens a text is."""

    async def close(self) -> None:
        """Let go of what it holds."""


@dataclass(slots=True)
class Recorder:
    """The attempts of one call, measured; each goes into the call's journal as it changes."""

    call: Call
    source: Source
    journal: Journal
    lag: LagMeter
    connect: float | None
    attempts: list[Attempt] = field(default_factory=list)
    first_sent: float | None = None
    """When the first request left, in Unix time."""
    besides: float | None = 0.0
    """US dollars that the call has cost beside its attempts, such as for an embedding; None where that isn't known."""
    _seen: list[_Seen] = field(default_factory=list)
    _checks: dict[int, Sequence[Checked]] = field(default_factory=dict)
    _when_over: list[Callable[[], None]] = field(default_factory=list)

    def open(self, attempt: Try) -> Events:
        """One attempt, straight from the source."""
        return self.source.open(self._call(attempt), connect=self.connect)

    def around(self, proceed: Proceed) -> Proceed:
        """`proceed`, each of its attempts recorded."""
        return partial(self._attempt, proceed)

    def _call(self, attempt: Try) -> Call:
        """The call as this attempt sends it: its model, and its key on to the provider (a hedge is a request of
        its own, and would wait for the first under the same key)."""
        call = attempt.call
        if call.key is not None:
            key = f"{call.key}-hedge" if attempt.role == "hedge" else call.key
            headers = {"Idempotency-Key": key, **(call.params.get("extra_headers") or {})}
            call = replace(call, params={**call.params, "extra_headers": headers})
        return call if attempt.model == call.model else replace(call, model=attempt.model)

    async def _attempt(self, proceed: Proceed, attempt: Try) -> Events:
        """The events of one attempt, recorded. A plain answer is handed up only once it is known to be one."""
        call = self._call(attempt)
        row = Attempt(
            call_id=call.call_id,
            number=len(self.attempts) + 1,
            model=attempt.model,
            role=attempt.role,
            wait=attempt.wait,
            started_at=time.time(),
        )
        seen = _Seen(call, asyncio.get_running_loop().time())
        self.attempts.append(row)
        self._seen.append(seen)
        events = proceed(attempt)
        self.lag.__enter__()  # a loser may run on when its call, which watches too, has ended
        try:
            async for event in events:
                self._note(row, seen, event)
                if event.answer is not None:
                    value = _vectors_of(call, event.value) if call.embeds else event.value
                    row.answer, row.cost = event.answer, event.answer.cost
                    price = event.answer.price
                    guessed = event.answer.usage.estimated or (price is not None and price.estimated)
                    row.cost_estimated = guessed and event.answer.charged is None
                    _check_content(call, event.answer)
                    row.status = "ok"
                    if seen.held is not None:
                        yield seen.held
                    yield replace(event, attempt=row.number, value=value)
                elif event.kind == "piece" and not call.streamed:
                    seen.held = event
                else:
                    yield event
        except errors.LabError as failure:
            await self._blame(row, seen, failure)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            if row.status == "running":
                row.status = "cancelled"
            raise
        except Exception as bug:  # no failure of the call's: it is put on record, and goes on up
            row.status, row.error = "failed", f"{type(bug).__name__}: {bug}"
            raise
        finally:
            self._finish(row, seen)
            self.lag.__exit__()
            seen.over = True
            if all(other.over for other in self._seen):
                while self._when_over:
                    self._when_over.pop()()
            await events.aclose()

    def _note(self, row: Attempt, seen: _Seen, event: Event) -> None:
        if event.kind == "sent":
            seen.sent, seen.price = event.at, event.price
            row.way, row.form, row.started_at = event.way, event.form, time.time()
            if event.way == BATCH:  # it has been there for long
                row.started_at -= asyncio.get_running_loop().time() - event.at
            else:
                self.first_sent = self.first_sent or row.started_at
            self.journal.attempt(row)
        elif event.kind == "headers":
            row.http_status, row.connect = event.status, event.connect
        elif event.kind in ("thought", "token", "piece"):
            first = row.ttft is None
            if first and self.call.streamed:
                row.ttft = event.at - seen.sent
            if event.kind == "thought":
                seen.thoughts.append(event.text)
                seen.thinks_since = event.at if first else seen.thinks_since
            elif seen.thinks_since is not None and row.thinking is None:
                row.thinking = event.at - seen.thinks_since
            if event.kind == "piece":
                seen.parts.append(event.text)
        elif event.kind == "done" and row.way != BATCH:
            row.latency = event.at - seen.sent

    def _finish(self, row: Attempt, seen: _Seen) -> None:
        """Whatever way it ended: its last figures, and its row."""
        row.partial, row.thoughts = "".join(seen.parts), "".join(seen.thoughts)
        if row.way is None:
            return
        if seen.thinks_since is not None and row.thinking is None:  # it never came to its answer
            row.thinking = (asyncio.get_running_loop().time() if row.latency is None else seen.sent + row.latency) - (
                seen.thinks_since
            )
        if row.way != BATCH:  # how long it stood in a batch says nothing of the model
            if row.latency is None:
                row.latency = asyncio.get_running_loop().time() - seen.sent
            row.loop_lag = self.lag.worst(seen.sent)
            row.saturated = saturated(row.loop_lag, row.ttft, row.latency)
        if row.answer is None:
            row.cost, row.cost_estimated = _cost_without_answer(row, seen), True
        self.journal.attempt_ended(row, self.cost(), self.cost_estimated())

    async def _blame(self, row: Attempt, seen: _Seen, failure: errors.LabError) -> None:
        """Write the failure onto the attempt; keep the text that had come on the failure."""
        failure.partial = failure.partial or "".join(seen.parts)
        await self.journal.cleaned(failure)
        row.status, row.kind, row.phase, row.reason = "failed", failure.kind, failure.phase, failure.reason
        row.error, row.body = str(failure), failure.body
        row.http_status = failure.status or row.http_status
        row.retry_after = failure.retry_after

    def examined(self, number: int, findings: Findings) -> None:
        """What the checks found in the answer of attempt `number`; where something is wrong it is the attempt's
        failure, until the call takes that answer all the same."""
        self._checks[number] = findings.checks
        self.journal.checked(number, findings.checks)
        if wrong := findings.wrong():
            row = self.attempts[number - 1]
            row.status, row.kind, row.error = "failed", "validation", shortened("; ".join(wrong), 2000)
            self.journal.attempt(row)

    def won(self, number: int) -> Attempt:
        """The attempt whose answer the call takes; one that did not pass its checks is no failure then."""
        row = self.attempts[number - 1]
        row.won = True
        if row.kind == "validation":
            row.status, row.kind, row.error = "ok", None, None
        self.journal.attempt(row)
        return row

    def lost(self, row: Attempt) -> None:
        """The call takes another's answer after all."""
        row.won = False
        self.journal.attempt(row)

    def ran_out(self, failure: errors.LabError) -> None:
        """The call's time is over: that is what the attempt under way, which was cancelled for it, has failed by."""
        row = self.last()
        if failure.phase == "total" and row is not None and row.status == "cancelled":
            failure.partial = failure.partial or row.partial
            row.status, row.kind, row.phase, row.error = "failed", failure.kind, "total", str(failure)
            self.journal.attempt(row)

    def passed(self, row: Attempt | None) -> bool | None:
        """Whether the answer of an attempt passed every check; None where nothing looked at it."""
        checks = self._checks.get(row.number) if row else None
        return None if checks is None else all(check.passed for check in checks)

    def sent(self) -> list[Attempt]:
        """The attempts that left this machine."""
        return [row for row in self.attempts if row.way is not None]

    def last(self) -> Attempt | None:
        """The last of those."""
        return next(reversed(self.sent()), None)

    def cost(self) -> float | None:
        """US dollars for all attempts, an estimate for one that still runs; None where one of them is unknown."""
        costs = [
            _cost_without_answer(row, seen) if row.status == "running" else row.cost
            for row, seen in zip(self.attempts, self._seen, strict=True)
            if row.way is not None
        ]
        costs.append(self.besides)
        return None if any(cost is None for cost in costs) else float(sum(cost or 0.0 for cost in costs))

    def when_over(self, act: Callable[[], None]) -> None:
        """`act` when no attempt runs any more: now, or once a loser that runs on has ended."""
        if all(seen.over for seen in self._seen):
            act()
        else:
            self._when_over.append(act)

    def cost_estimated(self) -> bool:
        """Whether a part of that is an estimate."""
        return any(row.cost_estimated or row.status == "running" for row in self.sent())


def saturated(lag: float, ttft: float | None, latency: float | None) -> bool:
    """Whether the client's own lag is too large a part of what was measured; all in seconds."""
    return lag > SATURATED * (ttft or latency or 0.0)


@dataclass(slots=True)
class _Seen:
    """What has gone by in one attempt. `sent` is when its request left and `thinks_since` when the first token of a
    thought came, on the loop's clock."""

    call: Call
    sent: float
    price: Price | None = None
    parts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    thinks_since: float | None = None
    held: Event | None = None
    over: bool = False


def _cost_without_answer(row: Attempt, seen: _Seen) -> float | None:
    """What a provider may charge for a request that brought no whole answer: nothing for one it refused, else
    what was sent and what had come, at four characters a token."""
    refused = row.http_status is not None and row.http_status >= 300
    if (
        refused
        or (row.kind == "timeout" and row.phase == "connect")
        or row.phase == "batch"  # it was over before this was asked
        or (row.kind == "transport" and row.http_status is None)
    ):
        return 0.0
    if seen.price is None:
        return None
    asked = len(plain_text(seen.call.messages)) // 4 + 1
    came, thought = ((len("".join(parts)) + 3) // 4 for parts in (seen.parts, seen.thoughts))
    return seen.price.cost(Usage(input=asked, output=came, reasoning=thought))


def _vectors_of(call: Call, rows: Any) -> list[Any]:
    """What came for a call that embeds, as vectors (float32), one for each of its texts and all as long. Raises
    `MalformedError` for anything else."""
    import numpy as np  # slow to import, and only who embeds needs it

    try:
        vectors = [np.asarray(row, dtype="<f4") for row in rows]
    except (TypeError, ValueError) as odd:
        raise errors.MalformedError(f"{call.model}: an embedding is no list of numbers: {odd}") from odd
    if len(vectors) != len(call.messages) or len({vector.shape for vector in vectors}) != 1 or vectors[0].ndim != 1:
        raise errors.MalformedError(
            f"{call.model}: {len(vectors)} embeddings of {len(call.messages)} texts, or not all as long"
        )
    return vectors


def _check_content(call: Call, answer: Answer) -> None:
    """Raise `ContentError` for an answer that came whole and is still not one."""
    if call.embeds:
        return
    if answer.refusal:
        why = shortened(" ".join(answer.refusal.split()), 200)
        raise errors.ContentError(f"{call.model} refused: {why}", reason="refused")
    if answer.finish_reason == "content_filter":
        why = f": {answer.filtered}" if answer.filtered else ""
        raise errors.ContentError(f"{call.model}: the provider's filter stopped the answer{why}", reason="filtered")
    if answer.finish_reason == "length":
        thought = f", {answer.usage.reasoning} of them thought" if answer.usage.reasoning else ""
        raise errors.ContentError(
            f"{call.model}: the answer was cut at {answer.usage.output_tokens} tokens{thought}: raise `max_tokens`",
            reason="truncated",
        )
    if (not answer.text or answer.text.isspace()) and not answer.tool_calls:
        raise errors.ContentError(f"{call.model}: the answer is empty", reason="empty")
