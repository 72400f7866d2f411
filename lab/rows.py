"""Calls and attempts as rows: the statements that write them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lab.display import plain_text
from lab.model import Attempt, Call, Usage

Statement = tuple[str, Sequence[Any]]

_BEGIN_CALL = """INSERT INTO calls (call_id, started_at, status, model, streamed, prompt_name, prompt_version,
    config, user, tags, lane, experiment, key) VALUES (?, ?, 'running', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_BEGIN_TEXT = "INSERT INTO texts (id, messages, prompt) SELECT id, ?, ? FROM calls WHERE call_id = ?"
_CONFIG = "INSERT OR IGNORE INTO configs (config, content) VALUES (?, ?)"


def begin_call(call: Call, started_at: float, config: str, content: str) -> list[Statement]:
    """The rows of a call that has come in."""
    messages = json.dumps([dict(message) for message in call.messages], ensure_ascii=False, default=str)
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
                call.user,
                json.dumps(list(call.tags)),
                call.lane,
                call.experiment,
                call.key,
            ),
        ),
        (_BEGIN_TEXT, (messages, plain_text(call.messages), call.call_id)),
    ]


def end_call(call_id: str, values: dict[str, Any], answer: str | None, tool_calls: Sequence[Any]) -> list[Statement]:
    """How a call ended: `values` are columns of `calls`. The first statement must find the call's row."""
    return [
        (
            f"UPDATE calls SET {', '.join(f'{name} = ?' for name in values)} WHERE call_id = ?",
            (*values.values(), call_id),
        ),
        (
            "UPDATE texts SET answer = ?, tool_calls = ?, done = 1 WHERE id = (SELECT id FROM calls WHERE call_id = ?)",
            (answer, json.dumps(list(tool_calls)) if tool_calls else None, call_id),
        ),
    ]


def put_attempt(attempt: Attempt) -> list[Statement]:
    """An attempt as it stands now: written when it starts and again when it ends."""
    answer = attempt.answer
    usage = answer.usage if answer else None
    row = {name: getattr(attempt, name) for name in _ATTEMPT}
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


_ATTEMPT = """
    call_id number role model way started_at status kind phase reason error body http_status retry_after wait
    connect ttft latency won cost cost_estimated loop_lag saturated
""".split()
