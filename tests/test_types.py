"""What a type checker says of a user's code: the types that the package promises are still there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mypy import api

import lab

ROOT = Path(lab.__file__).parent

CODE = """
from typing import Any, Literal

from pydantic import BaseModel

from lab import Hedge, Lab, Policy, Prompt, Reply, Retry, Timeout, checks, errors, scorers


class Order(BaseModel):
    sku: str


lab = Lab()
reveal_type(lab.ask("x", model="m", schema=Order))  # is: lab.values.Reply[user.Order]
reveal_type(lab.ask("x", model="m", schema=Order, temperature=0).value)  # is: user.Order
reveal_type(lab.ask("x", model="m", schema=Order).value.sku)  # is: str
reveal_type(lab.ask("x", model="m", schema=list[int]).value)  # is: list[int]
reveal_type(lab.ask("x", model="m", schema={"type": "object"}))  # is: lab.values.Reply[Any]
reveal_type(lab.ask("x", model="m", schema=checks.Schema.of(Order)))  # is: lab.values.Reply[Any]
reveal_type(lab.ask("x", model="m", schema=Literal["yes", "no"]))  # is: lab.values.Reply[Any]
reveal_type(lab.ask("x", model="m", schema=Order | None))  # is: lab.values.Reply[Any]
reveal_type(lab.ask("x", model="m", checks=[checks.positive()]))  # is: lab.values.Reply[None]
reveal_type(lab.ask("x", model="m").text)  # is: str


async def asked() -> None:
    reveal_type(await lab.aask("x", model="m", schema=Order))  # is: lab.values.Reply[user.Order]
    reveal_type(await lab.aask("x", model="m", schema=list[int]))  # is: lab.values.Reply[list[int]]
    reveal_type(await lab.aask("x", model="m", schema={"type": "object"}))  # is: lab.values.Reply[Any]
    reveal_type(await lab.aask("x", model="m"))  # is: lab.values.Reply[None]
    async for piece in lab.astream("x", model="m"):
        reveal_type(piece)  # is: str


reveal_type(lab.stream("x", model="m", schema=Order))  # is: lab.call.stream.Stream[user.Order]
reveal_type(lab.stream("x", model="m", schema=list[int]).reply.value)  # is: list[int]
reveal_type(lab.stream("x", model="m", schema={"type": "object"}).reply)  # is: lab.values.Reply[Any]
reveal_type(lab.stream("x", model="m").reply)  # is: lab.values.Reply[None]
reveal_type(lab.astream("x", model="m", schema=Order).reply)  # is: lab.values.Reply[user.Order]
with lab.stream("x", model="m", schema=Order) as stream:
    reveal_type(stream.reply.value)  # is: user.Order
wider: Reply[Order | None] = lab.ask("x", model="m", schema=Order)

reveal_type(lab.compare("x", ["m"]))  # is: lab.evals.experiment.Experiment
reveal_type(lab.evaluate("x", "m", "set.jsonl", scorers=["exact"]))  # is: lab.evals.experiment.Experiment
reveal_type(lab.gate("a", "b"))  # is: lab.stats.gates.Verdict
reveal_type(lab.alerts())  # is: list[lab.metrics.alerts.Alert]
reveal_type(lab.trace("c"))  # is: lab.metrics.trace.Trace
reveal_type(lab.explain("x", model="m"))  # is: lab.policies.policy.Explanation
reveal_type(Prompt("p", "{{x}}").fill(x=1))  # is: lab.call.prompts.Filled
reveal_type(checks.between(1, 2))  # is: lab.checks.constraints.Between
reveal_type(scorers.exact(at="answer"))  # is: lab.evals.scorers.Exact
reveal_type(errors.LabError("x").checks)  # is: tuple[lab.values.Checked, ...]

Policy(timeout=Timeout(total=20), retry=Retry(attempts=2), hedge=Hedge(), budget=None)
Policy(retry=3)  # error: arg-type
Policy(retries=Retry())  # error: call-arg
Retry(tries=3)  # error: call-arg
Timeout(total="20")  # error: arg-type
checks.between("a", 2)  # error: arg-type
lab.ask("x", model="m", policy=3)  # error: call-overload
lab.ask("x")  # error: call-overload
lab.ask("x", model="m").value.sku  # error: attr-defined
"""

SETTINGS = f"""[mypy]
strict = true
follow_imports = silent
mypy_path = {ROOT.parent}
[mypy-aiohttp.*,altair.*,httpx.*,litellm.*,numpy.*,pandas.*,pyarrow.*,rich.*]
follow_imports = skip
follow_imports_for_stubs = true
"""
"""As a user would have it; what is beside the point is not read, which takes seconds."""


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[tuple[int, str]]]:
    """What mypy says of a text, a line each: its number, the type or the error's code."""
    folder = tmp_path_factory.mktemp("types")
    (folder / "mypy.ini").write_text(SETTINGS)

    def check(code: str) -> list[tuple[int, str]]:
        path = folder / "user.py"
        path.write_text(code)
        options = ["--config-file", str(folder / "mypy.ini"), "--cache-dir", str(folder / "cache")]
        out, complaints, _status = api.run([*options, str(path)])
        assert not complaints, complaints
        told = re.findall(r'user\.py:(\d+): (?:note: Revealed type is "(.*)"|error: .*\[(.*)\])', out)
        assert len(told) >= out.count("error: "), (
            out
        )  # each error is read: also those without a code, which are mypy's own
        return [
            (int(line), f"is: {kind.replace('builtins.', '')}" if kind else f"error: {code}")
            for line, kind, code in told
        ]

    return check


def test_the_code_is_typed() -> None:
    """A process of its own, beside the other tests: half a minute where nothing of it is known yet."""
    checked = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT.parent, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_users_see_the_types_of_what_they_ask_for(checked) -> None:
    marks = [(number, re.search(r"# ((?:is|error): .*)", line)) for number, line in enumerate(CODE.split("\n"), 1)]
    wanted = [(number, mark[1]) for number, mark in marks if mark]
    assert checked(CODE) == wanted


def test_every_public_name_has_a_type(checked) -> None:
    """Names are fetched when first used: a checker knows only those that are also written out for it."""
    names = {*lab._HOMES, *lab.__all__, *(f"checks.{name}" for name in lab.checks.__all__)}
    names |= {f"metrics.{name}" for name in lab.metrics.__all__}
    modules = "from lab import checks, metrics\n" + "".join(f"from lab import {name}\n" for name in lab._HOMES)
    told = checked(modules + "import lab\n" + "".join(f"reveal_type(lab.{name})\n" for name in sorted(names)))
    assert len(told) == len(names)
    assert not [name for name, (_, kind) in zip(sorted(names), told, strict=True) if kind.removeprefix("is: ") == "Any"]
    assert not [kind for _, kind in told if kind.startswith("error")]


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "py.typed").read_text() == ""
