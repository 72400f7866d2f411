"""What prompts and models scored, each with its interval."""

from __future__ import annotations

import pandas as pd

from lab import Lab
from lab.show import charts
from playground.parts import drawing


def chart(lab: Lab, summary: pd.DataFrame, name: str) -> None:
    """The scores of a summary, a line a prompt and model, in the models' colours."""
    scored = summary[summary["score"].notna()]
    if scored.empty:
        return
    label = scored["prompt"] + " v" + scored["version"].astype(int).astype(str) + " · " + scored["model"]
    drawn = scored.assign(name=label, estimate=scored["score"], low=scored["score_low"], high=scored["score_high"])
    frame = drawn.assign(group=scored["model"])[["name", "estimate", "low", "high", "group"]]
    picture = charts.intervals(frame, "score", colours=lab.colours(*scored["model"].drop_duplicates()))
    drawing.chart(picture, frame, name, "Scores with their intervals")
