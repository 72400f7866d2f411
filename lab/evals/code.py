"""What was done on a page, as Python that does it again: a script, or a notebook."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pprint import pformat
from typing import Any

from lab.call.prompts import Filled
from lab.evals.asks import Ask
from lab.evals.spec import UPLOAD, Spec, written_prompt
from lab.policies import Policy


def asking(
    prompts: Sequence[Any],
    models: Sequence[str],
    params: Mapping[str, Any],
    ledger: str | None = None,
    policy: Policy | None = None,
) -> list[str]:
    """The cells of a script that asks every model each of these texts, lists of messages or filled prompts, which keep
    their names and versions, and lists the calls. `params` are keyword arguments of `Lab.stream`; `ledger` is its path,
    None is the default one; `policy` None is the Lab's own."""
    asked = "".join(f"    {_asked(prompt)},\n" for prompt in prompts)
    names = ["Lab", "Prompt"] if any(isinstance(prompt, Filled) for prompt in prompts) else ["Lab"]
    names += [] if policy is None else ["Policy"]
    more = "".join(f", {name}={value!r}" for name, value in params.items())
    more += "" if policy is None else ", policy=policy"
    bounds = "" if policy is None else f"\npolicy = Policy.of({_value(policy.content())})"
    return [
        f"from lab import {', '.join(names)}, errors\n\nlab = {_lab(ledger)}\nprompts = [\n{asked}]\n"
        f"models = {_value(list(models))}{bounds}",
        "for prompt in prompts:\n    for model in models:\n        try:\n"
        f"            stream = lab.stream(prompt, model=model{more})\n            list(stream)\n"
        "            print(repr(stream.reply))\n"
        "        except errors.LabError as failure:\n            print(model, failure.kind, failure)",
        'lab.calls(limit=len(prompts) * len(models))[["model", "status", "kind", "ttft", "latency", "cost"]]',
    ]


def asking_again(ask: Ask, usual: Policy, ledger: str | None = None) -> list[str]:
    """The cells of a script that asks this once more; `usual` is the policy of the Lab that it was asked with."""
    prompts = [list(asked) if isinstance(asked, tuple) else asked for _label, asked in ask.prompts]
    more = {} if ask.schema is None else {"schema": dict(ask.schema)}
    policy = ask.bounded(usual)
    return asking(prompts, ask.models, {**ask.params, **more}, ledger, policy)


def comparing(spec: Spec, ledger: str | None = None) -> list[str]:
    """The cells of a script that runs an experiment, and shows its table. Raises `InvalidRequestError` for one that
    can't be written down."""
    content = spec.written()
    prompts = ",\n".join(f"    Prompt({_arguments(*parts)})" for parts in content["prompts"])
    if "set" in content:
        cases = f"EvalSet.load({content['set']!r})"
    else:
        cases = (
            f"EvalSet.of({_value(content['rows'])}, {content.get('set_name', UPLOAD)!r})"
            if "rows" in content
            else "None"
        )
    settings = {key: _value(content[key]) for key in _PLAIN if key in content}
    names = ["EvalSet", "Lab", "Prompt"]
    if "checks" in content:
        settings["checks"] = f"[{', '.join(f'checks.read({_value(check)})' for check in content['checks'])}]"
        names.append("checks")
    if "policy" in content:
        settings["policy"] = f"Policy.of({_value(content['policy'])})"
        names.insert(2, "Policy")
    if "scorers" in content:
        settings["scorers"] = f"[{', '.join(_scorer(scorer) for scorer in content['scorers'])}]"
        names += [] if all(isinstance(scorer, str) for scorer in content["scorers"]) else ["scorers"]
    settings |= {key: _value(value) for key, value in content.get("params", {}).items()}
    lines = "".join(f"    {key}={value},\n" for key, value in settings.items())
    return [
        f"from lab import {', '.join(names)}\n\nlab = {_lab(ledger)}\nprompts = [\n{prompts},\n]\ncases = {cases}",
        f"experiment = lab.compare(\n    prompts,\n    {_value(content['models'])},\n    cases,\n{lines}"
        "    run=False,\n)\nprint(experiment.plan)",
        "experiment.run()\nexperiment.table()",
    ]


_PLAIN = "name repeats concurrency budget seed batch schema".split()
"""Settings of a specification that are plain values."""


def _asked(prompt: Any) -> str:
    if not isinstance(prompt, Filled):
        return _value(prompt)
    written = _arguments(*written_prompt(prompt.prompt))
    variables = ", ".join(f"{name}={_value(text)}" for name, text in prompt.variables.items())
    return f"Prompt({written}).fill({variables})"


def _arguments(
    name: str,
    template: Any,
    blank: Sequence[str] = (),
    passages: Sequence[str] = (),
    question: str | None = None,
    stable: str | None = None,
) -> str:
    if len(template) == 1 and template[0] == {"role": "user", "content": template[0].get("content")}:
        template = template[0]["content"]
    more = {"blank": list(blank), "passages": list(passages), "question": question, "stable": stable}
    return f"{name!r}, {_value(template)}" + "".join(f", {key}={value!r}" for key, value in more.items() if value)


def _scorer(written: str | Mapping[str, Any]) -> str:
    return repr(written) if isinstance(written, str) else f"scorers.read_scorer({_value(written)})"


def _lab(ledger: str | None) -> str:
    return "Lab()" if ledger is None else f"Lab({ledger!r})"


def script(cells: Sequence[str]) -> str:
    """The cells as one file."""
    last = cells[-1].split("\n")
    return "\n\n".join([*cells[:-1], "\n".join([*last[:-1], f"print({last[-1]}.to_string())"])]) + "\n"


def notebook(cells: Sequence[str], title: str) -> str:
    """The cells as a Jupyter notebook, not yet run."""
    blocks: list[dict[str, Any]] = [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": f"# {title}"}]
    for number, cell in enumerate(cells):
        empty: dict[str, Any] = {"execution_count": None, "metadata": {}, "outputs": []}
        blocks.append({"cell_type": "code", "id": f"cell{number}", **empty, "source": cell})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return json.dumps({"cells": blocks, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def _value(value: Any) -> str:
    """A value as Python would read it: plain data alone."""
    return pformat(value, width=110, sort_dicts=False)
