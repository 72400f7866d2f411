"""Times: one call's, and the tail of many."""

from __future__ import annotations

import json
from statistics import NormalDist
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd

from lab.show import palette
from lab.show.charts import shared
from lab.show.charts.shared import GREY, LABELS, LOG, Colours
from lab.show.timeline import PARTS as COLOURS_OF

BEFORE, WAITING, ANSWERING = "before the answering request", "until the first token", "from there to the end"
THINKING = "thinking"
WHOLE = "not streamed"
COLOURS = {
    BEFORE: COLOURS_OF["waiting"],
    WAITING: COLOURS_OF["first token"],
    THINKING: COLOURS_OF["thinking"],
    ANSWERING: COLOURS_OF["generation"],
    WHOLE: COLOURS_OF["until its end"],
}


def timeline(calls: pd.DataFrame, width: int | str = "container") -> alt.LayerChart:
    """Where the time of each call went: a bar a call, in the order of `calls`.

    Uses the columns `model`, `elapsed`, `ttft`, `thinking`, where it is there, and `latency` (seconds), as
    `lab.calls()` gives them; calls that were not streamed have no first token: they are one segment. Calls without a
    latency are left out. `width` is in pixels, or the page's own.
    """
    rows = []
    for number, call in enumerate(calls[calls["latency"].notna()].to_dict("records"), 1):
        name, total = f"{number}  {call['model']}", np.fmax(call.get("elapsed", 0.0), call["latency"])
        sent = total - float(call["latency"])
        first = sent if pd.isna(call["ttft"]) else sent + float(call["ttft"])
        before = [(BEFORE, 0.0, sent)] if sent > 0 else []
        thought = call.get("thinking")
        answer = first if thought is None or pd.isna(thought) else min(total, first + float(thought))
        thinking = ((THINKING, first, answer),) if answer > first else ()
        streamed = ((WAITING, sent, first), *thinking, (ANSWERING, answer, total))
        for part, start, end in (*before, *(streamed if first > sent else ((WHOLE, sent, total),))):
            rows.append(
                {"call": name, "part": part, "start": start, "end": end, "seconds": end - start, "total": total}
            )
    data = pd.DataFrame(rows, columns=["call", "part", "start", "end", "seconds", "total"])
    known = [part for part in COLOURS if part in set(data["part"])] or [ANSWERING]
    base = alt.Chart(data).encode(
        y=alt.Y("call:N", sort=None, title=None, axis=alt.Axis(labelLimit=260, ticks=False, domain=False))
    )
    bars = base.mark_bar(height={"band": 0.62}).encode(
        x=alt.X("start:Q", title="seconds", axis=alt.Axis(grid=True, tickCount=6)),
        x2="end:Q",
        color=alt.Color(
            "part:N",
            title=None,
            scale=alt.Scale(domain=known, range=[COLOURS[part] for part in known]),
            legend=alt.Legend(orient="top"),
        ),
        tooltip=["call:N", "part:N", alt.Tooltip("seconds:Q", format=".3f"), alt.Tooltip("total:Q", format=".3f")],
    )
    last = (alt.datum.part == ANSWERING) | (alt.datum.part == WHOLE)
    ends = base.transform_filter(last).mark_text(align="left", dx=5)
    labels = ends.encode(x="end:Q", text=alt.Text("total:Q", format=".2f"), color=alt.value(GREY))
    return (bars + labels).properties(width=width, height=alt.Step(30))


