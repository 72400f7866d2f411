"""What one call puts into the file as it goes: the only place that makes rows of a call, knows what waits and what is
written, and takes out what may not be kept."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal

from lab import errors
from lab.aside import aside
from lab.ledger import answers, rows
from lab.ledger.file import Ledger, Statement, execute
from lab.ledger.lease import Lease
from lab.ledger.privacy import Payload, Said, digest
from lab.values import Attempt, Call, Checked

VISIBLE = 0.05
"""Seconds after which a call or an attempt that still runs is on the ledger as running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a call ended: `columns` of its row, its answer, or what had come of one: text, tool calls, what was thought,
    and what its provider wants back (`extra`). `attempts` are those that were sent.
    `keyed`: the answer is the one that its key stands for from now on. `keep` is done in the same transaction, where
    the answer is written as it was given: it keeps it for other calls. `given`: the call whose answer it is, where
    that was stored."""

    status: Literal["ok", "failed", "cancelled"]
    columns: Mapping[str, Any]
    text: str = ""
    tool_calls: Sequence[Any] = ()
    reasoning: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    attempts: Sequence[Attempt] = ()
    keyed: bool = False
    keep: Callable[[sqlite3.Connection], None] | None = None
    given: str | None = None


class Journal:
    """The rows of one call. What is handed in waits a moment for company, so that a call which is over at once is one
    commit; `end` writes all of it, and its future is done when that is on disk. Used on one event loop."""

    def __init__(
        self, book: Ledger, payload: Payload, call: Call, policy: str, began: float, visible: float | None = VISIBLE
    ):
        """`policy` is the policy as JSON, `began` is Unix time. `visible`: after how many seconds a running call is on
        the ledger; None: once it is over."""
        self._visible = visible
        self._book, self._call = book, call
        self._clean, self._whole = payload.clean(call), payload.whole(call)
        config = rows.configuration(call, policy, self._clean)
        self._begin = rows.begin_call(call, began, *config, self._clean, whole=self._whole)
        self._waiting: list[Statement] = list(self._begin)
        self._changed: dict[int, Attempt] = {}
        self._checks: dict[int, Sequence[Checked]] = {}
        self._unwritten: set[int] = set()
        self._ended = False
        self._left_out: Sequence[str] = ()
        self._timer: asyncio.TimerHandle | None = None
        self.soon()

    @property
    def whole(self) -> bool:
        """Whether the call's words are written even if it succeeds."""
        return self._whole

    def named(self, text: str) -> str:
        """A text as the file has it."""
        return self._clean.text(text)

    async def cleaned(self, failure: errors.LabError) -> None:
        """Take the secrets out of a failure, which then may leave the lab."""
        await aside(len(failure.partial or ""), failure.clean, self._clean.without_secrets)

    def left_out(self, passages: Sequence[str]) -> None:
        """Passages of the call's messages that are not sent."""
        self._left_out = passages
        if passages and self._whole:
            self._waiting.append(rows.left_out(self._call.call_id, passages, self._clean))
            self.soon()

    def attempt(self, attempt: Attempt) -> None:
        """An attempt as it stands now, to be written in a moment."""
        self._changed[attempt.number] = attempt
        self.soon()

    def attempt_ended(self, attempt: Attempt, cost: float | None, estimated: bool) -> None:
        """An attempt that is over. One that brought an answer is written with the call's end, which follows at once;
        where the call has ended before it, what the call cost after all (`cost`, in US dollars) is written too."""
        self._changed[attempt.number] = attempt
        if self._ended:
            self._waiting.append(rows.costed(self._call.call_id, cost, estimated))
        if self._ended or (attempt.status != "ok" and self._visible is not None):
            self.flush()

    def checked(self, number: int, checks: Sequence[Checked]) -> None:
        """What the checks found in the answer of attempt `number`."""
        self._checks[number] = checks
        self._unwritten.add(number)

    def soon(self) -> None:
        """Write what waits in a moment, if the call has not ended by then."""
        if self._timer is None and not self._ended and self._visible is not None:
            self._timer = asyncio.get_running_loop().call_later(self._visible, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        if statements := self._taken():
            self._book.submit(*statements)

    async def ended(self, outcome: Outcome, lease: Lease | None = None) -> Future[bool]:
        """As `end`, but a long answer is cleaned first, in a thread."""
        end_rows = await aside(len(outcome.text) + len(outcome.reasoning), self._end_rows, outcome)
        return self.end(outcome, lease, end_rows)

    def end(
        self, outcome: Outcome, lease: Lease | None = None, end_rows: Sequence[Statement] | None = None
    ) -> Future[bool]:
        """Write how the call ended, after what of it still waits. The future is False where `lease`, under which it
        ran, was lost meanwhile: then its end is not written."""
        kept_after_all = outcome.status == "failed" and not self._whole
        if kept_after_all:  # what its attempts were told, too
            self._whole, self._unwritten = True, set(self._checks)
            self._changed = {attempt.number: attempt for attempt in outcome.attempts}
        self._ended = True
        before, call = self._taken(), self._call
        update, *others = end_rows or self._end_rows(outcome)
        as_given = outcome.keep is not None and self._as_given(outcome, others)
        if kept_after_all:
            words = [rows.put_words(call, self._clean)]
            words += [rows.left_out(call.call_id, self._left_out, self._clean)] if self._left_out else []
            others = [*words, *others]

        def decide(db: sqlite3.Connection) -> bool:
            if outcome.keyed and lease is not None:
                valid = outcome.columns.get("valid") is not False
                if not answers.finish(db, call, lease, valid=valid, given=outcome.given):
                    return False
            if not execute(db, update).rowcount:  # its first row could not be written (a full disk): now
                for statement in (*self._begin, update):
                    execute(db, statement)
            for statement in others:
                execute(db, statement)
            if outcome.keep is not None and as_given:
                outcome.keep(db)
            return True

        return self._book.transact(decide, before=before)

    def _end_rows(self, outcome: Outcome) -> list[Statement]:
        """The rows of the call's end, with its words where they are kept: always those of a failure, and the answer
        under a key."""
        call_id = self._call.call_id
        columns = {**outcome.columns, "status": outcome.status}
        if columns.get("error"):
            columns["error"] = self._clean.text(columns["error"]) or None
        said = self._clean.answer(outcome.text, outcome.tool_calls, outcome.reasoning, outcome.extra)
        if self._whole or outcome.status == "failed":
            return rows.end_call(call_id, columns, said)
        given_again = (self._call.key is not None or outcome.keep is not None) and outcome.status == "ok"
        hashes = digest(self._call, outcome.text, outcome.tool_calls, outcome.reasoning)
        return rows.end_call(call_id, columns, said if given_again else Said(), hashes)

    def _as_given(self, outcome: Outcome, end_rows: Sequence[Statement]) -> bool:
        """Whether the answer stands in the rows of the call's end as its caller was given it: nothing was taken out."""
        _sql, (answer, tools, thoughts, extra, *_) = end_rows[-1]
        given = json.dumps(outcome.tool_calls, ensure_ascii=False) if outcome.tool_calls else None
        if answer != (outcome.text or None) or tools != given or thoughts != (outcome.reasoning or None):
            return False
        if outcome.extra and extra is None:  # signed, and not as it was signed
            return False
        return all(text is None or text == text.encode("utf-8", "replace").decode() for text in (answer, tools))

    def _taken(self) -> list[Statement]:
        """The rows that wait, for a commit."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        attempts = [
            statement
            for attempt in self._changed.values()
            for statement in rows.put_attempt(attempt, self._clean, whole=self._whole)
        ]
        checks = [
            statement
            for number in sorted(self._unwritten)
            for statement in rows.put_checks(
                self._call.call_id, number, self._checks[number], self._clean, whole=self._whole
            )
        ]
        waiting, self._waiting = self._waiting, []
        self._changed, self._unwritten = {}, set()
        return [*waiting, *attempts, *checks]
