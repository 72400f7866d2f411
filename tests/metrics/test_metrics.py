"""The figures to watch: what is in them, what is left out, and what too few values can't carry."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import ledgers
from lab import Lab, metrics, stats
from lab.ledger import columns, packs
from lab.ledger.opening import connect
from lab.metrics import COLUMNS, binned, parse_span


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A ledger filled by hand: 100 answers of 1 to 100 s, the ten slowest of them of a saturated client; a failure; an
    answer given again."""
    with Lab(tmp_path / "lab.db", provider=lambda call: "yes") as filled:
        rows = []
        for number in range(1, 101):
            rows += [
                _call(f"c{number}", "ok"),
                _attempt(f"c{number}", 1, latency=float(number), won=1, saturated=int(number > 90), cost=0.01),
            ]
        rows += [_call("bad", "failed"), _attempt("bad", 1, cost=0.0), _attempt("bad", 2, role="retry", cost=0.5)]
        rows += [_call("again", "ok", cached=1)]
        filled._ledger.submit(*rows).result()
        yield filled


def _insert(table: str, row: dict) -> tuple[str, tuple]:
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())


def _call(call_id: str, status: str, **more: object) -> tuple[str, tuple]:
    row = {
        "call_id": call_id,
        "started_at": 1.0,
        "status": status,
        "model": "m",
        "streamed": 0,
        "lane": "batch",
        **more,
    }
    return _insert("calls", row)


def _attempt(call_id: str, number: int, **more: object) -> tuple[str, tuple]:
    row = {"call_id": call_id, "number": number, "role": "first", "model": "m", "started_at": 1.0, "status": "ok"}
    return _insert("attempts", {**row, **more})


def test_saturated_attempts_and_cached_replies_are_left_out_and_counted(lab: Lab) -> None:
    (row,) = lab.metrics().to_dict("records")
    assert (row["model"], row["calls"], row["answers"], row["left_out"]) == ("m", 102, 90, 11)
    assert (row["latency_p50"], row["latency_p95"]) == (45.0, 86.0)
    assert math.isnan(row["latency_p99"]), "90 values can't carry it"
    assert row["success"] == pytest.approx(101 / 102)
    assert (row["attempts"], row["retries"]) == (102, 1)
    assert (row["cost"], row["cost_extra"]) == (pytest.approx(1.5), pytest.approx(0.5))


def test_saturated_attempts_can_be_asked_for(lab: Lab) -> None:
    (row,) = lab.metrics(saturated=True).to_dict("records")
    assert (row["answers"], row["left_out"], row["latency_p95"]) == (100, 1, 95.0)
    assert (row["saturated"], row["cached"]) == (10, 1)


def test_groups_and_times(lab: Lab) -> None:
    by = lab.metrics(by=("model", "status", "day"))
    assert by[["status", "day", "calls"]].values.tolist() == [["failed", "1970-01-01", 1], ["ok", "1970-01-01", 101]]
    assert lab.metrics(since=2.0).empty
    assert list(lab.metrics(since=2.0).columns) == ["model", *COLUMNS]
    with pytest.raises(ValueError, match="one or more of model, status"):
        lab.metrics(by=("colour",))


def test_an_unknown_cost_makes_the_sum_unknown(lab: Lab) -> None:
    lab._ledger.submit(_call("x", "ok"), _attempt("x", 1, cost=None)).result()
    assert lab.metrics()["cost"].isna().all()


def test_a_column_that_nobody_filled_in_is_one_group(lab: Lab) -> None:
    (row,) = lab.metrics(by=("experiment",)).to_dict("records")
    assert (row["calls"], row["attempts"], row["answers"]) == (102, 102, 90)
    assert row["cost"] == pytest.approx(1.5)


@pytest.fixture(scope="module", autouse=True)
def small_packs() -> Iterator[None]:
    """Packs of 2,000 calls, so that a few thousand calls have several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packs, "CHUNK", 2000)
        yield


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A month of traffic, 5,000 calls: two packs, and 1,000 calls beside them."""
    path = tmp_path_factory.mktemp("month") / "lab.db"
    ledgers.make(path, 5000)
    with Lab(path) as opened:
        yield opened


