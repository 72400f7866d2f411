"""Two ledgers made one: what workers on several machines have written, read in one place.

Calls are known by their identifiers, prompt versions and routers by their content: they may have other numbers in the
other file, and get those of this one. What is there already stays as it is, so that merging twice changes nothing. Near
hits' comparisons and certificates stay apart: they are evidence about the traffic of one ledger.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lab import errors
from lab.ledger.opening import connect, prepare

_BY_CALL = ("attempts", "checks", "scores")


@dataclass(frozen=True, slots=True)
class Merged:
    """What was new: `calls`, `prompts` (versions), `experiments`; and calls that have `ended` since they were merged
    before."""

    calls: int
    ended: int
    prompts: int
    experiments: int

    def __str__(self) -> str:
        ended = f", {self.ended:,} ended since" if self.ended else ""
        return f"{self.calls:,} calls{ended}, {self.prompts:,} prompt versions, {self.experiments:,} experiments"


def merge(into: str | Path, other: str | Path) -> Merged:
    """Put the rows of the ledger `other` into `into`, which is made where there is none; `other` is only read. All or
    nothing. Raises `LedgerError` where one of them is no ledger, or can't be read or written."""
    into, other = Path(into).expanduser().absolute(), Path(other).expanduser().absolute()
    if not other.exists():
        raise errors.LedgerError(f"there is no ledger at {other}")
    if into.exists() and into.samefile(other):
        raise errors.LedgerError(f"{into} and {other} are one file")
    try:
        with tempfile.TemporaryDirectory(prefix="lab-merge-") as folder:
            copy = Path(folder) / "other.db"
            with closing(sqlite3.connect(f"file:{other.resolve()}?mode=ro", uri=True)) as source:
                with closing(sqlite3.connect(copy)) as target:
                    source.backup(target)
            prepare(copy)  # it may be of an older lab
            prepare(into)
            with closing(connect(into)) as db:
                db.isolation_level = None
                db.execute("ATTACH ? AS other", (str(copy),))
                db.execute("BEGIN IMMEDIATE")
                try:
                    merged = _merged(db)
                    db.execute("COMMIT")
                except BaseException:
                    db.execute("ROLLBACK")
                    raise
                return merged
    except sqlite3.Error as failed:
        raise errors.LedgerError(f"{other} can't be merged into {into}: {failed}") from failed


def _merged(db: sqlite3.Connection) -> Merged:
    prompts = _prompts(db)
    _routers(db)
    db.execute("INSERT OR IGNORE INTO configs SELECT * FROM other.configs")
    db.execute(
        "CREATE TEMP TABLE fresh AS SELECT call_id FROM other.calls WHERE call_id NOT IN (SELECT call_id FROM calls)"
    )
    db.execute(
        "CREATE TEMP TABLE ended AS SELECT theirs.call_id FROM other.calls theirs JOIN calls USING (call_id)"
        " WHERE calls.status = 'running' AND theirs.status <> 'running'"
    )
    names = _columns(db, "calls")
    columns = ", ".join(names)
    values = ", ".join(_MAPPED.get(name, f"theirs.{name}") for name in names)
    db.execute(
        f"INSERT INTO calls ({columns}) SELECT {values} FROM other.calls theirs"
        " WHERE call_id IN (SELECT call_id FROM fresh) ORDER BY theirs.id"
    )
    changed = ", ".join(f"{name} = theirs.{name}" for name in names if name not in ("call_id", *_MAPPED))
    db.execute(
        f"UPDATE calls SET {changed} FROM other.calls theirs"
        " WHERE theirs.call_id = calls.call_id AND calls.call_id IN (SELECT call_id FROM ended)"
    )
    _texts(db)
    for table in _BY_CALL:
        columns = ", ".join(_columns(db, table))
        for ids in ("ended", "fresh"):
            db.execute(
                f"INSERT OR REPLACE INTO {table} ({columns}) SELECT {columns} FROM other.{table}"
                f" WHERE call_id IN (SELECT call_id FROM {ids})"
            )
    for table in ("checks", "scores"):  # what was given since
        columns = ", ".join(_columns(db, table))
        db.execute(
            f"INSERT OR IGNORE INTO {table} ({columns}) SELECT {columns} FROM other.{table}"
            " WHERE call_id IN (SELECT call_id FROM calls)"
        )
    db.execute("INSERT OR IGNORE INTO keys SELECT * FROM other.keys WHERE done")
    columns = ", ".join(_columns(db, "cache_entries"))
    db.execute(
        f"INSERT OR IGNORE INTO cache_entries ({columns}) SELECT {columns} FROM other.cache_entries"
        " WHERE call_id IN (SELECT call_id FROM calls)"
    )
    experiments = _experiments(db)
    for table in ("cases", "notes", "asks", "set_cases"):
        db.execute(f"INSERT OR IGNORE INTO {table} SELECT * FROM other.{table}")
    db.execute(  # of calls whose words are here: of a vector they may be guessed
        "INSERT OR IGNORE INTO embeddings SELECT theirs.* FROM other.embeddings theirs JOIN calls USING (call_id)"
        " JOIN texts ON texts.id = calls.id WHERE texts.kept"
    )
    for table in ("verdicts", "ratings"):
        names = _columns(db, table)
        columns, values = ", ".join(names), ", ".join(_MAPPED.get(name, f"theirs.{name}") for name in names)
        db.execute(
            f"INSERT INTO {table} ({columns}) SELECT {values} FROM other.{table} theirs"
            f" EXCEPT SELECT {columns} FROM {table}"
        )
    _batches(db)
    _labels(db)
    fresh, ended = (db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("fresh", "ended"))
    for name in ("fresh", "ended", "versions", "routed"):
        db.execute(f"DROP TABLE temp.{name}")
    return Merged(calls=fresh, ended=ended, prompts=prompts, experiments=experiments)


