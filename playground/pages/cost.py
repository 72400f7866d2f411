"""Cost: over time and by anything, what bought nothing, and what quality the rest bought."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from lab import Lab, metrics
from lab.metrics import alerts
from lab.show import charts, palette
from playground.parts import backend, drawing, empty, filters, saved

BY = {
    "model": ("model",),
    "prompt version": ("prompt_name", "prompt_version"),
    "user": ("user",),
    "tag": ("tag",),
    "experiment": ("experiment",),
    "lane": ("lane",),
    "day": ("day",),
}
PARTS = [metrics.ANSWERS, *metrics.WASTE.values()]
TOP = 12


def page() -> None:
    """Spend over time, by group, waste, quality."""
    lab, narrow = backend.lab(), filters.chosen()
    book = lab.ledger
    name = st.selectbox("By", list(BY), key="cost_by", bind="query-params", width=180)
    spend = metrics.spend(book, BY[name], **narrow)
    if spend.empty:
        empty.nothing("No call yet. Run some on the Compare page.", ":material/payments:")
        return
    waste = metrics.waste(book, BY[name][0], **narrow)
    if name != "tag":  # a call with two tags would count twice
        tiles(spend, waste)
    hits = metrics.saved(book, **narrow)
    if hits.exact + hits.near or len(hits.lanes):
        saved.tiles(hits)
    month(lab, narrow)
    over = metrics.spend_over_time(book, BY[name][0], **narrow)
    drawing.section("Over time", "US dollars, as far as prices are known.")
    colours = lab.colours(*spend["model"]) if name == "model" else None
    drawn = charts.stacked(over, "cost", "group", "US dollars", format="$~g", colours=colours)
    drawing.chart(drawn, over, "spend-over-time", "Cost over time")
    left, right = st.columns(2)
    with left:
        drawing.section(f"By {name}", "A good answer is one that came, passed its checks, and has no score below 1.")
        numbers = {"cost": spend["cost"], "lost": spend["cost_extra"], "per good answer": spend["cost_per_good"]}
        drawing.table(readable(spend, BY[name]), "spend", spend, numbers, height=320)
    with right:
        wasted(waste)
    prompt_caches(metrics.prompt_caches(book, **narrow))
    quality(lab, metrics.quality(book, **narrow))
    if len(hits.lanes):
        saved.wrong(hits.last_wrong, 3)


def month(lab: Lab, narrow: dict[str, Any]) -> None:
    """This month so far, and where it is going."""
    spending = metrics.month(lab.ledger, **{key: value for key, value in narrow.items() if key != "since"})
    if not spending.spent:
        return
    budget = {} if filters.words() != "all calls" else budgets(lab)  # a part is not held against the whole
    per_day = budget.get("day") or (budget["month"] / len(spending.days) if "month" in budget else None)
    drawing.section(
        "This month",
        "US dollars a day. Hatched: today, which isn't over. Pale: what comes, if it goes on like the last days.",
    )
    left, right = st.columns([1, 4], vertical_alignment="center")
    left.metric("So far", metrics.money(spending.spent))
    over = "month" in budget and spending.projected > budget["month"]
    left.metric(
        "At its end",
        metrics.money(spending.projected),
        delta=f"over the budget of {metrics.money(budget['month'])}" if over else None,
        delta_color="inverse",
        help=f"If each day to come costs {metrics.money(spending.daily)}, as the last ones did on average",
    )
    with right:
        chart = charts.month(spending.days, per_day)
        drawing.chart(chart, spending.days, "month", "What each day of this month cost, and is likely to")


def budgets(lab: Lab) -> dict[str, float]:
    """US dollars a day and a month that somebody has set: in a rule of the alerts, or as the Lab's own budget."""
    try:
        known = metrics.budgets(alerts.load(None, lab.path))
    except ValueError:  # Health says what is wrong with them
        known = {}
    own = lab.policy.budget
    if own is not None and own.per == "day" and own.usd is not None:
        known["day"] = min(own.usd, known.get("day", own.usd))
    return known


