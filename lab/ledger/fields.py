"""The columns of calls and attempts: the one place that knows them. A migration that adds one adds a line here.

What `lab.calls()` shows, what is exported, what is packed for figures, and what is a flag are read off from this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "f8", "i1", "i8"]
"""How a column is packed: texts as places in a list of words, the rest as numpy has them. A number may be missing
(NaN), a flag or a whole number not."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column. `packed`: its kind, where figures are made of it; `shown`: it is in the tables that people read and in
    exports; `flag`: 0, 1, or NULL for unknown; `sql`: what it is read from, where that is no column of its name."""

    packed: Kind | None = None
    shown: bool = True
    flag: bool = False
    sql: str | None = None


def _flag(packed: Kind | None = "i1") -> Field:
    return Field(packed, flag=True)


_TEXT, _NUMBER, _PLAIN, _HIDDEN = Field("text"), Field("f8"), Field(), Field(shown=False)

CALLS: Mapping[str, Field] = {
    "call_id": _PLAIN,
    "started_at": _NUMBER,
    "status": _TEXT,
    "kind": _TEXT,
    "model": _TEXT,
    "answered_by": _PLAIN,
    "n_attempts": _PLAIN,
    "elapsed": Field(sql="calls.ended_at - calls.started_at"),
    "latency": _NUMBER,
    "ttft": _NUMBER,
    "thinking": _NUMBER,
    "queue": _NUMBER,
    "cost": _NUMBER,
    "cost_estimated": _flag(None),
    "input_tokens": _NUMBER,
    "output_tokens": _NUMBER,
    "reasoning_tokens": _PLAIN,
    "tokens_before": _PLAIN,
    "finish_reason": _PLAIN,
    "prompt_name": _TEXT,
    "prompt_version": _NUMBER,
    "config": _TEXT,
    "user": _TEXT,
    "tags": _TEXT,
    "lane": _TEXT,
    "cached": _flag(),
    "cached_as": _PLAIN,
    "cached_from": _PLAIN,
    "saved": _PLAIN,
    "saved_seconds": _PLAIN,
    "hedged": _flag(),
    "fell_back": _flag(),
    "router": _PLAIN,
    "routed_to": _PLAIN,
    "routed_why": _PLAIN,
    "route_score": _PLAIN,
    "route_cut": _PLAIN,
    "experiment": _TEXT,
    "cell": _PLAIN,
    "job": _PLAIN,
    "step": _PLAIN,
    "valid": Field("f8", flag=True),
    "streamed": _flag(None),
    "phase": _TEXT,
    "reason": _TEXT,
    "error": _PLAIN,
    "id": Field("i8", shown=False),
    "ended_at": Field("f8", shown=False),
    "key": _HIDDEN,
}
"""In the order in which `lab.calls()` has them."""

ATTEMPTS: Mapping[str, Field] = {
    "call_id": _PLAIN,
    "number": Field("i8"),
    "role": _TEXT,
    "model": _TEXT,
    "way": _TEXT,
    "form": _PLAIN,
    "started_at": _NUMBER,
    "status": _TEXT,
    "kind": _TEXT,
    "phase": _TEXT,
    "reason": _TEXT,
    "error": _PLAIN,
    "http_status": _NUMBER,
    "retry_after": _NUMBER,
    "wait": _NUMBER,
    "connect": _NUMBER,
    "ttft": _NUMBER,
    "thinking": _NUMBER,
    "latency": _NUMBER,
    "won": _flag(),
    "cost": _NUMBER,
    "cost_estimated": _flag(None),
    "price": _PLAIN,
    "input_tokens": _PLAIN,
    "cache_read_tokens": _PLAIN,
    "cache_write_tokens": _PLAIN,
    "output_tokens": _PLAIN,
    "reasoning_tokens": _PLAIN,
    "usage_estimated": _flag(None),
    "finish_reason": _PLAIN,
    "request_id": _PLAIN,
    "loop_lag": _NUMBER,
    "saturated": _flag(),
    "id": _HIDDEN,
    "body": _HIDDEN,
    "usage": _HIDDEN,
    "call": Field("i8", shown=False, sql="calls.id"),
}
"""In the order in which exports have them. `call` is the number of the call's row."""

FLAGS = frozenset(name for table in (CALLS, ATTEMPTS) for name, field in table.items() if field.flag)


def flags(table: Mapping[str, Field]) -> list[str]:
    """The flags that are always known."""
    return [name for name, field in table.items() if field.flag and field.packed != "f8"]


def shown(table: Mapping[str, Field]) -> list[str]:
    """The columns that people read, in order."""
    return [name for name, field in table.items() if field.shown]


def packed(table: Mapping[str, Field]) -> dict[str, Kind]:
    """The columns that figures are made of, and how each is packed."""
    return {name: field.packed for name, field in table.items() if field.packed is not None}


def sql(table: Literal["calls", "attempts"], name: str) -> str:
    """What a column is read from, under its name."""
    field = (CALLS if table == "calls" else ATTEMPTS)[name]
    return f"{table}.{name}" if field.sql is None else f"{field.sql} AS {name}"