_MAPPED = {
    "prompt_version": "coalesce((SELECT mine FROM versions WHERE versions.name = theirs.prompt_name"
    " AND versions.theirs = theirs.prompt_version), theirs.prompt_version)",
    "router": "coalesce((SELECT mine FROM routed WHERE routed.theirs = theirs.router), theirs.router)",
}
"""Columns that name what may have another number here."""


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    """The columns of a table, the number of its row apart."""
    return [name for _, name, *_ in db.execute(f"PRAGMA main.table_info({table})") if name != "id"]


def _prompts(db: sqlite3.Connection) -> int:
    """Prompt versions by their content; which number each of theirs has here is in `versions`."""
    db.execute("CREATE TEMP TABLE versions (name TEXT, theirs INTEGER, mine INTEGER, PRIMARY KEY (name, theirs))")
    names, fresh = _columns(db, "prompts"), 0
    for row in db.execute(f"SELECT {', '.join(names)} FROM other.prompts ORDER BY name, version").fetchall():
        prompt = dict(zip(names, row, strict=True))
        known = db.execute(
            "SELECT version FROM prompts WHERE name = ? AND hash = ?", (prompt["name"], prompt["hash"])
        ).fetchone()
        number = known[0] if known else None
        if number is None:
            fresh += 1
            (last,) = db.execute("SELECT max(version) FROM prompts WHERE name = ?", (prompt["name"],)).fetchone()
            number = (last or 0) + 1
            marks = ", ".join("?" * len(names))
            values = tuple((prompt | {"version": number}).values())
            db.execute(f"INSERT INTO prompts ({', '.join(names)}) VALUES ({marks})", values)
        db.execute("INSERT INTO versions VALUES (?, ?, ?)", (prompt["name"], prompt["version"], number))
    return fresh


def _routers(db: sqlite3.Connection) -> None:
    """Versions of routers by when they were made; what `router@version` of theirs is called here is in `routed`."""
    db.execute("CREATE TEMP TABLE routed (theirs TEXT PRIMARY KEY, mine TEXT)")
    names = _columns(db, "routers")
    for row in db.execute(f"SELECT {', '.join(names)} FROM other.routers ORDER BY name, version").fetchall():
        router = dict(zip(names, row, strict=True))
        known = db.execute(
            "SELECT version FROM routers WHERE name = ? AND made_at = ?", (router["name"], router["made_at"])
        ).fetchone()
        number = known[0] if known else None
        if number is None:
            (last,) = db.execute("SELECT max(version) FROM routers WHERE name = ?", (router["name"],)).fetchone()
            number = (last or 0) + 1
            values = tuple((router | {"version": number}).values())
            db.execute(f"INSERT INTO routers ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", values)
        pair = (f"{router['name']}@{router['version']}", f"{router['name']}@{number}")
        db.execute("INSERT INTO routed VALUES (?, ?)", pair)


