"""The figures to watch: what is in them, what is left out, and what too few values can't carry."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import Lab
from lab.metrics import COLUMNS, percentile


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A ledger filled by hand: 100 answers of 1 to 100 s, the ten slowest of them of a saturated client; a failure; an
    answer given again."""
    with Lab(tmp_path / "lab.db", provider=lambda call: "yes") as made:
        rows = []
        for number in range(1, 101):
            rows += [
                _call(f"c{number}", "ok"),
                _attempt(f"c{number}", 1, latency=float(number), won=1, saturated=int(number > 90), cost=0.01),
            ]
        rows += [_call("bad", "failed"), _attempt("bad", 1, cost=0.0), _attempt("bad", 2, role="retry", cost=0.5)]
        rows += [_call("again", "ok", cached=1)]
        made._ledger.submit(*rows).result()
        yield made


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
    assert (row["answers"], row["left_out"], row["latency_p99"]) == (100, 1, 99.0)


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


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_a_percentile_is_one_of_the_values_with_its_share_below(values: list[float], share: float) -> None:
    found = percentile(pd.Series(values), share)
    if len(values) * (1 - share) < 1 - 1e-9:
        assert math.isnan(found)
        return
    assert found in values
    assert sum(one <= found for one in values) >= share * len(values) - 1e-6
    assert sum(one < found for one in values) < share * len(values) + 1e-6


def test_a_column_that_nobody_filled_in_is_one_group(lab: Lab) -> None:
    (row,) = lab.metrics(by=("experiment",)).to_dict("records")
    assert (row["calls"], row["attempts"], row["answers"]) == (102, 102, 90)
    assert row["cost"] == pytest.approx(1.5)
