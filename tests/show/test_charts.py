"""Charts are right about their data, and small."""

from __future__ import annotations

import pandas as pd

from lab.show import charts


def test_a_bar_a_call_with_its_parts() -> None:
    calls = pd.DataFrame(
        [
            {"model": "a", "ttft": 0.25, "latency": 1.0},
            {"model": "b", "ttft": None, "latency": 2.0},
            {"model": "c", "ttft": None, "latency": None},
        ]
    )
    drawn = charts.timeline(calls).to_dict()
    (data,) = drawn["datasets"].values()
    assert [row["part"] for row in data][-1] == "not streamed"
    assert [(row["call"], row["start"], row["end"]) for row in data] == [
        ("1  a", 0.0, 0.25),
        ("1  a", 0.25, 1.0),
        ("2  b", 0.0, 2.0),
    ]


def test_no_calls_are_an_empty_chart_and_no_failure() -> None:
    assert charts.timeline(pd.DataFrame(columns=["model", "ttft", "latency"])).to_dict()["layer"]
