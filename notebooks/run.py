"""Run every notebook on a ledger of its own and keep its outputs: `make notebooks`."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent


def run(path: Path, ledger: Path) -> nbformat.NotebookNode:
    """The notebook at `path`, executed from its own folder. Raises where a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=180, kernel_name="python3", resources={"metadata": {"path": str(HERE)}})
    client.execute(env={**os.environ, "LAB_DB": str(ledger)})
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {}
    return notebook


def main() -> None:
    """Run those that are named, or all of them; `--into FOLDER` keeps the outputs there instead."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--into", type=Path, default=HERE)
    options = parser.parse_args()
    for name in options.names or sorted(path.name for path in HERE.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(run(HERE / name, Path(folder) / "lab.db"), options.into / name)
        print(f"ran {name}")


if __name__ == "__main__":
    main()
