"""Estimates with their intervals, quality against cost, and shares."""

from __future__ import annotations

from typing import Any, Literal

import altair as alt
import pandas as pd

from lab.show.charts import shared
from lab.show.charts.shared import Colours


def success(frame: pd.DataFrame, width: int | str = "container") -> alt.Chart:
    """How often calls succeed under each policy as faults grow: columns `fault` and `success` (shares), `policy`."""
    axis = alt.Axis(format=".0%", grid=True)
    return (
        alt.Chart(frame)
        .mark_line(point=True, strokeWidth=2.5)
        .encode(
            x=alt.X("fault:Q", title="share of requests that fail", axis=axis),
            y=alt.Y("success:Q", title="share of calls that succeed", axis=axis, scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("policy:N", title=None, sort=None, legend=alt.Legend(orient="top")),
            tooltip=["policy:N", alt.Tooltip("fault:Q", format=".0%"), alt.Tooltip("success:Q", format=".1%")],
        )
        .properties(width=width, height=260)
    )


def intervals(
    frame: pd.DataFrame,
    title: str,
    margin: float | None = None,
    width: int | str = "container",
    format: str = "%",
    colours: Colours | None = None,
) -> alt.LayerChart:
    """Estimates with their intervals, one under the other: columns `name` (in the order they are to be drawn),
    `estimate`, `low`, `high`, `group` (its colour: that of `colours`, where it has one), and, if there is one,
    `promised`: a mark beside it. `margin` draws a line at minus that."""
    names, groups = list(frame["name"]), list(frame["group"].drop_duplicates())
    axis = alt.Axis(format=format, grid=True, tickCount=8)
    told = all(str(group) in str(name) for name, group in zip(frame["name"], frame["group"], strict=True))
    base = alt.Chart(frame).encode(
        y=alt.Y("name:N", title=None, sort=names, axis=alt.Axis(labelLimit=320, ticks=False, domain=False)),
        color=shared.colours("group", groups, colours, legend=not told),
        tooltip=["name:N", *(alt.Tooltip(f"{column}:Q", format=".2%") for column in ("estimate", "low", "high"))],
    )
    spans = base.mark_rule(strokeWidth=3, opacity=0.55).encode(
        x=alt.X("low:Q", title=title, scale=alt.Scale(zero=False), axis=axis), x2="high:Q"
    )
    dots = base.mark_circle(size=90, opacity=1).encode(x="estimate:Q")
    layers: list[alt.Chart] = [spans, dots]
    if "promised" in frame.columns:
        layers.append(base.mark_tick(thickness=2, size=22, opacity=1, color=shared.GREY).encode(x="promised:Q"))
    if margin is not None:
        line = alt.Chart(pd.DataFrame({"at": [0.0, -margin], "label": ["no difference", "margin"]}))
        rules = line.mark_rule(strokeDash=[4, 4], color=shared.GREY).encode(x="at:Q")
        labels = line.mark_text(align="left", dx=4, color=shared.GREY).encode(x="at:Q", text="label:N", y=alt.value(-8))
        layers = [rules, labels, *layers]
    drawn = alt.layer(*layers).properties(width=width, height=alt.Step(30))
    assert isinstance(drawn, alt.LayerChart)
    return drawn


def frontier(frame: pd.DataFrame, width: int | str = "container", colours: Colours | None = None) -> alt.LayerChart:
    """Quality against cost, with the efficient frontier drawn: what nothing cheaper does better. Columns `name`,
    `cost` (US dollars a call), `score`, `low`, `high` (shares), `group` (its colour: that of `colours`, where it has
    one)."""
    ranked = frame.sort_values(["cost", "score"], ascending=[True, False])
    best = ranked[ranked["score"] > ranked["score"].cummax().shift(fill_value=-1.0)]
    groups = list(frame["group"].drop_duplicates())
    free = frame["cost"].min() <= 0  # a local model: a logarithm has no place for it
    least = float(frame["cost"][frame["cost"] > 0].min()) if free and (frame["cost"] > 0).any() else 1e-6
    scale = (
        alt.Scale(type="symlog", constant=least, domainMin=0, padding=30)
        if free
        else alt.Scale(type="log", nice=False, padding=30)
    )
    x = alt.X(
        "cost:Q", title="US dollars a call", scale=scale, axis=alt.Axis(format="$~g", tickCount=5, labelOverlap=True)
    )
    line = (
        alt.Chart(best)
        .mark_line(interpolate="step-after", strokeDash=[4, 4], color=shared.GREY)
        .encode(
            x=x, y=alt.Y("score:Q", title="score", scale=alt.Scale(zero=False, padding=20), axis=alt.Axis(format="%"))
        )
    )
    base = alt.Chart(frame).encode(x=x, color=shared.colours("group", groups, colours))
    spans = base.mark_rule(strokeWidth=2.5, opacity=0.5).encode(y="low:Q", y2="high:Q")
    dots = base.mark_circle(size=110, opacity=1).encode(
        y="score:Q", tooltip=["name:N", alt.Tooltip("cost:Q", format="$.5f"), alt.Tooltip("score:Q", format=".1%")]
    )
    first: Any = alt.FieldEqualPredicate(field="group", equal=groups[0]) if groups else True
    if len(frame) > 12:  # so many names would cover each other: those on the frontier, the others when pointed at
        base = alt.Chart(best).encode(x=x, color=shared.colours("group", groups, colours))
    others: Any = {"not": first} if groups else False
    above, below = base.transform_filter(first), base.transform_filter(others)
    sides: tuple[tuple[alt.Chart, Literal["left", "right"], int, int], ...]
    sides = ((above, "left", 9, 12), (below, "right", -9, -10))
    labels = [
        which.mark_text(align=side, dx=dx, dy=dy, fontSize=11).encode(y="score:Q", text="name:N")
        for which, side, dx, dy in sides
    ]
    drawn = alt.layer(line, spans, dots, *labels).properties(width=width, height=300)
    assert isinstance(drawn, alt.LayerChart)
    return drawn


def shares(
    frame: pd.DataFrame,
    order: list[str],
    parts: list[str],
    width: int | str = "container",
    title: str = "share of calls",
) -> alt.Chart:
    """What became of several groups of calls, a bar each: columns `group`, `part`, `share`; groups from top to bottom
    as in `order`, parts from left to right as in `parts`."""
    data = frame.assign(rank=frame["part"].map(parts.index))
    return (
        alt.Chart(data)
        .mark_bar(height={"band": 0.62})
        .encode(
            x=alt.X("share:Q", title=title, axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("group:N", title=None, sort=order, axis=alt.Axis(labelLimit=320, ticks=False, domain=False)),
            color=shared.colours("part", parts),
            order="rank:Q",
            tooltip=["group:N", "part:N", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=width, height=alt.Step(34))
    )
