"""What a caller may hand in, checked before anything is spent."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, get_args

from lab import errors
from lab.call.prompts import Filled, Prompt
from lab.call.tools import offered
from lab.checks.kernel import Check, as_check
from lab.values import Call, Lane

if TYPE_CHECKING:
    from lab.checks.schema import Schema


def call_of(
    prompt: Any,
    *,
    model: Any,
    streamed: bool,
    user: str | None = None,
    tags: Any = (),
    lane: Any = "interactive",
    key: str | None = None,
    schema: Any = None,
    checks: Any = (),
    experiment: str | None = None,
    cell: str | None = None,
    job: str | None = None,
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
    if params.get("tools"):
        params = {**params, "tools": offered(params["tools"])}
    filled = filled_of(prompt)
    messages = messages_of(prompt) if filled is None else filled.messages
    marked = tuple(number for number, message in enumerate(messages) if message.get("passages") is True)
    if any("passages" in message for message in messages):
        messages = tuple({key: part for key, part in message.items() if key != "passages"} for message in messages)
    if schema is not None and "response_format" in params:
        raise errors.InvalidRequestError("schema and response_format both: the lab writes response_format for a schema")
    wanted = schema_of(schema)
    if wanted is not None and params.get("tools"):
        raise errors.InvalidRequestError("schema and tools both: an answer is a value or calls tools; leave one out")
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
        prompt=filled.prompt if filled else None,
        prompt_name=filled.prompt.name if filled else None,
        variables=filled.variables if filled else {},
        experiment=experiment,
        cell=cell,
        job=job,
        schema=wanted,
        checks=checks_of(checks),
        passages=marked,
    )


def filled_of(prompt: Any) -> Filled | None:
    """A `Prompt` with its variables filled in; None for what is no prompt of that kind."""
    if not isinstance(prompt, Prompt):
        return prompt if isinstance(prompt, Filled) else None
    if prompt.variables:
        names = ", ".join(f"{name}=..." for name in prompt.variables)
        raise errors.InvalidRequestError(f"prompt {prompt.name} has variables: ask with prompt.fill({names})")
    return prompt.fill()


def schema_of(given: Any) -> Schema | None:
    """The schema that an answer is to fit. Raises `InvalidRequestError` for one that nothing can be held to."""
    if given is None:
        return None
    from lab.checks.schema import Schema  # pydantic is slow to import, and most calls have no schema

    try:
        return Schema.of(given)
    except (ValueError, TypeError) as odd:
        raise errors.InvalidRequestError(str(odd)) from odd


def checks_of(given: Any) -> tuple[Check, ...]:
    """The checks of an answer. Raises `InvalidRequestError`, naming what is none."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise errors.InvalidRequestError(f"checks={given!r}: a list of checks or of functions of the value")
    try:
        return tuple(as_check(check) for check in given)
    except TypeError as odd:
        raise errors.InvalidRequestError(str(odd)) from odd


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
        given = f"{type(prompt).__name__}{'' if prompt else ' with nothing in it'}"
        raise errors.InvalidRequestError(
            "a prompt is a string, a Prompt(...).fill(...), or a list of messages such as "
            f"{{'role': 'user', 'content': '...'}}, not {given}"
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
        if "passages" in message and (message["passages"] is not True or not message.get("content")):
            raise errors.InvalidRequestError(f"message {number}: passages={message['passages']!r}: True, or left out")
    return tuple(dict(message) for message in prompt)
