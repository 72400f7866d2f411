"""How figures went over time; the month and its end; versions of a prompt."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from lab import Lab, metrics
from lab.metrics.rule import Rule
from tests import rows


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    path = tmp_path_factory.mktemp("month") / "lab.db"
    rows.month(path, 3000)
    with Lab(path) as lab:
        yield lab


def test_calls_over_time_are_all_calls_by_outcome(month: Lab) -> None:
    counts = metrics.calls_over_time(month.ledger)
    assert counts["calls"].sum() == 3000
    ok = counts[counts["outcome"] == "ok"]["calls"].sum()
    assert ok == month.count(status="ok")
    assert counts[counts["outcome"] == "timeout"]["calls"].sum() == month.count(kind="timeout")


@pytest.mark.parametrize("narrow", [{"status": "failed"}, {"search": "ticket"}, {"kind": "timeout"}, {"starred": True}])
def test_calls_over_time_take_the_filters_of_the_list(month: Lab, narrow: dict) -> None:
    assert metrics.calls_over_time(month.ledger, **narrow)["calls"].sum() == month.count(**narrow)


def test_figures_over_time_are_those_of_their_bins(month: Lab) -> None:
    until = time.time()
    since = until - 30 * 86_400
    over = metrics.figures_over_time(month.ledger, "model", since=since, until=until, bins=10)
    assert over["calls"].sum() == month.count(since=since, until=until)
    assert len(over) == 10 * over["group"].nunique(), "a bin without calls is there, too"
    row = over[(over["group"] == "openai/gpt-4o-mini")].iloc[3]
    begin = row["start"].timestamp()
    calls = month.calls(limit=None, model="openai/gpt-4o-mini", since=begin, until=begin + row["seconds"])
    assert row["calls"] == len(calls)
    assert row["cost"] == pytest.approx(calls["cost"].sum())
    ended = calls[calls["status"].isin(["ok", "failed"])]
    assert row["success"] == pytest.approx((ended["status"] == "ok").mean())
    figures = month.metrics(since=begin, until=begin + row["seconds"]).set_index("model")
    timed = calls[(calls["status"] == "ok") & ~calls["cached"].astype(bool)]
    assert np.isnan(row["p95"]) or timed["elapsed"].min() <= row["p95"] <= timed["elapsed"].max()
    assert figures.loc["openai/gpt-4o-mini", "calls"] == row["calls"]


def _spend(path: Path, by_day: dict[datetime, float]) -> None:
    import sqlite3

    with Lab(path, provider=lambda call: "yes") as lab:
        for _ in by_day:
            lab.ask("a", model="m")
    with sqlite3.connect(path) as db:
        for number, (day, usd) in enumerate(by_day.items(), 1):
            db.execute("UPDATE calls SET started_at = ?, cost = ? WHERE id = ?", (day.timestamp(), usd, number))


def test_the_months_end_is_what_was_spent_and_the_last_days_mean_for_the_rest(tmp_path: Path) -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    days = {now.replace(day=day, hour=3): 2.0 for day in range(1, 20)} | {now.replace(hour=4): 0.5}
    days[datetime(2026, 10, 30, tzinfo=UTC)] = 100.0
    _spend(tmp_path / "lab.db", days)
    with Lab(tmp_path / "lab.db") as lab:
        found = metrics.month(lab.ledger, now.timestamp())
        assert found.spent == pytest.approx(19 * 2 + 0.5)
        assert found.daily == pytest.approx(2.0)
        assert found.projected == pytest.approx(19 * 2 + 2.0 + 10 * 2)
        assert list(found.days["kind"].value_counts().reindex(["spent", "today", "projected"])) == [19, 1, 10]
        assert found.days["total"].iloc[-1] == pytest.approx(found.projected)


def test_on_the_first_of_a_month_the_days_before_say_what_a_day_costs(tmp_path: Path) -> None:
    now = datetime(2026, 12, 1, 6, tzinfo=UTC)
    days = {now - timedelta(days=back): 3.0 for back in range(1, 8)} | {now.replace(hour=1): 1.0}
    _spend(tmp_path / "lab.db", days)
    with Lab(tmp_path / "lab.db") as lab:
        found = metrics.month(lab.ledger, now.timestamp())
        assert found.spent == pytest.approx(1.0)
        assert found.projected == pytest.approx(31 * 3.0)


def test_a_ledger_that_began_today_goes_on_at_todays_rate(tmp_path: Path) -> None:
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    _spend(tmp_path / "lab.db", {now.replace(hour=1): 4.0})
    with Lab(tmp_path / "lab.db") as lab:
        found = metrics.month(lab.ledger, now.timestamp())
        assert found.daily == pytest.approx(8.0)
        assert found.projected == pytest.approx(8.0)
        assert metrics.month(lab.ledger, now.timestamp(), model="nobody").projected == 0.0


def test_a_quiet_week_of_an_old_ledger_counts_its_quiet_days(tmp_path: Path) -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    _spend(tmp_path / "lab.db", {datetime(2026, 9, 1, tzinfo=UTC): 5.0, datetime(2026, 11, 18, tzinfo=UTC): 7.0})
    with Lab(tmp_path / "lab.db") as lab:
        assert metrics.month(lab.ledger, now.timestamp()).daily == pytest.approx(1.0)


def test_budgets_are_those_of_the_rules() -> None:
    spent = Rule(name="a", figure="spent", usd=20.0, per="day", above=0.8)
    assert metrics.budgets([spent, Rule(name="b", figure="failed")]) == {"day": 20.0}


def test_versions_have_score_p95_and_cost_with_intervals(month: Lab) -> None:
    found = metrics.by_version(month.ledger, "triage")
    assert set(found["figure"]) <= {"score", "p95", "cost"}
    cost = found[found["figure"] == "cost"]
    assert (cost["low"] <= cost["estimate"]).all()
    assert (cost["estimate"] <= cost["high"]).all()
    row = cost.iloc[0]
    calls = month.calls(limit=None, prompt=f"triage@{row['version']}", model=row["model"])
    calls = calls[~calls["cached"].astype(bool)]
    assert row["n"] == len(calls)
    assert row["estimate"] == pytest.approx(calls["cost"].mean())
    assert metrics.by_version(month.ledger, "nothing").empty
