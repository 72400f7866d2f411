"""Files that are removed, replaced or cut short under an open Lab: what a caller got is on record, or he is told."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import Lab


def cut(path: Path, share: float) -> None:
    os.truncate(path, int(path.stat().st_size * share))


def zeroed(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))


def copied_anew(path: Path) -> None:
    shutil.copy(path, path.with_suffix(".copy"))
    path.with_suffix(".copy").replace(path)


def another_over(path: Path) -> None:
    """As `cp other.db lab.db` does: the same file, with what stood in another ledger."""
    with Lab(path.with_name("another.db"), provider=lambda call: "yes") as lab:
        lab.ask("another", model="m")
    path.write_bytes(path.with_name("another.db").read_bytes())


def moved_elsewhere(path: Path) -> None:
    path.parent.rename(path.parent.with_name(f"{path.parent.name}-moved"))


def folder_replaced(path: Path) -> None:
    moved_elsewhere(path)
    shutil.copytree(path.parent.with_name(f"{path.parent.name}-moved"), path.parent)


def log(path: Path) -> Path:
    return path.with_name("lab.db-wal")


def index(path: Path) -> Path:
    return path.with_name("lab.db-shm")


WAYS: dict[str, Callable[[Path], object]] = {
    "log removed": lambda path: log(path).unlink(),
    "log renamed": lambda path: log(path).rename(path.with_name("old-wal")),
    "log replaced by a copy": lambda path: copied_anew(log(path)),
    "log replaced by nothing": lambda path: (log(path).unlink(), log(path).touch()),
    "log emptied": lambda path: cut(log(path), 0),
    "log cut to half": lambda path: cut(log(path), 0.5),
    "log without its last bytes": lambda path: cut(log(path), 0.999),
    "log of zeros": lambda path: zeroed(log(path)),
    "index removed": lambda path: index(path).unlink(),
    "database removed": lambda path: path.unlink(),
    "database renamed": lambda path: path.rename(path.with_name("old.db")),
    "database replaced by a copy": copied_anew,
    "database replaced by nothing": lambda path: (path.unlink(), path.touch()),
    "database emptied": lambda path: cut(path, 0),
    "database cut to half": lambda path: cut(path, 0.5),
    "database without its last page": lambda path: cut(path, 0.99),
    "database of zeros": zeroed,
    "another ledger in it": another_over,
    "all three removed": lambda path: [name.unlink() for name in (path, log(path), index(path))],
    "database and log removed": lambda path: [name.unlink() for name in (path, log(path))],
    "folder renamed": moved_elsewhere,
    "folder removed": lambda path: shutil.rmtree(path.parent),
    "folder replaced by a copy": folder_replaced,
}

ASKS = """
import json, sys
from lab import Lab, errors

labs = {folder: Lab(f"{folder}/lab.db", provider=lambda call: "yes") for folder in sys.argv[1:]}
outcomes = {folder: {"before": [], "returned": [], "told": [], "replies": 0} for folder in labs}
for folder, lab in labs.items():
    for number in range(20):
        outcomes[folder]["before"].append(lab.ask(f"before {number} " + "x" * 2000, model="m").call_id)
print("ready", flush=True)
sys.stdin.readline()
for folder, lab in labs.items():
    for number in range(15):
        try:
            outcomes[folder]["returned"].append(lab.ask(f"after {number}", model="m").call_id)
        except errors.LedgerError as failure:
            outcomes[folder]["told"].append(str(failure))
            outcomes[folder]["replies"] += failure.reply is not None and failure.reply.text == "yes"
print(json.dumps(outcomes), flush=True)
sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """What one process with a Lab for each way told and returned after its files were hurt; it is dead now."""
    root = tmp_path_factory.mktemp("intact")
    folders = {way: root / way.replace(" ", "-") for way in WAYS}
    for folder in folders.values():
        folder.mkdir()
    command = [sys.executable, "-c", ASKS, *map(str, folders.values())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        for way, hurt in WAYS.items():
            hurt(folders[way] / "lab.db")
        process.stdin.write("\n")
        process.stdin.flush()
        told = json.loads(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
    return {way: {**told[str(folder)], "path": folder / "lab.db"} for way, folder in folders.items()}


@pytest.mark.parametrize("way", WAYS)
def test_a_reply_is_on_the_ledger_or_its_caller_is_told(way: str, outcomes: dict[str, dict]) -> None:
    outcome = outcomes[way]
    assert len(outcome["returned"]) + len(outcome["told"]) == 15
    assert outcome["replies"] == len(outcome["told"]), "each error has the answer on it"
    assert not outcome["returned"] or set(outcome["returned"]) <= recorded(outcome["path"])
    if outcome["told"]:
        assert any(word in outcome["told"][0] for word in ("removed or replaced", "cut short or overwritten"))
    else:  # what was cut or overwritten was in the log, too
        assert set(outcome["before"]) <= recorded(outcome["path"])


def test_what_sqlite_itself_does_to_its_files_is_no_harm(tmp_path: Path) -> None:
    """Another connection empties the log, and gives space back."""
    path = tmp_path / "lab.db"
    with Lab(path, provider=lambda call: "yes") as lab:
        for number in range(30):
            lab.ask(f"{number} " + "x" * 20_000, model="m")
        lab.calls()
        for statement in ("PRAGMA wal_checkpoint(TRUNCATE)", "DELETE FROM texts", "VACUUM"):
            with sqlite3.connect(path) as other:
                size = path.stat().st_size
                other.execute(statement)
                other.commit()
                other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            assert not log(path).stat().st_size
            lab.ask(f"after {statement}", model="m")
        assert path.stat().st_size < size, "it did shrink"
    assert len(recorded(path)) == 33


def recorded(path: Path) -> set[str]:
    """The calls that the file at this path has, after whatever became of its writer."""
    with sqlite3.connect(path) as reader:
        return {call_id for (call_id,) in reader.execute("SELECT call_id FROM calls WHERE status = 'ok'")}
