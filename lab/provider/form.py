"""How a model is held to a schema: natively where the provider does that, by its JSON mode, or in words."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from lab import errors
from lab.provider.loading import load
from lab.values import Call

Form = Literal["native", "json", "instructed"]
"""`native`: the provider keeps the answer to the schema. `json`: it keeps it to JSON, and is told the schema.
`instructed`: it is told, and nothing more."""


def formed(
    call: Call, name: str, params: dict[str, Any], *, own: bool
) -> tuple[tuple[Mapping[str, Any], ...], dict[str, Any], Form | None]:
    """Messages and parameters that ask `name` for the call's schema. Raises `UnsupportedError` where it must be native
    and can't be."""
    schema = call.schema
    if schema is None:
        return call.messages, params, None
    form: Form = "native" if own else _form(name)
    if schema.native is False:
        form = "instructed"
    if schema.native and form != "native":
        raise errors.UnsupportedError(
            f"{call.model} can't be held to a schema: leave out `native=True`, or ask another"
        )
    if form == "native":
        wanted = {"name": schema.name, "schema": schema.sent, "strict": schema.strict}
        return call.messages, {**params, "response_format": {"type": "json_schema", "json_schema": wanted}}, form
    more = {"response_format": {"type": "json_object"}} if form == "json" else {}
    return _told(call.messages, schema.instruction()), {**params, **more}, form


@lru_cache(maxsize=512)
def _form(name: str) -> Form:
    litellm = load()
    try:
        model, provider, _, _ = litellm.get_llm_provider(name)
    except litellm.exceptions.BadRequestError:
        return "instructed"
    if litellm.supports_response_schema(model=model, custom_llm_provider=provider):
        return "native"
    known = litellm.get_supported_openai_params(model=model, custom_llm_provider=provider) or []
    return "json" if "response_format" in known else "instructed"


def _told(messages: tuple[Mapping[str, Any], ...], instruction: str) -> tuple[Mapping[str, Any], ...]:
    """The messages with the instruction in their system message, which is made where there is none."""
    first, *rest = messages
    if first.get("role") == "system" and isinstance(first.get("content"), str):
        return ({**first, "content": f"{first['content']}\n\n{instruction}"}, *rest)
    return ({"role": "system", "content": instruction}, *messages)
