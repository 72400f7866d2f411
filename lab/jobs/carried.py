"""Replies and failures as JSON and back: what of them goes through the jobs' database."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from lab import errors
from lab.values import Checked, Part, Reply, Usage

MOST = 20_000_000
"""Characters of JSON that a job's arguments or its result may have."""
_FACTS = ("status", "body", "phase", "reason", "retry_after", "partial")
_LATER = ("call_id", "attempts", "cost")
_LEFT_OUT = ("value", "usage", "checks", "routed", "tool_calls", "extra", "asked")


def as_json(what: str, value: Any) -> str:
    """A value as JSON. Raises `InvalidRequestError`, saying of what, where it can't be that, or is too long."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as odd:
        raise errors.InvalidRequestError(f"{what}: JSON alone, so that another process can read it: {odd}") from odd
    if len(text) > MOST:
        raise errors.InvalidRequestError(
            f"{what}: {len(text):,} characters of JSON, at most {MOST:,}: write it to a file, and hand on its path"
        )
    return text


def of_reply(reply: Reply[Any], text: Callable[[str], str]) -> dict[str, Any]:
    """A reply as JSON, its words put through `text`; the value is to be read again."""
    plain = {part.name: getattr(reply, part.name) for part in fields(reply) if part.name not in _LEFT_OUT}
    usage = {key: value for key, value in asdict(reply.usage).items() if key != "raw"}
    more = {
        "text": text(reply.text),
        "reasoning": text(reply.reasoning),
        "usage": usage,
        "tools": cleaned([dict(tool) for tool in reply.tool_calls], text),
    }
    return plain | more | {"checks": [_checked(check, text) for check in reply.checks]}


def to_reply(content: dict[str, Any]) -> Reply[Any]:
    """The reply again, as one that was stored."""
    known = {part.name for part in fields(Reply)}
    plain = {key: value for key, value in content.items() if key in known and key not in _LEFT_OUT}
    usage = Usage(**content["usage"])
    checks = tuple(_check(check) for check in content["checks"])
    plain |= {"cached": True, "cached_from": content["call_id"], "tool_calls": tuple(content["tools"])}
    return Reply(**plain, usage=usage, checks=checks)


def of_failure(failure: BaseException, text: Callable[[str], str]) -> dict[str, Any]:
    """A failure as JSON, its words put through `text`."""
    content: dict[str, Any] = {"name": type(failure).__name__, "message": text(str(failure))}
    if isinstance(failure, errors.LabError):
        facts = {name: getattr(failure, name) for name in (*_FACTS, *_LATER)}
        facts |= {name: text(facts[name]) for name in ("body", "partial") if facts[name]}
        checks = [_checked(check, text) for check in failure.checks]
        content |= {"kind": failure.kind, "facts": facts, "checks": checks}
    return content


def to_failure(content: dict[str, Any]) -> Exception:
    """The failure again: the same `LabError`; a built-in exception of the same name; else a `JobError`."""
    if content.get("kind") in errors.BY_KIND:
        facts = content["facts"]
        checks = tuple(_check(check) for check in content["checks"])
        known = {name: facts.get(name) for name in _FACTS}
        failure = errors.BY_KIND[content["kind"]](content["message"], **known, checks=checks)
        failure.call_id, failure.attempts, failure.cost = (facts.get(name) for name in _LATER)
        return failure
    return exception(content["name"], content["message"])


def exception(name: str, message: str) -> Exception:
    """One of Python's own exceptions by its name, where it is made of a message; else a `JobError` that says both."""
    own = getattr(builtins, name, None)
    if isinstance(own, type) and issubclass(own, Exception) and not issubclass(own, UnicodeError | ExceptionGroup):
        return own(message)
    return errors.JobError(message if name == errors.JobError.__name__ else f"{name}: {message}")


def rebuilt(failure: BaseException) -> bool:
    """Whether `to_failure` makes the same kind of exception of what is kept of this one."""
    return isinstance(failure, errors.LabError | errors.JobError) or type(
        exception(type(failure).__name__, "")
    ) is type(failure)


def cleaned(value: Any, text: Callable[[str], str]) -> Any:
    """A JSON value, each text in it put through `text`."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return [cleaned(part, text) for part in value]
    return {key: cleaned(part, text) for key, part in value.items()} if isinstance(value, dict) else value


def _checked(check: Checked, text: Callable[[str], str]) -> dict[str, Any]:
    content = asdict(check) | {"message": text(check.message)}
    content["parts"] = [part | {"text": text(part["text"]), "why": text(part["why"])} for part in content["parts"]]
    return content


def _check(content: dict[str, Any]) -> Checked:
    return Checked(**content | {"parts": tuple(Part(**part) for part in content["parts"])})
