"""What a caller may hand in, checked before anything is spent."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from typing import Any, get_args

from lab import errors
from lab.model import Call, Lane


def call_of(
    prompt: Any,
    *,
    model: Any,
    streamed: bool,
    user: str | None = None,
    tags: Any = (),
    lane: str = "interactive",
    key: str | None = None,
    params: Mapping[str, Any],
) -> Call:
    """A call out of what `ask` and `stream` were given. Raises `InvalidRequestError`, naming what is wrong."""
    if not isinstance(model, str) or not model.strip():
        raise errors.InvalidRequestError(f"model={model!r}: name one, such as local/smollm2, sim/steady or gpt-4o-mini")
    if lane not in get_args(Lane):
        raise errors.InvalidRequestError(f"lane={lane!r}: one of {', '.join(get_args(Lane))}")
    if not isinstance(tags, list | tuple | set | frozenset) or not all(isinstance(tag, str) for tag in tags):
        raise errors.InvalidRequestError(f"tags={tags!r}: a list of strings")
    if user is not None and not isinstance(user, str):
        raise errors.InvalidRequestError(f"user={user!r}: a string")
    if params.get("n") not in (None, 1):
        raise errors.InvalidRequestError(f"n={params['n']!r}: one answer a call; ask again for another")
    if key is not None and (not isinstance(key, str) or not key.strip() or not key.isprintable() or len(key) > 255):
        raise errors.InvalidRequestError(f"key={key!r}: up to 255 printable characters")
    messages = messages_of(prompt)
    try:
        json.dumps([messages, {key: value for key, value in params.items() if key != "response_format"}])
    except (TypeError, ValueError) as unsendable:
        raise errors.InvalidRequestError(f"a message or parameter can't be sent as JSON: {unsendable}") from unsendable
    return Call(
        call_id=new_id(),
        model=model.strip(),
        messages=messages,
        params=dict(params),
        streamed=streamed,
        user=user,
        tags=tuple(tags),
        lane=lane,
        key=key,
    )


def new_id() -> str:
    """An identifier that sorts by time: 12 hexadecimal digits of milliseconds, 14 of chance."""
    return f"{int(time.time() * 1000):012x}{secrets.token_hex(7)}"


def messages_of(prompt: Any) -> tuple[dict[str, Any], ...]:
    """A string or a list of messages, as messages. Raises `InvalidRequestError` where there is nothing to send."""
    if isinstance(prompt, str):
        if not prompt.strip():
            raise errors.InvalidRequestError("the prompt is empty: write something to send")
        return ({"role": "user", "content": prompt},)
    if not isinstance(prompt, list | tuple) or not prompt:
        raise errors.InvalidRequestError(
            f"a prompt is a string or a list of messages such as {{'role': 'user', 'content': '...'}}, "
            f"not {type(prompt).__name__}{'' if prompt else ' with nothing in it'}"
        )
    for number, message in enumerate(prompt):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise errors.InvalidRequestError(f"message {number} has no role: {{'role': 'user', 'content': '...'}}")
        content = message.get("content")
        if isinstance(content, list) and not all(isinstance(part, dict) and "type" in part for part in content):
            raise errors.InvalidRequestError(
                f"message {number}: a list of parts such as {{'type': 'text', 'text': '...'}}"
            )
        if content is not None and not isinstance(content, str | list):
            raise errors.InvalidRequestError(f"message {number}: content is text or a list of parts")
        if not (message.get("content") or message.get("tool_calls")):
            raise errors.InvalidRequestError(f"message {number} ({message['role']}) has no content")
    return tuple(dict(message) for message in prompt)
