"""Experiments: the plan, the order, what is paid for once, and figures that say how sure they are."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from lab import Lab, Policy, Prompt, Repair, Retry, checks, errors
from lab.evals.plan import shuffled
from lab.evals.progress import bar_html, line
from lab.evals.run import Progress
from lab.values import Call

CASES = [{"id": f"c{n}", "input": str(n), "expected": str(n % 3), "cluster": f"k{n // 2}"} for n in range(12)]
PROMPTS = [Prompt("one", "One: {{n}}"), Prompt("two", "Two: {{n}}")]
STABLE = ["prompt", "version", "model", "case_id", "cluster", "repeat", "status", "kind", "valid", "score", "text"]


class Provider:
    """Answers with the number modulo 3, notes what it was asked, and may do something first."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.first = lambda call: None

    def __call__(self, call: Call) -> str:
        prompt = call.messages[0]["content"]
        self.asked.append((call.model, prompt))
        self.first(call)
        return str(int(prompt.split()[-1]) % 3)


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def lab(tmp_path: Path, provider: Provider):
    with Lab(tmp_path / "lab.db", provider=provider, policy=Policy(retry=None)) as lab:
        yield lab


def _compare(lab: Lab, **more: object):
    return lab.compare(PROMPTS, ["m1", "m2"], CASES, **{"scorers": ["exact"], "progress": None, "name": "x", **more})


def test_every_cell_is_asked_once(lab: Lab, provider: Provider) -> None:
    experiment = _compare(lab, repeats=2)
    assert Counter(provider.asked) == {
        (m, f"{p}: {n}"): 2 for m in ("m1", "m2") for p in ("One", "Two") for n in range(12)
    }
    frame = experiment.df()
    assert len(frame) == 96
    assert (frame["status"] == "ok").all()
    assert frame["score"].tolist() == [1.0] * 96
    assert lab.calls(limit=None)["experiment"].unique().tolist() == ["x"]
    assert set(lab.calls(limit=None)["lane"]) == {"batch"}


def test_the_order_is_drawn_and_favours_nobody(lab: Lab, provider: Provider) -> None:
    """Not prompt by prompt nor model by model; the same seed gives the same order, another one another."""
    _compare(lab, concurrency=1, seed=7)
    first = list(provider.asked)
    assert [model for model, _ in first[:12]] != [first[0][0]] * 12
    provider.asked.clear()
    _compare(lab, concurrency=1, seed=7, name="y")
    assert provider.asked == first
    cells = lab.compare(PROMPTS, ["m1"], CASES, run=False)._asking.cells
    assert shuffled(cells, 1) != shuffled(cells, 2)


def test_the_same_again_asks_nothing(lab: Lab, provider: Provider) -> None:
    """Under its name, or without one: the name is made of what is asked."""
    first = lab.compare(PROMPTS, ["m1"], CASES, progress=None)
    asked = len(provider.asked)
    again = lab.compare(PROMPTS, ["m1"], CASES, progress=None)
    assert (again.name, len(provider.asked)) == (first.name, asked)
    assert again.plan.left == 0


def test_what_is_changed_is_asked_anew_and_the_rest_is_kept(lab: Lab, provider: Provider) -> None:
    _compare(lab)
    provider.asked.clear()
    cases = [{**CASES[0], "input": "99"}, *CASES[1:], {"id": "new", "input": "100"}]
    experiment = lab.compare(PROMPTS, ["m1", "m2"], cases, name="x", scorers=["exact"], progress=None)
    assert sorted({prompt for _, prompt in provider.asked}) == ["One: 100", "One: 99", "Two: 100", "Two: 99"]
    assert len(experiment.df()) == 52
    provider.asked.clear()
    more = {"name": "x", "progress": None}
    lab.compare(PROMPTS, ["m1", "m2"], cases, temperature=0.5, **more)
    assert len(provider.asked) == 52, "another parameter is another question"
    provider.asked.clear()
    lab.compare(PROMPTS, ["m1", "m2"], cases, temperature=0.5, policy=Policy(), **more)
    assert provider.asked == [], "how a call is bounded is not what is asked"


