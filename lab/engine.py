"""A call through its policies to a provider, and onto the ledger."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from lab import errors, ledger, redact
from lab.loop import LagMeter
from lab.model import Answer, Attempt, Call, Event, Reply
from lab.policies import Policy, Timeout
from lab.policies.timeout import bounded

SATURATED = 0.1
"""Share of an attempt's first-token time (or latency) that the client's own lag may be before it is marked."""

Deliver = Callable[[str], None]


class Source(Protocol):
    """Where answers come from: `lab.provider.Provider`, or a function wrapped by `stand_in`."""

    def open(self, call: Call, *, connect: float | None = None) -> AsyncGenerator[Event]:
        """One attempt, as its events."""

    async def close(self) -> None:
        """Let go of what it holds."""


@dataclass(frozen=True, slots=True)
class stand_in:
    """A plain (or async) function `Call -> str | Answer` in a provider's place."""

    function: Callable[[Call], Any]

    async def open(self, call: Call, *, connect: float | None = None) -> AsyncGenerator[Event]:
        """One attempt: the whole answer is its only piece."""
        from lab.model import Usage

        loop = asyncio.get_running_loop()
        yield Event("sent", loop.time(), way="function")
        found = self.function(call)
        found = await found if isinstance(found, Awaitable) else found
        answer = found if isinstance(found, Answer) else Answer(text=found, finish_reason="stop", usage=Usage())
        if answer.text:
            yield Event("piece", loop.time(), text=answer.text)
        yield Event("done", loop.time(), answer=answer)

    async def close(self) -> None:
        """Nothing to let go of."""


class Engine:
    """Runs calls on one event loop."""

    def __init__(self, source: Source, book: ledger.Ledger):
        self._source = source
        self._ledger = book
        self._lag = LagMeter()

    async def run(self, call: Call, policy: Policy, deliver: Deliver | None = None) -> Reply:
        """One call, whole: its rows are on disk before this returns or raises.

        `deliver` is called with each piece of text as it arrives.
        """
        began, clock = time.time(), asyncio.get_running_loop().time()
        config, content = configuration(call, policy)
        self._ledger.submit(*ledger.begin_call(call, began, config, content))
        attempt = Attempt(call_id=call.call_id, number=1, model=call.model, started_at=began)
        texts: list[str] = []
        try:
            with self._lag:
                answer = await self._attempt(call, policy.timeout or _NO_LIMITS, attempt, clock, texts, deliver)
        except errors.LabError as failure:
            _blame(attempt, failure, "".join(texts), call)
            done = self._put_end(call, attempt, began, "".join(texts))
            await _on_disk(done, attempt, None, failure)
            raise
        except Exception as bug:  # no failure of the call's: it is put on record, and goes on up
            attempt.status, attempt.error = (
                "failed",
                redact.text(f"{type(bug).__name__}: {bug}", redact.secrets(call.params)),
            )
            self._put_end(call, attempt, began, "".join(texts))
            raise
        except asyncio.CancelledError:
            attempt.status = "cancelled"
            self._put_end(call, attempt, began, "".join(texts))  # queued, not awaited: nobody waits for this call
            raise
        reply = _reply(call, attempt, answer, began)
        await _on_disk(self._put_end(call, attempt, began, answer.text), attempt, reply, None)
        return reply

    async def _attempt(
        self,
        call: Call,
        timeout: Timeout,
        attempt: Attempt,
        clock: float,
        texts: list[str],
        deliver: Deliver | None,
    ) -> Answer:
        """Fill in `attempt` from its events; return the answer once it is known to be one."""
        deadline = None if timeout.total is None else clock + timeout.total
        events = bounded(
            timeout,
            self._source.open(call, connect=timeout.connect),
            model=call.model,
            streamed=call.streamed,
            deadline=deadline,
        )
        sent, answer = clock, None
        try:
            async for event in events:
                if event.kind == "sent":
                    sent, attempt.way, attempt.started_at = event.at, event.way, time.time()
                    self._ledger.submit(*ledger.put_attempt(attempt))
                elif event.kind == "headers":
                    attempt.http_status, attempt.connect = event.status, event.connect
                elif event.kind == "piece":
                    if attempt.ttft is None and call.streamed:
                        attempt.ttft = event.at - sent
                    texts.append(event.text)
                    if deliver is not None:
                        deliver(event.text)
                elif event.kind == "done":
                    answer, attempt.latency = event.answer, event.at - sent
        finally:
            if attempt.latency is None and attempt.way is not None:
                attempt.latency = asyncio.get_running_loop().time() - sent
            attempt.loop_lag = self._lag.worst(sent)
            attempt.saturated = attempt.loop_lag > SATURATED * (attempt.ttft or attempt.latency or 0.0)
            await events.aclose()
        assert answer is not None, "a source ends with `done` or raises"
        attempt.answer, attempt.cost, attempt.cost_estimated = answer, answer.cost, answer.usage.estimated
        _check_content(call, answer)
        attempt.status, attempt.won = "ok", True
        return answer

    def _put_end(self, call: Call, attempt: Attempt, began: float, text: str) -> Future[None]:
        """Queue the rows that say how the call ended."""
        sent = attempt.way is not None
        answer = attempt.answer
        values: dict[str, Any] = {
            "ended_at": time.time(),
            "status": attempt.status,
            "kind": attempt.kind,
            "phase": attempt.phase,
            "reason": attempt.reason,
            "error": attempt.error,
            "n_attempts": int(sent),
            "latency": attempt.latency,
            "ttft": attempt.ttft,
            "queue": attempt.started_at - began if sent else None,
            "cost": attempt.cost if sent else 0.0,
            "cost_estimated": attempt.cost_estimated,
        }
        if answer is not None:
            values |= {
                "answered_by": answer.answered_by,
                "finish_reason": answer.finish_reason,
                "input_tokens": answer.usage.input_tokens,
                "output_tokens": answer.usage.output_tokens,
            }
        statements = ledger.put_attempt(attempt) if sent else []
        tool_calls = answer.tool_calls if answer else ()
        return self._ledger.submit(*statements, *ledger.end_call(call.call_id, values, text or None, tool_calls))


