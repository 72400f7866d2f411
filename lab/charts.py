"""Charts of what the ledger holds: a DataFrame in, an Altair chart out."""

from __future__ import annotations

import altair as alt
import pandas as pd

WAITING, ANSWERING = "until the first token", "from there to the end"
COLOURS = {WAITING: "#e09f3e", ANSWERING: "#2a9d8f"}
GROUPS = ["#2a9d8f", "#e09f3e", "#9b5de5", "#e5566d", "#4a7fd6", "#7d8597"]
"""Colours that are told apart on light and on dark."""


def for_notebooks() -> None:
    """From here on, draw Altair's charts as pictures: seen offline, and by whoever reads the notebook on the web."""
    alt.renderers.enable("png", scale_factor=2)


def timeline(calls: pd.DataFrame, width: int | str = "container") -> alt.LayerChart:
    """Where the time of each call went: a bar a call, in the order of `calls`.

    Uses the columns `model`, `ttft` and `latency` (seconds), as `lab.calls()` gives them; calls that were not
    streamed have no first token, and one segment. Calls without a latency are left out. `width` is in pixels,
    or the page's own.
    """
    rows = []
    for number, call in enumerate(calls[calls["latency"].notna()].to_dict("records"), 1):
        name, total = f"{number}  {call['model']}", float(call["latency"])
        first = 0.0 if pd.isna(call["ttft"]) else float(call["ttft"])
        for part, start, end in ((WAITING, 0.0, first), (ANSWERING, first, total)):
            rows.append(
                {"call": name, "part": part, "start": start, "end": end, "seconds": end - start, "total": total}
            )
    data = pd.DataFrame(rows, columns=["call", "part", "start", "end", "seconds", "total"])
    base = alt.Chart(data).encode(
        y=alt.Y("call:N", sort=None, title=None, axis=alt.Axis(labelLimit=260, ticks=False, domain=False))
    )
    bars = base.mark_bar(height={"band": 0.62}).encode(
        x=alt.X("start:Q", title="seconds", axis=alt.Axis(grid=True, tickCount=6)),
        x2="end:Q",
        color=alt.Color(
            "part:N",
            title=None,
            scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())),
            legend=alt.Legend(orient="top"),
        ),
        tooltip=["call:N", "part:N", alt.Tooltip("seconds:Q", format=".3f"), alt.Tooltip("total:Q", format=".3f")],
    )
    ends = base.transform_filter(alt.datum.part == ANSWERING).mark_text(align="left", dx=5)
    labels = ends.encode(x="end:Q", text=alt.Text("total:Q", format=".2f"), color=alt.value("#808a91"))
    return (bars + labels).properties(width=width, height=alt.Step(30))


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