def test_a_repeat_is_a_cell_of_its_own(lab: Lab, provider: Provider) -> None:
    _compare(lab)
    provider.asked.clear()
    assert _compare(lab, repeats=2).df()["repeat"].value_counts().to_dict() == {0: 48, 1: 48}
    assert len(provider.asked) == 48


def test_failures_are_results_and_are_not_paid_for_again(lab: Lab, provider: Provider) -> None:
    """But for those that say nothing of the question: a wrong key, an empty account, no room."""

    def first(call: Call) -> None:
        if call.messages[0]["content"] == "One: 3":
            raise errors.ProviderError("down")
        if call.messages[0]["content"] == "One: 4":
            raise errors.AuthError("wrong key")

    provider.first = first
    frame = _compare(lab).df().set_index(["prompt", "model", "case_id"])
    assert frame.loc[("one", "m1", "c3")][["status", "kind", "score"]].tolist() == ["failed", "provider", 0.0]
    assert frame.loc[("one", "m1", "c4")]["status"] == "unanswered"
    provider.first, provider.asked = (lambda call: None), []
    frame = _compare(lab).df().set_index(["prompt", "model", "case_id"])
    assert sorted(provider.asked) == [("m1", "One: 4"), ("m2", "One: 4")]
    assert frame.loc[("one", "m1", "c4")]["score"] == 1.0


def test_a_run_that_breaks_is_resumed(lab: Lab, provider: Provider) -> None:
    """An exception out of nowhere, as an interrupted cell would be: what is answered stays."""

    def first(call: Call) -> None:
        if len(provider.asked) == 20:
            raise RuntimeError("pulled the plug")

    provider.first = first
    with pytest.raises(RuntimeError, match="pulled the plug"):
        _compare(lab, concurrency=2)
    before = len(provider.asked)
    provider.first = lambda call: None
    experiment = _compare(lab, concurrency=2)
    assert len(experiment.df()) == 48
    assert (experiment.df()["status"] == "ok").all()
    assert len(provider.asked) <= 48 + 2 + 1
    assert before < 48


def test_two_at_once_do_not_pay_twice(lab: Lab, provider: Provider, tmp_path: Path) -> None:
    """The second is told that the first runs; a dead one's claim expires."""
    entered, go = threading.Event(), threading.Event()

    def first(call: Call) -> None:
        entered.set()

    async def slow(call: Call) -> str:
        entered.set()
        await asyncio.to_thread(go.wait)
        return "1"

    with Lab(tmp_path / "lab.db", provider=slow) as other:
        thread = threading.Thread(target=lambda: _compare(other))
        thread.start()
        assert entered.wait(10)
        with pytest.raises(errors.BusyError, match="experiment 'x' is being run by another process"):
            _compare(lab)
        go.set()
        thread.join()
    assert _compare(lab).plan.left == 0
    assert provider.asked == []


def test_killed_and_run_again_its_table_is_that_of_an_undisturbed_run(tmp_path: Path) -> None:
    """A process killed in the middle of 96 cells, and at once run again: what is asked twice is what was in flight."""
    script = """
import sys, asyncio
from lab import Lab, Prompt
path, log, slow = sys.argv[1:]
async def provider(call):
    await asyncio.sleep(float(slow))
    said = call.messages[0]["content"]
    open(log, "a").write(said + "\\n")
    return str(int(said.split()[-1]) % 3)
cases = [{"id": f"c{n}", "input": str(n), "expected": str(n % 3)} for n in range(48)]
with Lab(path, provider=provider) as lab:
    lab.compare([Prompt("one", "One: {{n}}"), Prompt("two", "Two: {{n}}")], "m", cases, name="x", scorers=["exact"],
        concurrency=4, progress=None)
"""

    def run(name: str, slow: str) -> subprocess.Popen:
        log = str(tmp_path / f"{name}.log")
        return subprocess.Popen([sys.executable, "-c", script, str(tmp_path / f"{name}.db"), log, slow])

    killed = run("killed", "0.05")
    log = tmp_path / "killed.log"
    while not log.exists() or log.read_text().count("\n") < 30:
        assert killed.poll() is None
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert run("killed", "0").wait() == 0
    assert run("whole", "0").wait() == 0
    assert 96 <= log.read_text().count("\n") <= 96 + 4
    frames = []
    for name in ("killed", "whole"):
        with Lab(tmp_path / f"{name}.db", provider=lambda _: "") as lab:
            frames.append(lab.experiment("x").df()[STABLE])
    pd.testing.assert_frame_equal(*frames)


