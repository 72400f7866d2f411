"""The rooms: who may import whom, and what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lab

ROOT = Path(lab.__file__).parent
FLOORS = [
    {"errors", "model", "display", "redact", "failures", "settings", "prompts", "stats", "evals"},
    {"child", "checks", "scorers", "wire", "payload", "migrations", "packs", "rows", "ledger", "loop", "provider"},
    {"policies"},
    {"keys", "record", "ending", "engine", "stream", "intake", "versions", "verdicts"},
    {"columns", "tables", "charts", "metrics", "trace", "alerts", "webhook", "archive", "ratings", "rehearsal"},
    {"experiment"},
    {"bench", "report"},
    {"client"},
    {"code", "jobs"},
    {"sim", "local", "catalogue", "cli"},
]
MAY_ALSO = {"sim": {"child"}, "local": {"child"}}
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def _room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def _floor(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def _imported(path: Path) -> set[str]:
    """The rooms of `lab` that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lab":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("lab.")}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_the_floors(path: Path) -> None:
    room = _room(path)
    for other in _imported(path) - {room}:
        assert _floor(other) <= _floor(room), f"{room} (floor {_floor(room)}) imports {other} (floor {_floor(other)})"


@pytest.mark.parametrize("room", ["sim", "local"])
def test_the_servers_know_nothing_of_the_calling_side(room: str) -> None:
    for path in (ROOT / room).glob("*.py"):
        assert _imported(path) <= {room} | MAY_ALSO[room]


def test_only_the_provider_room_imports_litellm() -> None:
    for path in [*FILES, *(ROOT.parent / "playground").glob("*.py")]:
        if _room(path) != "provider" if path.is_relative_to(ROOT) else True:
            assert "import litellm" not in path.read_text(), path


def test_importing_the_package_loads_nothing_slow() -> None:
    """`import lab` must stay far below 0.3 s: none of the slow packages may be behind it."""
    slow = "litellm pandas aiohttp sqlite_utils streamlit altair httpx pydantic".split()
    code = f"import sys, lab; print([name for name in {slow!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_the_lab_itself_loads_no_slow_validator() -> None:
    """`jsonschema` brings a grammar that takes seconds, pydantic's models come with those who use them."""
    code = (
        "import sys; from lab import Lab; print([n for n in ('jsonschema', 'litellm', 'altair') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_making_a_lab_does_not_wait_for_litellm(tmp_path: Path) -> None:
    """LiteLLM is imported in the background, or by the first call that needs it."""
    code = "import sys; from lab import Lab; from lab.provider import dialect; print('litellm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_the_public_names_are_sorted_and_there() -> None:
    assert lab.__all__ == sorted(lab.__all__)
    for name in lab.__all__:
        assert getattr(lab, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lab.nothing
