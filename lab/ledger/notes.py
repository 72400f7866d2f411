"""What people say of a call: a star, or a note."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

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
