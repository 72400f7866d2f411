"""How a call ends: what is decided of it, and what its caller is handed once that is on disk."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

from lab import errors
from lab.call.caching import CallCache
from lab.call.patience import by
from lab.call.record import Recorder
from lab.ledger import embeddings
from lab.ledger.answers import hashed
from lab.ledger.journal import Journal, Outcome
from lab.ledger.lease import Lease
from lab.policies.kernel import LostLease
from lab.values import Attempt, Call, Event, Reply, Routed, Usage


class Ending:
    """The end of one call. `began` is when it came in, in Unix time; `deadline` is when its caller has to have
    something, on the loop's clock; `lease` is the one it runs under, if any; `kept`, once it is set, may keep its
    answer."""

    def __init__(
        self,
        call: Call,
        recorder: Recorder,
        journal: Journal,
        began: float,
        deadline: float | None,
        lease: Lease | None = None,
    ):
        self._call, self._recorder, self._journal, self._began, self._lease = call, recorder, journal, began, lease
        self.deadline = deadline
        self.asked = call
        """The call as it is asked: of the model that a router has chosen."""
        self.kept: CallCache | None = None
        self._over = False

    def asked_for(self, done: Event) -> bool:
        """Whether it is the model that was to be asked that has answered, and no other in its place."""
        return self._recorder.attempts[done.attempt - 1].model == self.asked.model

    async def answered(self, done: Event) -> Event:
        """The event with the reply on it, once its rows are on disk. Raises `LostLease` where somebody else has taken
        this call's key meanwhile."""
        assert done.answer is not None
        winner, answer, keep = self._recorder.won(done.attempt), done.answer, None
        if self.kept is not None and winner.model == self.asked.model and self._recorder.passed(winner) is not False:
            keep = await self.kept.keeping(answer.text, answer.tool_calls)  # may cost something, and take a moment
        if self._call.embeds and self._journal.whole:
            keep = partial(_kept, self._call, done.value, self._journal.named)
        outcome = self._outcome("ok", winner, keyed=True)
        if keep is not None:
            outcome = replace(outcome, keep=keep)
        reply = self._reply(done, winner, outcome.columns["ended_at"] - self._began)
        on_disk = await self._journal.ended(outcome, self._lease)
        if not await self._written(on_disk, reply, None):
            self._recorder.lost(winner)
            raise LostLease
        return replace(done, reply=reply)

    def _reply(self, done: Event, winner: Attempt, elapsed: float) -> Reply[Any]:
        answer, sent = done.answer, self._recorder.sent()
        assert answer is not None
        before = self._before(answer.usage)
        return Reply(
            text=answer.text,
            call_id=self._call.call_id,
            model=self._call.model,
            finish_reason=answer.finish_reason,
            usage=answer.usage if before is None else replace(answer.usage, before=before),
            cost=self._recorder.cost(),
            latency=winner.latency or 0.0,
            ttft=winner.ttft,
            elapsed=elapsed,
            queue=self._queue() or 0.0,
            attempts=len(sent),
            answered_by=answer.answered_by,
            tool_calls=answer.tool_calls,
            reasoning=answer.reasoning,
            thinking=winner.thinking,
            extra=answer.extra,
            asked=self._call.messages,
            value=done.value if self._call.schema or self._call.embeds else None,  # checks alone make none of a text
            checks=done.checks,
            hedged=any(attempt.role == "hedge" for attempt in sent),
            fell_back=winner.model != self.asked.model and winner.role != "hedge",
            routed=self.asked.routed,
        )

    def _before(self, usage: Usage) -> int | None:
        """Input tokens, had nothing been made shorter, as this provider counts them; None where nothing was."""
        shortened = self.asked.shortened
        if shortened is None or not shortened.after or not usage.input_tokens:
            return None if shortened is None else shortened.before
        return round(usage.input_tokens * shortened.before / shortened.after)

    async def known(self, reply: Reply[Any]) -> Reply[Any] | None:
        """The reply was stored, under the call's key or in the cache: this call's own row says so, and what it has cost
        itself. As its caller is handed it; None where the key that it runs under was lost meanwhile."""
        now, lease = time.time(), None
        reply = replace(reply, asked=self._call.messages)
        if isinstance(reply.cached, str):
            elapsed, lease = now - self._began, self._lease
            saved = max(0.0, (reply.saved_seconds or 0.0) - elapsed)
            reply = replace(reply, elapsed=elapsed, saved_seconds=saved, cost=self._recorder.cost())
            reply = replace(reply, model=self._call.model, routed=self.asked.routed)
        columns = {
            "ended_at": now,
            "cached": True,
            "cached_as": reply.cached if isinstance(reply.cached, str) else "key",
            **{"cached_from": reply.cached_from, "saved": reply.saved, "saved_seconds": reply.saved_seconds},
            "cost": self._recorder.cost(),
            "n_attempts": len(self._recorder.sent()),
            "answered_by": reply.answered_by,
            "finish_reason": reply.finish_reason,
            **_way(self.asked.routed),
        }
        outcome = Outcome(
            status="ok",
            columns=columns,
            text=reply.text,
            tool_calls=reply.tool_calls,
            reasoning=reply.reasoning,
            extra=reply.extra,
            keyed=lease is not None,
            given=reply.cached_from,
        )
        written = await self._written(await self._journal.ended(outcome, lease), reply, None)
        return reply if written else None

    async def ended_in(self, end: BaseException) -> None:
        """Whatever else it ends in, put on record once, below what still holds something for it."""
        if self._over:
            return
        self._over = True
        if isinstance(end, errors.LabError):
            await self._failed(end)
        elif isinstance(end, asyncio.CancelledError | GeneratorExit):  # nobody waits for it: queued, not awaited
            self._journal.end(self._outcome("cancelled", self._recorder.last()))
        elif isinstance(end, Exception):  # a bug, which goes on up
            error = f"{type(end).__name__}: {end}"
            self._journal.end(self._outcome("failed", self._recorder.last(), error=error))

    async def _failed(self, failure: errors.LabError) -> None:
        """The failure's evidence, and its rows on disk."""
        await self._journal.cleaned(failure)
        failure.call_id, failure.attempts = self._call.call_id, len(self._recorder.sent())
        failure.cost = self._recorder.cost()
        self._recorder.ran_out(failure)
        outcome = self._outcome("failed", self._recorder.last(), failure=failure)
        await self._written(await self._journal.ended(outcome), None, failure)

    def _outcome(
        self,
        status: Any,
        row: Attempt | None,
        *,
        failure: errors.LabError | None = None,
        error: str | None = None,
        keyed: bool = False,
    ) -> Outcome:
        """What is put down of the call; `row` is the attempt that decided it."""
        sent = self._recorder.sent()
        answer = row.answer if row else None
        columns: dict[str, Any] = {
            "ended_at": time.time(),
            "kind": failure.kind if failure else None,
            "phase": failure.phase if failure else None,
            "reason": failure.reason if failure else None,
            "error": str(failure) if failure else error,
            "n_attempts": len(sent),
            "latency": row.latency if row else None,
            "ttft": row.ttft if row else None,
            "thinking": row.thinking if row else None,
            "queue": self._queue(),
            "cost": self._recorder.cost(),
            "cost_estimated": self._recorder.cost_estimated(),
            "hedged": any(attempt.role == "hedge" for attempt in sent),
            "valid": self._recorder.passed(row),
            "fell_back": any(attempt.role == "fallback" for attempt in sent),
            **_way(self.asked.routed),
        }
        if answer is not None:
            columns |= {
                "answered_by": answer.answered_by,
                "finish_reason": answer.finish_reason,
                "input_tokens": answer.usage.input_tokens,
                "output_tokens": answer.usage.output_tokens,
                "reasoning_tokens": answer.usage.reasoning,
                "tokens_before": self._before(answer.usage),
            }
        text = answer.text if answer else (failure.partial if failure else row.partial if row else "")
        said: dict[str, Any] = {"text": text, "reasoning": row.thoughts if row else ""}
        if answer is not None:
            said |= {"tool_calls": answer.tool_calls, "reasoning": answer.reasoning, "extra": answer.extra}
        return Outcome(status=status, columns=columns, attempts=sent, keyed=keyed, **said)

    def _queue(self) -> float | None:
        """Seconds between intake and the first request."""
        sent = self._recorder.first_sent
        return None if sent is None else max(0.0, sent - self._began)

    async def _written(self, on_disk: Future[bool], reply: Reply[Any] | None, failure: errors.LabError | None) -> bool:
        """Wait for the commit. Raises `LedgerError`, with the reply that was paid for, where it fails or is late."""
        try:
            return await by(self.deadline, asyncio.wrap_future(on_disk))
        except errors.LedgerError as unwritten:
            self._over = True  # it was tried, or is queued
            state = "failed" if failure else "ok"
            raise errors.LedgerError(f"{unwritten} (the call itself: {state})", reply=reply) from failure


def _kept(call: Call, vectors: Any, cleaned: Callable[[str], str], db: sqlite3.Connection) -> None:
    """Keep the vectors that a call has brought, but for those of texts that are not written as they are."""
    pairs = zip(embeddings.texts_of(call), vectors, strict=True)
    kept = {hashed(text): vector.tobytes() for text, vector in pairs if cleaned(text) == text}
    embeddings.put(db, embeddings.request_of(call), kept, call.call_id)


def _way(routed: Routed | None) -> dict[str, Any]:
    """What is put down of where a router has sent it."""
    if routed is None:
        return {}
    columns = {"router": f"{routed.router}@{routed.version}", "routed_to": routed.model, "routed_why": routed.why}
    return {**columns, "route_score": routed.score, "route_cut": routed.cut}
