"""One place knows the columns of calls and attempts: it and the schema say the same."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from lab import Lab
from lab.ledger import fields, packs, rows
from lab.ledger.opening import prepare


@pytest.mark.parametrize("table", ["calls", "attempts"])
def test_every_column_of_the_schema_is_known_and_no_other(table: str, tmp_path: Path) -> None:
    prepare(tmp_path / "lab.db")
    with sqlite3.connect(tmp_path / "lab.db") as db:
        schema = {name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")}
    known = fields.CALLS if table == "calls" else fields.ATTEMPTS
    assert {name for name, field in known.items() if field.sql is None} == schema


def test_what_is_shown_packed_and_written_is_read_off_from_it(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab.db", provider=lambda call: "yes") as lab:
        lab.ask("hi", model="m")
        assert list(lab.calls()) == [*fields.shown(fields.CALLS), "prompt", "answer"]
        assert set(lab.attempts()) == {name for name, field in fields.ATTEMPTS.items() if field.sql is None} - {"id"}
        assert set(packs.OF["calls"]) <= set(fields.CALLS)
        assert all(lab.calls()[name].dtype == bool for name in fields.flags(fields.CALLS))
    assert set(rows._ATTEMPT) <= set(fields.ATTEMPTS)
