"""The versions of prompts on the ledger, numbered per name as they are first used; the labels that point at them."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from lab.call.prompts import Prompt
from lab.ledger.file import Ledger
from lab.ledger.privacy import Clean
from lab.show.moments import utc
from lab.values import Template

if TYPE_CHECKING:
    import pandas as pd


def register(book: Ledger, prompt: Template, clean: Clean) -> Future[int]:
    """The prompt's version number, given now if the ledger has not seen this template under this name. Its words are
    written as `clean` has them."""
    return book.transact(_registered(prompt, clean))


def _registered(prompt: Template, clean: Clean) -> Callable[[sqlite3.Connection], int]:
    def decide(db: sqlite3.Connection) -> int:
        cursor = db.execute("SELECT version FROM prompts WHERE name = ? AND hash = ?", (prompt.name, prompt.hash))
        known = cursor.fetchone()
        roles = (json.dumps(prompt.passages), prompt.question, prompt.stable)
        if known:
            if prompt.stable:
                db.execute(
                    "UPDATE prompts SET stable = ?1 WHERE name = ?2 AND hash = ?3 AND stable IS NOT ?1",
                    (prompt.stable, prompt.name, prompt.hash),
                )
            if prompt.passages:  # what was said once of its variables is not taken back by who says nothing
                db.execute(
                    "UPDATE prompts SET passages = ?1, question = ?2 WHERE name = ?3 AND hash = ?4"
                    " AND (passages IS NOT ?1 OR question IS NOT ?2)",
                    (*roles[:2], prompt.name, prompt.hash),
                )
            return int(known[0])
        last = db.execute(
            "SELECT version, template FROM prompts WHERE name = ? ORDER BY version DESC LIMIT 1", (prompt.name,)
        ).fetchone()
        template = clean.deep([dict(message) for message in prompt.messages])
        version, changed = 1, ""
        if last:
            version, changed = last[0] + 1, _changed(prompt.name, json.loads(last[1]), template)
        content = (json.dumps(template, ensure_ascii=False), json.dumps(prompt.blank))
        row = (prompt.name, version, prompt.hash, *content, *roles)
        db.execute(
            "INSERT INTO prompts (name, version, hash, template, blank, passages, question, stable, created_at,"
            " changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, time.time(), changed),
        )
        return version

    return decide


def _changed(name: str, before: list[Any], after: list[Any]) -> str:
    try:
        return Prompt(name, before).diff(Prompt(name, after))
    except ValueError:  # a redaction may leave what is no template
        return ""


def label(book: Ledger, name: str, label: str, version: int) -> None:
    """Let `label` point at this version of `name` from now on. Raises `ValueError` for a version that isn't there."""
    if not label or not label.isidentifier() or label.isdigit():
        raise ValueError(f"label={label!r}: a word such as production")

    def decide(db: sqlite3.Connection) -> bool:
        if not db.execute("SELECT 1 FROM prompts WHERE name = ? AND version = ?", (name, version)).fetchone():
            return False
        db.execute(
            "INSERT INTO labels (name, label, version, moved_at) VALUES (?, ?, ?, ?)",
            (name, label, version, time.time()),
        )
        return True

    if not book.transact(decide).result():
        raise ValueError(f"prompt {name!r} has no version {version!r} on this ledger")


def find(book: Ledger, name: str, *, version: int | None = None, label: str | None = None) -> Prompt:
    """A prompt as the ledger has it: this version, the one `label` points at, or the last. Raises `ValueError`."""
    if label is not None:
        rows = book.query(
            "SELECT version FROM labels WHERE name = ? AND label = ? ORDER BY id DESC LIMIT 1", [name, label]
        )
        if not rows:
            raise ValueError(f"prompt {name!r} has no label {label!r} on this ledger")
        version = rows[0]["version"]
    where, values = ("AND version = ?", [name, version]) if version is not None else ("", [name])
    rows = book.query(
        "SELECT template, blank, passages, question, stable FROM prompts"
        f" WHERE name = ? {where} ORDER BY version DESC LIMIT 1",
        values,
    )
    if not rows:
        which = "" if version is None else f" {version!r}"
        raise ValueError(f"prompt {name!r} has no version{which} on this ledger")
    row = rows[0]
    more = {key: json.loads(row[key]) for key in ("blank", "passages")}
    return Prompt(name, json.loads(row["template"]), question=row["question"], stable=row["stable"], **more)


def listing(book: Ledger, name: str | None = None) -> pd.DataFrame:
    """Versions, newest first: columns `name`, `version`, `labels`, `created_at`, `changed` (a unified diff against the
    version before), `calls`, `hash`."""
    import pandas as pd  # slow to import, and only readers need it

    where, values = ("WHERE prompts.name = ?", [name]) if name else ("", [])
    frame = book.frame(
        "SELECT prompts.name, prompts.version, created_at, changed, hash, (SELECT count(*) FROM calls WHERE"
        " prompt_name = prompts.name AND prompt_version = prompts.version) AS calls FROM prompts"
        f" {where} ORDER BY prompts.name, prompts.version DESC",
        values,
    )
    frame["created_at"] = utc(frame["created_at"])
    pointing = book.query(
        "SELECT name, label, version FROM labels WHERE id IN (SELECT max(id) FROM labels GROUP BY name, label)"
    )
    at: dict[tuple[str, int], list[str]] = {(row["name"], row["version"]): [] for row in pointing}
    for row in pointing:
        at[row["name"], row["version"]].append(row["label"])
    keys = zip(frame["name"], frame["version"], strict=True)
    frame.insert(2, "labels", pd.Series([sorted(at.get(key, [])) for key in keys], dtype=object))
    return frame