def still_waiting(times: pd.Series, groups: pd.Series, width: int | str = "container") -> alt.LayerChart:
    """The share of calls that still wait after so many seconds, a line a group: where a line is flat is its tail.

    `times` are seconds, `groups` the name of the line that each belongs to, in the order they are to be drawn. Both
    axes are logarithmic; of each group at most 200 points are drawn, the slowest ones all.
    """
    frames = []
    for name in groups.drop_duplicates():
        found = times[groups == name].dropna().sort_values(ignore_index=True)
        if not len(found):
            continue
        frame = pd.DataFrame({"seconds": found, "waiting": 1 - found.index / len(found), "group": name})
        frames.append(frame.iloc[sorted({*range(0, len(frame), max(1, len(frame) // 150)), *range(len(frame))[-50:]})])
    data = pd.concat(frames) if frames else pd.DataFrame(columns=["seconds", "waiting", "group"])
    names = list(groups.drop_duplicates())
    lines = (
        alt.Chart(data)
        .mark_line(interpolate="step-after", strokeWidth=2.5)
        .encode(
            x=alt.X("seconds:Q", title="seconds", scale=alt.Scale(type="log", nice=False), axis=_LOG),
            y=alt.Y(
                "waiting:Q",
                title="share of calls still waiting",
                scale=alt.Scale(type="log", domain=[0.001, 1], clamp=True),
                axis=alt.Axis(format="~%", values=[1, 0.5, 0.1, 0.05, 0.01, 0.001]),
            ),
            color=_colours("group", names),
            tooltip=["group:N", alt.Tooltip("seconds:Q", format=".2f"), alt.Tooltip("waiting:Q", format=".2%")],
        )
    )
    marks = pd.DataFrame({"waiting": [0.5, 0.05, 0.01], "name": ["p50", "p95", "p99"]})
    base = alt.Chart(marks).encode(y="waiting:Q")
    rules = base.mark_rule(strokeDash=[2, 4], opacity=0.5, color="#808a91")
    labels = base.mark_text(align="left", dx=4, dy=-6, color="#808a91").encode(x=alt.value(0), text="name:N")
    return (rules + labels + lines).properties(width=width, height=300)


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
            color=_colours("outcome", names),
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
            color=_colours("outcome", names),
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
            color=_colours("what", names),
            tooltip=["what:N", alt.Tooltip("seconds:Q", format=".2f"), "value:Q"],
        )
        .properties(width=width, height=200)
    )


_LOG = alt.Axis(format="~g", values=[0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50])


def _colours(field: str, names: list[str]) -> alt.Color:
    scale = alt.Scale(domain=names, range=[GROUPS[place % len(GROUPS)] for place in range(len(names))])
    return alt.Color(f"{field}:N", title=None, scale=scale, legend=alt.Legend(orient="top", labelLimit=320))


def intervals(
    frame: pd.DataFrame, title: str, margin: float | None = None, width: int | str = "container", format: str = "%"
) -> alt.LayerChart:
    """Estimates with their intervals, one under the other: columns `name` (in the order they are to be drawn),
    `estimate`, `low`, `high`, `group` (its colour). `margin` draws a line at minus that."""
    names, groups = list(frame["name"]), list(frame["group"].drop_duplicates())
    axis = alt.Axis(format=format, grid=True)
    base = alt.Chart(frame).encode(
        y=alt.Y("name:N", title=None, sort=names, axis=alt.Axis(labelLimit=320, ticks=False, domain=False)),
        color=_colours("group", groups),
        tooltip=["name:N", *(alt.Tooltip(f"{one}:Q", format=".2%") for one in ("estimate", "low", "high"))],
    )
    spans = base.mark_rule(strokeWidth=3, opacity=0.55).encode(
        x=alt.X("low:Q", title=title, scale=alt.Scale(zero=False), axis=axis), x2="high:Q"
    )
    dots = base.mark_circle(size=90, opacity=1).encode(x="estimate:Q")
    layers = [spans, dots]
    if margin is not None:
        line = alt.Chart(pd.DataFrame({"at": [0.0, -margin], "said": ["no difference", "margin"]}))
        rules = line.mark_rule(strokeDash=[4, 4], color="#808a91").encode(x="at:Q")
        labels = line.mark_text(align="left", dx=4, color="#808a91").encode(x="at:Q", text="said:N", y=alt.value(-8))
        layers = [rules, labels, *layers]
    return alt.layer(*layers).properties(width=width, height=alt.Step(30))


def frontier(frame: pd.DataFrame, width: int | str = "container") -> alt.LayerChart:
    """Quality against cost, with the efficient frontier drawn: what nothing cheaper does better. Columns `name`,
    `cost` (US dollars a call), `score`, `low`, `high` (shares), `group` (its colour)."""
    ranked = frame.sort_values(["cost", "score"], ascending=[True, False])
    best = ranked[ranked["score"] > ranked["score"].cummax().shift(fill_value=-1.0)]
    groups = list(frame["group"].drop_duplicates())
    x = alt.X("cost:Q", title="US dollars a call", scale=alt.Scale(type="log", nice=False, padding=30))
    x.axis = alt.Axis(format="$~g", tickCount=5, labelOverlap=True)
    line = (
        alt.Chart(best)
        .mark_line(interpolate="step-after", strokeDash=[4, 4], color="#808a91")
        .encode(
            x=x, y=alt.Y("score:Q", title="score", scale=alt.Scale(zero=False, padding=20), axis=alt.Axis(format="%"))
        )
    )
    base = alt.Chart(frame).encode(x=x, color=_colours("group", groups))
    spans = base.mark_rule(strokeWidth=2.5, opacity=0.5).encode(y="low:Q", y2="high:Q")
    dots = base.mark_circle(size=110, opacity=1).encode(
        y="score:Q", tooltip=["name:N", alt.Tooltip("cost:Q", format="$.5f"), alt.Tooltip("score:Q", format=".1%")]
    )
    first = alt.FieldEqualPredicate(field="group", equal=groups[0]) if groups else True
    above, below = base.transform_filter(first), base.transform_filter({"not": first} if groups else False)
    labels = [
        which.mark_text(align=side, dx=dx, dy=dy, fontSize=11).encode(y="score:Q", text="name:N")
        for which, side, dx, dy in ((above, "left", 9, 12), (below, "right", -9, -10))
    ]
    return alt.layer(line, spans, dots, *labels).properties(width=width, height=300)


def shares(frame: pd.DataFrame, order: list[str], parts: list[str], width: int | str = "container") -> alt.Chart:
    """What became of several groups of calls, a bar each: columns `group`, `part`, `share`; groups from top to bottom
    as in `order`, parts from left to right as in `parts`."""
    data = frame.assign(rank=frame["part"].map(parts.index))
    return (
        alt.Chart(data)
        .mark_bar(height={"band": 0.62})
        .encode(
            x=alt.X("share:Q", title="share of calls", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("group:N", title=None, sort=order, axis=alt.Axis(labelLimit=320, ticks=False, domain=False)),
            color=_colours("part", parts),
            order="rank:Q",
            tooltip=["group:N", "part:N", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=width, height=alt.Step(34))
    )
