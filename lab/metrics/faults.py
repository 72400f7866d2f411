"""What went wrong: failures by kind, over time, recovered or not, and what providers said of their limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lab.ledger import columns
from lab.ledger.file import Ledger
from lab.metrics.groups import grouped, needed
from lab.metrics.times import binned
from lab.show.moments import utc

if TYPE_CHECKING:
    import pandas as pd


def failures(book: Ledger, by: Sequence[str] = ("model",), **filters: Any) -> pd.DataFrame:
    """Failures by kind: the columns `by`, `kind`, `detail` (a timeout's phase, a content failure's reason), `calls`
    that ended so, `requests` that failed so in calls that ended well (`recovered`). Most calls first."""
    if "kind" in by:
        raise ValueError("by=(..., 'kind'): the kind is a column of its own already")
    names = ["status", "kind", "phase", "reason", *needed(by)]
    calls, tried = columns.both(book, names, ["status", "kind", "phase", "reason"], **filters)
    groups = grouped(calls, by)
    ended = (calls["status"] == "failed").to_numpy()
    detail = _detail(calls)
    mine = ended[groups.at]
    final = _counted(groups.keys, groups.code[mine], calls["kind"].iloc[groups.at[mine]], detail.iloc[groups.at[mine]])
    which, code = groups.of_attempts(tried["at"].to_numpy())
    ok = (calls["status"] == "ok").to_numpy()[tried["at"].to_numpy()]
    saved = (ok & (tried["status"] == "failed").to_numpy())[which]
    rows = np.arange(len(tried))[which][saved]
    recovered = _counted(groups.keys, code[saved], tried["kind"].iloc[rows], _detail(tried).iloc[rows])
    keys = [*by, "kind", "detail"]
    counts = final.rename(columns={"n": "calls"}).merge(recovered.rename(columns={"n": "recovered"}), "outer", on=keys)
    counts[["calls", "recovered"]] = counts[["calls", "recovered"]].fillna(0).astype(int)
    return counts.sort_values(
        ["calls", "recovered", *keys], ascending=[False, False] + [True] * len(keys), ignore_index=True
    )


def _detail(frame: pd.DataFrame) -> pd.Series:
    return frame["phase"].astype(object).where(frame["phase"].notna(), frame["reason"].astype(object))


def _counted(keys: pd.DataFrame, code: np.ndarray, kind: pd.Series, detail: pd.Series) -> pd.DataFrame:
    import pandas as pd  # slow to import, and only readers need it

    frame = pd.DataFrame({"code": code})
    frame["kind"] = kind.astype(object).fillna("bug").to_numpy()
    frame["detail"] = detail.astype(object).fillna("").to_numpy()
    counts = frame.groupby(["code", "kind", "detail"], as_index=False).size().rename(columns={"size": "n"})
    named = keys.astype(object).where(keys.notna(), "none").iloc[counts["code"]].reset_index(drop=True)
    return pd.concat([named, counts.drop(columns="code")], axis=1)


def failures_over_time(book: Ledger, *, bins: int = 48, **filters: Any) -> pd.DataFrame:
    """Final failures by time and kind: columns `start` (UTC), `seconds` (the bin's width), `kind`, `calls` that failed
    so, `of` (calls that ended then), `share`."""
    import pandas as pd  # slow to import, and only readers need it

    calls = columns.calls(book, ["started_at", "status", "kind"], **filters)
    calls = calls[calls["status"].isin(["ok", "failed"])]
    start, width = binned(calls["started_at"].to_numpy(), bins)
    frame = pd.DataFrame({"start": start, "kind": calls["kind"].astype(object).fillna("bug").to_numpy()})
    of = frame.groupby("start").size()
    bad = frame[(calls["status"] == "failed").to_numpy()]
    counts = bad.groupby(["start", "kind"], as_index=False).size().rename(columns={"size": "calls"})
    counts["of"] = counts["start"].map(of).astype(int)
    counts["share"] = counts["calls"] / counts["of"]
    counts["start"] = utc(counts["start"])
    counts.insert(1, "seconds", width)
    return counts


def rate_limits(book: Ledger, *, bins: int = 48, **filters: Any) -> pd.DataFrame:
    """Requests that were told to come more slowly, by time and model: columns `start` (UTC), `seconds`, `model`,
    `requests`, `longest` (seconds that a provider asked to wait)."""

    names = ["started_at", "kind", "model", "retry_after"]
    _calls, tried = columns.both(book, ["status"], names, **filters)
    start, width = binned(tried["started_at"].to_numpy(), bins)
    tried = tried.assign(start=start)[tried["kind"] == "rate_limit"]
    by_time = tried.groupby(["start", "model"], as_index=False, observed=True)
    limits = by_time.agg(requests=("at", "size"), longest=("retry_after", "max"))
    limits["model"] = limits["model"].astype(object)
    limits["start"] = utc(limits["start"])
    limits.insert(1, "seconds", width)
    return limits