def tiles(spend: pd.DataFrame, waste: pd.DataFrame) -> None:
    """The sums over all."""
    row, spent = spend[["good", "cost_unknown"]].sum(), waste["cost"].sum()
    lost = waste["cost"][waste["part"] != metrics.ANSWERS].sum()
    cells = st.columns(4)
    cells[0].metric("Spent", metrics.money(spent), help="As far as prices are known")
    cells[1].metric("Spent on no answer", f"{lost / spent:.1%}" if spent else "–")
    cells[2].metric("A good answer", metrics.money(spent / row["good"]) if row["good"] else "–")
    cells[3].metric("Requests of unknown cost", f"{row['cost_unknown']:,.0f}")


def readable(spend: pd.DataFrame, by: tuple[str, ...]) -> pd.DataFrame:
    """The table, in texts."""
    named = spend[list(by)].astype(object).where(spend[list(by)].notna(), "none")
    return pd.DataFrame(
        {
            " ".join(by).replace("_", " "): named.astype(str).agg(" v".join, axis=1) if len(by) > 1 else named[by[0]],
            "calls": spend["calls"],
            "cost": [metrics.money(cost) for cost in spend["cost"]],
            "lost": [metrics.money(lost) if lost else "" for lost in spend["cost_extra"]],
            "per good answer": [metrics.money(cost) if cost == cost else "–" for cost in spend["cost_per_good"]],
        }
    )


def wasted(waste: pd.DataFrame) -> None:
    """Of each group's money, what bought an answer and what did not."""
    drawing.section("What the money bought", "Hedge losers, repairs and failed calls apart; their cost is estimated.")
    sums = waste.groupby("group")["cost"].sum().sort_values(ascending=False)
    shown = waste[waste["group"].isin(sums.index[:TOP]) & (waste["group"].map(sums) > 0)]
    if shown.empty:
        st.caption("Nothing was spent.")
        return
    shown = shown.assign(share=shown["cost"] / shown["group"].map(sums))
    order = [group for group in sums.index[:TOP] if sums[group] > 0]
    drawn = charts.shares(
        shown, order, PARTS, title="share of the money", colours=dict(zip(PARTS, palette.SPENT, strict=True))
    )
    drawing.chart(drawn, waste, "waste", "Shares of the money by what it bought")


_CACHED = {"tokens sent": "sent", "read": "read", "written": "written", "hit rate": "hit_rate", "saved": "saved"}
"""Columns of the table, and the figures they say."""


def prompt_caches(frame: pd.DataFrame) -> None:
    """What providers' own caches of prompts saved."""
    if frame.empty:
        return
    drawing.section(
        "Prompt caches of providers",
        "A part of the prompt that a provider has seen before is cheaper. Saved: against the plain price, less what"
        " writing to the cache cost more.",
    )
    known = frame["saved"].dropna()
    cells = st.columns(4)
    cells[0].metric("Saved", metrics.money(known.sum()) if len(known) else "–")
    cells[1].metric(
        "Read from a cache", f"{frame['read'].sum() / max(1, frame['sent'].sum()):.0%}", help="Of the tokens"
    )
    cells[2].metric("Tokens read", f"{frame['read'].sum():,.0f}")
    cells[3].metric("Tokens written", f"{frame['written'].sum():,.0f}")
    shown = pd.DataFrame(
        {
            "model": frame["model"],
            "requests": frame["requests"],
            "tokens sent": [drawing.whole(tokens) for tokens in frame["sent"]],
            "read": [drawing.whole(tokens) for tokens in frame["read"]],
            "written": [drawing.whole(tokens) for tokens in frame["written"]],
            "hit rate": [f"{rate:.0%}" for rate in frame["hit_rate"]],
            "saved": [metrics.money(usd) if usd == usd else "–" for usd in frame["saved"]],
        }
    )
    drawing.table(
        shown,
        "prompt-caches",
        frame,
        {name: frame[of] for name, of in _CACHED.items()},
        height=min(320, 40 + 36 * len(frame)),
    )


def quality(lab: Lab, scores: pd.DataFrame) -> None:
    """Scores of experiments against what a call costs."""
    known = scores[scores["cost"].notna()]
    drawing.section(
        "Quality against cost",
        "Prompts and models of experiments with scores. The line is what nothing cheaper does better.",
    )
    if known.empty:
        st.caption("No experiment has scores and known prices here: run one over an eval set on the Compare page.")
        return
    drawn = charts.frontier(known.assign(group=known["model"]), colours=lab.colours(*known["model"]))
    drawing.chart(drawn, scores, "quality", "Score against dollars a call, with the efficient frontier")


page()
