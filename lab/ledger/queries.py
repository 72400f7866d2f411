"""The ledger read back: filtered, paged in SQL, as DataFrames."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

from lab import errors
from lab.ledger import fields
from lab.ledger.fields import flags, shown
from lab.ledger.file import Ledger
from lab.ledger.narrowing import named_version, unix
from lab.show.moments import utc
from lab.show.text import natural

if TYPE_CHECKING:
    import pandas as pd

CALLS = shown(fields.CALLS)
"""Columns of `calls`."""
_SELECT = ", ".join(fields.sql("calls", name) for name in CALLS)
STATUSES = ("running", "ok", "failed", "cancelled")
_ELAPSED, _TOKENS = "calls.ended_at - calls.started_at", "calls.input_tokens + calls.output_tokens"
ORDERS = {
    "newest": "calls.started_at DESC",
    "oldest": "calls.started_at",
    "slowest": f"{_ELAPSED} DESC",
    "fastest": f"{_ELAPSED} NULLS LAST",
    "costliest": "calls.cost DESC",
    "cheapest": "calls.cost NULLS LAST",
    "longest": f"{_TOKENS} DESC",
    "shortest": f"{_TOKENS} NULLS LAST",
}
"""In which orders calls are listed, over the whole ledger: by time, by what callers waited, by cost, by tokens."""


def calls(
    ledger: Ledger, *, limit: int | None = 1000, offset: int = 0, order: str = "newest", **filters: Any
) -> pd.DataFrame:
    """Calls, in one of `ORDERS`: columns `CALLS`, then `prompt` and `answer`. `started_at` is a UTC timestamp,
    `elapsed` the seconds from there to the end, `latency` and `ttft` those of the attempt that answered.

    Filters: `search` (words in the prompt or the answer), `model`, `status`, `kind`, `prompt` (a name, or `name@2`),
    `user`, `tag`, `experiment`, `job`, `starred` ones alone, `since` and `until` (datetimes or Unix seconds). `limit`
    rows after `offset`; None is all.
    """
    return _typed(ledger.frame(*_listing(limit, offset, order, filters)), flags(fields.CALLS))


def listed(
    ledger: Ledger, *, limit: int | None = 1000, offset: int = 0, order: str = "newest", **filters: Any
) -> list[dict[str, Any]]:
    """The same as dictionaries, `started_at` in Unix seconds: without pandas, which takes a while to import."""
    return ledger.query(*_listing(limit, offset, order, filters))


def _listing(limit: int | None, offset: int, order: str, filters: dict[str, Any]) -> tuple[str, list[Any]]:
    _one_of("order", order, tuple(ORDERS))
    where, values = filtered(**filters)
    order = f"ORDER BY {ORDERS[order]}, calls.id{'' if order == 'oldest' else ' DESC'}"
    if limit is not None:  # which rows they are is found in an index: those before them are not looked at
        page = f"LIMIT {int(limit)} OFFSET {int(offset)}"
        where = f" WHERE calls.id IN (SELECT calls.id FROM calls{where} {order} {page})"
    source = "calls LEFT JOIN texts ON texts.id = calls.id"
    return f"SELECT {_SELECT}, texts.prompt, texts.answer FROM {source}{where} {order}", values


def call(ledger: Ledger, call_id: str) -> dict[str, Any]:
    """One call's row: the columns `CALLS`, None where there is nothing; `started_at` in Unix seconds."""
    rows = ledger.query(f"SELECT {_SELECT} FROM calls WHERE call_id = ?", [call_id])
    if not rows:
        raise ValueError(f"no call {call_id!r} on this ledger")
    return {**rows[0], "tags": tags(rows[0]["tags"])}


def count(ledger: Ledger, **filters: Any) -> int:
    """How many calls match `filters`, as in `calls`."""
    where, values = filtered(**filters)
    (row,) = ledger.query(f"SELECT count(*) AS n FROM calls{where}", values)
    return int(row["n"])


def models(ledger: Ledger) -> list[str]:
    """The models that were called, by name."""
    return _distinct(ledger, "calls", "model", 100_000)


def names(ledger: Ledger, most: int = 200) -> dict[str, list[str]]:
    """What calls can be narrowed to: the first so many models, prompts, experiments, users and tags, by name."""
    versions = ledger.rows("SELECT name, version FROM prompts ORDER BY name, version DESC LIMIT ?", [most])
    prompts = dict.fromkeys(prompt for name, version in versions for prompt in (name, f"{name}@{version}"))
    listed = ledger.rows("SELECT experiment FROM experiments ORDER BY created_at DESC LIMIT ?", [most])
    return {
        "model": _distinct(ledger, "calls", "model", most),
        "prompt": list(prompts),
        "experiment": sorted((row[0] for row in listed), key=natural),
        "user": _distinct(ledger, "calls", "user", most),
        "tag": _distinct(ledger, "call_tags", "tag", most),
    }


def _distinct(ledger: Ledger, table: str, column: str, most: int) -> list[str]:
    """The values of a column that an index begins with: one step of it a value, however many rows there are."""
    rows = ledger.rows(
        f"WITH RECURSIVE seen(value) AS (SELECT min({column}) FROM {table} WHERE {column} IS NOT NULL UNION ALL"
        f" SELECT (SELECT min({column}) FROM {table} WHERE {column} > seen.value) FROM seen WHERE seen.value"
        " IS NOT NULL LIMIT ?) SELECT value FROM seen WHERE value IS NOT NULL",
        [most],
    )
    return [row[0] for row in rows]


