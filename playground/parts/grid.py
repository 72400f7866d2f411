"""The grid of an experiment: cases down, prompts and models across, each answer with what it was worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from lab import metrics
from lab.evals import grid
from lab.show import difference, palette, units
from lab.show.text import one_line

HERE = Path(__file__).parent
PAGE = 50
LONG = 700
"""Characters of an answer in its cell, and of a question; the whole is in the call."""
EXPECTED, NOTHING = "what was expected", "nothing"
ORDERS = {"case": "as they are", "disagreement": "most disagreement first", "score": "worst first"}
ACTIONS = [["rate", "rate", "Rate the answers of this row"], ["add", "add to a set", "Add this case to a set"]]
_COMPONENT = st.components.v2.component(
    "lab_grid", js=(HERE / "grid.js").read_text("utf-8"), css=(HERE / "grid.css").read_text("utf-8")
)


@dataclass(frozen=True, slots=True)
class Event:
    """What was just done in the grid: a call to be opened, or an action on the case of a row."""

    call: str | None = None
    case: str | None = None
    action: str | None = None


def draw(shown: grid.Grid, key: str, colours: Mapping[str, str], *, order: str = "case") -> Event | None:
    """The controls, one page of the rows, and what was done in it."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by = st.selectbox(
            "Order",
            list(ORDERS),
            index=list(ORDERS).index(order),
            format_func=ORDERS.__getitem__,
            key=f"{key}-order",
            width=215,
        )
        others = [EXPECTED] if any(row.expected is not None for row in shown.rows) else []
        others += [label(column) for column in shown.columns] if len(shown.columns) > 1 else []
        against = st.selectbox(
            "Words that differ from",
            [NOTHING, *others],
            key=f"{key}-against",
            width=260,
        )
        words = st.text_input("Find", key=f"{key}-find", placeholder="words in a row", width=180)
        differing = st.toggle("Only where they differ", key=f"{key}-differing")
    rows = shown.ordered(by, differing=differing, words=words)
    pages = max(1, math.ceil(len(rows) / PAGE))
    number = min(pages, int(st.session_state.get(f"{key}-page") or 1))
    page = rows[(number - 1) * PAGE : number * PAGE]
    if not page:
        st.caption("No row is like that.")
        return None
    base = None if against in (NOTHING, EXPECTED) else [label(column) for column in shown.columns].index(against)
    done = _COMPONENT(
        key=f"{key}-grid",
        data=data(shown, page, colours, to_expected=against == EXPECTED, to_column=base),
        on_open_change=_nothing,
        on_row_change=_nothing,
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        first = (number - 1) * PAGE + 1
        st.caption(
            f"{first:,} to {first + len(page) - 1:,} of {len(rows):,} cases ({len(shown.rows):,} in all). ✓ right,"
            " ◐ partly, ✗ wrong; times are the answering request's. Click an answer, or press Enter, to open its call."
        )
        if pages > 1:
            st.number_input(f"Page, of {pages:,}", 1, pages, key=f"{key}-page", width=150)
    if done.open:
        return Event(call=str(done.open))
    if done.row:
        return Event(case=str(done.row["case"]), action=str(done.row["action"]))
    return None


def _nothing() -> None:
    """A trigger is known to the page by its value alone."""


def label(column: grid.Column) -> str:
    """A column in a line."""
    prompt, version, model = column
    return f"{prompt} v{version} · {model}"


def data(
    shown: grid.Grid,
    rows: Sequence[grid.Row],
    colours: Mapping[str, str],
    *,
    to_expected: bool = False,
    to_column: int | None = None,
) -> dict[str, Any]:
    """What the browser draws: texts, and nothing that is read as markup."""
    expecting = any(row.expected is not None for row in shown.rows)
    return {
        "label": f"Answers of {shown.name}",
        "columns": [_column(shown, place, colours) for place in range(len(shown.columns))],
        "expecting": expecting,
        "actions": ACTIONS,
        "rows": [_row(row, to_expected, to_column) for row in rows],
    }


def _column(shown: grid.Grid, place: int, colours: Mapping[str, str]) -> dict[str, str]:
    prompt, version, model = shown.columns[place]
    answers = [answer for row in shown.rows if (answer := row.answers[place]) is not None]
    scores = [answer.score for answer in answers if answer.score is not None]
    about = f"{shown.titles[place]} · {prompt} v{version}" if shown.titles else f"{prompt} v{version}"
    if scores:
        about += f" · {sum(scores) / len(scores):.1%}"
    return {
        "name": model,
        "about": about,
        "whole": label(shown.columns[place]),
        "colour": colours.get(model, palette.GREY),
    }


def _row(row: grid.Row, to_expected: bool, to_column: int | None) -> dict[str, Any]:
    base = grid.written(row.expected) if to_expected and row.expected is not None else None
    if to_column is not None and (other := row.answers[to_column]) is not None:
        base = other.text
    return {
        "id": row.case_id,
        "asked": row.asked if len(row.asked) <= 400 else f"{row.asked[:400]} …",
        "expected": _cut(grid.written(row.expected)),
        "differs": row.differs,
        "answers": [_answer(answer, None if place == to_column else base) for place, answer in enumerate(row.answers)],
    }


def _answer(answer: grid.Answer | None, base: str | None) -> dict[str, Any] | None:
    if answer is None or answer.status == "unanswered":
        return None
    level = palette.scored(answer.score)
    failed = answer.status != "ok"
    sign = palette.OUTCOMES.get(answer.kind or "", ("✗", ""))[0] if failed else palette.SCORES[level][0]
    facts = [] if answer.score is None else [f"{answer.score:.2f}"]
    facts += [units.seconds(answer.seconds)] if answer.seconds is not None else []
    facts += [metrics.money(answer.cost)] if answer.cost is not None else []
    facts += [f"x {answer.repeats}"] if answer.repeats > 1 else []
    why = one_line(f"{(answer.kind or answer.status).replace('_', ' ')}: {answer.error or 'no answer'}", 300)
    return {
        "call": answer.call_id,
        "level": "failed" if failed else level,
        "sign": sign,
        "facts": " · ".join(facts),
        "why": why if failed else None,
        "pieces": pieces(answer.text or "", base),
    }


def pieces(text: str, base: str | None) -> list[difference.Piece]:
    """An answer's beginning, as it is or by the words in which it differs from another text."""
    if base is None or base == text:
        return [("=", _cut(text))]
    short: list[difference.Piece] = []
    room = LONG
    for sign, words in difference.pieces(base[: 4 * LONG], text[: 4 * LONG]):
        if room <= 0:
            return [*short, ("=", " …")]
        short.append((sign, words[:room]))
        room -= len(words)
    return short


def _cut(text: str) -> str:
    return text if len(text) <= LONG else text[:LONG] + " …"
