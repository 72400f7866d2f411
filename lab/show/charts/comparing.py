"""Estimates with their intervals, quality against cost, and shares."""

from __future__ import annotations

from typing import Any, Literal

import altair as alt
import pandas as pd

from lab.show import palette
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
    middle: float | None = None,
) -> alt.LayerChart:
    """Estimates with their intervals, one under the other: columns `name` (in the order they are to be drawn),
    `estimate`, `low`, `high`, `group` (its colour: that of `colours`, where it has one), and, if there is one,
    `promised`: a mark beside it. `margin` draws a line at minus that, and one at 0; `middle` one
    where nothing is better."""
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
    if middle is not None:
        even = alt.Chart(pd.DataFrame({"at": [middle]}))
        layers = [even.mark_rule(strokeDash=[4, 4], color=shared.GREY).encode(x="at:Q"), *layers]
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
    if len(frame) > 6:  # so many names would cover each other: those on the frontier, the others when pointed at
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
    colours: Colours | None = None,
) -> alt.Chart:
    """What became of several groups of calls, a bar each: columns `group`, `part`, `share`; groups from top to bottom
    as in `order`, parts from left to right as in `parts`; `colours` are those of parts."""
    data = frame.assign(rank=frame["part"].map(parts.index))
    return (
        alt.Chart(data)
        .mark_bar(height={"band": 0.62})
        .encode(
            x=alt.X("share:Q", title=title, axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("group:N", title=None, sort=order, axis=alt.Axis(labelLimit=320, ticks=False, domain=False)),
            color=shared.colours("part", parts, colours),
            order="rank:Q",
            tooltip=["group:N", "part:N", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=width, height=alt.Step(34))
    )


def versions(
    frame: pd.DataFrame,
    title: str,
    format: str = "~g",
    width: int | str = "container",
    colours: Colours | None = None,
) -> alt.LayerChart:
    """One figure by version, a dot with its interval each, models beside each other: columns `version`, `model`,
    `estimate`, `low`, `high`, `n`, as `lab.metrics.by_version` gives them for one figure."""
    models = list(frame["model"].drop_duplicates())
    data = frame.assign(name="v" + frame["version"].astype(int).astype(str))
    order = [f"v{number}" for number in sorted(frame["version"].astype(int).unique())]
    base = alt.Chart(data).encode(
        x=alt.X("name:N", title=None, sort=order, axis=alt.Axis(labelAngle=0, ticks=False)),
        xOffset=alt.XOffset("model:N", sort=models),
        color=shared.colours("model", models, colours, legend=False),
        tooltip=[
            "name:N",
            "model:N",
            *(alt.Tooltip(f"{column}:Q", format=format) for column in ("estimate", "low", "high")),
            alt.Tooltip("n:Q", format=",", title="calls"),
        ],
    )
    axis = alt.Axis(format=format, grid=True, tickCount=5)
    spans = base.mark_rule(strokeWidth=3, opacity=0.5).encode(
        y=alt.Y("low:Q", title=title, scale=alt.Scale(zero=False, nice=True), axis=axis), y2="high:Q"
    )
    dots = base.mark_circle(size=75, opacity=1).encode(y="estimate:Q")
    drawn = alt.layer(spans, dots).properties(width=width, height=240)
    assert isinstance(drawn, alt.LayerChart)
    return drawn


def scores_over_time(
    frame: pd.DataFrame, colours: Colours | None = None, width: int | str = "container"
) -> alt.LayerChart:
    """Scores of evaluations over time, a line a prompt and model, what changed named: columns `at` (UTC), `experiment`,
    `prompt`, `version`, `model`, `score`, `low`, `high`, `n`, `change`, as `lab.evals.pairs.over_time` gives them."""
    models = list(frame["model"].drop_duplicates())
    data = frame.assign(at=frame["at"].dt.tz_convert(None), line=frame["prompt"] + " · " + frame["model"])
    base = alt.Chart(data).encode(
        x=alt.X(
            "at:T",
            title=None,
            axis=alt.Axis(grid=False, labelOverlap=True, format="%b %d, %H:%M", tickCount=6),
            scale=alt.Scale(padding=24),
        ),
        color=shared.colours("model", models, colours),
        detail="line:N",
    )
    y = alt.Y("score:Q", title="score", scale=alt.Scale(zero=False, padding=12), axis=alt.Axis(format="%", tickCount=6))
    lines = base.mark_line(strokeWidth=1.5, opacity=0.6).encode(y=y)
    spans = base.mark_rule(strokeWidth=2.5, opacity=0.4).encode(y="low:Q", y2="high:Q")
    dots = base.mark_point(size=75, filled=True, opacity=1).encode(
        y=y,
        shape=alt.Shape("prompt:N", title=None, legend=None),
        tooltip=[
            alt.Tooltip("at:T", format="%Y-%m-%d %H:%M", title="planned (UTC)"),
            *("experiment:N", "prompt:N", "version:O", "model:N"),
            *(alt.Tooltip(f"{name}:Q", format=".1%") for name in ("score", "low", "high")),
            alt.Tooltip("n:Q", format=",", title="answers"),
        ],
    )
    names = base.transform_filter(alt.datum.change != "").mark_text(dy=-12, fontSize=11).encode(y=y, text="change:N")
    drawn = alt.layer(spans, lines, dots, names).properties(width=width, height=260)
    assert isinstance(drawn, alt.LayerChart)
    return drawn


def confusion(frame: pd.DataFrame, labels: list[str], width: int | str = "container") -> alt.LayerChart:
    """Which label was said where which was expected, a square each, with its number: columns `expected`, `said`,
    `cases`, `share`, as `lab.evals.pairs.confusion` gives them."""
    said = [*labels, *(name for name in frame["said"].drop_duplicates() if name not in labels)]
    data = frame.assign(
        kind=["right" if a == b else "wrong" for a, b in zip(frame["expected"], frame["said"], strict=True)]
    )
    base = alt.Chart(data).encode(
        x=alt.X("said:N", title="said", sort=said, axis=alt.Axis(orient="top", labelAngle=-30, labelLimit=110)),
        y=alt.Y("expected:N", title="expected", sort=labels, axis=alt.Axis(labelLimit=140)),
        tooltip=["expected:N", "said:N", "cases:Q", alt.Tooltip("share:Q", format=".0%", title="of those expected so")],
    )
    kinds = alt.Scale(domain=["right", "wrong"], range=[palette.SCORES["right"][1], palette.SCORES["wrong"][1]])
    squares = base.mark_rect(cornerRadius=3).encode(
        color=alt.Color("kind:N", title=None, scale=kinds, legend=alt.Legend(orient="bottom")),
        opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.12, 0.75]), legend=None),
    )
    drawn = alt.layer(squares, base.mark_text(fontSize=12).encode(text="cases:Q"))
    drawn = drawn.properties(width=width, height=alt.Step(30))
    assert isinstance(drawn, alt.LayerChart)
    return drawn
