"""Where the jobs' database is, and how that is said without its password."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lab import errors

WHERE = "LAB_JOBS"
"""The environment's name for it, such as `postgresql://user:password@host/name`."""
FILE = "sqlite:///"


def of(ledger: Path) -> str:
    """`$LAB_JOBS`, or a SQLite file beside the ledger. Raises `InvalidRequestError`, which says nothing of what it is:
    it has a password in it."""
    given = os.environ.get(WHERE, "").strip()
    if not given:
        path = ledger.resolve()
        return f"{FILE}{path.with_name(f'{path.stem}.jobs.db')}"
    scheme, found, rest = given.partition("://")
    try:
        odd = not found or scheme not in ("postgresql", "postgres", "postgresql+psycopg")
        odd = odd or not urlsplit(given).hostname or urlsplit(given).port == 0
    except ValueError:  # a password with signs that an address has no room for
        odd = True
    if odd:
        raise errors.InvalidRequestError(
            f"${WHERE}: postgresql://user:password@host/name, the password as in an address (%40 for @, %2F for /)"
        )
    return f"postgresql+psycopg://{rest}"


def file_of(url: str) -> Path | None:
    """The SQLite file, where it is one."""
    return Path(url.removeprefix(FILE)) if url.startswith(FILE) else None


def shown(url: str) -> str:
    """The address without its password."""
    path, parts = file_of(url), urlsplit(url)
    return str(path) if path is not None else f"{parts.hostname}:{parts.port or 5432}{unquote(parts.path)}"
