"""What a stranger reads first is true: the README runs, the lock is whole, no machine shows through."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab import errors
from lab.policies import Timeout

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def _tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [ROOT / name for name in names if name and (ROOT / name).exists()]


def test_the_readmes_examples_run_and_say_what_they_say(tmp_path: Path) -> None:
    """Values, scores and intervals as printed; times may differ. One after the other, in one process."""
    blocks = re.findall(r"```python\n(.*?)```\s+```text\n(.*?)```", README, re.DOTALL)
    (cached,) = [code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "calibrate" in code]
    (tmp_path / "data").symlink_to(ROOT / "data")
    code = "\nprint('\\f', end='')\n".join([*(code for code, _told in blocks), cached])
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    *shown, of_the_cache = (said.split("\n") for said in ran.stdout.split("\f"))
    first, order, scores = zip(shown, (told.split("\n") for _code, told in blocks), strict=True)
    ours, theirs = first
    assert ours[0] == theirs[0]
    assert ours[1][:55] == theirs[1][:55]
    assert ours[2:4] == theirs[2:4]
    assert [line.split()[:4] for line in ours[4:7]] == [line.split()[:4] for line in theirs[4:7]]
    assert order[0] == order[1]
    ours, theirs = scores
    assert [line.split()[1:6] for line in ours[1:5]] == [line.split()[1:6] for line in theirs[1:5]]
    given, calibrated, *_saved = of_the_cache
    assert given.startswith("exact 0.0 ")
    (told,) = re.findall(r"^# (desk@1: .*?) \.\.\.$", cached, re.MULTILINE)
    ours, theirs = (re.fullmatch(r"(desk@1: )(\d+)( of 480.*?wrong:).*", line) for line in (calibrated, told))
    assert ours is not None
    assert theirs is not None
    assert (ours[1], ours[3]) == (theirs[1], theirs[3])
    assert abs(int(ours[2]) - int(theirs[2])) <= 5, "processors round the embedding's sums each in its own way"


def test_the_readmes_tree_is_the_docstrings() -> None:
    tree = [line.strip() for line in errors.__doc__.split("\n") if "──" in line]
    assert [line.strip() for line in README.split("\n") if "── " in line] == tree


def test_the_readmes_defaults_are_the_defaults() -> None:
    row = next(line for line in README.split("\n") if line.startswith("| default |"))
    limits = Timeout()
    told = [float(cell) for cell in row.strip("|").split("|")[1:]]
    assert told == [limits.connect, limits.first_token, limits.idle, limits.attempt, limits.total]


def test_the_readmes_tree_of_rooms_is_the_tree() -> None:
    """Every room and loose file of `lab/`, with the first sentence of its docstring."""
    block = re.search(r"```text\nlab/\n(.*?)```", README, re.DOTALL)[1]
    listed = dict(re.findall(r"^  (\S+?)/? +(.+)$", block, re.MULTILINE))
    home = ROOT / "lab"
    rooms = {path.name: path / "__init__.py" for path in home.iterdir() if (path / "__init__.py").exists()}
    files = {path.name: path for path in home.glob("*.py")}
    assert set(listed) == set(rooms) | set(files)
    for name, path in (rooms | files).items():
        paragraph = " ".join(ast.get_docstring(ast.parse(path.read_text())).split("\n\n")[0].split())
        assert listed[name] == paragraph.split(". ")[0].rstrip("."), name


def test_every_link_in_the_readme_leads_somewhere() -> None:
    for target in re.findall(r'(?:\]\(|src="|srcset=")([^)"]+)', README):
        assert target.startswith("https://docs.litellm.ai") or (ROOT / target).exists(), target


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock", "weights.lock"])
def test_the_lock_has_exact_versions_hashes_and_no_host(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    for block in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[\w.\[\]-]+==\S+", block), block[:60]
        assert "--hash=sha256:" in block, block[:60]


def test_the_two_locks_agree() -> None:
    def versions(name: str) -> set[str]:
        return {line.split(" \\")[0] for line in (ROOT / name).read_text().split("\n") if re.match(r"[\w.-]+==", line)}

    assert versions("requirements.lock") <= versions("requirements-dev.lock")


def test_no_path_of_a_machine_is_committed() -> None:
    pattern = re.compile(r"(^|[^A-Za-z.\w])/(work|root|home/[a-z]+|Users/[a-z]+)/")
    for path in _tracked():
        if path.suffix in {".py", ".md", ".toml", ".ipynb", ".lock"} and path.name not in {
            "test_project.py",
            "test_notebooks.py",
        }:
            for line in path.read_text().split("\n"):
                assert not pattern.search(line), f"{path.name}: {line[:120]}"
