"""Colours and axes that the charts share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt

from lab.show import palette
from lab.show.palette import GREY as GREY

GROUPS = list(palette.MODELS)
"""Colours that are told apart on light and on dark."""
LOG = alt.Axis(format="~g", values=[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200])
"""Seconds on a logarithmic axis."""
LABELS = alt.Axis(labelLimit=320, ticks=False, domain=False)
"""Names down the left side."""
Colours = Mapping[str, str]
"""The colour of a name, as `lab.colours()` has those of models."""


def last(names: Sequence[str]) -> list[str]:
    """The names, all others after them."""
    return sorted(names, key=lambda name: name == palette.OTHERS)


def range_of(names: Sequence[str], known: Colours | None = None) -> list[str]:
    """The colour of each name: the one that is `known`, that of an outcome, grey for all others, else one that no other
    name has, as far as there are so many."""
    fixed = {name: known[name] for name in names if known and name in known}
    fixed |= {name: palette.GREY for name in names if name == palette.OTHERS}
    free = iter([colour for colour in palette.MODELS if colour not in fixed.values()] + 8 * list(palette.MODELS))
    return [fixed[name] if name in fixed else next(free, palette.GREY) for name in names]


def colours(
    field: str, names: list[str], known: Colours | None = None, legend: bool = True, rows: int | None = None
) -> alt.Color:
    """The colour of each of `names`, in their order, all others last; a legend above the chart, in so many `rows`."""
    names = last(names)
    scale = alt.Scale(domain=names, range=range_of(names, known))
    wide = 2 if len(names) > 2 else 0
    across = wide if rows is None else -(-len(names) // rows)
    above = alt.Legend(orient="top", labelLimit=220, columns=across) if legend else None
    return alt.Color(f"{field}:N", title=None, scale=scale, legend=above)