def attempts(ledger: Ledger, call_id: str | None = None, *, limit: int | None = 1000) -> pd.DataFrame:
    """Attempts, newest first (those of one call in their order): one row a physical request."""
    where, values = (" WHERE call_id = ?", [call_id]) if call_id else ("", [])
    order = "number" if call_id else "id DESC"
    page = f" LIMIT {int(limit)}" if limit is not None else ""
    frame = ledger.frame(f"SELECT * FROM attempts{where} ORDER BY {order}{page}", values)
    return _typed(frame.drop(columns="id"), flags(fields.ATTEMPTS))


def checks(ledger: Ledger, call_id: str) -> pd.DataFrame:
    """What the checks found in a call's answers: columns `attempt`, `name`, `passed`, `score`, `threshold`, `step`,
    `broken`, `message`, `parts` (a list of the unsupported ones)."""
    frame = ledger.frame(
        "SELECT attempt, name, passed, score, threshold, step, broken, message, parts FROM checks"
        " WHERE call_id = ? ORDER BY attempt, place",
        [call_id],
    )
    frame["parts"] = frame["parts"].map(lambda text: json.loads(text) if isinstance(text, str) else [])
    return frame.astype({"passed": bool, "broken": bool})


def texts(ledger: Ledger, call_id: str) -> dict[str, Any] | None:
    """What was said in one call, and the configuration it ran under."""
    rows = ledger.query(
        "SELECT messages, prompt, reasoning, answer, tool_calls, left_out, extra, kept, digest,"
        " configs.content AS config FROM calls JOIN texts ON texts.id = calls.id"
        " LEFT JOIN configs ON configs.config = calls.config WHERE calls.call_id = ?",
        [call_id],
    )
    if not rows:
        return None
    row = rows[0]
    row["kept"] = bool(row["kept"])
    for name in ("messages", "tool_calls", "left_out", "extra", "config", "digest"):
        row[name] = json.loads(row[name]) if row[name] else None
    return row


_SAYS = (
    "calls.id IN (WITH words(query) AS (VALUES (?))"
    " SELECT texts_fts.rowid FROM words CROSS JOIN texts_fts WHERE texts_fts MATCH words.query"
    " UNION SELECT thoughts_fts.rowid FROM words CROSS JOIN thoughts_fts WHERE thoughts_fts MATCH words.query)"
)
"""Words of the prompt, of the answer, or of what was thought."""


def match(words: str) -> str:
    """What a person types, as a full-text query that can't be a syntax error: all words, the last as a prefix."""
    terms = re.findall(r"\w+", words, re.UNICODE)
    return " ".join(f'"{word}"' for word in terms[:-1]) + (f' "{terms[-1]}"*' if terms else "")


def filtered(
    *,
    search: str | None = None,
    model: str | None = None,
    status: str | None = None,
    kind: str | None = None,
    prompt: str | None = None,
    user: str | None = None,
    tag: str | None = None,
    experiment: str | None = None,
    job: str | None = None,
    since: datetime | float | None = None,
    until: datetime | float | None = None,
    starred: bool | None = None,
) -> tuple[str, list[Any]]:
    """A WHERE clause over `calls`, empty for no filter, and its values."""
    _one_of("status", status, STATUSES)
    _one_of("kind", kind, get_args(errors.Kind))
    terms: list[tuple[str, Any]] = [
        (f"calls.{name} = ?", value)
        for name, value in (
            ("model", model),
            ("status", status),
            ("kind", kind),
            ("user", user),
            ("experiment", experiment),
            ("job", job),
        )
        if value is not None
    ]
    others = (search, model, kind, prompt, user, tag, experiment, job)
    if status == "ok" and any(other is not None for other in others):  # most calls are: its index finds nothing quickly
        terms = [("+calls.status = ?" if term == "calls.status = ?" else term, value) for term, value in terms]
    if tag is not None:
        terms.append(("calls.id IN (SELECT id FROM call_tags WHERE tag = ?)", tag))
    if starred:
        terms.append(("calls.call_id IN (SELECT call_id FROM notes WHERE starred)", None))
    if prompt is not None:
        name, version = named_version(prompt)
        terms.append(("calls.prompt_name = ?", name))
        if version is not None:
            terms.append(("calls.prompt_version = ?", version))
    if since is not None:
        terms.append(("calls.started_at >= ?", unix(since)))
    if until is not None:
        terms.append(("calls.started_at < ?", unix(until)))
    if search and (query := match(search)):
        terms.append((_SAYS, query))
    if not terms:
        return "", []
    return " WHERE " + " AND ".join(term for term, _ in terms), [value for _, value in terms if value is not None]


def _one_of(name: str, value: str | None, valid: tuple[str, ...]) -> None:
    if value is not None and value not in valid:
        raise ValueError(f"{name}={value!r}: one of {', '.join(valid)}")


def _typed(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:

    frame["started_at"] = utc(frame["started_at"])
    for name in names:
        frame[name] = frame[name].astype(bool)
    if "tags" in frame:
        frame["tags"] = frame["tags"].map(tags)
    return frame


def tags(text: str) -> list[str]:
    """Tags as the ledger has them; a lone surrogate, which JSON can hold and nothing else, becomes a question mark."""
    return [tag.encode("utf-8", "replace").decode() for tag in json.loads(text)]


def spent(ledger: Ledger, per: str, scope: str) -> float:
    """US dollars of all calls of one experiment, user or day (a UTC date), as far as they are known."""
    values: list[Any]
    if per == "day":
        start = datetime.fromisoformat(scope).replace(tzinfo=UTC).timestamp()
        where, values = "started_at >= ? AND started_at < ?", [start, start + 86_400]
    else:
        where, values = f"{'experiment' if per == 'experiment' else 'user'} = ?", [scope]
    (row,) = ledger.query(f"SELECT coalesce(sum(cost), 0.0) AS usd FROM calls WHERE {where}", values)
    return float(row["usd"])
