"""Every notebook runs offline from top to bottom, and is kept with its outputs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest

HERE = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = sorted(HERE.glob("*.ipynb"))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], nbformat.NotebookNode]]:
    """Runs them all in one kernel, and waits for the one that is asked for."""
    folder = tmp_path_factory.mktemp("notebooks")
    with (folder / "errors").open("w+") as wrong:
        command = [sys.executable, str(HERE / "run.py"), "--quick", "--into", str(folder)]
        done: set[str] = set()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=wrong, text=True)

        def wait_for(path: Path) -> nbformat.NotebookNode:
            while path.name not in done:
                line = process.stdout.readline()
                assert line, (folder / "errors").read_text()[-3000:]
                done.add(line.removeprefix("ran ").strip())
            return nbformat.read(folder / path.name, as_version=4)

        with process:
            yield wait_for
            process.terminate()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_top_to_bottom(path: Path, ran: Callable[[Path], nbformat.NotebookNode]) -> None:
    """On a ledger of its own, in the small sizes that it names; a cell that fails is raised."""
    cells = ran(path).cells
    assert any("image/png" in str(cell.get("outputs")) for cell in cells), "a chart was drawn"
    assert next(cell for cell in cells if cell.cell_type == "code").execution_count == 1


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