async def _on_disk(done: Future[None], attempt: Attempt, reply: Reply | None, failure: errors.LabError | None) -> None:
    """Wait for the commit. Raises `LedgerError`, with the reply that was paid for, where it fails."""
    try:
        await asyncio.wrap_future(done)
    except errors.LedgerError as unwritten:
        raise errors.LedgerError(f"{unwritten} (the call itself: {attempt.status})", reply=reply) from failure


def configuration(call: Call, policy: Policy) -> tuple[str, str]:
    """The configuration a call ran under: a hash of its content, and the content as JSON with secrets masked."""
    content = json.dumps(
        {"model": call.model, "params": redact.params(call.params), "policy": policy.content()},
        sort_keys=True,
        default=str,
        ensure_ascii=False,
    )
    return hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:12], content


def _check_content(call: Call, answer: Answer) -> None:
    """Raise `ContentError` for an answer that came whole and is still not one."""
    if answer.refusal:
        raise errors.ContentError(f"{call.model} refused: {answer.refusal[:200]}", reason="refused")
    if answer.finish_reason == "content_filter":
        raise errors.ContentError(f"{call.model}: the provider's filter stopped the answer", reason="filtered")
    if answer.finish_reason == "length":
        raise errors.ContentError(
            f"{call.model}: the answer was cut at {answer.usage.output_tokens} tokens: raise `max_tokens`",
            reason="truncated",
        )
    if not answer.text.strip() and not answer.tool_calls:
        raise errors.ContentError(f"{call.model}: the answer is empty", reason="empty")


def _blame(attempt: Attempt, failure: errors.LabError, text: str, call: Call) -> None:
    """Write the failure onto the attempt, and the attempt's evidence onto the failure, both without secrets."""
    known = redact.secrets(call.params)
    failure.args = (redact.text(str(failure), known),)
    failure.body = redact.text(failure.body, known) if failure.body else failure.body
    failure.partial = failure.partial or text
    failure.call_id, failure.attempts = call.call_id, int(attempt.way is not None)
    failure.cost = attempt.cost if attempt.way is not None else 0.0
    attempt.status, attempt.kind = "failed", failure.kind
    attempt.phase, attempt.reason = failure.phase, failure.reason
    attempt.error, attempt.body = str(failure), failure.body
    attempt.http_status = failure.status or attempt.http_status
    attempt.retry_after = failure.retry_after


def _reply(call: Call, attempt: Attempt, answer: Answer, began: float) -> Reply:
    return Reply(
        text=answer.text,
        call_id=call.call_id,
        model=call.model,
        finish_reason=answer.finish_reason,
        usage=answer.usage,
        cost=answer.cost,
        latency=attempt.latency or 0.0,
        ttft=attempt.ttft,
        queue=attempt.started_at - began,
        answered_by=answer.answered_by,
        tool_calls=answer.tool_calls,
    )


_NO_LIMITS = Timeout(connect=None, first_token=None, idle=None, attempt=None, total=None)