def _plain(lab: Lab) -> pd.DataFrame:
    """Calls with the attempt that answered, by pandas alone."""
    calls, tried = lab.calls(limit=None), lab.attempts(limit=None)
    won = tried[tried["won"]].set_index("call_id")[["latency", "ttft", "saturated"]]
    calls = calls.drop(columns=["latency", "ttft"]).join(won, on="call_id")
    return calls.assign(timed=calls["saturated"].eq(False) & ~calls["cached"])


def test_the_figures_are_those_that_pandas_finds(month: Lab) -> None:
    calls, tried = _plain(month), month.attempts(limit=None)
    tried = tried.merge(calls[["call_id", "model", "status"]], on="call_id", suffixes=("", "_call"))
    figures = month.metrics().set_index("model")
    assert sorted(figures.index) == sorted(calls["model"].unique())
    for model, mine in calls.groupby("model"):
        row, requests = figures.loc[model], tried[tried["model_call"] == model]
        ended = mine[mine["status"].isin(["ok", "failed"])]
        share = stats.wilson(int((ended["status"] == "ok").sum()), len(ended))
        assert (row["success"], row["success_low"], row["success_high"]) == (share.estimate, share.low, share.high)
        timed = mine[mine["timed"]]
        assert (row["calls"], row["answers"], row["cached"]) == (len(mine), len(timed), mine["cached"].sum())
        for name in ("elapsed", "latency", "ttft"):
            p95 = stats.percentile(timed[name].dropna(), 0.95)
            assert [row[f"{name}_p95{end}"] for end in ("", "_low", "_high")] == pytest.approx(
                [p95.estimate, p95.low, p95.high]
            )
        assert row["retries"] == (requests["role"] == "retry").sum()
        assert row["hedge_rate"] == pytest.approx(mine["hedged"].mean())
        assert row["cost"] == pytest.approx(requests["cost"].sum())
        parts = [row[f"cost_{name}"] for name in ("hedges", "retries", "repairs", "failed")]
        assert sum(parts) == pytest.approx(row["cost_extra"]) == pytest.approx(requests[~requests["won"]]["cost"].sum())
        assert row["cost_per_good"] == pytest.approx(row["cost"] / row["good"])


def test_the_views_say_the_same(month: Lab) -> None:
    """Anyone's SQL finds what `lab.metrics` does."""
    figures = month.metrics().set_index("model")

    def view(sql: str) -> pd.DataFrame:
        return month._ledger.frame(sql).set_index("model")

    outcomes = view("SELECT * FROM success_by_model")
    np.testing.assert_allclose(outcomes["success"], figures["success"])
    np.testing.assert_allclose(outcomes["invalid"].astype(float), figures["invalid"])
    np.testing.assert_allclose(view("SELECT * FROM latency_by_model")["p95"], figures["latency_p95"])
    np.testing.assert_allclose(view("SELECT * FROM first_token_by_model")["p50"], figures["ttft_p50"])
    roles = view("SELECT model, sum(rate_limited) AS n, sum(cost_lost) AS lost FROM requests_by_role GROUP BY model")
    np.testing.assert_allclose(roles["n"], figures["rate_limited"])
    np.testing.assert_allclose(roles["lost"], figures["cost_extra"])
    np.testing.assert_allclose(view("SELECT model, sum(cost) AS usd FROM spend GROUP BY model")["usd"], figures["cost"])
    tags = month._ledger.frame("SELECT tag, sum(calls) AS n FROM spend_by_tag GROUP BY tag").set_index("tag")["n"]
    by_tag = month.metrics(by=("tag",)).set_index("tag")["calls"]
    assert tags.to_dict() == by_tag[by_tag.index.notna()].to_dict()
    kinds = month._ledger.frame("SELECT kind, sum(calls) AS n FROM failures_by_kind GROUP BY kind").set_index("kind")[
        "n"
    ]
    assert (
        kinds.to_dict() == metrics.failures(month._ledger).groupby("kind")["calls"].sum().loc[lambda n: n > 0].to_dict()
    )
    assert list(month._ledger.frame("SELECT * FROM running_now").columns) == ["model", "calls", "waiting", "oldest"]


