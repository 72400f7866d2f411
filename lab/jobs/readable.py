"""Jobs as a person reads them, in a terminal and on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.show import units

if TYPE_CHECKING:
    import pandas as pd


def jobs(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of `Lab.jobs` in words: `job`, `flow`, `state`, `lane`, `user`, `progress`, `waited`, `ran`,
    `message`."""
    table = frame[["job", "flow", "state", "lane", "user", "progress"]].fillna("")
    if "experiment" in frame:
        names = zip(table["flow"], frame["experiment"], strict=True)
        table["flow"] = [f"{flow} {name}" if isinstance(name, str) else flow for flow, name in names]
    for name in ("waited", "ran"):
        table[name] = [_span(seconds) for seconds in beneath(frame)[name]]
    return table.assign(message=frame["message"].fillna(""))


def beneath(frame: pd.DataFrame) -> pd.DataFrame:
    """The numbers that `waited` and `ran` say, in seconds: how long each waited for a worker, and has run since."""
    import pandas as pd  # slow to import, and only readers need it

    now = pd.Timestamp.now("UTC")
    over = frame["state"].isin(["done", "failed", "cancelled"])
    began = frame["started_at"].where(frame["state"] != "waiting")
    waited = (began.fillna(frame["ended_at"]).fillna(now) - frame["submitted_at"]).dt.total_seconds()
    ran = (frame["ended_at"].where(over).fillna(now) - began).dt.total_seconds()
    return pd.DataFrame({"waited": waited, "ran": ran})


def _span(seconds: float) -> str:
    return "" if seconds != seconds else units.duration(max(0.0, seconds))
