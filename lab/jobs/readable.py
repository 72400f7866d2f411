"""Jobs as a person reads them, in a terminal and on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.show import units

if TYPE_CHECKING:
    import pandas as pd


def jobs(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of `Lab.jobs` in words: `job`, `flow`, `state`, `lane`, `user`, `progress`, `waited`, `ran`,
    `message`."""
    import pandas as pd  # slow to import, and only readers need it

    now = pd.Timestamp.now("UTC")
    over = frame["state"].isin(["done", "failed", "cancelled"])
    began = frame["started_at"].where(frame["state"] != "waiting")
    waited = (began.fillna(frame["ended_at"]).fillna(now) - frame["submitted_at"]).dt.total_seconds()
    ran = (frame["ended_at"].where(over).fillna(now) - began).dt.total_seconds()
    columns = {name: frame[name].fillna("") for name in ("job", "flow", "state", "lane", "user", "progress")}
    spans = {"waited": waited.map(_span), "ran": ran.map(_span)}
    return pd.DataFrame({**columns, **spans, "message": frame["message"].fillna("")})


def _span(seconds: float) -> str:
    return "" if seconds != seconds else units.seconds(max(0.0, seconds))
