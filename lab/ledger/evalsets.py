"""Eval sets whose cases are on the ledger, made of calls and of rows of experiments."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from lab.ledger.file import Ledger


def add_case(book: Ledger, set_name: str, case: Mapping[str, Any], call_id: str | None = None) -> None:
    """A case, as a line of a set has it, into the set of this name; one of the same `id` is replaced."""
    content = json.dumps(dict(case), ensure_ascii=False, default=str)
    sql = "INSERT OR REPLACE INTO set_cases (set_name, case_id, content, call_id, added_at) VALUES (?, ?, ?, ?, ?)"
    book.submit((sql, (set_name, str(case["id"]), content, call_id, time.time()))).result()


def remove_case(book: Ledger, set_name: str, case_id: str) -> None:
    """Take a case out of a set; the last one takes the set with it."""
    book.submit(("DELETE FROM set_cases WHERE set_name = ? AND case_id = ?", (set_name, case_id))).result()


def cases(book: Ledger, set_name: str) -> list[dict[str, Any]]:
    """The cases of a set, in the order they were added."""
    rows = book.rows("SELECT content FROM set_cases WHERE set_name = ? ORDER BY added_at, case_id", [set_name])
    return [json.loads(content) for (content,) in rows]


def sets(book: Ledger) -> dict[str, int]:
    """The sets that were made here, by name, and how many cases each has."""
    return dict(book.rows("SELECT set_name, count(*) FROM set_cases GROUP BY set_name ORDER BY set_name"))
