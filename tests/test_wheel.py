"""Installed from a wheel: what a prototype imports is there, and what an extra brings is asked for by its name.

A fresh environment holds the wheel and exactly what it requires: each package is linked in from the one that runs the
tests, so nothing is fetched.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    folder = tmp_path_factory.mktemp("dist")
    code = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    built = subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder / built.stdout.split()[-1]


class Environment:
    """A Python of its own, with the wheel in it and what the wheel requires, for these extras."""

    def __init__(self, folder: Path, wheel: Path, *extras: str):
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        self.python = folder / "venv" / "bin" / "python"
        self.home = folder / "home"
        self.home.mkdir()
        (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
        zipfile.ZipFile(wheel).extractall(site)
        (metadata,) = site.glob("lab-*.dist-info/METADATA")
        lines = [line[15:] for line in metadata.read_text().split("\n") if line.startswith("Requires-Dist: ")]
        for name in _closure(lines, extras):
            installed = distribution(name)
            for top in {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}:
                if not (site / top).exists():
                    (site / top).symlink_to(Path(str(installed.locate_file(top))).resolve())

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`python command`, in an empty folder, with nothing of this environment's in its own."""
        return subprocess.run(
            [self.python, *command], cwd=self.home, env=self.variables(**environment), capture_output=True, text=True
        )

    def variables(self, **more: str) -> dict[str, str]:
        """The environment variables of what runs there."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {**kept, **more}


def _closure(lines: list[str], extras: tuple[str, ...]) -> set[str]:
    """The names of all packages that are required, and required by those."""
    names: set[str] = set()
    waiting = [(Requirement(line), extras) for line in lines]
    while waiting:
        required, wanted = waiting.pop()
        if required.marker and not any(required.marker.evaluate({"extra": extra}) for extra in ("", *wanted)):
            continue
        name = canonicalize_name(required.name)
        if name == "lab":
            waiting += [(Requirement(line), tuple(required.extras)) for line in lines]
            continue
        if name not in names:
            names.add(name)
            waiting += [(Requirement(line), tuple(required.extras)) for line in distribution(name).requires or ()]
    return names


@pytest.fixture(scope="module")
def plain(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """`pip install lab`."""
    return Environment(tmp_path_factory.mktemp("plain"), wheel)


def test_a_prototype_asks_and_reads_the_record(plain: Environment) -> None:
    """The simulated models that know the eval sets answer, too: the sets are in the wheel."""
    code = """
from lab import EvalSet, Lab, checks, metrics, scorers, stats
lab = Lab()
print(lab.ask("hi", model="sim/steady", max_tokens=200).text[:14])
print(len(lab.calls()), len(lab.metrics()), lab.trace(lab.calls()["call_id"][0]).call["status"])
from lab.sim.answers import EVALS
print(len(EvalSet.load(EVALS / "triage.jsonl")))
print(lab.path.relative_to(__import__("pathlib").Path.cwd()))
"""
    ran = plain.run("-c", code)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.split("\n") == ["This is steady", "1 1 ok", "120", "data/lab.db", ""]


def test_what_an_extra_brings_is_asked_for_by_its_name(plain: Environment) -> None:
    playground = plain.run("-m", "lab.cli", "playground")
    assert playground.returncode == 1
    assert "pip install 'lab[playground]'" in playground.stderr
    charts = plain.run("-c", "from lab import charts")
    assert "ImportError: charts need altair: pip install 'lab[notebooks]'" in charts.stderr
    local = plain.run("-m", "lab.cli", "ask", "hi", "-m", "local/smollm2")
    assert local.returncode == 1
    assert "pip install 'lab[local]'" in local.stderr


def test_the_command_line_runs_without_an_extra(plain: Environment) -> None:
    for words in (["--help"], ["calls"], ["models", "steady"], ["metrics"]):
        ran = plain.run("-m", "lab.cli", *words)
        assert ran.returncode == 0, ran.stderr


def test_the_playground_runs_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    installed = Environment(tmp_path, wheel, "playground")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [installed.python, "-m", "lab.cli", "playground", "--port", str(port), "--headless"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=installed.home, env=installed.variables(), stdout=log, stderr=log)
    try:
        for _ in range(600):
            try:
                assert urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health").read() == b"ok"
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.1)
        else:
            pytest.fail((tmp_path / "log").read_text())
    finally:
        server.terminate()
        server.wait()
    output = (tmp_path / "log").read_text()
    assert output.startswith(f"playground: http://127.0.0.1:{port}   ledger: {installed.home / 'data' / 'lab.db'}")
    assert "gatherUsageStats" not in output
    assert "Traceback" not in output


def test_the_wheel_holds_what_is_imported_and_nothing_of_the_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "lab/py.typed",
        "lab/metrics/alerts.toml",
        "lab/data/evals/triage.jsonl",
        "lab/data/prompts/triage.md",
        "playground/front/app.py",
        "playground/front/icon.png",
        "playground/front/.streamlit/config.toml",
        "playground/pages/compare.py",
    ):
        assert wanted in names, wanted
    assert not [name for name in names if name.split("/")[0] not in ("lab", "playground") and ".dist-info" not in name]
    assert not [name for name in names if "screenshots" in name or "__pycache__" in name or name.endswith(".db")]
