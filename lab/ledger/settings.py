"""What the environment says: keys in `.env`, and where the ledger is."""

from __future__ import annotations

import os
from pathlib import Path


def load_env() -> None:
    """Read `.env` from the current folder or the nearest above it. What is already set stays as it is."""
    from dotenv import find_dotenv, load_dotenv  # takes a moment to import, and only who makes a Lab needs it

    file = find_dotenv(usecwd=True)
    try:
        load_dotenv(file)
    except UnicodeDecodeError as odd:
        raise ValueError(f"{file} is not UTF-8 text: save it as UTF-8") from odd


def default_path() -> Path:
    """The ledger that scripts, notebooks and the playground share unless told otherwise: `$LAB_DB` (from `.env`,
    too), else `data/lab.db` of the checkout this package runs from, else `data/lab.db` below the current folder."""
    load_env()
    if os.environ.get("LAB_DB"):
        return Path(os.environ["LAB_DB"])
    checkout = Path(__file__).resolve().parents[2]
    runs_from_it = (checkout / "pyproject.toml").exists() and (checkout / "Makefile").exists()
    return (checkout if runs_from_it else Path.cwd()) / "data" / "lab.db"
