"""What happened over time."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from lab.show import palette
from lab.show.charts import shared
from lab.show.charts.shared import Colours

OUTCOMES = {name: colour for name, (_sign, colour) in palette.OUTCOMES.items()}
"""Colours of outcomes by their names."""


def outcomes(frame: pd.DataFrame, width: int | str = "container") -> alt.Chart:
    """What became of calls over time, a dot each: columns `seconds` (since the first), `outcome`, `lane` (a row each,
    any name), and `wait` (seconds, the dot's height)."""
    names = list(frame["outcome"].drop_duplicates())
    dots = (
        alt.Chart(frame)
        .mark_circle(size=42, opacity=0.75)
        .encode(
            x=alt.X("seconds:Q", title="seconds since the first call"),
            y=alt.Y("wait:Q", title="seconds until it ended"),
            color=shared.colours("outcome", names, OUTCOMES),
            tooltip=[
                "outcome:N",
                "lane:N",
                alt.Tooltip("seconds:Q", format=".2f"),
                alt.Tooltip("wait:Q", format=".3f"),
            ],
        )
    )
    return dots.properties(width=width, height=200)


def bursts(frame: pd.DataFrame, order: list[str], width: int | str = "container") -> alt.Chart:
    """How long each call of a burst took, a row of dots a policy: columns `policy`, `wait` (seconds), `outcome`,
    `place` (the dot's own, to tell it from others of the same time); policies from top to bottom as in `order`."""
    names = list(frame["outcome"].drop_duplicates())
    return (
        alt.Chart(frame)
        .mark_circle(size=46, opacity=0.7)
        .encode(
            x=alt.X("wait:Q", title="seconds until it ended"),
            y=alt.Y("policy:N", title=None, sort=order, axis=alt.Axis(labelLimit=260, ticks=False, domain=False)),
            yOffset=alt.YOffset("place:Q"),
            color=shared.colours("outcome", names, OUTCOMES),
            tooltip=["policy:N", "outcome:N", alt.Tooltip("wait:Q", format=".2f")],
        )
        .properties(width=width, height=alt.Step(64))
    )


def over_time(frame: pd.DataFrame, width: int | str = "container") -> alt.Chart:
    """How a few numbers went over time, a line each: columns `seconds`, `what`, `value`."""
    names = list(frame["what"].drop_duplicates())
    return (
        alt.Chart(frame)
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=alt.X("seconds:Q", title="seconds since the first call"),
            y=alt.Y("value:Q", title=None),
            color=shared.colours("what", names),
            tooltip=["what:N", alt.Tooltip("seconds:Q", format=".2f"), "value:Q"],
        )
        .properties(width=width, height=200)
    )


def stacked(
    frame: pd.DataFrame,
    value: str,
    group: str,
    title: str,
    *,
    format: str = "~s",
    width: int | str = "container",
    colours: Colours | None = None,
) -> alt.Chart:
    """A sum over time, a colour a group: columns `start` (UTC), `seconds` (the bins' width), `value` and `group` (by
    their names; `colours` are those of groups). The largest group lies below, all others on top."""
    names = shared.last(list(frame.groupby(group, observed=True)[value].sum().sort_values(ascending=False).index))
    places = {name: place for place, name in enumerate(names)}
    data = (
        frame.astype({group: object})
        .assign(
            start=frame["start"].dt.tz_convert(None),
            end=(frame["start"] + pd.to_timedelta(frame["seconds"], unit="s")).dt.tz_convert(None),
            rank=frame[group].astype(object).map(places),
        )
        .sort_values(["start", "rank"])
    )
    data["top"] = data.groupby("start")[value].cumsum()
    data["bottom"] = data["top"] - data[value]
    return (
        alt.Chart(data)
        .mark_rect(stroke=None)
        .encode(
            x=alt.X("start:T", title=None, axis=alt.Axis(grid=False, labelOverlap=True)),
            x2="end:T",
            y=alt.Y("bottom:Q", title=title, axis=alt.Axis(format=format, grid=True)),
            y2="top:Q",
            color=shared.colours(group, names, colours),
            tooltip=[
                alt.Tooltip("start:T", format="%Y-%m-%d %H:%M", title="from (UTC)"),
                f"{group}:N",
                alt.Tooltip(f"{value}:Q", format=format),
            ],
        )
        .properties(width=width, height=300)
    )


