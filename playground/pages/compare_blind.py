"""Two answers side by side, in an order that is drawn, by nobody knows whom: which is better?"""

from __future__ import annotations

from typing import Literal

import pandas as pd
import streamlit as st

from lab import Lab, metrics
from lab.evals import ratings
from lab.show import charts
from playground.parts import backend, drawing, empty, markdown

LABELS = {"first": "Left is better", "second": "Right is better", "both": "Both are good", "neither": "Neither is"}


def page() -> None:
    """An experiment, a pair, who wins."""
    lab = backend.lab()
    names = ratings.experiments(lab.ledger)
    if not names:
        empty.nothing(
            "An experiment with two prompts or models is needed: run one over a set.",
            ":material/thumbs_up_down:",
            mode="Over a set",
            narrowed=False,
            label="Run one over a set",
        )
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Experiment", names, key="rated", bind="query-params", width=420)
        who = st.text_input("Your name", key="rater", persist_state="session", width=200, placeholder="may be left out")
        user = who.strip() or None
        if st.button("Undo", icon=":material/undo:", shortcut="U", key="undo") and not ratings.undo(
            lab.ledger, name, user
        ):
            st.toast("Nothing of yours is rated yet.")
    seed = int(st.session_state.setdefault("rating_seed", 0))
    waiting = ratings.waiting(lab.ledger, name, seed=seed, user=user)
    if not waiting.pairs:
        st.info("No case of it was answered by two prompts or models in different words.")
        return
    st.progress(waiting.rated / waiting.pairs, text=f"{waiting.rated:,} of {waiting.pairs:,} pairs rated")
    if waiting.alike:
        st.caption(f"{waiting.alike:,} pairs say the same, and are skipped.")
    if waiting.pair is None:
        st.success("Every pair is rated.")
    else:
        shown(lab, waiting.pair, user)
    if st.toggle("Who wins (shows the names: whoever still rates had better not look)", key="show-tally"):
        tally(lab, name)


def shown(lab: Lab, pair: ratings.Pair, who: str | None) -> None:
    """One pair, the question once; the names are not on the page."""
    with st.container(border=True):
        st.caption("Question")
        drawing.text(pair.question, "rated-question")
    for column, side, text in zip(st.columns(2), ("Left", "Right"), pair.answers, strict=True):
        with column.container(border=True):
            st.caption(side)
            st.html(markdown.to_html(text or "no text"))
            drawing.rest(text, f"rated-{side}")
    with st.container(horizontal=True, horizontal_alignment="center"):
        for key, (choice, label) in enumerate(LABELS.items(), 1):
            st.button(label, key=f"rate-{choice}", shortcut=str(key), on_click=rate, args=(lab, pair, choice, who))


def rate(lab: Lab, pair: ratings.Pair, choice: str, who: str | None) -> None:
    """Keep it; which call is `a` has nothing to do with which stood left."""
    a, b = sorted((pair.first, pair.second))
    first: Literal["a", "b"] = "a" if pair.first == a else "b"
    better: dict[str, ratings.Choice] = {"first": first, "second": "b" if first == "a" else "a"}
    better |= {"both": "both", "neither": "neither"}
    ratings.put(lab.ledger, a, b, better[choice], shown_first=first, user=who)


def tally(lab: Lab, name: str) -> None:
    """Wins with their intervals, whether raters agree, and what it says of judges."""
    tallied = lab.ratings(name)
    if tallied.empty:
        st.caption("Nothing is rated yet.")
        return
    decided = tallied[tallied["share"].notna()]
    if not decided.empty:
        named = decided["one"] + " beats " + decided["other"]
        frame = decided.assign(name=named, estimate=decided["share"], group="share of the decided pairs")
        frame = frame[["name", "estimate", "low", "high", "group"]]
        chart = charts.intervals(frame, "how often, of the pairs that were decided", middle=0.5)
        drawing.chart(chart, frame, "win-rates", "How often one beats the other, with intervals")
    shown_ = pd.DataFrame(
        {
            **{"one": tallied["one"], "other": tallied["other"], "ratings": tallied["n"]},
            "one wins": [metrics.share(*row) for row in tallied[["share", "low", "high"]].itertuples(index=False)],
            **{"both good": tallied["both"], "neither": tallied["neither"]},
            "left one wins": [f"{won:.0%}" if won == won else "–" for won in tallied["first_won"]],
        }
    )
    drawing.table(shown_, "ratings", tallied, {"one wins": tallied["share"], "left one wins": tallied["first_won"]})
    agreement(lab, name)


def agreement(lab: Lab, name: str) -> None:
    """Whether raters say the same, and whether scorers do."""
    share, pairs = ratings.agreement(lab.ledger, name)
    if pairs:
        st.caption(
            f"Two raters of the same pair said the same in {share.estimate:.0%} of {pairs:,} cases"
            f" ({share.low:.0%} to {share.high:.0%}, 95 %)."
        )
    else:
        st.caption("No pair was rated by two raters yet: under another name all of them come again.")
    judges = ratings.judged(lab.ledger, name)
    if judges.empty:
        st.caption(
            "No scorer can be held against these ratings: none has scored two answers of a decided pair differently."
        )
        return
    drawing.section(
        "Is the scorer to be trusted?",
        "Of the pairs that a person decided and a scorer scored differently: how often both prefer the same. At 50 % a"
        " judge is worth a coin.",
    )
    shown_ = pd.DataFrame(
        {
            **{"scorer": judges["scorer"], "pairs": judges["pairs"]},
            "agrees": [metrics.share(*row) for row in judges[["share", "low", "high"]].itertuples(index=False)],
            "says": [verdict(low, high) for low, high in judges[["low", "high"]].itertuples(index=False)],
        }
    )
    drawing.table(shown_, "judges", judges, {"agrees": judges["share"]})


def verdict(low: float, high: float) -> str:
    """What the interval of an agreement says."""
    if low > 0.5:
        return "better than a coin"
    return "worse than a coin" if high < 0.5 else "too few pairs to tell it from a coin"
