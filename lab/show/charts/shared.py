"""Colours and axes that the charts share."""

from __future__ import annotations

import altair as alt

GROUPS = ["#2a9d8f", "#e09f3e", "#9b5de5", "#e5566d", "#4a7fd6", "#7d8597", "#8ab17d", "#b5838d"]
"""Colours that are told apart on light and on dark."""
GREY = "#808a91"
LOG = alt.Axis(format="~g", values=[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200])
"""Seconds on a logarithmic axis."""
LABELS = alt.Axis(labelLimit=320, ticks=False, domain=False)
"""Names down the left side."""


def colours(field: str, names: list[str]) -> alt.Color:
    """The colour of each of `names`, in their order; a legend above the chart."""
    scale = alt.Scale(domain=names, range=[GROUPS[place % len(GROUPS)] for place in range(len(names))])
    legend = alt.Legend(orient="top", labelLimit=160, columns=2 if len(names) > 2 else 0)
    return alt.Color(f"{field}:N", title=None, scale=scale, legend=legend)
