"""Every notebook runs offline from top to bottom, and is kept with its outputs."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

HERE = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = sorted(HERE.glob("*.ipynb"))


def _runner() -> object:
    spec = importlib.util.spec_from_file_location("run", HERE / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Path, tuple[Future, Path]]]:
    """Each notebook's run, three at a time: most of what they do is wait for the simulation."""
    runner, folder = _runner(), tmp_path_factory.mktemp("notebooks")
    with ThreadPoolExecutor(3) as pool:
        yield {
            path: (pool.submit(runner.run, path, folder / f"{path.stem}.db"), folder / f"{path.stem}.db")
            for path in NOTEBOOKS
        }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")
def test_it_runs_from_top_to_bottom(path: Path, runs: dict[Path, tuple[Future, Path]]) -> None:
    """On a ledger of its own; a cell that fails is raised."""
    run, ledger = runs[path]
    assert any("image/png" in str(cell.get("outputs")) for cell in run.result().cells), "a chart was drawn"
    assert ledger.exists()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_with_outputs_and_without_traces_of_a_machine(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert any(cell.outputs for cell in code)
    assert not [
        one for cell in code for one in cell.outputs if one.output_type in ("error",) or one.get("name") == "stderr"
    ]
    assert all(cell.metadata == {} for cell in notebook.cells)
    assert not re.search(r"/(home|root|work|tmp|Users)/", path.read_text())


def test_the_index_lists_every_notebook() -> None:
    listed = (HERE / "README.md").read_text()
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        assert f"({path.name})" in listed
