"""Embeddings that were paid for, to be given again: by what was asked of which model, and by the text's hash."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from lab.ledger.answers import asked_of, hashed
from lab.values import Call

_PLACES = ("_API_BASE", "_BASE_URL", "_API_VERSION", "LAB_EMBEDDING")
"""How the names of variables end that say where models are."""


def request_of(call: Call) -> str:
    """A hash of all that two embeddings must have alike to be comparable: the model, its parameters, its address, be it
    said in the call or in the environment."""
    params, _judged, who = asked_of(call)
    places = {name: value for name, value in os.environ.items() if name.endswith(_PLACES)}
    where = places if who["address"] is None else {}
    return hashed(json.dumps([call.model, params, who["address"], where], sort_keys=True, default=str))


def known(db: sqlite3.Connection, request: str, texts: Iterable[str]) -> dict[str, bytes]:
    """The vectors (float32) of those texts that there are, by the text's hash."""
    rows = db.execute(
        "SELECT text, vector FROM json_each(?) JOIN embeddings ON request = ? AND text = value",
        (json.dumps(list(texts)), request),
    )
    return dict(rows.fetchall())


def put(db: sqlite3.Connection, request: str, vectors: Mapping[str, bytes], call_id: str) -> None:
    """Keep the vectors that a call has brought, by their texts' hashes."""
    db.executemany(
        "INSERT OR REPLACE INTO embeddings (request, text, vector, call_id) VALUES (?, ?, ?, ?)",
        [(request, text, vector, call_id) for text, vector in vectors.items()],
    )


def texts_of(call: Call) -> list[Any]:
    """The texts that a call embeds."""
    return [message["content"] for message in call.messages]
