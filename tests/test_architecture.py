"""The rooms: who may import whom, and what importing costs."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lab

ROOT = Path(lab.__file__).parent
MAY_IMPORT: dict[str, set[str]] = {
    # ground
    "lazy": set(),
    "show": set(),
    "sim": set(),
    "aside": set(),
    "redact": {"aside"},
    "values": {"show"},
    "errors": {"values"},
    "stats": {"show"},
    # what a call is made of
    "checks": {"lazy", "values", "show"},
    "policies": {"errors", "values", "show"},
    "ledger": {"aside", "lazy", "errors", "redact", "values", "show"},
    # the call, and who answers it: neither knows the other
    "provider": {"aside", "lazy", "errors", "redact", "values", "show", "sim"},
    "call": {"errors", "redact", "values", "show", "stats", "checks", "policies", "ledger"},
    # made of the ledger alone
    "metrics": {"lazy", "errors", "show", "stats", "ledger"},
    # made of calls
    "evals": {"lazy", "errors", "values", "show", "stats", "checks", "policies", "ledger", "call"},
    # what outlives its caller: it is handed the Lab that it works for
    "jobs": {"errors", "values", "show", "ledger", "call", "evals"},
    # the one entry point, and the doors
    "client": {"errors", "values", "stats", "policies", "ledger", "call", "provider", "metrics", "evals", "jobs"},
    "cli": {"errors", "show", "ledger", "call", "provider", "metrics", "evals", "client", "jobs", "sim"},
}
"""What each room may import. `sim` is a process that knows nobody."""
PLAYGROUND: dict[str, set[str]] = {"parts": set(), "pages": {"parts"}, "screenshots": set(), "front": {"parts"}}
"""What each room of the playground may import of the others. Files of `parts` may import each other, in no circle."""
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path) -> set[str]:
    """The modules of the project that a file imports, anywhere in it, under the names of their homes."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if node.module == "lab.lazy":
                    modules.add(node.module)
                    continue
                name = f"{node.module}.{alias.name}"
                home = lab._HOMES.get(alias.name) if node.module == "lab" else None
                inner = ROOT.parent / name.replace(".", "/")
                modules.add(home or (name if inner.is_dir() or inner.with_suffix(".py").exists() else node.module))
    return {module for module in modules if module.split(".")[0] in ("lab", "playground")}


