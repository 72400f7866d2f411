"""Every notebook runs offline from top to bottom, and is kept with its outputs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

HERE = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = sorted(HERE.glob("*.ipynb"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Path, Future]]:
    """Each notebook's run in a process of its own, three at a time: most of what they do is wait for the simulation."""
    folder = tmp_path_factory.mktemp("notebooks")

    def run(path: Path) -> nbformat.NotebookNode:
        command = [sys.executable, str(HERE / "run.py"), path.name, "--into", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return nbformat.read(folder / path.name, as_version=4)

    with ThreadPoolExecutor(3) as pool:
        yield {path: pool.submit(run, path) for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_top_to_bottom(path: Path, runs: dict[Path, Future]) -> None:
    """On a ledger of its own; a cell that fails is raised."""
    assert any("image/png" in str(cell.get("outputs")) for cell in runs[path].result().cells), "a chart was drawn"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_with_outputs_and_without_traces_of_a_machine(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert any(cell.outputs for cell in code)
    assert not [
        output
        for cell in code
        for output in cell.outputs
        if output.output_type in ("error",) or output.get("name") == "stderr"
    ]
    assert all(cell.metadata == {} for cell in notebook.cells)
    assert not re.search(r"/(home|root|work|tmp|Users)/", path.read_text())


def test_the_index_lists_every_notebook() -> None:
    listed = (HERE / "README.md").read_text()
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        assert f"({path.name})" in listed
