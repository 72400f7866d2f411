"""Alerts: what fires, what does not, what a file of rules may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import Lab, stats
from lab.metrics import alerts
from tests.rows import many, put

DAY = 86_400.0


def rules(folder: Path, text: str) -> Path:
    file = folder / "rules.toml"
    file.write_text(text)
    return file


def fired(lab: Lab, *names: str) -> None:
    assert [alert.name for alert in lab.alerts()] == list(names)


def test_an_empty_ledger_and_a_quiet_one_fire_nothing(lab: Lab) -> None:
    fired(lab)
    many(lab, "ok", 50)
    fired(lab)


def test_failures_that_retries_recovered_wake_nobody(lab: Lab) -> None:
    """Every first request failed; every call ended well."""
    for number in range(60):
        put(lab, f"c{number}", {"status": "failed", "kind": "provider"}, {"role": "retry", "won": 1})
    fired(lab)
    many(lab, "bad", 20, status="failed", kind="provider")
    fired(lab, "final failures rising")
    (alert,) = lab.alerts()
    assert alert.group == "m"
    assert alert.message == "m: failed 25.0% (80 calls in 15 min)"
    assert alert.value == pytest.approx(0.25)


def test_a_model_that_always_failed_as_often_is_not_rising(lab: Lab) -> None:
    for name, ago in (("now", 60.0), ("then", 2 * DAY)):
        many(lab, f"{name}ok", 60, ago=ago)
        many(lab, f"{name}bad", 20, ago=ago, status="failed", kind="provider")
    fired(lab)


def test_three_of_four_calls_at_night_are_too_few(lab: Lab) -> None:
    many(lab, "bad", 3, status="failed", kind="provider")
    put(lab, "ok")
    fired(lab)


def test_one_refused_key_is_enough(lab: Lab) -> None:
    put(lab, "a", status="failed", kind="auth", error="401 from the provider")
    put(lab, "q", status="failed", kind="quota", error="insufficient_quota", model="other")
    fired(lab, "keys refused", "account or billing limit")
    assert lab.alerts()[0].message == "m: 1 calls failed (auth) in 1 h: 401 from the provider"


def test_by_tag_and_by_nobody(lab: Lab, tmp_path: Path) -> None:
    text = '[[alert]]\nname = "k"\nfigure = "auth"\nabove = 0\nleast = 1\nby = "{}"\n'
    put(lab, "a", status="failed", kind="auth", tags='["de", "web"]')
    assert sorted(alert.group for alert in lab.alerts(rules(tmp_path, text.format("tag")))) == ["de", "web"]
    assert [alert.group for alert in lab.alerts(rules(tmp_path, text.format("user")))] == ["none"]


def test_a_stalled_queue(lab: Lab) -> None:
    """A call with no request yet, for longer than half a minute; not one that a killed process left behind."""
    put(lab, "w", status="running", ago=20)
    fired(lab)
    put(lab, "x", status="running", ago=200)
    fired(lab, "stalled queue")
    assert lab.alerts()[0].n == 2
    put(lab, "long", status="running", ago=1000, model="other")
    assert [alert.group for alert in lab.alerts()] == ["m", "other"], "the longer the worse"
    put(lab, "gone", status="running", ago=4000, model="of a killed process")
    assert len(lab.alerts()) == 2


def test_latency_is_held_against_the_models_own_past(lab: Lab) -> None:
    """A slow model is not an alert; one that became slow is."""
    for number in range(200):
        took = 1 + number / 200
        put(lab, f"slow-then{number}", ago=2 * DAY, took=30 * took, model="slow")
        put(lab, f"slow-now{number}", ago=300, took=30 * took, model="slow")
        put(lab, f"quick-then{number}", ago=2 * DAY, took=took, model="quick")
        put(lab, f"quick-now{number}", ago=300, took=5 * took, model="quick")
    fired(lab, "much slower than it was")
    (alert,) = lab.alerts()
    assert alert.group == "quick"
    assert alert.past == pytest.approx(1.95, abs=0.02)
    assert "quick: elapsed p95 9.7" in alert.message


def test_a_model_without_a_past_is_not_slower_than_it_was(lab: Lab) -> None:
    many(lab, "first", 200, took=50.0)
    fired(lab)


def test_fallbacks_and_failed_checks(lab: Lab) -> None:
    many(lab, "ok", 60, valid=1)
    many(lab, "invalid", 30, status="failed", kind="validation")
    assert "answers fail their checks" in [alert.name for alert in lab.alerts()]
    for number in range(40):
        put(lab, f"f{number}", {"status": "failed", "kind": "provider"}, {"role": "fallback", "won": 1}, model="n")
    assert "fallbacks rising" in [alert.name for alert in lab.alerts()]


def test_a_budget_that_is_nearly_spent(lab: Lab, tmp_path: Path) -> None:
    file = rules(tmp_path, '[[alert]]\nname = "day"\nfigure = "spent"\nusd = 10\nabove = 0.8\n')
    put(lab, "dear", ago=0, cost=7.9)
    assert lab.alerts(file) == []
    put(lab, "more", ago=0, cost=0.2)
    (alert,) = lab.alerts(file)
    assert alert.message == "$8.10 of $10.00 spent today (UTC), 81%"


def test_the_file_is_the_one_that_is_named_or_beside_the_ledger(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(lab, "slow", 30, took=9.0)
    text = '[[alert]]\nname = "{}"\nfigure = "elapsed_p50"\nabove = 5.0\nover = "1 h"\n'
    lab.path.with_name("alerts.toml").write_text(text.format("beside"))
    fired(lab, "beside")
    monkeypatch.setenv("LAB_ALERTS", str(rules(tmp_path, text.format("named"))))
    fired(lab, "named")
    assert lab.alerts(alerts.BUILT_IN) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[alert]", "is no TOML"),
        ("x = 1", "[[alert]] tables, and nothing else"),
        ('[[alert]]\nname = "a"\n', "alert 1: figure=None: a text"),
        ('[[alert]]\nname = "a"\nfigure = "colour"\nabove = 1', "figure='colour': one of failed, fallback"),
        ('[[alert]]\nname = "a"\nfigure = "failed"', "above or times, or both"),
        ('[[alert]]\nname = "a"\nfigure = "failed"\nabove = "x"', "above='x': a number"),
        ('[[alert]]\nname = "a"\nfigure = "failed"\nabove = true', "above=True: a number"),
        ('[[alert]]\nname = "a"\nfigure = "failed"\nabove = nan', "above=nan: a number"),
        ('[[alert]]\nname = "a"\nfigure = "failed"\nabove = 1\nleast = 2.5', "least=2.5: a whole number"),
        ('[[alert]]\nname = "a"\nfigure = "failed"\nabove = 1\nover = "soon"', "'soon': a span of time"),
        ('[[alert]]\nname = "a"\nfigure = "failed"\nabove = 1\ncolour = 1', "colour: one of name, figure"),
        ('[[alert]]\nname = "a"\nfigure = "spent"\nabove = 1', "usd: the budget"),
        ('[[alert]]\nname = "a"\nfigure = "auth"\ntimes = 2', "auth has no past"),
        ('[[alert]]\nname = "a"\nfigure = "failed"\nabove = 1\nby = "config"', "by='config': one of model"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"rules\.toml") as wrong:
        alerts.load(rules(tmp_path, text))
    assert message in str(wrong.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="can't be read: No such file"):
        alerts.load(tmp_path / "none.toml")


def test_jobs_that_nobody_works_off_and_webhooks_that_were_given_up(lab: Lab) -> None:
    """Handed in, for jobs are in a file of their own; without them these rules say nothing."""
    rules = alerts.load(alerts.BUILT_IN)
    known = {"dead": ["host was not told: status 500", "another"], "waiting": 12, "oldest": 700.0}
    asked = []

    def jobs(since: float) -> dict[str, object]:
        asked.append(since)
        return known

    queue, webhook = sorted(alerts.firing(lab.ledger, rules, now=1e9, jobs=jobs), key=lambda alert: alert.figure)
    assert queue.message == "12 jobs wait for a worker, the oldest for 11.7 min"
    assert webhook.message == "2 webhooks given up in 7 d, the last: host was not told: status 500"
    assert min(asked) == 1e9 - 7 * 86_400
    known |= {"dead": [], "oldest": 599.0}
    assert alerts.firing(lab.ledger, rules, now=1e9, jobs=jobs) == []
    assert alerts.firing(lab.ledger, rules, now=1e9, jobs=lambda since: None) == []
    assert alerts.firing(lab.ledger, rules, now=1e9) == []


def test_a_queue_that_nearly_fires_says_so(lab: Lab, tmp_path: Path) -> None:
    put(lab, "w", status="running", ago=25)
    waiting = next(standing for standing in lab.standing() if standing.rule.figure == "waiting")
    assert waiting.group == "m"
    assert 0.8 < waiting.share < 0.95
    assert not waiting.fires
    assert "fires above 30.00 s" in waiting.say()


def test_each_rule_says_how_far_it_is_from_firing(lab: Lab, tmp_path: Path) -> None:
    failing = '[[alert]]\nname = "f"\nfigure = "failed"\nabove = 0.2\n'
    refused = '[[alert]]\nname = "k"\nfigure = "auth"\nabove = 0\nleast = 1\n'
    file = rules(tmp_path, failing + refused)
    before, keys = lab.standing(file)
    assert (before.share, before.value, before.fires) == (0.0, None, False)
    assert before.say() == "nothing to go by yet"
    assert keys.share == 0.0
    many(lab, "ok", 90)
    many(lab, "bad", 20, status="failed", kind="provider")
    near, _keys = lab.standing(file)
    low = stats.wilson(20, 110).low
    assert (near.group, near.limit, near.fires) == ("m", 0.2, False)
    assert near.value == pytest.approx(low)
    assert near.share == pytest.approx(low / 0.2)
    assert near.say() == f"{low:.1%}, fires above 20.0%"
    many(lab, "worse", 40, status="failed", kind="auth")
    fires, keys = lab.standing(file)
    assert (fires.share, fires.fires, keys.fires) == (1.0, True, True)
