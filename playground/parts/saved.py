"""What came out of the cache: what it saved, and what it spoiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from lab import metrics
from lab.metrics import Saved
from lab.show import units
from playground.parts import drawing, escape


def tiles(saved: Saved) -> None:
    """The sums."""
    hits = saved.exact + saved.near
    cells = st.columns(4)
    cells[0].metric(
        "Calls out of the cache",
        f"{hits / saved.calls:.1%}" if saved.calls else "–",
        help=f"{saved.exact:,} exact and {saved.near:,} near hits of {saved.calls:,} calls",
    )
    unknown = f"; of {saved.unknown:,} hits it isn't known" if saved.unknown else ""
    cells[1].metric("Saved", metrics.money(saved.usd), help=f"What their answers had cost{unknown}")
    cells[2].metric("Waiting saved", units.duration(saved.seconds), help="What their answers had taken")
    if not saved.compared:
        cells[3].metric("Near hits that were wrong", "–", help="None was compared yet")
        return
    false = saved.false_hits
    cells[3].metric(
        "Near hits that were wrong",
        f"{false.estimate:.1%}",
        delta=f"{false.low:.1%} to {false.high:.1%} (95 %)",
        delta_color="off",
        delta_arrow="off",
        help=f"{saved.wrong:,} of {saved.compared:,} that were asked all the same and compared",
    )


def lanes(saved: Saved) -> None:
    """How the near hits of each prompt stand."""
    rows = saved.lanes
    texts = pd.DataFrame(
        {
            "prompt": rows["lane"].str.replace("@", " v"),
            "state": rows["state"],
            "may be wrong": [f"{share:.1%}" for share in rows["allowed"]],
            "labels": rows["labels"],
            "wrong": rows["wrong"],
            "at most (95 %)": [f"{high:.1%}" if high == high else "–" for high in rows["high"]],
            "missing": rows["missing"],
            "compared since": rows["compared"],
            "wrong since": rows["compared_wrong"],
            "embedding": rows["embedder"],
        }
    )
    drawing.table(texts, "lanes", rows, {"may be wrong": rows["allowed"], "at most (95 %)": rows["high"]})


def side_by_side(row: Mapping[str, Any]) -> None:
    """Two requests in different words, and their answers."""
    for column, (title, asked, answer) in zip(
        st.columns(2),
        (
            ("kept", row["kept_asked"], row["kept_answer"]),
            ("asked all the same", row["asked"], row["answer"]),
        ),
        strict=True,
    ):
        with column.container(border=True):
            st.caption(title)
            drawing.text(asked or "not kept", f"asked-{title}-{row['number']}")
            st.markdown("---")
            drawing.text(answer or "not kept", f"answer-{title}-{row['number']}")


def wrong(rows: Sequence[Mapping[str, Any]], most: int = 5) -> None:
    """The last wrong hits."""
    drawing.section(
        "The last near hits that were wrong", "Both were asked: the kept answer, on the left, would not have done."
    )
    if not rows:
        st.caption("None was.")
    for row in rows[:most]:
        st.caption(f"{escape.markdown(row['lane'])}, told by {escape.markdown(row['how'])}")
        side_by_side(row)