def test_scores_are_made_up_for_and_a_changed_scorer_scores_again(lab: Lab, provider: Provider) -> None:
    """A scorer that is new costs no call."""
    _compare(lab, scorers=[])
    asked = len(provider.asked)
    assert _compare(lab, scorers=["exact"]).df()["exact"].tolist() == [1.0] * 48

    def wrong(value: str, expected: str) -> bool:
        return value != expected

    def half(value: str, expected: str) -> float:
        return 0.5

    from lab.evals import scorers

    assert _compare(lab, scorers=[scorers.scorer(wrong, "mine")]).df()["mine"].tolist() == [0.0] * 48
    frame = _compare(lab, scorers=[scorers.scorer(half, "mine"), "exact"]).df()
    assert frame["mine"].tolist() == [0.5] * 48
    assert frame["score"].tolist() == [0.75] * 48
    assert len(provider.asked) == asked


def test_the_plan_is_refused_over_its_budget_and_stopped_when_it_is_spent(tmp_path: Path) -> None:
    """The simulation's real prices; a larger budget goes on where it stopped."""
    cases = [{"id": str(n), "input": f"number {n}"} for n in range(60)]

    def compare(lab: Lab, budget: float):
        return lab.compare(
            "Say {{n}}", "sim/instant", cases, name="b", budget=budget, max_tokens=200, progress=None, concurrency=4
        )

    with Lab(tmp_path / "b.db", policy=Policy(retry=None)) as lab:
        with pytest.raises(errors.BudgetError, match=r"over the budget; ask fewer cells or cheaper models"):
            compare(lab, 0.001)
        assert lab.count() == 0
        for n in range(40):  # of a few tokens each: what comes now will cost more than these tell
            lab.ask(f"warm {n}", model="sim/instant", schema=bool)
        planned = lab.compare("Say {{n}}", "sim/instant", cases, name="b", max_tokens=200, run=False)
        assert planned.plan.usd < 0.0003
        assert "40 earlier calls" in planned.plan.by_model[0].based_on
        stopped = compare(lab, 0.0012)
        assert "of $0.0012 per experiment are left" in stopped.progress.stopped
        done = int((stopped.df()["status"] == "ok").sum())
        assert 0 < done < 60
        assert stopped.summary()["cost"][0] <= 0.0012
        whole = compare(lab, 1.0)
        assert (whole.df()["status"] == "ok").all()
        assert lab.count(experiment="b", status="ok") == 60


def test_a_plan_says_what_it_will_take_before_anything_is_sent(lab: Lab, provider: Provider) -> None:
    planned = _compare(lab, run=False)
    assert provider.asked == []
    assert (planned.plan.cells, planned.plan.left) == (48, 48)
    assert str(planned.plan) == "x: 48 of 48 cells, 266→9,600 tokens, cost unknown, time unknown at 8 at once"
    assert len(planned.df()) == len(planned.summary()) == 0
    assert planned.run(None).df()["status"].unique().tolist() == ["ok"]


def test_a_held_out_set_says_how_often_it_was_looked_at(lab: Lab) -> None:
    from lab import EvalSet

    held = EvalSet.of(CASES, "secret", held_out=True)
    for number in range(2):
        lab.compare(f"v{number} {{{{n}}}}", "m", held, progress=None)
    assert "held-out set, asked by 2 experiments before" in str(lab.compare("v3 {{n}}", "m", held, run=False).plan)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"repeats": 0}, "repeats=0"),
        ({"concurrency": 1.5}, "concurrency=1.5"),
        ({"models": []}, "models="),
        ({"models": ["m", "m"]}, "each once"),
        ({"prompts": []}, "prompts: one or more"),
        ({"prompts": ["{{a}} {{b}}"]}, "case c0.*the variables a, b: the input must be an object"),
        ({"prompts": ["no variable"]}, "the variables none"),
        ({"cases": [{"id": "a"}]}, "'input' must be"),
        ({"cases": [{"id": "a", "input": {"x": 1}}]}, "case a.*'n' is missing"),
        ({"scorers": ["best"]}, "scorer 'best'"),
        ({"scorers": ["exact", "exact"]}, "a name of its own"),
        ({"schema": {"type": "banana"}}, "schema"),
    ],
)
def test_what_can_not_be_asked_is_said_before_anything_is_spent(tmp_path: Path, more: dict, message: str) -> None:
    given = {"prompts": ["x {{n}}"], "models": ["sim/instant"], "cases": CASES, **more}
    with Lab(tmp_path / "r.db") as lab:
        with pytest.raises(errors.InvalidRequestError, match=message):
            lab.compare(given.pop("prompts"), given.pop("models"), given.pop("cases"), progress=None, **given)
        assert lab.count(status="ok") == 0