def _rooms(path: Path, package: str) -> set[str]:
    return {module.split(".")[1] for module in _imports(path) if module.startswith(f"{package}.")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_what_the_table_says(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    strangers = _rooms(path, "lab") - {room} - MAY_IMPORT[room]
    assert not strangers, f"{room} may import {sorted(MAY_IMPORT[room])}, and imports {sorted(strangers)}"


def test_the_table_itself_goes_down() -> None:
    """Each room stands below those that may import it: what it may import stands before it."""
    rooms = list(MAY_IMPORT)
    for number, (room, others) in enumerate(MAY_IMPORT.items()):
        below = set(rooms[:number]) | ({"sim"} if room == "cli" else set())
        assert others <= below, f"{room}: {sorted(others - below)} stand above it"


def test_no_file_imports_itself_by_way_of_others() -> None:
    graph = {_module(path): _imports(path) for path in [*FILES, *(ROOT.parent / "playground").rglob("*.py")]}
    assert _circle(graph) is None


def test_a_circle_would_be_seen() -> None:
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == ["a", "b", "c", "a"]
    assert _circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def _circle(graph: dict[str, set[str]]) -> list[str] | None:
    """A circle of imports, as the files on it, or None."""
    ended: set[str] = set()

    def visit(module: str, trail: list[str]) -> list[str] | None:
        if module in trail:
            return [*trail[trail.index(module) :], module]
        if module in ended:
            return None
        for other in sorted(graph.get(module, ())):
            if circle := visit(other, [*trail, module]):
                return circle
        ended.add(module)
        return None

    return next((circle for module in sorted(graph) if (circle := visit(module, []))), None)


def test_one_place_makes_the_rows_of_a_call() -> None:
    """The journal alone writes them, and takes out what may not be kept; nobody else redacts on the way to the file."""
    for path in FILES:
        if path.name != "journal.py":
            assert "lab.ledger.rows" not in _imports(path), path
    writers = [path.stem for path in FILES if re.search(r"INSERT INTO (calls|attempts)\b", path.read_text())]
    assert sorted(writers) == ["merging", "rows"], "the one copies what the other has written"


def test_there_are_few_rooms_and_fewer_loose_files() -> None:
    loose = [path for path in ROOT.glob("*.py")]
    folders = [path for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.py"))]
    assert len(loose) <= 6, loose
    assert len(folders) <= 13, folders


def test_the_tests_mirror_the_rooms() -> None:
    tests = Path(__file__).parent
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    for folder in tests.iterdir():
        if folder.is_dir() and any(folder.glob("test_*.py")):
            assert folder.name in rooms | {"playground"}, folder
    assert all(any((tests / room).glob("test_*.py")) for room in rooms)


def test_the_playgrounds_pages_share_only_what_stands_in_parts() -> None:
    """One page a file; a page that is made of several files is the only one that imports them."""
    home = ROOT.parent / "playground"
    for path in home.rglob("*.py"):
        room = path.relative_to(home).parts[0]
        if room == "__init__.py":
            continue
        own = {f"playground.pages.{other.stem}" for other in path.parent.glob(f"{path.stem}_*.py")}
        others = {module for module in _imports(path) if module.startswith("playground.")} - own
        allowed = PLAYGROUND[room] | ({room} if room != "pages" else set())
        assert {module.split(".")[1] for module in others} <= allowed, f"{path.name} imports {sorted(others)}"


def test_only_the_provider_room_imports_litellm() -> None:
    for path in [*FILES, *(ROOT.parent / "playground").rglob("*.py")]:
        if not path.is_relative_to(ROOT / "provider"):
            assert "import litellm" not in path.read_text(), path


SLOW = """litellm pandas numpy scipy aiohttp httpx sqlite_utils streamlit altair pydantic jsonschema jsonschema_rs
    openai""".split()


def _loaded(code: str, *arguments: object) -> list[str]:
    """Which of the slow packages a fresh Python has loaded after this code."""
    code += f"\nimport sys; print(*(name for name in {SLOW!r} if name in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split("\n")[-2].split()


@pytest.mark.parametrize(
    "code",
    [
        "import lab",
        "from lab import Lab, Policy, Prompt, EvalSet, Reply, Retry, errors, checks",
        "import lab.cli",
    ],
)
def test_importing_loads_nothing_slow(code: str) -> None:
    """Each of them takes from a tenth of a second to several."""
    assert _loaded(code) == []


def test_a_ledger_that_is_up_to_date_is_opened_and_read_without_anything_slow(tmp_path: Path) -> None:
    """It is made and upgraded by sqlite-utils, which imports pandas; opened, written and listed it is not."""
    with lab.Lab(tmp_path / "lab.db", provider=lambda call: "yes") as made:
        made.ask("hi", model="m")
    opened = "import sys; from lab import Lab\nlab = Lab(sys.argv[1], provider=lambda call: 'yes')\n"
    assert _loaded(opened + "lab.ask('hi', model='m', key='k')", tmp_path / "lab.db") == []
    listed = "import sys; from lab import cli\ncli.app(['calls', '--db', sys.argv[1]], standalone_mode=False)"
    assert _loaded(listed, tmp_path / "lab.db") == ["pydantic"], "typer's own"


def test_a_json_schema_is_held_to_without_the_slow_validator() -> None:
    """`jsonschema` is there for Altair, and brings a grammar that takes seconds."""
    code = (
        "from lab.checks import Schema\nSchema.of({'type': 'string', 'format': 'uri'}).read('\"https://example.com\"')"
    )
    assert _loaded(code) == ["pydantic", "jsonschema_rs"]


def test_making_a_lab_does_not_wait_for_litellm() -> None:
    """It is imported in the background, or by the first call that needs it."""
    assert "litellm" not in _loaded("from lab.provider import dialect, source")


@pytest.mark.parametrize("module", ["lab", "lab.checks", "lab.metrics"])
def test_names_that_are_fetched_late_are_there_for_type_checkers_too(module: str) -> None:
    """What an editor knows of such a module is what it has."""
    face = importlib.import_module(module)
    (known,) = (node for node in ast.parse(Path(face.__file__).read_text()).body if isinstance(node, ast.If))
    imports = [alias for node in known.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert {alias.name for alias in imports if alias.asname is None} == set(face.__all__) <= set(face._HOMES)
    assert {alias.name for alias in imports} <= set(face._HOMES)  # `as`: known, and not among the first names
    for name, home in face._HOMES.items():
        assert getattr(face, name) is not None
        own = Path(face.__file__).parent / name
        taken = own.is_dir() or own.with_suffix(".py").exists()
        assert not taken or home == f"{module}.{name}", f"{name} is also a module, which would take its place"


def test_the_public_names_are_sorted_and_there() -> None:
    assert lab.__all__ == sorted(lab.__all__)
    for name in lab.__all__:
        assert getattr(lab, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lab.nothing