def steps(frame: pd.DataFrame, width: int | str = "container") -> alt.Chart:
    """What a job did, a bar a step on one time axis: columns `step` (each a name of its own), `part`, `start` and `end`
    (seconds from when it was handed in), as `lab.trace(job).df()` has them."""
    known = {part: colour for part, colour in COLOURS_OF.items() if part in set(frame["part"])}
    return (
        alt.Chart(frame)
        .mark_bar(height={"band": 0.62})
        .encode(
            y=alt.Y("step:N", sort=list(frame["step"].drop_duplicates()), title=None, axis=LABELS),
            x=alt.X("start:Q", title="seconds", axis=alt.Axis(grid=True, tickCount=6)),
            x2="end:Q",
            color=alt.Color(
                "part:N",
                title=None,
                scale=alt.Scale(domain=list(known), range=list(known.values())),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=["step:N", "part:N", alt.Tooltip("start:Q", format=".3f"), alt.Tooltip("end:Q", format=".3f")],
        )
        .properties(width=width, height=alt.Step(30))
    )


def still_waiting(times: pd.Series, groups: pd.Series, width: int | str = "container") -> alt.LayerChart:
    """The share of calls that still wait after so many seconds, a line a group: where a line is flat is its tail.

    `times` are seconds, `groups` the name of the line that each belongs to, in the order they are to be drawn. Both
    axes are logarithmic; of each group at most 200 points are drawn, the slowest ones all.
    """
    frames = []
    for name in groups.drop_duplicates():
        waits = times[groups == name].dropna().sort_values(ignore_index=True)
        if not len(waits):
            continue
        frame = pd.DataFrame({"seconds": waits, "waiting": 1 - waits.index / len(waits), "group": name})
        frames.append(frame.iloc[sorted({*range(0, len(frame), max(1, len(frame) // 150)), *range(len(frame))[-50:]})])
    data = pd.concat(frames) if frames else pd.DataFrame(columns=["seconds", "waiting", "group"])
    names = list(groups.drop_duplicates())
    lines = (
        alt.Chart(data)
        .mark_line(interpolate="step-after", strokeWidth=2.5)
        .encode(
            x=alt.X("seconds:Q", title="seconds", scale=alt.Scale(type="log", nice=False), axis=LOG),
            y=alt.Y(
                "waiting:Q",
                title="share of calls still waiting",
                scale=alt.Scale(type="log", domain=[0.001, 1], clamp=True),
                axis=alt.Axis(format="~%", values=[1, 0.5, 0.1, 0.05, 0.01, 0.001]),
            ),
            color=shared.colours("group", names),
            tooltip=["group:N", alt.Tooltip("seconds:Q", format=".2f"), alt.Tooltip("waiting:Q", format=".2%")],
        )
    )
    marks = pd.DataFrame({"waiting": [0.5, 0.05, 0.01], "name": ["p50", "p95", "p99"]})
    base = alt.Chart(marks).encode(y="waiting:Q")
    rules = base.mark_rule(strokeDash=[2, 4], opacity=0.5, color=GREY)
    labels = base.mark_text(align="left", dx=4, dy=-6, color=GREY).encode(x=alt.value(0), text="name:N")
    return (rules + labels + lines).properties(width=width, height=300)


SHARES = (0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999)
"""The marks of the axis of shares, which is that of the normal distribution: the middle has room, and so has the
tail."""
GREY_POINTS = 24
"""Points of a line that stands behind another one."""
_NORMAL = NormalDist()
_EDGES = (1e-4, 1 - 1e-5)


def _height(share: float) -> float:
    return 5 + _NORMAL.inv_cdf(min(_EDGES[1], max(_EDGES[0], share)))  # above 0: a minus is a sign of its own there


def _shares(
    frame: pd.DataFrame,
    ticks: tuple[float, ...] = SHARES,
    title: str | None = "share of answers that were there by then",
) -> alt.Y:
    """The axis of shares: as far as the data goes."""
    low, high = (0.1, 0.99) if frame.empty else (frame["share"].min(), frame["share"].max())
    domain = [_height(min(0.1, float(low))), _height(max(0.99, float(high)))]
    marks = [share for share in ticks if domain[0] - 1e-9 <= _height(share) <= domain[1] + 1e-9]
    said = {f"{_height(share):.6f}": f"{share * 100:g}%" for share in marks}
    labels = alt.Axis(
        values=[_height(share) for share in marks],
        labelExpr=f"{json.dumps(said)}[format(datum.value, '.6f')]",
        grid=True,
        labelOverlap=False,
    )
    return alt.Y("height:Q", title=title, scale=alt.Scale(domain=domain), axis=labels)


def _drawn(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(height=[_height(share) for share in frame["share"]], percentile=frame["share"] * 100)


def curves(
    frame: pd.DataFrame, title: str = "seconds", width: int | str = "container", colours: Colours | None = None
) -> alt.LayerChart:
    """The distribution of a time, a line a group with its name beside it: columns `group`, `seconds`, `share` (of the
    answers that took at most so long), `n`, as `lab.metrics.curves` gives them; `colours` are those of groups."""
    data = _drawn(frame)
    names = list(frame["group"].drop_duplicates())
    x = alt.X("seconds:Q", title=title, scale=alt.Scale(type="log", nice=False, padding=30), axis=LOG)
    base = alt.Chart(data).encode(x=x, y=_shares(frame), color=shared.colours("group", names, colours, legend=False))
    lines = base.mark_line(strokeWidth=2.5).encode(detail="group:N", tooltip=_POINT)
    spots = _labelled(data)
    labels = [
        base.properties(data=spots[spots["place"] == place])
        .mark_text(align=side, dx=dx, fontWeight="bold", fontSize=12, limit=260)
        .encode(text="group:N")
        for place, side, dx in _SIDES
    ]
    drawn = alt.layer(lines, *labels).properties(width=width, height=430)
    assert isinstance(drawn, alt.LayerChart)
    return drawn


_SIDES: tuple[tuple[int, Literal["left", "right"], int], ...] = ((0, "right", -8), (1, "left", 8))
_POINT: list[Any] = [
    "group:N",
    alt.Tooltip("seconds:Q", format=".3f"),
    alt.Tooltip("percentile:Q", format=".2f"),
    alt.Tooltip("n:Q", format=",", title="answers"),
]


def _labelled(data: pd.DataFrame) -> pd.DataFrame:
    """Where each line has its name: the quicker half on their left, the slower on their right, each at a height of its
    own. `place`: 0 is left of the point, 1 right of it."""
    medians = data.assign(off=(data["share"] - 0.5).abs()).sort_values("off").groupby("group", sort=False)["seconds"]
    order = list(medians.first().sort_values().index)
    left = len(order) // 2
    rows = []
    for number, name in enumerate(order):
        line = data[data["group"] == name]
        among = number if number < left else len(order) - 1 - number
        share = (0.8, 0.6, 0.4, 0.2)[min(3, among)] if number < left else (0.3, 0.5, 0.7, 0.85)[min(3, among)]
        spot = line.iloc[[(line["share"] - share).abs().to_numpy().argmin()]]
        rows.append(spot.assign(place=int(number >= left)))
    return pd.concat(rows) if rows else data.assign(place=0)


def curve(frame: pd.DataFrame, name: str, colours: Colours | None = None, width: int | str = 250) -> alt.LayerChart:
    """One of many: the line of this group in its colour, the others grey until they are pointed at. The frame is that
    of `curves`."""
    data = _drawn(frame)
    x = alt.X(
        "seconds:Q",
        title=None,
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(labelExpr="format(datum.value, '~g') + ' s'", values=[0.01, 0.1, 1, 10, 100]),
    )
    y = _shares(frame, (0.1, 0.5, 0.9, 0.99), title=None)
    pointed = alt.selection_point(fields=["group"], on="pointerover", clear="pointerout", nearest=False, name="pointed")
    shade = alt.condition(pointed, alt.value(palette.GREY), alt.value("#808a9155"), empty=False)
    rest = data[data["group"] != name]
    each = max(1, len(rest) // max(1, rest["group"].nunique() * GREY_POINTS))
    thin = rest[rest.groupby("group").cumcount() % each == 0]
    base = alt.Chart(thin).encode(x=x, y=y, detail="group:N", tooltip=_POINT)
    others = base.mark_line(strokeWidth=1.5).encode(color=shade).add_params(pointed)
    own = (
        alt.Chart(data[data["group"] == name])
        .mark_line(strokeWidth=3, color=shared.range_of([name], colours)[0])
        .encode(x=x, y=y, tooltip=_POINT)
    )
    named = alt.TitleParams(name, anchor="start", fontSize=12, limit=240)
    drawn = alt.layer(others, own).properties(width=width, height=210, title=named)
    assert isinstance(drawn, alt.LayerChart)
    return drawn


def ladder(
    frame: pd.DataFrame, title: str = "seconds", width: int | str = "container", colours: Colours | None = None
) -> alt.LayerChart:
    """Percentiles with their intervals, a dot each: columns `group`, `percentile`, `share`, `seconds`, `low`, `high`,
    `n`, as `lab.metrics.percentiles` gives them; `colours` are those of groups."""
    groups = list(frame["group"].drop_duplicates())
    rungs = list(frame.sort_values("share")["percentile"].drop_duplicates())
    base = alt.Chart(frame).encode(
        x=alt.X("percentile:N", title=None, sort=rungs, axis=alt.Axis(labelAngle=0, ticks=False)),
        xOffset=alt.XOffset("group:N", sort=groups),
        color=shared.colours("group", groups, colours),
        tooltip=[
            "group:N",
            "percentile:N",
            *(alt.Tooltip(f"{column}:Q", format=".3f") for column in ("seconds", "low", "high")),
            alt.Tooltip("n:Q", format=",", title="answers"),
        ],
    )
    axis = alt.Axis(format="~g", grid=True, tickCount=6)
    spans = base.mark_rule(strokeWidth=3, opacity=0.5).encode(
        y=alt.Y("low:Q", title=title, scale=alt.Scale(type="log", nice=False), axis=axis), y2="high:Q"
    )
    dots = base.mark_circle(size=70, opacity=1).encode(y="seconds:Q")
    return (spans + dots).properties(width=width, height=430)


def phases(frame: pd.DataFrame, width: int | str = "container") -> alt.Chart:
    """Where the time went, a bar a group and kind of call: columns `group`, `calls`, `part`, `seconds`, as
    `lab.metrics.phases` gives them."""
    parts = list(frame["part"].drop_duplicates())
    named = {
        **COLOURS_OF,
        "not streamed": COLOURS_OF["until its end"],
        "queue": COLOURS_OF["waiting"],
        "earlier attempts": "#e5566d",
    }
    scale = alt.Scale(domain=parts, range=[named.get(part, GREY) for part in parts])
    data = frame.assign(rank=frame["part"].map(parts.index), bar=frame["group"] + ", " + frame["calls"])
    kinds = list(frame["calls"].drop_duplicates())
    order = [f"{group}, {kind}" for group in frame["group"].drop_duplicates() for kind in kinds]
    return (
        alt.Chart(data)
        .mark_bar(height={"band": 0.72})
        .encode(
            x=alt.X("sum(seconds):Q", title="seconds, on average", axis=alt.Axis(tickCount=8, grid=True)),
            y=alt.Y("bar:N", title=None, sort=order, axis=alt.Axis(labelLimit=260, ticks=False, domain=False)),
            color=alt.Color("part:N", title=None, scale=scale, legend=alt.Legend(orient="top", columns=3)),
            order="rank:Q",
            tooltip=["group:N", "calls:N", "part:N", alt.Tooltip("seconds:Q", format=".3f")],
        )
        .properties(width=width, height=alt.Step(22))
    )