def test_the_summary_says_how_sure_it_is(lab: Lab, provider: Provider) -> None:
    """Shares with intervals, "too few" where there are, and the cost of what went wrong."""
    experiment = _compare(lab, repeats=2, scorers=["exact"])
    summary = experiment.summary().set_index(["prompt", "model"])
    row = summary.loc[("one", "m1")]
    assert (row["cells"], row["done"], row["success"]) == (24, 24, 1.0)
    assert 0.8 < row["success_low"] < row["success"]
    assert not math.isnan(row["latency_p50"])
    assert math.isnan(row["latency_p95"])
    assert math.isnan(row["valid"]), "nothing was checked"
    assert experiment.table()["p95"].tolist() == ["too few"] * 4
    assert "too few" in experiment._repr_html_()


def test_validity_counts_answers_that_failed_their_checks(tmp_path: Path) -> None:
    def answer(call: Call) -> str:
        number = int(call.messages[0]["content"].split()[-1])
        if number == 0:
            raise errors.TransportError("reset")
        return "even" if number % 2 == 0 else "odd"

    with Lab(tmp_path / "v.db", provider=answer, policy=Policy(retry=None, repair=Repair(attempts=2))) as lab:
        experiment = lab.compare("x {{n}}", "m", CASES, checks=[checks.one_of("even")], progress=None)
        row = experiment.summary().iloc[0]
    assert row["success"] == pytest.approx(5 / 12)
    assert row["valid"] == pytest.approx(5 / 11)
    assert row["repairs"] == 6


