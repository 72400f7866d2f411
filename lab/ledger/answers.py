"""Replies that are stored to be given again, under the key of the call that brought them."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from typing import Any

from lab import redact
from lab.ledger.lease import Lease, held_for
from lab.values import Call, Checked, Claim, Part, Reply, Usage

_HOW = ("api_key", "azure_ad_token", "extra_headers", "api_base", "base_url")
"""Parameters that say how to connect, not what is asked."""


def request_of(call: Call) -> str:
    """A hash of what is asked, of whom and by whom: model, messages, parameters, address, credentials and user. Other
    headers may differ from one try to the next."""
    params, judged, who = asked_of(call)
    who["user"] = call.user
    content = [call.model, [dict(message) for message in call.messages], params, *judged]
    content += [who] if any(who.values()) else []
    return hashed(json.dumps(content, sort_keys=True, default=str))


def asked_of(call: Call) -> tuple[dict[str, Any], list[str], dict[str, Any]]:
    """What besides model and messages tells a request from another one: its parameters, its schema and checks, and
    where it goes under whose credentials."""
    judged = [call.schema.content()] if call.schema else []
    judged += [check.content() for check in call.checks]
    params = {name: value for name, value in call.params.items() if name not in _HOW}
    headers = call.params.get("extra_headers") or {}
    who = {
        "address": call.params.get("api_base") or call.params.get("base_url"),
        "api_key": call.params.get("api_key"),
        **({"azure_ad_token": True} if call.params.get("azure_ad_token") else {}),
        "headers": {name: value for name, value in headers.items() if redact.is_secret(name)},
    }
    return params, judged, who


OWN = ("local/", "sim/")
"""Models of this machine, which need no key."""
_OF_ONE_REQUEST = {"idempotency-key", "traceparent", "tracestate", "x-request-id"}
"""Headers that tell a request from the next one of the same kind."""


def around(call: Call, scope: str) -> list[Any]:
    """All that has to be the same, besides what is said, for one call's answer to be another's: model, parameters,
    schema, checks, headers, address, whose key it is, the prompt's version and, as `scope` says, its name or the user.
    For JSON, if it can be that."""
    params, judged, who = asked_of(call)
    form = params.get("response_format")
    if isinstance(form, type) and hasattr(form, "model_json_schema"):
        params["response_format"] = form.model_json_schema()
    headers = call.params.get("extra_headers") or {}
    who["headers"] = {name: value for name, value in headers.items() if name.lower() not in _OF_ONE_REQUEST}
    who["environment"] = None if call.model.startswith(OWN) else redact.credentials(call.model, who["api_key"])
    whose: dict[str, Any] = {"user": call.user} if scope == "user" else {}
    if call.prompt is not None:  # another version is another prompt, even where it comes to the same words
        whose |= {"version": call.prompt.hash, "prompt": call.prompt.name if scope == "prompt" else None}
    return [call.model, params, judged, who, whose]


def hashed(text: str) -> str:
    """SHA-256 of a text, in hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def claim(db: sqlite3.Connection, call: Call, request: str, lease: Lease) -> Claim:
    """Within one transaction: take the call's key for it, or say how it stands."""
    row = db.execute("SELECT request, call_id, done FROM keys WHERE key = ?", (call.key,)).fetchone()
    if row is not None:
        asked, call_id, done = row
        if (done or held_for(db, "key", lease.name) is not None) and asked != request:
            return Claim("different", call_id)
        if done:
            return Claim("done", call_id)
    if lease.taken(db) is not None:
        return Claim("other", "" if row is None else row[1])
    db.execute(
        "INSERT OR REPLACE INTO keys (key, request, call_id, expires_at) VALUES (?, ?, ?, 0)",
        (call.key, request, call.call_id),
    )
    return Claim("mine", call.call_id)


def release(db: sqlite3.Connection, call: Call, lease: Lease) -> None:
    """Within one transaction: give the key back, if it is still this call's."""
    if lease.holds(db):
        db.execute("DELETE FROM keys WHERE key = ? AND NOT done", (call.key,))
        lease.dropped(db)


def finish(db: sqlite3.Connection, call: Call, lease: Lease, *, valid: bool, given: str | None = None) -> bool:
    """Within the transaction that stores the reply: it is the key's from now on, unless it failed its checks, for then
    the key is given back. `given`: the call whose reply it is, where that was stored before. False where the lease was
    lost meanwhile: nothing more may be written."""
    if not lease.holds(db):
        return False
    if valid:
        values = (given or call.call_id, call.key, call.call_id)
        db.execute("UPDATE keys SET done = 1, call_id = ? WHERE key = ? AND call_id = ?", values)
    else:
        db.execute("DELETE FROM keys WHERE key = ? AND NOT done", (call.key,))
    lease.dropped(db)
    return True


def stored(db: sqlite3.Connection, call_id: str) -> Reply[Any]:
    """A reply as it was returned, from the ledger; its times and cost are those of the call that was made. Its value
    is not kept: it is to be read again from the text. Raises `LookupError` where it, or its words, are gone."""
    calls = _dicts(
        db,
        "SELECT calls.*, texts.answer, texts.tool_calls AS tools, texts.reasoning, texts.extra FROM calls"
        " JOIN texts ON texts.id = calls.id"
        " WHERE calls.call_id = ?",
        (call_id,),
    )
    attempts = _dicts(db, "SELECT * FROM attempts WHERE call_id = ? AND won", (call_id,))
    if not calls or not attempts or (calls[0]["answer"] is None and calls[0]["tools"] is None):
        raise LookupError(f"the answer of call {call_id} is gone")
    row, won = calls[0], attempts[0]
    checks = _dicts(
        db, "SELECT * FROM checks WHERE call_id = ? AND attempt = ? ORDER BY place", (call_id, won["number"])
    )
    return Reply(
        text=row["answer"] or "",
        checks=tuple(_checked(check) for check in checks),
        call_id=call_id,
        model=row["model"],
        finish_reason=row["finish_reason"],
        usage=Usage(
            input=won["input_tokens"],
            cache_read=won["cache_read_tokens"],
            cache_write=won["cache_write_tokens"],
            output=won["output_tokens"],
            reasoning=won["reasoning_tokens"],
            estimated=bool(won["usage_estimated"]),
            raw=json.loads(won["usage"]) if won["usage"] else None,
        ),
        cost=row["cost"],
        latency=row["latency"] or 0.0,
        ttft=row["ttft"],
        elapsed=row["ended_at"] - row["started_at"],
        queue=row["queue"] or 0.0,
        attempts=row["n_attempts"],
        answered_by=row["answered_by"],
        tool_calls=tuple(json.loads(row["tools"])) if row["tools"] else (),
        reasoning=row["reasoning"] or "",
        thinking=row["thinking"],
        extra=json.loads(row["extra"]) if row["extra"] else {},
        cached=True,
        cached_from=call_id,
        hedged=bool(row["hedged"]),
        fell_back=bool(row["fell_back"]),
    )


def _dicts(db: sqlite3.Connection, sql: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
    cursor = db.execute(sql, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _checked(row: dict[str, Any]) -> Checked:
    parts = tuple(Part(**part) for part in json.loads(row["parts"] or "[]"))
    plain = {name: row[name] for name in ("name", "score", "threshold", "step")}
    passed, broken = bool(row["passed"]), bool(row["broken"])
    return Checked(**plain, passed=passed, broken=broken, message=row["message"] or "", parts=parts)
