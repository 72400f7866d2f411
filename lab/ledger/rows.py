"""Calls and attempts as rows: the statements that write them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from lab import redact
from lab.ledger.fields import ATTEMPTS
from lab.ledger.file import Statement
from lab.ledger.privacy import Clean, Said
from lab.values import Attempt, Call, Checked, Usage

_BEGIN_CALL = """INSERT INTO calls (call_id, started_at, status, model, streamed, prompt_name, prompt_version,
    config, user, tags, lane, experiment, cell, job, step, key)
    VALUES (?, ?, 'running', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_BEGIN_TEXT = "INSERT INTO texts (id, messages, prompt, kept) SELECT id, ?, ?, ? FROM calls WHERE call_id = ?"
_LATE_TEXT = "UPDATE texts SET messages = ?, prompt = ?, kept = 1 WHERE id = (SELECT id FROM calls WHERE call_id = ?)"
_END_TEXT = """UPDATE texts SET answer = ?, tool_calls = ?, reasoning = ?, extra = ?, digest = ?, done = 1
    WHERE id = (SELECT id FROM calls WHERE call_id = ?)"""
_CHECK = """INSERT OR REPLACE INTO checks (call_id, attempt, place, name, passed, score, threshold, step, broken,
    message, parts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_CONFIG = "INSERT OR IGNORE INTO configs (config, content) VALUES (?, ?)"


def begin_call(
    call: Call, started_at: float, config: str, content: str, clean: Clean, *, whole: bool
) -> list[Statement]:
    """The rows of a call that has come in; its words only if `whole`."""
    messages, prompt = clean.messages(call) if whole else ("[]", "")
    return [
        (_CONFIG, (config, content)),
        (
            _BEGIN_CALL,
            (
                call.call_id,
                started_at,
                call.model,
                call.streamed,
                call.prompt_name,
                call.prompt_version,
                config,
                clean.text(call.user) if call.user else call.user,
                json.dumps([tag.encode("utf-8", "replace").decode() for tag in clean.deep(call.tags)]),
                call.lane,
                call.experiment,
                call.cell,
                call.job,
                call.step,
                call.key,
            ),
        ),
        (_BEGIN_TEXT, (messages, prompt, whole, call.call_id)),
    ]


def configuration(call: Call, policy: str, clean: Clean) -> tuple[str, str]:
    """The configuration a call ran under: a hash of its content, and the content as JSON with secrets masked. `policy`
    is JSON."""
    content: dict[str, Any] = {"model": call.model, "params": clean.deep(redact.params(call.params))}
    if call.schema is not None:
        content["schema"] = clean.deep(json.loads(call.schema.content()))
    if call.checks:
        content["checks"] = [check.content() for check in call.checks]
    text = f'{json.dumps(content, sort_keys=True, default=str, ensure_ascii=False)[:-1]}, "policy": {policy}}}'
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12], text


def put_words(call: Call, clean: Clean) -> Statement:
    """The words of a call whose beginning was written without them."""
    return (_LATE_TEXT, (*clean.messages(call), call.call_id))


def left_out(call_id: str, passages: Sequence[str], clean: Clean) -> Statement:
    """What of a call's messages was not sent."""
    text = json.dumps(clean.deep(list(passages)), ensure_ascii=False).encode("utf-8", "replace").decode()
    return ("UPDATE texts SET left_out = ? WHERE id = (SELECT id FROM calls WHERE call_id = ?)", (text, call_id))


def end_call(call_id: str, values: dict[str, Any], said: Said, digest: str | None = None) -> list[Statement]:
    """How a call ended: `values` are columns of `calls`. The first statement must find the call's row."""
    return [
        (
            f"UPDATE calls SET {', '.join(f'{name} = ?' for name in values)} WHERE call_id = ?",
            (*values.values(), call_id),
        ),
        (_END_TEXT, (*said, digest, call_id)),
    ]


def costed(call_id: str, cost: float | None, estimated: bool) -> Statement:
    """What a call cost after all."""
    return ("UPDATE calls SET cost = ?, cost_estimated = ? WHERE call_id = ?", (cost, estimated, call_id))


def put_attempt(attempt: Attempt, clean: Clean, *, whole: bool = True) -> list[Statement]:
    """An attempt as it stands now: written when it starts and again when it ends."""
    answer = attempt.answer
    usage = answer.usage if answer else None
    row = {name: getattr(attempt, name) for name in _ATTEMPT}
    row |= {name: clean.text(row[name]) if whole else None for name in ("error", "body") if row[name]}
    row |= {
        "price": json.dumps(asdict(answer.price)) if answer and answer.price else None,
        "finish_reason": answer.finish_reason if answer else None,
        "request_id": answer.request_id if answer else None,
        **_tokens(usage),
    }
    names, changed = ", ".join(row), ", ".join(f"{name} = excluded.{name}" for name in row)
    return [
        (
            f"INSERT INTO attempts ({names}) VALUES ({', '.join('?' * len(row))})"
            f" ON CONFLICT (call_id, number) DO UPDATE SET {changed}",
            tuple(row.values()),
        )
    ]


def put_checks(call_id: str, attempt: int, checked: Sequence[Checked], clean: Clean, *, whole: bool) -> list[Statement]:
    """What the checks found in the answer of one attempt; in words only if `whole`."""
    return [
        (
            _CHECK,
            (
                *(call_id, attempt, place, check.name, check.passed, check.score),
                *(check.threshold, check.step, check.broken),
                clean.text(check.message) if whole and check.message else None,
                json.dumps(clean.deep([asdict(part) for part in check.parts])) if whole and check.parts else None,
            ),
        )
        for place, check in enumerate(checked)
    ]


def _tokens(usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {}
    return {
        "input_tokens": usage.input,
        "cache_read_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write,
        "output_tokens": usage.output,
        "reasoning_tokens": usage.reasoning,
        "usage": json.dumps(usage.raw) if usage.raw is not None else None,
        "usage_estimated": usage.estimated,
    }


_ATTEMPT = [part.name for part in fields(Attempt) if part.name in ATTEMPTS]
"""Columns that an attempt has as it is."""
