"""Many requests, each of its own, through a batch service: their answers in the order in which they were asked."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lab import errors
from lab.call import intake
from lab.call.batching import unhurried
from lab.checks.kernel import examined
from lab.evals import store
from lab.evals.compare import Bench
from lab.evals.estimate import default_name
from lab.evals.experiment import busy, under_way, wait
from lab.evals.progress import shown
from lab.evals.run import Progress, renewed
from lab.ledger import answers
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
    if name is not None and (not isinstance(name, str) or not name.strip() or not name.isprintable()):
        raise errors.InvalidRequestError(f"name={name!r}: a line of text")
    name = name or default_name("batch", [call.cell for call in calls])
    calls = [replace(call, experiment=name) for call in calls]
    assert bench.door is not None
    bench.loop.run(bench.door.able(calls[0]))
    lease = Lease(bench.book, "experiment", name)
    if (left := lease.take()) is not None:
        raise busy(name, left)
    show, end = shown(progress)
    try:
        bench.door.opened(name)
        now = Progress(total=len(calls))
        running = _all(bench, unhurried(policy), calls, now, lease)
        return wait(bench.loop.submit(running), lambda: show(under_way(bench.book, name, now)))
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
        content = json.dumps([call.model, call.messages, dict(call.params)], sort_keys=True, default=str)
        checked = [*([call.schema.content()] if call.schema else []), *(check.content() for check in call.checks)]
        whole = f"{content}|{checked}".encode("utf-8", "replace")
        identity = hashlib.sha256(whole).hexdigest()[:24]
        calls.append(replace(call, cell=f"{identity}-{seen[identity]}"))
        seen[identity] += 1
    return calls


async def _all(bench: Bench, policy: Policy, calls: Sequence[Call], now: Progress, lease: Lease) -> list[Answer]:
    known = await asyncio.to_thread(store.answered, bench.book, calls[0].experiment or "", ok=True)

    async def one(call: Call) -> Answer:
        try:
            reply = await _stored(bench, call, known.get(call.cell or "")) or await bench.engine.run(call, policy)
        except errors.LabError as failure:
            now.failed, now.first = now.failed + 1, now.first or str(failure)
            now.cost += failure.cost or 0.0
            return failure
        now.known += reply.cached is True
        now.done += 1
        now.cost += 0.0 if reply.cached is True else reply.cost or 0.0
        return reply

    renewing = asyncio.create_task(renewed(lease, now))
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(call)) for call in calls]
        return [task.result() for task in tasks]
    finally:
        renewing.cancel()
        now.end()


async def _stored(bench: Bench, call: Call, call_id: str | None) -> Reply[Any] | None:
    """The reply that the ledger has to this request; None where it has none, or not its words."""
    if call_id is None:
        return None
    try:
        reply = await asyncio.wrap_future(bench.book.transact(lambda db: answers.stored(db, call_id)))
    except LookupError:
        return None
    if call.schema is None:
        return reply
    again = await examined(reply.text, call.schema, ())
    return replace(reply, value=again.value, checks=(*again.checks, *reply.checks[1:]))
