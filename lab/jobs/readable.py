"""Jobs as tables: with their figures, and as a person reads them, in a terminal and on a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lab.show import units
from lab.show.moments import utc

if TYPE_CHECKING:
    import pandas as pd

    from lab.jobs.status import JobStatus


def frame(rows: Sequence[JobStatus]) -> pd.DataFrame:
    """Jobs as a table: see `Lab.jobs` for the columns."""
    import pandas as pd  # slow to import, and only readers need it

    columns = """job flow state lane user done of progress submitted_at started_at ended_at worker starts message
        experiment failed cost seconds_left""".split()
    content: list[list[Any]] = [
        [*(status.job, status.flow, status.state, status.lane, status.user)]
        + ([None, None, None] if (far := status.progress) is None else [far.done, far.of, str(far)])
        + [status.submitted_at, status.started_at, status.ended_at, status.worker, status.starts, status.message]
        + [status.facts.get("experiment"), *(_more(status, name) for name in ("failed", "cost", "seconds_left"))]
        for status in rows
    ]
    table = pd.DataFrame(content, columns=columns)
    for name in ("submitted_at", "started_at", "ended_at"):
        table[name] = utc(table[name].astype(float))
    return table.astype(dict.fromkeys(("done", "of", "failed", "cost", "seconds_left"), float))


def _more(status: JobStatus, name: str) -> Any:
    return None if status.progress is None else status.progress.more.get(name)


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
