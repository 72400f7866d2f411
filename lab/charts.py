"""Charts of what the ledger holds: a DataFrame in, an Altair chart out."""

from __future__ import annotations

import altair as alt
import pandas as pd

WAITING, ANSWERING = "until the first token", "from there to the end"
COLOURS = {WAITING: "#e09f3e", ANSWERING: "#2a9d8f"}


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
