"""How a call ends: its last rows, and what its caller is handed once they are on disk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from lab import errors, redact
from lab.call import idempotency
from lab.call.record import Recorder
from lab.ledger import rows
from lab.ledger.file import Ledger
from lab.ledger.privacy import digest
from lab.values import Attempt, Call, Event, Reply


class End:
    """How a call ends on the ledger."""

    def __init__(
        self,
        book: Ledger,
        call: Call,
        made: Recorder,
        began: float,
        begin: list[rows.Statement],
        whole: bool,
    ):
        self._ledger, self._call, self._made, self._began, self._begin = book, call, made, began, begin
        self._whole, self._clean = whole, made.clean

    async def answered(self, done: Event) -> Reply:
        """The reply, once its row is on disk."""
        answer, winner = done.answer, self._made.attempts[done.attempt - 1]
        assert answer is not None
        winner.won = True
        if winner.kind == "validation":  # it did not pass, and is returned all the same, marked
            winner.status, winner.kind, winner.error = "ok", None, None
        reply = Reply(
            text=answer.text,
            call_id=self._call.call_id,
            model=self._call.model,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            cost=self._made.cost(),
            latency=winner.latency or 0.0,
            ttft=winner.ttft,
            queue=self._queue() or 0.0,
            attempts=len(self._made.sent()),
            answered_by=answer.answered_by,
            tool_calls=answer.tool_calls,
            value=done.value,
            checks=done.checks,
            hedged=any(row.role == "hedge" for row in self._made.sent()),
            fell_back=winner.model != self._call.model and winner.role != "hedge",
        )
        await self._on_disk(self.put("ok", winner), reply, None)
        return reply

    async def known(self, reply: Reply) -> None:
        """The reply was stored under the call's key: this call's own row says so, and cost nothing."""
        values = {
            "ended_at": time.time(),
            "status": "ok",
            "cached": True,
            "cost": 0.0,
            "answered_by": reply.answered_by,
            "finish_reason": reply.finish_reason,
        }
        await self._on_disk(self._finish(self._words("ok", values, reply.text, reply.tool_calls)), reply, None)

    async def failed(self, failure: errors.LabError) -> None:
        """The failure's evidence, and its rows on disk."""
        known = self._clean.secrets
        failure.args = (redact.text(str(failure), known),)
        failure.call_id, failure.attempts = self._call.call_id, len(self._made.sent())
        failure.cost = self._made.cost()
        last = next(reversed(self._made.sent()), None)
        if failure.phase == "total" and last is not None and last.status == "cancelled":
            failure.partial = failure.partial or last.partial
            last.status, last.kind, last.phase, last.error = "failed", failure.kind, "total", str(failure)
        await self._on_disk(self.put("failed", last, failure), None, failure)

    def put(
        self, status: str, row: Attempt | None, failure: errors.LabError | None = None, error: str | None = None
    ) -> Future[None]:
        """Queue the rows that say how the call ended; `row` is the attempt that decided it."""
        sent = self._made.sent()
        row = row or next(reversed(sent), None)
        answer = row.answer if row else None
        values: dict[str, Any] = {
            "ended_at": time.time(),
            "status": status,
            "kind": failure.kind if failure else None,
            "phase": failure.phase if failure else None,
            "reason": failure.reason if failure else None,
            "error": self._clean.text(str(failure) if failure else error or "") or None,
            "n_attempts": len(sent),
            "latency": row.latency if row else None,
            "ttft": row.ttft if row else None,
            "queue": self._queue(),
            "cost": self._made.cost(),
            "cost_estimated": self._made.cost_estimated(),
            "hedged": any(one.role == "hedge" for one in sent),
            "valid": self._valid(row),
            "fell_back": bool(row and row.role == "fallback") or any(one.role == "fallback" for one in sent),
        }
        if answer is not None:
            values |= {
                "answered_by": answer.answered_by,
                "finish_reason": answer.finish_reason,
                "input_tokens": answer.usage.input_tokens,
                "output_tokens": answer.usage.output_tokens,
            }
        text = answer.text if answer else (failure.partial if failure else row.partial if row else "")
        tools = answer.tool_calls if answer else ()
        if row is not None:
            self._made.changed[row.number] = row
        if status == "failed" and not self._whole:  # what its attempts were told is kept after all
            self._made.whole = True
            self._made.unwritten = set(self._made.checked)
            self._made.changed = {one.number: one for one in self._made.sent()}
        statements: list[rows.Statement] = []
        if status == "ok":
            statements = (
                idempotency.released(self._call) if values["valid"] is False else idempotency.finished(self._call)
            )
        return self._finish(self._words(status, values, text, tools), *statements)

    def _valid(self, row: Attempt | None) -> bool | None:
        """Whether the answer of attempt `row` passed every check; None where nothing looked at it."""
        found = self._made.checked.get(row.number) if row else None
        return None if found is None else all(one.passed for one in found)

    def _words(self, status: str, values: dict[str, Any], text: str, tools: Sequence[Any]) -> list[rows.Statement]:
        """The rows of the call's end, with its words where they are kept: always those of a failure, and the answer
        under a key."""
        call, clean = self._call, self._clean
        answer, calls = clean.answer(text, tools)
        if self._whole:
            return rows.end_call(call.call_id, values, answer, calls)
        if status == "failed":
            update, *words = rows.end_call(call.call_id, values, answer, calls)
            return [update, rows.said(call, clean), *words]
        told = (answer, calls) if call.key is not None and status == "ok" else (None, None)
        return rows.end_call(call.call_id, values, *told, digest(call, text, tools))

    def _finish(self, end: list[rows.Statement], *others: rows.Statement) -> Future[None]:
        """Queue the end, and before it whatever still waits to be written."""
        self._made.ended = True
        return self._ledger.finish(self._begin, end, *others, before=self._made.taken())

    def _queue(self) -> float | None:
        """Seconds between intake and the first request."""
        return None if self._made.first_sent is None else max(0.0, self._made.first_sent - self._began)

    async def _on_disk(self, done: Future[None], reply: Reply | None, failure: errors.LabError | None) -> None:
        """Wait for the commit. Raises `LedgerError`, with the reply that was paid for, where it fails."""
        try:
            await asyncio.wrap_future(done)
        except errors.LedgerError as unwritten:
            state = "failed" if failure else "ok"
            raise errors.LedgerError(f"{unwritten} (the call itself: {state})", reply=reply) from failure
