"""Gates: what they say of truths that are known, what they refuse, and what ends up on paper and on the ledger."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from lab import EvalSet, Lab, Policy, Prompt, stats
from lab.evals import report
from lab.sim.answers import EVALS, book
from lab.sim.catalogue import MODELS
from lab.sim.server import plan
from lab.values import Call

CASES = [{"id": f"c{n}", "input": str(n), "expected": "right", "cluster": f"k{n // 2}"} for n in range(80)]


def _verdict(truth: float, other: float, n: int, seed: int, **more: object) -> stats.Verdict:
    random = np.random.default_rng(seed)
    return stats.gate(random.binomial(1, truth, n), random.binomial(1, other, n), **more)


def test_the_three_verdicts() -> None:
    same = [1.0] * 180 + [0.0] * 20
    worse = [1.0] * 140 + [0.0] * 60
    assert stats.gate(same, same).verdict == "pass"
    failed = stats.gate(same, worse)
    assert (failed.verdict, failed.difference, failed.needed) == ("fail", pytest.approx(-0.2), None)
    short = stats.gate(same[:190:10], worse[:190:10])
    assert short.verdict == "inconclusive"
    assert short.needed > 19
    assert "cases can't tell; about" in str(short)


@pytest.mark.parametrize("n", [60, 300])
def test_it_is_wrong_as_rarely_as_it_says(n: int) -> None:
    """At exactly the margin both verdicts are wrong, each in at most 2.5 % of all runs, but for chance."""
    verdicts = Counter(_verdict(0.9, 0.9 - 0.05, n, seed, margin=0.05).verdict for seed in range(600))
    assert verdicts["pass"] / 600 < 0.05
    assert verdicts["fail"] / 600 < 0.05


def test_with_the_simulations_known_accuracies() -> None:
    """An update that is five points worse is failed on a set large enough; the same model again never is. The full
    400 runs are in benchmarks/gates.py."""
    cases, answers = EvalSet.load(EVALS / "triage.jsonl"), book(EVALS)

    def scores(name: str, seed: int, first: int, repeats: int) -> dict[str, float]:
        shares = {}
        for case in cases:
            body = {"messages": [{"role": "user", "content": case.input}], "schema": None}
            texts = [plan(name, MODELS[name], body, seed, first + nth, answers).text for nth in range(repeats)]
            shares[case.id] = sum(text == case.expected for text in texts) / repeats
        return shares

    same = Counter(stats.gate(scores("large", s, 0, 2), scores("large", s, 2, 2)).verdict for s in range(25))
    worse = [stats.gate(scores("large", s, 0, 40), scores("large-update", s, 40, 40)) for s in range(3)]
    assert same["fail"] == 0
    assert [verdict.verdict for verdict in worse] == ["fail"] * 3
    assert all(verdict.low < -0.05 < verdict.high + 0.02 for verdict in worse)


def test_adding_as_many_cases_as_it_asks_for_usually_decides_it() -> None:
    """`needed` is an estimate: with the truth two points off the margin it decides in most runs."""
    decided = 0
    for seed in range(40):
        short = _verdict(0.9, 0.84, 150, seed)
        if short.needed is None:
            decided += 1
            continue
        random = np.random.default_rng(seed + 1000)
        n = min(short.needed, 60_000)
        decided += stats.gate(random.binomial(1, 0.9, n), random.binomial(1, 0.84, n)).verdict != "inconclusive"
    assert decided >= 24


@pytest.mark.parametrize(
    ("baseline", "candidate", "n", "left_out"),
    [
        ({"a": 1, "b": 0}, {"b": 1, "c": 1}, 1, 2),
        (pd.Series({"a": 1.0, "b": 0.0}), pd.Series({"a": 1.0, "b": math.nan}), 1, 1),
        ([1, 0, math.nan], [1, 1, 1], 2, 1),
        ({}, {}, 0, 0),
    ],
)
def test_cases_that_only_one_has_are_left_out_and_counted(baseline, candidate, n: int, left_out: int) -> None:
    verdict = stats.gate(baseline, candidate)
    assert (verdict.n, verdict.left_out, verdict.verdict) == (n, left_out, "inconclusive")


def test_what_can_not_be_compared_is_refused() -> None:
    for wrong in (
        lambda: stats.gate([1, 0], [1]),
        lambda: stats.gate([1], [1], margin=1.5),
        lambda: stats.gate([1, 0], [1, 0], clusters=["a"]),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            wrong()
    with pytest.raises(TypeError, match="two evaluations"):
        stats.gate({"a": 1}, [1])


def test_answers_of_one_cluster_count_less() -> None:
    """The same scores, once as 80 customers and once as 8: less is known."""
    random = np.random.default_rng(5)
    baseline, candidate = random.binomial(1, 0.9, 80), random.binomial(1, 0.8, 80)
    alone = stats.gate(baseline, candidate)
    together = stats.gate(np.sort(baseline), np.sort(candidate), clusters=[n // 10 for n in range(80)])
    assert (alone.clusters, together.clusters) == (80, 8)
    assert together.high - together.low > alone.high - alone.low
    assert "over 8 clusters" in together.method


@pytest.mark.parametrize("groups", [5, 12, 40, 120])
def test_losses_that_come_together_do_not_slip_through(groups: int) -> None:
    """Three cases a cluster that fail together half of the time, the truth exactly on the margin: whatever the number
    of clusters, hardly a run passes. (A bootstrap over these passes one in ten, Student's t one in two.)"""
    random, names, passed = np.random.default_rng(7), np.repeat(np.arange(groups), 3), 0
    for _ in range(400):
        shared = random.random(groups)[names]
        lot = np.where((random.random(groups) < 0.5)[names], shared, random.random(3 * groups))
        passed += stats.gate(np.ones(3 * groups), 1.0 - (lot < 0.05), 0.05, clusters=names).verdict == "pass"
    assert passed / 400 <= 0.05


def test_nothing_that_differs_is_no_certainty() -> None:
    """Four cases, six cases: too few to pass or to fail anything by, however alike they are."""
    for baseline, candidate, clusters in (
        ([1] * 4, [1] * 4, "aabb"),
        ([0.5] * 2, [0.5] * 2, "ab"),
        ([1] * 6, [0] * 6, "aabbcc"),
    ):
        assert stats.gate(baseline, candidate, 0.02, clusters=list(clusters)).verdict == "inconclusive"
    assert stats.gate([1] * 20, [1] * 20).needed == 189
    assert stats.gate([1] * 189, [1] * 189).verdict == "pass"
    assert stats.gate([1] * 100, [1] * 100, 0).needed is None


@pytest.fixture
def lab(tmp_path: Path):
    """Model `good` is right, `bad` is right in three cases of four."""

    def answer(call: Call) -> str:
        number = int(call.messages[0]["content"].split()[-1])
        return "right" if call.model.startswith("good") or number % 4 else "<wrong> \x1b[31m|"

    with Lab(tmp_path / "g.db", provider=answer, policy=Policy(retry=None)) as lab:
        yield lab


def _evaluate(lab: Lab, model: str, cases: object = None, **more: object):
    prompt = Prompt("p", "Say {{n}}")
    evalset = EvalSet.of(CASES if cases is None else cases, "numbers")
    return lab.evaluate(prompt, model, evalset, scorers=["exact"], name=model, progress=None, **more)


def test_a_verdict_is_kept_and_a_fallback_goes_by_it(lab: Lab) -> None:
    good, bad, same = _evaluate(lab, "good"), _evaluate(lab, "bad"), _evaluate(lab, "good-2")
    assert lab.gate(good, bad).verdict == "fail"
    assert lab.gate("good", "good-2").verdict in ("pass", "inconclusive")
    assert lab.gate("good", same, margin=0.3).verdict == "pass"
    rows = lab._ledger.query("SELECT eval_set, prompt_name, prompt_version, model, verdict FROM verdicts")
    assert tuple(rows[0].values()) == ("numbers", "p", 1, "bad", "fail")
    assert rows[2]["verdict"] == "pass"


def test_evaluations_of_different_cases_are_not_compared(lab: Lab) -> None:
    _evaluate(lab, "good")
    _evaluate(lab, "bad", CASES[:40])
    with pytest.raises(ValueError, match="a gate compares answers to the same cases"):
        lab.gate("good", "bad")


def test_one_group_of_a_larger_experiment_can_be_named(lab: Lab) -> None:
    prompts = [Prompt("p", "Say {{n}}"), Prompt("q", "Tell {{n}}")]
    experiment = lab.compare(
        prompts, ["good", "bad"], EvalSet.of(CASES, "numbers"), scorers=["exact"], name="all", progress=None
    )
    assert lab.gate("all/p@1/good", "all/q/bad").names == ("all/p@1/good", "all/q/bad")
    groups = experiment.group(prompt="p", model="good"), experiment.group(prompt="q", model="good")
    assert lab.gate(*groups, 0.2).verdict == "pass"
    with pytest.raises(ValueError, match=r"4 prompts and models match .*name one"):
        lab.gate("all", "all")
    with pytest.raises(ValueError, match="0 prompts and models match"):
        lab.gate("all/p/good", "all/p/nobody")


def test_reports_hold_whatever_models_say(lab: Lab) -> None:
    """Markup and control characters of an answer are text in Markdown and in XML."""
    bad = _evaluate(lab, "bad")
    markdown = report.evaluation_markdown(bad)
    assert "# bad" in markdown
    assert "<wrong>" not in markdown
    root = ElementTree.fromstring(report.evaluation_junit(bad))
    suite = root.find("testsuite")
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("80", "20", "0")
    assert "<wrong>" in suite.find("testcase/failure").text
    verdict = lab.gate(_evaluate(lab, "good"), bad)
    assert "| difference | -25.0% [" in report.verdict_markdown(verdict)
    failed = ElementTree.fromstring(report.verdict_junit(verdict)).find("testsuite/testcase/failure")
    assert failed.get("type") == "fail"
