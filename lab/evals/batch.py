"""Many requests, each of its own, through a batch service: their answers in the order in which they were asked."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from lab import errors
from lab.call import intake
from lab.call.batching import unhurried
from lab.call.rereading import read_again
from lab.evals import store
from lab.evals.compare import Bench
from lab.evals.estimate import default_name
from lab.evals.experiment import busy, under_way, wait
from lab.evals.plan import HOW
from lab.evals.progress import shown
from lab.evals.run import Progress, run
from lab.evals.spec import check_name
from lab.ledger import answers
from lab.ledger.file import Ledger
from lab.ledger.lease import Lease
from lab.policies import Policy
from lab.values import Call, Reply

Answer = Reply[Any] | errors.LabError
"""The reply to one request, or what it has ended in."""


def ask(
    bench: Bench, policy: Policy, prompts: Sequence[Any], name: str | None, progress: Any, **how: Any
) -> list[Answer]:
    """Ask all of them, and wait: see `Lab.batch`."""
    if isinstance(prompts, str | Mapping) or not isinstance(prompts, Sequence) or not prompts:
        raise errors.InvalidRequestError("prompts: a list of what `ask` takes, one request each")
    if all(isinstance(prompt, Mapping) for prompt in prompts):
        raise errors.InvalidRequestError("prompts: a list of requests, and this is one request's list of messages")
    calls = _calls(prompts, how)
    check_name(name)
    name = name or default_name("batch", [call.cell for call in calls])
    calls = [replace(call, experiment=name) for call in calls]
    assert bench.door is not None
    bench.loop.run(bench.door.able(calls[0]))
    lease = Lease(bench.book, "experiment", name)
    if (left := lease.take()) is not None:
        raise busy(name, left)
    show, end = shown(progress)
    by_cell: dict[str, Answer] = {}

    async def asked(call: Call) -> Reply[Any]:
        assert call.cell is not None
        try:
            reply = await bench.engine.run(call, unhurried(policy))
        except errors.LabError as failure:
            by_cell[call.cell] = failure
            raise
        by_cell[call.cell] = reply
        return reply

    async def read(call: Call, reply: Reply[Any]) -> Reply[Any]:
        return (await read_again(reply, call.schema))[0]

    try:
        bench.door.opened(name)
        known = _known(bench.book, calls)
        by_cell |= {call.cell: bench.loop.run(read(call, known[call.cell])) for call in calls if call.cell in known}
        now = Progress(total=len(calls), known=len(known), done=len(known))
        unanswered = [call for call in calls if call.cell not in known]
        running = run(unanswered, asked, now, concurrency=len(calls), lease=lease)
        wait(bench.loop.submit(running), lambda: show(under_way(bench.book, name, now)))
        show(now)
        return [by_cell.get(call.cell or "") or errors.BudgetError(now.stopped or "not asked") for call in calls]
    finally:
        end()
        lease.drop()
        bench.book.flush()


def _calls(prompts: Sequence[Any], how: Mapping[str, Any]) -> list[Call]:
    """Each request, under a name made of what it says; the same again is another one."""
    calls, seen = [], Counter[str]()
    for number, prompt in enumerate(prompts, 1):
        try:
            call = intake.call_of(prompt, streamed=False, lane="batch", **how)
        except errors.InvalidRequestError as odd:
            raise errors.InvalidRequestError(f"request {number}: {odd}") from odd
        params = {key: value for key, value in call.params.items() if key not in HOW}
        content = json.dumps([call.model, call.messages, params], sort_keys=True, default=str)
        checked = [*([call.schema.content()] if call.schema else []), *(check.content() for check in call.checks)]
        whole = f"{content}|{checked}".encode("utf-8", "replace")
        identity = hashlib.sha256(whole).hexdigest()[:24]
        calls.append(replace(call, cell=f"{identity}-{seen[identity]}"))
        seen[identity] += 1
    return calls


def _known(book: Ledger, calls: Sequence[Call]) -> dict[str, Reply[Any]]:
    """The replies that the ledger has to these requests, with their words, by cell."""
    answered = store.answered(book, calls[0].experiment or "", ok=True)

    def decide(db: sqlite3.Connection) -> dict[str, Reply[Any]]:
        replies = {}
        for call in calls:
            if call.cell in answered:
                with suppress(LookupError):
                    replies[call.cell] = answers.stored(db, answered[call.cell])
        return replies

    return book.transact(decide).result()
