"""What this month has cost so far, and where it is going."""

from __future__ import annotations

import calendar
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from lab.ledger import columns
from lab.ledger.file import Ledger
from lab.metrics.rule import Rule
from lab.show.moments import utc

if TYPE_CHECKING:
    import pandas as pd

LOOKED_BACK = 7
"""Days whose mean the rest of the month is taken to be like."""


@dataclass(frozen=True, slots=True)
class Month:
    """`days` is a row a UTC day from the month's first to its last: columns `start` (UTC), `kind` (`spent`, `today`,
    which is not over, or `projected`), `cost` of the day and `total` since the month began (US dollars, as far as
    prices are known). `spent` so far, `projected` at its end; `daily` is what the projection adds a day."""

    days: pd.DataFrame
    spent: float
    projected: float
    daily: float


def month(book: Ledger, now: float | None = None, **filters: Any) -> Month:
    """This UTC month: what was spent, and what it comes to if the days to come are like the last `LOOKED_BACK` whole
    ones (fewer, where the ledger is younger; without a whole day, like today's rate so far)."""
    import pandas as pd  # slow to import, and only readers need it

    at = datetime.fromtimestamp(time.time() if now is None else now, UTC)
    today = at.replace(hour=0, minute=0, second=0, microsecond=0)
    first = today.replace(day=1)
    back = min(first, today - timedelta(days=LOOKED_BACK))
    frame = columns.calls(
        book, ["started_at", "cost"], **{**filters, "since": back.timestamp(), "until": at.timestamp()}
    )
    started = frame["started_at"].to_numpy()
    place = ((started - back.timestamp()) // 86_400).astype(np.int64)
    many = (today - back).days + 1
    cost = np.bincount(place, weights=np.nan_to_num(frame["cost"].to_numpy()), minlength=many)[:many]
    ((oldest,),) = book.rows("SELECT min(started_at) FROM calls")
    begun = many - 1 if oldest is None else max(0, int((oldest - back.timestamp()) // 86_400))
    whole = cost[max(begun, many - 1 - LOOKED_BACK) : many - 1]
    gone = max((at - today).total_seconds() / 86_400, 1 / 24)
    daily = float(whole.mean()) if len(whole) else float(cost[-1]) / gone
    of_month = cost[(first - back).days :]
    length = calendar.monthrange(at.year, at.month)[1]
    rest = max(0.0, daily - float(of_month[-1]))  # of today
    rows, total = [], 0.0
    for number in range(length):
        start = (first + timedelta(days=number)).timestamp()
        if number < len(of_month):
            kind, spent = "today" if number == len(of_month) - 1 else "spent", float(of_month[number])
        else:
            kind, spent = "projected", daily
            total += rest if number == len(of_month) else 0.0
        total += spent
        rows.append({"start": start, "kind": kind, "cost": spent, "total": total})
    days = pd.DataFrame(rows, columns=["start", "kind", "cost", "total"])
    days["start"] = utc(days["start"])
    projected = total if length > len(of_month) else total + rest
    return Month(days, float(of_month.sum()), projected, daily)


def budgets(rules: list[Rule]) -> dict[str, float]:
    """The budgets that the rules of alerts watch: US dollars by `day` and `month`, as far as there are any."""
    smallest: dict[str, float] = {}
    for rule in rules:
        if rule.figure == "spent" and rule.usd:
            smallest[rule.per] = min(rule.usd, smallest.get(rule.per, rule.usd))
    return smallest
