"""Routers on the ledger: what each version was fitted on, what it promises, and what it chooses by."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.ledger.file import Ledger

_COLUMNS = (
    "name, version, made_at, prompt_name, prompt_hash, eval_set, eval_hash, cases, models, margin, cut, explore,"
    " figures, wrong"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a router. `figures` is what it promises and from what, as `lab.evals.router` writes it; `learnt`
    is what the gain is predicted with, or None where it was not read, or nothing is promised."""

    name: str
    prompt_name: str
    prompt_hash: str
    models: tuple[str, ...]
    margin: float
    explore: float
    cases: int
    figures: Mapping[str, Any]
    version: int = 0
    made_at: float = 0.0
    eval_set: str | None = None
    eval_hash: str | None = None
    cut: float | None = None
    wrong: str | None = None
    learnt: bytes | None = field(repr=False, default=None)

    @property
    def label(self) -> str:
        """Its name and number, as calls have it."""
        return f"{self.name}@{self.version}"


def put(book: Ledger, router: Version) -> int:
    """Keep a version; its number."""

    def decide(db: sqlite3.Connection) -> int:
        (last,) = db.execute("SELECT coalesce(max(version), 0) FROM routers WHERE name = ?", (router.name,)).fetchone()
        values = (
            *(router.name, last + 1, time.time(), router.prompt_name, router.prompt_hash),
            *(router.eval_set, router.eval_hash, router.cases, json.dumps(router.models), router.margin),
            *(router.cut, router.explore, json.dumps(router.figures), router.wrong, router.learnt),
        )
        db.execute(f"INSERT INTO routers ({_COLUMNS}, learnt) VALUES ({', '.join('?' * len(values))})", values)
        return int(last + 1)

    return book.transact(decide).result()


def newest(book: Ledger, name: str, known: int = 0) -> Version | None:
    """The newest version of a router, whole; None where there is none that is newer than the `known` one."""
    rows = book.query(
        f"SELECT {_COLUMNS}, learnt FROM routers WHERE name = ? AND version > ? ORDER BY version DESC LIMIT 1",
        [name, known],
    )
    return _version(rows[0]) if rows else None


def versions(book: Ledger, name: str | None = None) -> list[Version]:
    """All versions, of one router or of all, newest first."""
    where, values = ("WHERE name = ?", [name]) if name else ("", [])
    rows = book.query(f"SELECT {_COLUMNS} FROM routers {where} ORDER BY id DESC", values)
    return [_version(row) for row in rows]


def names(book: Ledger) -> list[str]:
    """The routers that there are."""
    return [row["name"] for row in book.query("SELECT DISTINCT name FROM routers ORDER BY name")]


def stop(book: Ledger, name: str, version: int, wrong: str) -> None:
    """A version doesn't choose any more; why."""
    sql = "UPDATE routers SET wrong = ? WHERE name = ? AND version = ? AND wrong IS NULL"
    book.submit((sql, (wrong, name, version)))


def wrong(book: Ledger, name: str, version: int) -> str | None:
    """Why a version doesn't choose any more; None where it does."""
    rows = book.query("SELECT wrong FROM routers WHERE name = ? AND version = ?", [name, version])
    return rows[0]["wrong"] if rows else "it was removed"


def _version(row: Mapping[str, Any]) -> Version:
    values = dict(row)
    models: Sequence[str] = json.loads(values.pop("models"))
    return Version(models=tuple(models), figures=json.loads(values.pop("figures")), **values)
