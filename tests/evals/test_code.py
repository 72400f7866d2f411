"""What a page hands over as code runs, does the same, and holds nothing but data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from lab import Lab, Prompt, errors
from lab.evals import code
from lab.evals.spec import Spec

HOSTILE = "'''\"\"\" + __import__('os').system('x') #\\\n{{ticket}}"


def spec(**more: object) -> Spec:
    rows = [{"id": f"c{n}", "input": {"ticket": f"ticket {n}"}, "expected": "billing"} for n in range(3)]
    prompts = [["sort", "Which label fits? {{ticket}}"]]
    return Spec.read({"prompts": prompts, "models": ["sim/small"], "rows": rows, "scorers": ["label"], **more})


def run(text: str, folder: Path) -> str:
    (folder / "script.py").write_text(text)
    done = subprocess.run([sys.executable, "script.py"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_an_experiment_as_a_script_is_the_same_experiment(tmp_path: Path) -> None:
    output = run(code.script(code.comparing(spec(), str(tmp_path / "lab.db"))), tmp_path)
    assert "3 of 3 cells" in output
    with Lab(tmp_path / "lab.db") as lab:
        assert lab.planned(spec()).plan.left == 0, "all of it is answered already"


def test_asking_as_a_script(tmp_path: Path) -> None:
    """Into the ledger that was looked at, whatever the default; a prompt keeps its name and version."""
    looked_at, saved = tmp_path / "elsewhere" / "lab.db", Prompt("greet", "Greet {{who}}, please.")
    with Lab(looked_at, provider=lambda call: "hi") as lab:
        lab.ask(saved.fill(who="Ann"), model="m")
    prompts = ["hello", [{"role": "user", "content": "you"}], saved.fill(who='it\'s "Bob"')]
    cells = code.asking(prompts, ["sim/steady"], {"max_tokens": 300}, ledger=str(looked_at))
    output = run(code.script(cells), tmp_path)
    assert output.count("<Reply 'This is steady, a simulation.") == 3
    assert "sim/steady" in output
    with Lab(looked_at) as lab:
        last = lab.calls(model="sim/steady")
    assert last["prompt_name"].tolist()[0] == "greet"
    assert last["prompt_version"].tolist()[0] == 1
    assert last["prompt"].tolist() == ['Greet it\'s "Bob", please.', "you", "hello"]


def test_a_notebook_is_valid_and_a_hostile_prompt_is_only_a_text() -> None:
    cells = code.comparing(spec(prompts=[["sort", HOSTILE]], name="<b>"))
    nbformat.validate(nbformat.reads(code.notebook(cells, "<b>"), as_version=4))
    namespace: dict = {}
    exec(compile(cells[0].replace("lab = Lab()", ""), "cell", "exec"), namespace)
    assert namespace["prompts"][0].messages[0]["content"] == HOSTILE
    asked: dict = {}
    exec(compile(code.asking([HOSTILE], ["m"], {})[0].replace("lab = Lab()", ""), "cell", "exec"), asked)
    assert asked["prompts"] == [HOSTILE]


@pytest.mark.parametrize("odd", [{"colour": 1}, {"prompts": [["bad name!", "x"]]}, {"set": "nowhere.jsonl"}])
def test_what_is_wrong_with_a_specification_is_said(odd: dict) -> None:
    with pytest.raises(errors.InvalidRequestError):
        spec(**odd)
