"""What was done on a page, as Python that does it again: a script, or a notebook."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pprint import pformat
from typing import Any


def asking(
    prompts: Sequence[Any], models: Sequence[str], params: Mapping[str, Any], ledger: str | None = None
) -> list[str]:
    """The cells of a script that asks every model each of these texts or lists of messages, and lists the calls.
    `ledger` is its path where it is not the default one."""
    more = "".join(f", {name}={value!r}" for name, value in params.items())
    return [
        f"from lab import Lab, errors\n\nlab = {_lab(ledger)}\n"
        f"prompts = {_value(list(prompts))}\nmodels = {_value(list(models))}",
        "for prompt in prompts:\n    for model in models:\n        try:\n"
        f"            stream = lab.stream(prompt, model=model{more})\n            list(stream)\n"
        "            print(repr(stream.reply))\n"
        "        except errors.LabError as failure:\n            print(model, failure.kind, failure)",
        'lab.calls(limit=len(prompts) * len(models))[["model", "status", "kind", "ttft", "latency", "cost"]]',
    ]


def comparing(spec: Mapping[str, Any], ledger: str | None = None) -> list[str]:
    """The cells of a script that runs an experiment, and shows its table. `spec` as `lab.jobs.experiment` takes it."""
    prompts = ",\n".join(f"    Prompt({name!r}, {_value(template)})" for name, template in spec["prompts"])
    if spec.get("set"):
        cases = f"EvalSet.load({spec['set']!r})"
    else:
        cases = "None" if spec.get("rows") is None else f'EvalSet.of({_value(spec["rows"])}, "upload")'
    plain = "name scorers repeats concurrency budget seed".split()
    more = {key: spec[key] for key in plain if spec.get(key) is not None} | dict(spec.get("params") or {})
    said = "".join(f"    {key}={_value(value)},\n" for key, value in more.items())
    return [
        f"from lab import EvalSet, Lab, Prompt\n\nlab = {_lab(ledger)}\nprompts = [\n{prompts},\n]\ncases = {cases}",
        f"experiment = lab.compare(\n    prompts,\n    {_value(list(spec['models']))},\n    cases,\n{said}"
        "    run=False,\n)\nprint(experiment.plan)",
        "experiment.run()\nexperiment.table()",
    ]


def _lab(ledger: str | None) -> str:
    return "Lab()" if ledger is None else f"Lab({ledger!r})"


def script(cells: Sequence[str]) -> str:
    """The cells as one file."""
    last = cells[-1].split("\n")
    return "\n\n".join([*cells[:-1], "\n".join([*last[:-1], f"print({last[-1]}.to_string())"])]) + "\n"


def notebook(cells: Sequence[str], title: str) -> str:
    """The cells as a Jupyter notebook, not yet run."""
    made: list[dict[str, Any]] = [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": f"# {title}"}]
    for number, cell in enumerate(cells):
        empty: dict[str, Any] = {"execution_count": None, "metadata": {}, "outputs": []}
        made.append({"cell_type": "code", "id": f"cell{number}", **empty, "source": cell})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return json.dumps({"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def _value(value: Any) -> str:
    """A value as Python would read it: plain data alone."""
    return pformat(value, width=110, sort_dicts=False)
