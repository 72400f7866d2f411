"""Two answers side by side, in an order that is drawn, by nobody knows whom: which is better?"""

from __future__ import annotations

from typing import Literal

import pandas as pd
import streamlit as st

from lab import Lab, metrics
from lab.evals import ratings
from playground.parts import backend, drawing

LABELS = {"first": "Left is better", "second": "Right is better", "both": "Both are good", "neither": "Neither is"}


def page() -> None:
    """An experiment, a pair, the tally."""
    lab = backend.lab()
    listed = lab.experiments()
    names = list(listed["experiment"][listed["answered"] > 1])
    if not names:
        st.info(
            "An experiment with two prompts or models is needed: run one over a set.", icon=":material/thumbs_up_down:"
        )
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Experiment", names, key="rated", bind="query-params", width=420)
        who = st.text_input("Your name", key="rater", persist_state="session", width=200, placeholder="may be left out")
    pair, total, done = ratings.waiting(lab.ledger, name, seed=int(st.session_state.setdefault("rating_seed", 0)))
    if not total:
        st.info("No case of it was answered by two prompts or models.", icon=":material/thumbs_up_down:")
        return
    st.progress(done / total, text=f"{done:,} of {total:,} pairs rated")
    if pair is None:
        st.success("Every pair is rated.")
    else:
        shown(lab, pair, who.strip() or None)
    if st.toggle("Who wins (shows the names: whoever still rates had better not look)", key="show-tally"):
        tally(lab, name)


def shown(lab: Lab, pair: ratings.Pair, who: str | None) -> None:
    """One pair; the names are not on the page."""
    with st.container(border=True):
        st.caption("Question")
        st.text(pair.question)
    for column, text in zip(st.columns(2), pair.answers, strict=True):
        with column.container(border=True):
            st.text(text or "no text")
    with st.container(horizontal=True, horizontal_alignment="center"):
        for choice, label in LABELS.items():
            st.button(label, key=f"rate-{choice}", on_click=rate, args=(lab, pair, choice, who))


def rate(lab: Lab, pair: ratings.Pair, choice: str, who: str | None) -> None:
    """Keep it; which call is `a` has nothing to do with which stood left."""
    a, b = sorted((pair.first, pair.second))
    first: Literal["a", "b"] = "a" if pair.first == a else "b"
    better: dict[str, ratings.Choice] = {"first": first, "second": "b" if first == "a" else "a"}
    better |= {"both": "both", "neither": "neither"}
    ratings.put(lab.ledger, a, b, better[choice], shown_first=first, user=who)


def tally(lab: Lab, name: str) -> None:
    """Wins, with the share of wins of what was shown first."""
    tallied = lab.ratings(name)
    if tallied.empty:
        st.caption("Nothing is rated yet.")
        return
    shown_ = pd.DataFrame(
        {
            **{"one": tallied["one"], "other": tallied["other"], "ratings": tallied["n"]},
            "one wins": [metrics.share(*row) for row in tallied[["share", "low", "high"]].itertuples(index=False)],
            **{"both good": tallied["both"], "neither": tallied["neither"]},
            "left one wins": [f"{won:.0%}" if won == won else "–" for won in tallied["first_won"]],
        }
    )
    drawing.table(shown_, "ratings", tallied, {"one wins": tallied["share"], "left one wins": tallied["first_won"]})
