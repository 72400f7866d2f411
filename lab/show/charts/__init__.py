"""Charts of what the ledger holds: a DataFrame in, an Altair chart out, of hundreds of points at most."""

try:
    import altair as alt
except ImportError as missing:
    raise ImportError("charts need altair: pip install 'lab[notebooks]'") from missing

from lab.show.charts.comparing import confusion, frontier, intervals, scores_over_time, shares, success, versions
from lab.show.charts.shared import GROUPS
from lab.show.charts.tails import COLOURS, curve, curves, ladder, phases, steps, still_waiting, timeline
from lab.show.charts.times import bursts, counts, month, multiple, outcomes, over_time, stacked

__all__ = [
    "COLOURS",
    "GROUPS",
    "bursts",
    "confusion",
    "counts",
    "curve",
    "curves",
    "for_notebooks",
    "frontier",
    "intervals",
    "ladder",
    "month",
    "multiple",
    "outcomes",
    "over_time",
    "phases",
    "scores_over_time",
    "shares",
    "stacked",
    "steps",
    "still_waiting",
    "success",
    "timeline",
    "versions",
]


def for_notebooks() -> None:
    """From here on, draw Altair's charts as pictures: seen offline, and by whoever reads the notebook on the web."""
    alt.renderers.enable("png", scale_factor=2)