@pytest.mark.parametrize(
    "narrow",
    [
        {"model": "openai/gpt-4o"},
        {"prompt": "triage"},
        {"prompt": "triage@2"},
        {"user": "user001"},
        {"tag": "de"},
        {"experiment": "nightly-1"},
        {"tag": "nobody's"},
    ],
    ids=str,
)
def test_figures_are_narrowed_as_the_list_of_calls_is(month: Lab, narrow: dict) -> None:
    figures = month.metrics(by=("status",), **narrow)
    assert figures["calls"].sum() == len(month.calls(limit=None, **narrow)) == month.count(**narrow)
    assert (
        figures["attempts"].sum()
        == month.attempts(limit=None)["call_id"].isin(month.calls(limit=None, **narrow)["call_id"]).sum()
    )


def test_a_filter_that_is_none_is_said(month: Lab) -> None:
    with pytest.raises(ValueError, match="colour: figures can be narrowed by since, until"):
        month.metrics(colour="red")


def test_a_call_with_two_tags_counts_for_both(month: Lab) -> None:
    figures = month.metrics(by=("tag", "model"))
    calls = month.calls(limit=None)
    mine = calls[(calls["model"] == "groq/llama") & calls["tags"].map(lambda tags: "web" in tags)]
    row = figures[(figures["tag"] == "web") & (figures["model"] == "groq/llama")].iloc[0]
    assert row["calls"] == len(mine)
    assert row["attempts"] == mine["n_attempts"].sum()


def test_packs_change_no_figure_and_follow_every_change(tmp_path: Path) -> None:
    """Read from rows, from packs, after a late change of a packed call, after one is gone."""
    path = tmp_path / "lab.db"
    ledgers.make(path, 4500)
    db = connect(path)

    def figures() -> pd.DataFrame:
        with Lab(path) as fresh:
            return fresh.metrics(by=("model", "user"))

    before = figures()
    assert db.execute("SELECT count(*) FROM packs").fetchone() == (2,)
    pd.testing.assert_frame_equal(before, figures())
    for change in (
        "UPDATE calls SET status = 'failed', kind = 'auth' WHERE id = 17",
        "UPDATE attempts SET cost = 7.0 WHERE call_id = (SELECT call_id FROM calls WHERE id = 2500)",
        "INSERT INTO attempts (call_id, number, role, model, started_at, status, cost) SELECT call_id, 99, 'hedge',"
        " model, started_at, 'cancelled', 3.0 FROM calls WHERE id = 2001",
        "DELETE FROM calls WHERE id BETWEEN 100 AND 2100",
    ):
        db.execute(change)
        db.commit()
        changed = figures()
        with Lab(path) as fresh:
            columns.of(fresh._ledger)._values.clear()
            db.execute("DELETE FROM packs")
            db.commit()
            pd.testing.assert_frame_equal(changed, fresh.metrics(by=("model", "user")))
        assert not changed.equals(before), change
        before = changed


def test_a_lab_that_is_open_sees_what_another_process_adds(tmp_path: Path) -> None:
    """What is in memory is not taken for all there is."""
    with (
        Lab(tmp_path / "lab.db", provider=lambda call: "yes") as first,
        Lab(tmp_path / "lab.db", provider=lambda call: "no") as second,
    ):
        first.ask("a", model="m1")
        assert first.metrics()["calls"].tolist() == [1]
        second.ask("b", model="m2")
        assert first.metrics()["calls"].tolist() == [1, 1]


