"""What was asked once of several prompts and models, side by side, as one value; and the history of it on the ledger.

{"prompts": [{"messages": [...]}, {"prompt": ["triage", [...]], "variables": {...}, "label": "triage v1"}],
 "models": [...], "params": {...}, "schema": {...}, "policy": {...}}
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lab import errors
from lab.call.prompts import Filled
from lab.evals.spec import SECRET, read_prompt, written_prompt
from lab.ledger.file import Ledger
from lab.ledger.privacy import Clean, Payload, masked
from lab.policies import Policy
from lab.show.text import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Each of the `prompts` (a label, and messages or a filled prompt) asked of each of the `models`. `schema` is a
    JSON schema, `policy` what `Policy.content` has, as far as it differs from the Lab's."""

    prompts: tuple[tuple[str, Filled | tuple[Mapping[str, Any], ...]], ...]
    models: tuple[str, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    policy: Mapping[str, Any] | None = None

    def bounded(self, usual: Policy) -> Policy | None:
        """The Lab's usual policy with what this one changes; None for the usual one. Raises `InvalidRequestError`."""
        if not self.policy:
            return None
        try:
            return Policy.of({**usual.content(), **self.policy})
        except (ValueError, TypeError) as odd:
            raise errors.InvalidRequestError(str(odd)) from odd

    def written(self) -> dict[str, Any]:
        """As JSON values, for `read`; parameters that are keys, or hold some, are left out."""
        params = {name: value for name, value in Clean.params(self.params).items() if name not in SECRET}
        whole = {
            "prompts": [_written(label, asked) for label, asked in self.prompts],
            "models": list(self.models),
            "params": params,
            "schema": self.schema,
            "policy": self.policy,
        }
        return {name: value for name, value in whole.items() if value}

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Ask:
        """What `written` has written. Raises `ValueError` for what is none."""
        try:
            return cls(
                prompts=tuple(_read(prompt) for prompt in content.get("prompts", ())),
                models=tuple(content.get("models", ())),
                params=dict(content.get("params") or {}),
                schema=content.get("schema"),
                policy=content.get("policy"),
            )
        except (TypeError, KeyError, AttributeError) as odd:
            raise ValueError(f"not what was asked once: {odd!r}") from odd


def _written(label: str, asked: Any) -> dict[str, Any]:
    if isinstance(asked, Filled):
        return {"label": label, "prompt": written_prompt(asked.prompt), "variables": dict(asked.variables)}
    return {"label": label, "messages": [dict(message) for message in asked]}


def _read(content: Mapping[str, Any]) -> tuple[str, Any]:
    label = str(content.get("label", ""))
    if "prompt" not in content:
        return label, tuple(content["messages"])
    return label, read_prompt(*content["prompt"]).fill(**content.get("variables", {}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One of the history: what was asked (None where its words were not kept, or in a listing), when (Unix seconds),
    of which calls with the prompt's label of each, the beginning of its words, and what a person says of it."""

    ask: str
    asked_at: float
    request: Ask | None
    calls: tuple[tuple[str, str], ...]
    title: str = ""
    name: str = ""
    note: str = ""
    pinned: bool = False


def put(book: Ledger, payload: Payload, request: Ask, calls: Sequence[tuple[str, str]]) -> str:
    """Keep what was asked, cleaned like the words of calls, and its calls, each with the label of its prompt; its own
    identifier."""
    ask = secrets.token_hex(6)
    clean = payload.plain(request.params)
    written: dict[str, Any] = {"models": list(request.models)}
    title = ""
    if payload.keep == "all":
        written = clean.deep(request.written())
        title = clean.text(_title(request))
    content = json.dumps(written, ensure_ascii=False, default=str)
    sql = "INSERT INTO asks (ask, asked_at, title, request, calls) VALUES (?, ?, ?, ?, ?)"
    listed = json.dumps([list(call) for call in calls])
    book.submit((sql, (ask, time.time(), title, content, listed))).result()
    return ask


def _title(request: Ask) -> str:
    """The beginning of what was asked."""
    if not request.prompts:
        return ""
    label, asked = request.prompts[0]
    if label:
        more = len(request.prompts) - 1
        return label + (f" and {more} more" if more else "")
    last = asked[-1].get("content") if isinstance(asked, tuple) and asked else ""
    text = last if isinstance(last, str) else " ".join(str(part.get("text", "")) for part in last or ())
    return one_line(text, 60)


def get(book: Ledger, ask: str) -> Kept:
    """One of the history. Raises `ValueError` where there is none."""
    rows = book.query("SELECT * FROM asks WHERE ask = ?", [ask])
    if not rows:
        raise ValueError(f"nothing was asked under {ask!r} (any more)")
    return _kept(rows[0])


def listing(book: Ledger, limit: int = 30) -> list[Kept]:
    """The history, without the requests themselves: what is pinned first, then the newest."""
    rows = book.query(
        "SELECT ask, asked_at, title, name, note, pinned, calls, '{}' AS request FROM asks"
        " ORDER BY pinned DESC, asked_at DESC LIMIT ?",
        [limit],
    )
    return [_kept(row) for row in rows]


def change(book: Ledger, payload: Payload, ask: str, **what: Any) -> None:
    """Pin it, name it, or write a note on it: `name`, `note` (cleaned like the words of calls), `pinned`."""
    clean = payload.plain()
    for name, value in what.items():
        if name not in ("name", "note", "pinned"):
            raise ValueError(f"{name}: one of name, note, pinned")
        value = clean.text(value) if isinstance(value, str) else value
        book.submit((f"UPDATE asks SET {name} = ? WHERE ask = ?", (value, ask))).result()


def forget(book: Ledger, ask: str) -> None:
    """Take it out of the history; its calls stay on the ledger."""
    book.submit(("DELETE FROM asks WHERE ask = ?", (ask,))).result()


def _kept(row: Mapping[str, Any]) -> Kept:
    content = json.loads(row["request"])
    try:
        request = Ask.read(content) if content.get("prompts") else None
    except ValueError:  # of a prompt that can't be filled any more
        request = None
    return Kept(
        ask=row["ask"],
        asked_at=row["asked_at"],
        request=request,
        calls=tuple((call, label) for call, label in json.loads(row["calls"])),
        title=row["title"] or "",
        name=row["name"] or "",
        note=row["note"] or "",
        pinned=bool(row["pinned"]),
    )


def of_call(row: Mapping[str, Any], texts: Mapping[str, Any]) -> Ask | None:
    """What one call has asked, to be asked again within the bounds of whoever does: `row` and `texts` are as the ledger
    has them; None where its words were not kept. What was masked when it was written is left out."""
    if not texts.get("messages") or not texts.get("kept"):
        return None
    config = texts.get("config") or {}
    return Ask(
        prompts=(("", tuple(texts["messages"])),),
        models=(row["model"],),
        params={name: value for name, value in (config.get("params") or {}).items() if not masked(value)},
        schema=config.get("schema"),
    )


ENDPOINT = ("api_base", "base_url", "api_version", "custom_llm_provider", "organization", "deployment_id")
"""Parameters that say where one model is asked, and mean nothing for another."""


def elsewhere(ask: Ask, model: str) -> Ask:
    """The same asked of another model, at its own address."""
    params = {name: value for name, value in ask.params.items() if name not in ENDPOINT}
    return replace(ask, models=(model,), params=params)
