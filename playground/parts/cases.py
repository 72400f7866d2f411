"""The cases of an experiment and what was said to each: the grid, the call that a click opens, a row that is rated or
put into a set."""

from __future__ import annotations

import random
from typing import Literal

import streamlit as st

from lab import Lab, errors
from lab.evals import grid, ratings
from lab.evals.ratings import Choice
from playground.parts import backend, collecting, drawing, escape, markdown, opened
from playground.parts import grid as drawn

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWX"


def experiment(lab: Lab, name: str, key: str, *, order: str = "disagreement") -> None:
    """The grid of an experiment. Raises `ValueError` where there is none of this name."""
    show(lab, whole(str(lab.path), name, version(lab, name), lab), key, order=order)


@st.cache_resource(show_spinner=False, max_entries=8)
def whole(path: str, name: str, stamp: str, _lab: Lab) -> grid.Grid:
    """The grid of an experiment as it was at this stamp; read once, drawn often."""
    return grid.of(_lab.ledger, name)


def version(lab: Lab, name: str) -> str:
    """What changes when an experiment does: its calls, and its scores."""
    (row,) = lab.ledger.rows(
        "SELECT count(*), max(calls.id), sum(status = 'running'), sum(texts.kept), (SELECT count(*) || ' ' ||"
        " total(score) FROM scores JOIN calls mine ON mine.call_id = scores.call_id WHERE mine.experiment = ?1),"
        " (SELECT created_at || eval_hash || content FROM experiments WHERE experiment = ?1)"
        " FROM calls LEFT JOIN texts ON texts.id = calls.id WHERE experiment = ?1",
        [name],
    )
    return " ".join(map(str, row))


def show(lab: Lab, shown: grid.Grid, key: str, *, order: str = "disagreement") -> None:
    """A grid, and what is done in it."""
    if not shown.rows:
        st.caption("No case has an answer yet.")
        return
    if st.session_state.pop("kept_rating", False):
        st.toast("The rating is kept.")
    colours = lab.colours(*dict.fromkeys(model for _prompt, _version, model in shown.columns))
    event = drawn.draw(shown, key, colours, order=order)
    if event is None:
        return
    if event.call is not None:
        opened.drawer(event.call)
        return
    row = next((row for row in shown.rows if row.case_id == event.case), None)
    if row is not None:
        {"rate": rate, "add": add}.get(event.action or "", rate)(shown, row)


def add(shown: grid.Grid, row: grid.Row) -> None:
    """The case of a row into a set."""
    answers = [answer for answer in row.answers if answer is not None and answer.text]
    expected = row.expected if row.expected is not None else answers[0].text if answers else ""
    asked = row.given if row.given is not None else row.asked

    @st.dialog("Add to a set", icon=":material/playlist_add:")
    def drawn_() -> None:
        collecting.add(backend.lab(), row.case_id, asked, expected, answers[0].call_id if answers else None)

    drawn_()


def rate(shown: grid.Grid, row: grid.Row) -> None:
    """Which answer of a row is best, by nobody knows whom: kept as ratings of each pair."""
    answers = [answer for answer in row.answers if answer is not None and answer.status == "ok" and answer.call_id]
    random.Random(f"{shown.name} {row.case_id}").shuffle(answers)

    @st.dialog("Which is best?", width="large", icon=":material/thumbs_up_down:")
    def drawn_() -> None:
        if len(answers) < 2:
            st.caption("Two answers are needed.")
            return
        st.text(row.asked[: drawing.LONG])
        with st.container(key="cards-rate"):
            for letter, answer in zip(LETTERS, answers, strict=False):
                with st.container(border=True):
                    st.caption(letter)
                    st.html(markdown.to_html(answer.text or ""))
        best = st.segmented_control(
            "The best", [*LETTERS[: len(answers)], "all are good", "none is"], key=f"best-{row.case_id}"
        )
        who = st.text_input("Your name", key="rater", persist_state="session", placeholder="may be left out")
        if st.button("Keep", type="primary", disabled=best is None):
            try:
                _kept(answers, str(best), who.strip() or None)
            except (ValueError, errors.LabError) as odd:
                st.warning(escape.markdown(odd))
            else:
                st.session_state["kept_rating"] = True
                st.rerun()

    drawn_()


def _kept(answers: list[grid.Answer], best: str, who: str | None) -> None:
    """A rating of each pair that the choice says something of."""
    book = backend.lab().ledger
    calls = [str(answer.call_id) for answer in answers]
    if best in ("all are good", "none is"):
        choice: Choice = "both" if best == "all are good" else "neither"
        pairs = [(left, right, choice) for place, left in enumerate(calls) for right in calls[place + 1 :]]
    else:
        winner = calls[LETTERS.index(best)]
        pairs = [(winner, right, "a") for right in calls if right != winner]
    for left, right, which in pairs:
        first, second = sorted((left, right))
        flipped: Choice = {"a": "b", "b": "a"}.get(which, which) if first != left else which  # type: ignore[assignment]
        shown_first: Literal["a", "b"] = "a" if calls.index(first) < calls.index(second) else "b"
        ratings.put(book, first, second, flipped, shown_first=shown_first, user=who)