def test_what_is_young_is_not_packed_and_what_is_abandoned_does_not_hold_it_up(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    ledgers.make(path, 2500)
    db = connect(path)
    db.execute("UPDATE calls SET ended_at = unixepoch() WHERE id = 1999")
    assert not packs.due(db)
    db.execute("UPDATE calls SET ended_at = NULL, status = 'running', started_at = unixepoch() - 60 WHERE id = 1999")
    assert not packs.due(db)
    db.execute("UPDATE calls SET started_at = unixepoch() - 1000 WHERE id = 1999")
    assert packs.pack(db) == 1


def test_a_pack_that_is_made_again_is_read_again(tmp_path: Path) -> None:
    """In one process: a change forgets the only pack, the next reading makes it anew, and must not know it already."""
    ledgers.make(tmp_path / "lab.db", 2000)
    with Lab(tmp_path / "lab.db") as lab:
        before = lab.metrics()["failed"].sum()
        db = connect(lab.path)
        db.execute("UPDATE calls SET status = 'failed', kind = 'auth' WHERE id <= 1000 AND status = 'ok'")
        db.commit()
        assert lab.metrics()["failed"].sum() > before + 900
        db.execute("DELETE FROM calls")
        db.commit()
        assert lab.metrics().empty
        db.execute(
            "INSERT INTO calls (call_id, started_at, status, model, streamed, lane) VALUES ('n', 1, 'ok', 'm', 0, 'x')"
        )
        db.commit()
        assert lab.metrics()["calls"].tolist() == [1], "ids begin again, inside of what was a pack"


def test_what_this_process_has_just_submitted_is_seen(lab: Lab) -> None:
    lab.ledger.submit(("UPDATE calls SET status = 'failed' WHERE call_id <> 'bad'", ()))
    assert lab.metrics()["failed"].tolist() == [102]


def test_many_attempts_and_odd_values_stop_no_writer(tmp_path: Path) -> None:
    ledgers.make(tmp_path / "lab.db", 2500)
    db = connect(tmp_path / "lab.db")
    db.execute(
        "INSERT INTO attempts (call_id, number, role, model, started_at, status)"
        " SELECT call_id, 40000, 'retry', 'm', 1, 'failed' FROM calls WHERE id = 3"
    )
    db.commit()
    with Lab(tmp_path / "lab.db") as lab:
        assert lab.metrics()["attempts"].sum() == len(lab.attempts(limit=None))


def test_a_tag_given_twice_counts_once_and_a_surrogate_is_no_end_of_it(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab.db", provider=lambda call: "yes") as lab:
        lab.ask("x", model="m", tags=["a", "a", "\ud800"])
        assert lab.metrics(by=("tag",))["calls"].tolist() == [1, 1]
        assert lab.calls()["tags"][0] == ["a", "a", "?"]
        old = "UPDATE calls SET tags = ?"
        lab.ledger.submit((old, ('["\\ud800"]',))).result()
        assert lab.metrics(by=("tag",))["tag"].tolist() == ["?"]


def test_quality_is_what_the_experiments_own_summary_says(tmp_path: Path) -> None:
    """Of cells asked several times and of clusters the interval is as wide; cells of an earlier plan are left out."""
    with Lab(tmp_path / "lab.db", provider=lambda call: "yes" if "1" in call.messages[0]["content"] else "no") as lab:
        cases = [{"id": str(n), "input": str(n), "expected": "yes", "cluster": f"k{n // 2}"} for n in range(20)]
        for some in (cases, cases[:10]):
            lab.compare("say {{n}}", "m", some, name="e", scorers=["exact"], repeats=4, progress=None)
            (row,) = metrics.quality(lab.ledger).to_dict("records")
            summary = lab.experiment("e").summary().iloc[0]
            assert row["n"] == summary["done"]
            assert [row["score"], row["low"], row["high"]] == pytest.approx(
                [summary["score"], summary["score_low"], summary["score_high"]]
            )


def test_unknown_costs_are_no_zero(lab: Lab) -> None:
    lab._ledger.submit(
        _call("x", "ok"), _attempt("x", 1, cost=None), _attempt("x", 2, role="hedge", cost=None)
    ).result()
    row = metrics.spend(lab.ledger).iloc[0]
    assert (row["cost"], row["cost_unknown"]) == (pytest.approx(1.5), 2)
    assert metrics.rescues(lab.ledger)["cost"].isna().all()


def test_values_come_out_of_a_pack_as_they_went_in() -> None:
    numbers = packs.Column(np.array([0.1, math.nan, 1e-300]))
    assert packs.decode(packs.encode(numbers)).values.tolist()[::2] == [0.1, 1e-300]
    words = packs.Column(np.array([1, -1, 0], dtype="i4"), ["", "naïve \u0000 “x”"])
    back = packs.decode(packs.encode(words))
    assert (back.values.tolist(), back.words) == ([1, -1, 0], words.words)


def test_the_queue_is_seen_while_it_stands(lab: Lab) -> None:
    rows = [_call(f"w{n}", "running", model="w", started_at=time.time() - n) for n in (5, 50, 5000)]
    lab._ledger.submit(*rows, _attempt("w5", 1, status="running", cost=None)).result()
    row = lab.metrics().set_index("model").loc["w"]
    assert (row["running"], row["waiting"], row["abandoned"]) == (2, 1, 1)
    assert 50 <= row["oldest_waiting"] < 60
    assert row["cost"] == 0, "what still runs has no cost yet; it is not unknown"


def test_the_tail_is_told_from_the_record(month: Lab) -> None:
    book, plain = month._ledger, _plain(month)
    timed = plain[plain["timed"]]
    slow = metrics.stragglers(book, limit=5)
    expected = timed.sort_values("elapsed", ascending=False).head(5)
    assert slow["call_id"].tolist() == expected["call_id"].tolist()
    assert (slow["times"] > 3).all()
    for (group,), curve in metrics.curves(book, "ttft").groupby(["group"]):
        values = timed[timed["model"] == group]["ttft"].dropna()
        assert curve["share"].iloc[-1] == 1
        assert curve["seconds"].iloc[-1] == values.max()
        assert curve["n"].iloc[0] == len(values)
        assert len(curve) <= 120
        for seconds, share in curve[["seconds", "share"]].itertuples(index=False):
            assert (values <= seconds).mean() == pytest.approx(share)
    where = metrics.phases(book)
    whole = where[where["calls"] == "all"].groupby("group")["seconds"].sum()
    mean = timed.groupby("model")["elapsed"].mean()
    np.testing.assert_allclose(whole, mean, rtol=1e-3)
    left = metrics.left_out(book)
    assert left["answers"] == len(timed)
    assert left["cached"] == plain["cached"].sum()
    did = metrics.rescues(book).set_index(["model", "what"])
    assert did.loc[("groq/llama", "hedge"), "calls"] == plain[plain["model"] == "groq/llama"]["hedged"].sum()


def test_the_money_adds_up(month: Lab) -> None:
    book, usd = month._ledger, month.metrics()["cost"].sum()
    assert metrics.waste(book)["cost"].sum() == pytest.approx(usd)
    assert metrics.spend(book, by=("prompt_name", "prompt_version"))["cost"].sum() == pytest.approx(usd)
    over = metrics.spend_over_time(book, top=3)
    assert over["cost"].sum() == pytest.approx(usd)
    assert over["group"].nunique() == 4
    assert over["calls"].sum() == 5000
    worth = metrics.quality(book)
    scored = month._ledger.frame("SELECT DISTINCT prompt_name, prompt_version, model FROM calls WHERE cell IS NOT NULL")
    assert len(worth) == len(scored)
    assert worth["score"].between(worth["low"], worth["high"]).all()


def test_failures_are_told_from_those_that_were_recovered(month: Lab) -> None:
    failures = metrics.failures(month._ledger)
    calls = month.calls(limit=None)
    assert failures["calls"].sum() == (calls["status"] == "failed").sum()
    tried = month.attempts(limit=None).merge(calls[["call_id", "status"]], on="call_id", suffixes=("", "_call"))
    assert failures["recovered"].sum() == ((tried["status"] == "failed") & (tried["status_call"] == "ok")).sum()
    with pytest.raises(ValueError, match="the kind is a column of its own"):
        metrics.failures(month.ledger, by=("kind",))
    over = metrics.failures_over_time(month._ledger)
    assert over["calls"].sum() == failures["calls"].sum()
    assert metrics.rate_limits(month._ledger)["requests"].sum() == (tried["kind"] == "rate_limit").sum()


def test_nothing_on_the_ledger_is_no_error(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab.db") as empty:
        book = empty._ledger
        for figure in (
            "curves percentiles phases stragglers rescues spend spend_over_time waste quality failures"
            " failures_over_time rate_limits"
        ).split():
            assert getattr(metrics, figure)(book).empty, figure
        assert metrics.left_out(book) == {"answers": 0, "saturated": 0, "batched": 0, "cached": 0}


def test_spans_of_time_are_read_as_people_write_them() -> None:
    assert [parse_span(text) for text in ("90 s", "15 min", "1h", "7 d", 5)] == [90, 900, 3600, 604_800, 5]
    for odd in ("", "soon", "-1 h", "0 s", "9e99 d", True):
        with pytest.raises(ValueError, match="a span of time"):
            parse_span(odd)
    start, width = binned(np.array([0.0, 3599.0, 86_400.0]))
    assert (start.tolist(), width) == ([0, 0, 86_400], 3600) or width == 3600
