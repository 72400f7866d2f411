"""Run every notebook and keep its outputs: `make notebooks`."""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from jupyter_client import KernelManager
from nbclient import NotebookClient

HERE = Path(__file__).parent


@contextmanager
def kernel() -> Iterator[KernelManager]:
    """One for all of them: each starts with nothing defined, but what one has imported needn't be loaded again. It
    works in a folder that goes with it, with the data where notebooks look for them."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder, HERE.name)
        here.mkdir()
        Path(folder, "data").symlink_to(HERE.parent / "data", target_is_directory=True)
        manager = KernelManager(kernel_name="python3")
        if os.name == "posix":  # no ports, which another program may take first
            manager.transport, manager.ip = "ipc", f"{folder}/kernel"
        manager.start_kernel(cwd=str(here))
        try:
            yield manager
        finally:
            manager.shutdown_kernel()


_SIZE = re.compile(r"^(\w+ = ).+?(?=  # quick: (.+)$)", re.MULTILINE)


def run(path: Path, manager: KernelManager, *, quick: bool = False) -> nbformat.NotebookNode:
    """The notebook at `path`, executed; `quick` with the smaller sizes that it names (`MANY = 2000  # quick: 300`).
    Raises where a cell fails."""
    afresh = nbformat.v4.new_code_cell("%reset -f")
    NotebookClient(nbformat.v4.new_notebook(cells=[afresh]), km=manager).execute()
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells if quick else ():
        cell.source = _SIZE.sub(r"\1\2", cell.source)
    NotebookClient(notebook, km=manager, timeout=180).execute()
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
    parser.add_argument("--quick", action="store_true", help="smaller, to see that they run")
    parser.add_argument("--into", type=Path, default=HERE)
    options = parser.parse_args()
    with kernel() as manager:
        for name in options.names or sorted(path.name for path in HERE.glob("*.ipynb")):
            nbformat.write(run(HERE / name, manager, quick=options.quick), options.into / name)
            print(f"ran {name}", flush=True)


if __name__ == "__main__":
    main()