def counts(frame: pd.DataFrame, span: tuple[float, float] | None = None, width: int | str = "container") -> alt.Chart:
    """How many calls there were over time, by outcome, small, with a brush along it: columns `start` (UTC), `seconds`,
    `outcome`, `calls`, as `lab.metrics.calls_over_time` gives them. `span` (Unix seconds) is what is chosen: the rest
    is pale."""
    frame = frame.assign(outcome=[palette.outcome(str(name)) for name in frame["outcome"]])
    known = {palette.outcome(name): colour for name, (_sign, colour) in palette.OUTCOMES.items()}
    sums = frame.groupby("outcome", observed=True)["calls"].sum()
    names = sorted(sums.index, key=lambda name: (name != palette.outcome("ok"), -sums[name]))
    start = frame["start"].dt.tz_convert(None)
    end = start + pd.to_timedelta(frame["seconds"], unit="s")
    data = frame.assign(start=start, end=end, rank=frame["outcome"].map(names.index)).sort_values(["start", "rank"])
    data["top"] = data.groupby("start")["calls"].cumsum()
    data["bottom"] = data["top"] - data["calls"]
    inside: Any = True
    if span is not None:
        first, last = (pd.Timestamp(moment, unit="s") for moment in span)
        inside = (data["end"] > first) & (data["start"] < last)
    data = data.assign(inside=inside)
    brush = alt.selection_interval(name="brush", encodings=["x"])
    return (
        alt.Chart(data)
        .mark_rect(stroke=None)
        .encode(
            x=alt.X("start:T", title=None, axis=alt.Axis(grid=False, labelOverlap=True, tickCount=8)),
            x2="end:T",
            y=alt.Y("bottom:Q", title="calls", axis=alt.Axis(format="~s", tickCount=3, grid=True)),
            y2="top:Q",
            color=shared.colours("outcome", names, known, rows=1),
            opacity=alt.condition(alt.datum.inside, alt.value(1.0), alt.value(0.3)),
            tooltip=[
                alt.Tooltip("start:T", format="%Y-%m-%d %H:%M", title="from (UTC)"),
                "outcome:N",
                alt.Tooltip("calls:Q", format=","),
            ],
        )
        .add_params(brush)
        .properties(width=width, height=180)
    )


def month(days: pd.DataFrame, budget: float | None = None, width: int | str = "container") -> alt.LayerChart:
    """What a month has cost so far and where it is going, with the budget as a line: columns `start` (UTC days),
    `kind` (`spent`, `today`, `projected`), `cost`, `total` (US dollars), as `lab.metrics.month` gives them. What is not
    over yet is hatched, what is only projected is pale."""
    start = days["start"].dt.tz_convert(None)
    data = days.assign(start=start, end=start + pd.Timedelta(hours=22))
    axis = alt.Axis(grid=False, labelOverlap=True, format="%d", tickCount=10)
    base = alt.Chart(data).encode(x=alt.X("start:T", title="day of the month (UTC)", axis=axis), x2="end:T")
    stripes = [
        {"color": "#079e92" if place % 2 else "#079e9233", "offset": min(1.0, (place + shift) / 12)}
        for place in range(12)
        for shift in (0, 0.999)
    ]
    hatch: Any = {"gradient": "linear", "x1": 0, "x2": 1, "y1": 0, "y2": 1, "stops": stripes}
    y = alt.Y("cost:Q", title="US dollars a day", axis=alt.Axis(format="$~g", tickCount=5, grid=True))
    tooltip = [
        alt.Tooltip("start:T", format="%Y-%m-%d", title="day"),
        "kind:N",
        alt.Tooltip("cost:Q", format="$.4~f"),
        alt.Tooltip("total:Q", format="$.4~f", title="since the month began"),
    ]
    layers: list[alt.Chart] = [
        base.transform_filter(alt.datum.kind == "spent").mark_rect(color="#079e92").encode(y=y, tooltip=tooltip),
        base.transform_filter(alt.datum.kind == "today")
        .mark_rect(fill=hatch, stroke="#079e92")
        .encode(y=y, tooltip=tooltip),
        base.transform_filter(alt.datum.kind == "projected")
        .mark_rect(fill="#079e9222", stroke="#079e92", strokeDash=[3, 3])
        .encode(y=y, tooltip=tooltip),
    ]
    if budget is not None:
        line = alt.Chart(pd.DataFrame({"at": [budget], "label": [f"budget ${budget:,.2f} a day"]}))
        layers.append(line.mark_rule(color="#dd4c62", strokeWidth=1.5).encode(y="at:Q"))
        words = line.mark_text(align="left", dx=4, dy=-7, color="#dd4c62").encode(
            y="at:Q", x=alt.value(0), text="label:N"
        )
        layers.append(words)
    drawn = alt.layer(*layers).properties(width=width, height=220)
    assert isinstance(drawn, alt.LayerChart)
    return drawn


def multiple(
    frame: pd.DataFrame,
    value: str,
    name: str,
    colour: str,
    format: str,
    width: int | str = 200,
    span: tuple[float, float] | None = None,
) -> alt.LayerChart:
    """One of many small ones: a figure over time, of one group: columns `start` (UTC) and `value` by its name. Bins
    without one are gaps. `span` (Unix seconds) is the time that all of them show."""
    within = alt.Undefined if span is None else [pd.Timestamp(at, unit="s").isoformat() for at in span]
    data = frame.assign(start=frame["start"].dt.tz_convert(None))[["start", value]]
    share = format.endswith("%")
    scale = alt.Scale(domainMax=1.0, zero=False) if share else alt.Scale(zero=True)
    base = alt.Chart(data).encode(
        x=alt.X(
            "start:T",
            title=None,
            scale=alt.Scale(domain=within),
            axis=alt.Axis(grid=False, labelOverlap=True, tickCount=3, labelFontSize=10),
        ),
        y=alt.Y(f"{value}:Q", title=None, scale=scale, axis=alt.Axis(format=format, tickCount=3, labelFontSize=10)),
        tooltip=[
            alt.Tooltip("start:T", format="%Y-%m-%d %H:%M", title="from (UTC)"),
            alt.Tooltip(f"{value}:Q", format=format),
        ],
    )
    title = alt.TitleParams(name, anchor="start", fontSize=12, limit=190)
    drawn = alt.layer(base.mark_line(color=colour, strokeWidth=2), base.mark_circle(color=colour, size=22, opacity=1))
    drawn = drawn.properties(width=width, height=150, title=title)
    assert isinstance(drawn, alt.LayerChart)
    return drawn
