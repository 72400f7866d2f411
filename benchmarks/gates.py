"""How often a gate is right, with simulated models whose accuracy is known.

    python benchmarks/gates.py          # prints the table, writes benchmarks/gates.json

`large` against itself must not fail; `large-update` is five points worse, and must fail on a set large enough. Each run
is a seed of its own: the simulation's own answers to the 300 cases of data/evals, so many times each, scored as an
evaluation scores them, and judged at the default margin of two points.
"""

from __future__ import annotations

import sys
from collections import Counter

import common

from lab import EvalSet, scorers, stats
from lab.sim.answers import EVALS, book
from lab.sim.catalogue import MODELS
from lab.sim.server import plan

SETS = {"triage": scorers.label(), "orders": scorers.exact(strict=True), "passages": scorers.exact(at="answer")}
CASES = [(name, case) for name in SETS for case in EvalSet.load(EVALS / f"{name}.jsonl")]
ANSWERS = book(EVALS)


def main(runs: int = 400) -> None:
    """The A/A comparison, and the regression on sets of two sizes."""
    rows = []
    for candidate, repeats, many in (
        ("large", 4, runs),
        ("large-update", 4, runs // 8),
        ("large-update", 10, runs // 8),
    ):
        verdicts = Counter(verdict("large", candidate, repeats, seed).verdict for seed in range(many))
        shares = {name: verdicts[name] / many for name in ("pass", "inconclusive", "fail")}
        rows.append({"candidate": candidate, "cases": len(CASES), "times each": repeats, "runs": many, **shares})
        print(rows[-1], file=sys.stderr)
    common.report("gates", rows)


def verdict(baseline: str, candidate: str, repeats: int, seed: int) -> stats.Verdict:
    """What the gate says of two models' answers under one seed."""
    return stats.gate(Answers(baseline, repeats, seed, 0), Answers(candidate, repeats, seed, repeats))


class Answers:
    """One model's answers to every case, `repeats` times from the `first` on."""

    def __init__(self, name: str, repeats: int, seed: int, first: int):
        self.name = name
        self._scores = {}
        for set_name, case in CASES:
            parts = [case.input] if isinstance(case.input, str) else list(case.input.values())
            body = {"messages": [{"role": "user", "content": "\n".join(parts)}], "schema": None}
            scores = []
            for nth in range(first, first + repeats):
                text = plan(name, MODELS[name], body, seed, nth, ANSWERS).text
                scores.append(float(SETS[set_name].score(text, None, case.expected)))
            self._scores[f"{set_name}/{case.id}"] = (sum(scores) / repeats, f"{set_name}/{case.cluster}")

    def by_case(self) -> dict[str, tuple[float, str]]:
        """The mean score of each case, and its cluster."""
        return self._scores


if __name__ == "__main__":
    main()
