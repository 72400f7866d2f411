"""What people keep on the ledger of their own: a star or a note on a call, and cases for sets of theirs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from lab.ledger.file import Ledger

LONGEST = 20_000
"""Characters of a note."""


def note(book: Ledger, call_id: str, *, starred: bool | None = None, text: str | None = None) -> None:
    """Star a call, or write a note on it; what is None stays as it is. Raises `ValueError` for a call that is not
    there, or a note of more than `LONGEST` characters."""
    if text is not None and len(text) > LONGEST:
        raise ValueError(f"a note of {len(text):,} characters: at most {LONGEST:,}")
    if not book.rows("SELECT 1 FROM calls WHERE call_id = ?", [call_id]):
        raise ValueError(f"no call {call_id!r} on this ledger")
    sql = (
        "INSERT INTO notes (call_id, starred, note, noted_at) VALUES (?1, coalesce(?2, 0), ?3, ?4) ON CONFLICT"
        " (call_id) DO UPDATE SET starred = coalesce(?2, starred), note = coalesce(?3, note), noted_at = ?4"
    )
    star = None if starred is None else int(starred)
    book.submit((sql, (call_id, star, text, time.time()))).result()


def of(book: Ledger, calls: Sequence[str]) -> dict[str, tuple[bool, str]]:
    """Which of these calls have a star, and what is noted on them; those with neither are left out."""
    rows = book.rows(
        "SELECT call_id, starred, coalesce(note, '') FROM notes WHERE call_id IN (SELECT value FROM json_each(?))",
        [json.dumps(list(calls))],
    )
    return {call_id: (bool(starred), text) for call_id, starred, text in rows if starred or text}


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