def _texts(db: sqlite3.Connection) -> None:
    """Words, under the numbers that their calls have here; what is done goes into the search."""
    names = [name for name in _columns(db, "texts") if name != "done"]
    columns = ", ".join(names)
    source = (
        "other.texts theirs JOIN other.calls ON other.calls.id = theirs.id JOIN calls mine"
        " ON mine.call_id = other.calls.call_id WHERE mine.call_id IN (SELECT call_id FROM {})"
    )
    their = ", ".join(f"theirs.{name}" for name in names)
    for ids in ("ended", "fresh"):
        where = source.format(ids)
        db.execute(f"INSERT OR REPLACE INTO texts (id, {columns}, done) SELECT mine.id, {their}, 0 FROM {where}")
        db.execute(f"UPDATE texts SET done = 1 WHERE id IN (SELECT mine.id FROM {where} AND theirs.done)")


def _experiments(db: sqlite3.Connection) -> int:
    """Experiments by their names, with their cells: of one that is here the plan that is here stays."""
    (before,) = db.execute("SELECT count(*) FROM experiments").fetchone()
    known = {row[0] for row in db.execute("SELECT experiment FROM experiments")}
    db.execute("INSERT OR IGNORE INTO experiments SELECT * FROM other.experiments")
    for experiment, content in db.execute("SELECT experiment, content FROM other.experiments").fetchall():
        if experiment not in known:
            db.execute(
                "UPDATE experiments SET content = ? WHERE experiment = ?", (_renumbered(db, content), experiment)
            )
    names = _columns(db, "cells")
    values = [_MAPPED.get(name, f"theirs.{name}") for name in names]
    for (experiment,) in db.execute("SELECT experiment FROM other.experiments").fetchall():
        current = "0" if experiment in known else "theirs.current"
        chosen = ", ".join(current if name == "current" else value for name, value in zip(names, values, strict=True))
        db.execute(
            f"INSERT OR IGNORE INTO cells ({', '.join(names)}) SELECT {chosen} FROM other.cells theirs"
            " WHERE theirs.experiment = ?",
            (experiment,),
        )
    (after,) = db.execute("SELECT count(*) FROM experiments").fetchone()
    return int(after - before)


def _renumbered(db: sqlite3.Connection, content: str) -> str:
    """What an experiment asked, its prompts' versions under the numbers that they have here."""
    whole = json.loads(content)
    prompts = []
    for name, version in whole.get("prompts") or []:
        mine = db.execute("SELECT mine FROM versions WHERE name = ? AND theirs = ?", (name, version)).fetchone()
        prompts.append([name, mine[0] if mine else version])
    return json.dumps(whole | {"prompts": prompts} if prompts else whole)


def _batches(db: sqlite3.Connection) -> None:
    names = _columns(db, "batches")
    columns = ", ".join(names)
    db.execute(f"INSERT OR IGNORE INTO batches ({columns}) SELECT {columns} FROM other.batches")
    changed = ", ".join(f"{name} = theirs.{name}" for name in names)
    db.execute(
        f"UPDATE batches SET {changed} FROM other.batches theirs"
        " WHERE theirs.token = batches.token AND batches.ended_at IS NULL AND theirs.ended_at IS NOT NULL"
    )
    db.execute(
        "INSERT OR IGNORE INTO batch_lines (batch, line, call_id) SELECT batches.id, theirs.line, theirs.call_id"
        " FROM other.batch_lines theirs JOIN other.batches sent ON sent.id = theirs.batch"
        " JOIN batches ON batches.token = sent.token"
    )


def _labels(db: sqlite3.Connection) -> None:
    """Labels as they were moved, in the order of time: the last move of all counts."""
    moves = db.execute(
        "SELECT name, label, version, moved_at FROM labels UNION SELECT labels.name, label, mine, moved_at"
        " FROM other.labels JOIN versions ON versions.name = labels.name AND versions.theirs = labels.version"
        " ORDER BY moved_at"
    ).fetchall()
    db.execute("DELETE FROM labels")
    db.executemany("INSERT INTO labels (name, label, version, moved_at) VALUES (?, ?, ?, ?)", moves)