def test_schemas_and_retries_are_counted(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()

    def answer(call: Call) -> str:
        prompt = call.messages[0]["content"]
        seen[prompt] += 1
        if seen[prompt] == 1 and prompt.endswith(("1", "2")):
            raise errors.ProviderError("once")
        return '{"n": 1}'

    with Lab(tmp_path / "s.db", provider=answer, policy=Policy(retry=Retry(initial=0.0))) as lab:
        shape = {"type": "object", "properties": {"n": {"type": "integer"}}}
        experiment = lab.compare("x {{n}}", "m", CASES[:4], schema=shape, scorers=[lambda v, e: v["n"]], progress=None)
        row = experiment.summary().iloc[0]
    assert (row["success"], row["valid"], row["score"], row["retries"]) == (1.0, 1.0, 1.0, 2)


def test_progress_is_told_in_the_callers_own_thread(lab: Lab) -> None:
    seen: list[tuple[int, str]] = []
    _compare(lab, progress=lambda now: seen.append((now.done, threading.current_thread().name)))
    assert seen[-1] == (48, threading.current_thread().name)


def test_the_bar_says_rate_cost_and_time_left() -> None:
    now = Progress(total=100, known=20, done=60, failed=2, cost=0.5, began=time.monotonic() - 10)
    assert line(now) == "60 of 100 cells (20 from before) · 4.0/s · $0.50 · 2 failed · 10.00 s left"
    assert "width:60.0%" in bar_html(now)


def test_names_are_whatever_people_write(lab: Lab) -> None:
    """Nothing of a name or an answer is markup in the table."""
    experiment = lab.compare(PROMPTS, ["<script>alert(1)</script>"], CASES, progress=None, name="<b>x</b>")
    assert "<script>" not in experiment._repr_html_()
    assert "<b>x</b>" not in experiment._repr_html_()
    with pytest.raises(ValueError, match="there is <b>x</b>"):
        lab.experiment("y")
    assert lab.experiments()["experiment"].tolist() == ["<b>x</b>"]


def test_a_plan_changes_nothing_of_what_was_run_under_its_name(lab: Lab) -> None:
    _compare(lab)
    lab.compare(PROMPTS, ["m1"], CASES[:3], name="x", scorers=["label"], run=False)
    assert len(lab.experiment("x").df()) == 48
    assert "exact" in lab.experiment("x").df()


def test_another_expectation_is_another_score(lab: Lab, provider: Provider) -> None:
    """Of the same answers: nothing is asked again."""
    assert _compare(lab).df()["score"].mean() == 1.0
    asked = len(provider.asked)
    cases = [{**CASES[0], "expected": "9"}, *CASES[1:]]
    experiment = lab.compare(PROMPTS, ["m1", "m2"], cases, scorers=["exact"], progress=None, name="x")
    assert experiment.df()["score"].sum() == 44
    assert len(provider.asked) == asked


def test_a_bug_of_ones_own_is_no_answer(lab: Lab, provider: Provider) -> None:
    """A check or a scorer that crashed is mended and run again; what it kept from being known is known then."""
    broken = [True]

    def check(value: str) -> bool:
        return {"fixed": True}["broken" if broken[0] else "fixed"]

    def score(value: str, expected: str) -> bool:
        if broken[0]:
            raise SystemExit(3)
        return value == expected

    from lab.evals import scorers

    given = {"checks": [check], "scorers": [scorers.scorer(score, "mine")]}
    first = lab.compare(PROMPTS[0], "m1", CASES, name="c", progress=None, **given)
    assert first.df()["status"].unique().tolist() == ["unanswered"]
    assert "the check `check` itself failed with KeyError" in first.progress.first
    plain = lab.compare(PROMPTS[0], "m1", CASES, name="d", progress=None, scorers=given["scorers"])
    assert plain.summary()["unscored"].tolist() == [12]
    assert "12 unscored" in plain.table()["extra"][0]
    broken[0] = False
    assert lab.compare(PROMPTS[0], "m1", CASES, name="c", progress=None, **given).df()["mine"].tolist() == [1.0] * 12


@pytest.mark.parametrize("name", ["score", "status", "cost", " "])
def test_a_scorer_may_not_be_called_like_a_column(lab: Lab, name: str) -> None:
    from lab.evals import scorers

    with pytest.raises(errors.InvalidRequestError, match="give the scorer another name"):
        _compare(lab, scorers=[scorers.scorer(lambda v, e: 1, name)])


def test_two_versions_that_say_the_same_are_two(lab: Lab) -> None:
    prompts = [Prompt("p", "Say {{n}}"), Prompt("p", "Say {{ n }}")]
    experiment = lab.compare(prompts, "m", CASES, progress=None)
    assert experiment.df()["version"].value_counts().to_dict() == {1: 12, 2: 12}


def test_what_is_set_aside_is_not_spent(tmp_path: Path) -> None:
    """Thirty calls at once each set their worst aside; a budget that holds them one after the other is enough."""
    cases = [{"id": str(n), "input": f"number {n}"} for n in range(40)]
    with Lab(tmp_path / "b.db", policy=Policy(retry=None)) as lab:
        for n in range(20):
            lab.ask(f"warm {n}", model="sim/instant")
        experiment = lab.compare(
            "Say {{n}}!", "sim/instant", cases, budget=0.003, max_tokens=400, concurrency=30, progress=None
        )
        assert experiment.progress.stopped is None
        assert (experiment.df()["status"] == "ok").all()
        assert experiment.summary()["cost"][0] <= 0.003


def test_an_expectation_that_is_no_json_is_refused_and_nothing_hangs(lab: Lab) -> None:
    import datetime

    for odd in (datetime.date(2026, 1, 1), {1, 2}, float("nan"), "\ud800"):
        with pytest.raises(errors.InvalidRequestError, match="line 1: it can't be written as JSON"):
            lab.compare("x {{n}}", "m", [{"id": "a", "input": "1", "expected": odd}], progress=None)
    assert lab.ask("still 1", model="m").text == "1"
