"""Alerts: rules over the figures, kept in a file; what fires now, and what it says.

They look at what users feel, calls as they ended, and at nothing that retries recovered. A share or a percentile fires
by the low end of its 95 % interval, so that three failures out of four calls at night wake nobody.
"""

from __future__ import annotations

import os
import time
import tomllib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab import stats
from lab.ledger.cached import last_compared, stopped
from lab.ledger.file import Ledger
from lab.ledger.queries import spent
from lab.ledger.routers import versions
from lab.metrics.figures import Part, metrics
from lab.metrics.rule import PERCENTILES, SHARE_OF, Rule
from lab.show import units
from lab.show.text import one_line

BUILT_IN = Path(__file__).with_name("alerts.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A rule that fires: for which `group`, its `value` now, what it was in the `past` (None where that is not asked or
    not known), over how many calls, and all of it as a sentence."""

    name: str
    figure: str
    group: str
    value: float
    limit: float
    past: float | None
    n: int
    at: float
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self)


def load(path: str | Path | None = None, ledger: Path | None = None) -> list[Rule]:
    """The rules of a file: `path`, `$LAB_ALERTS`, `alerts.toml` beside the ledger, or those that come with the lab.

    Raises `ValueError` that says what is wrong with which rule.
    """
    chosen = path or os.environ.get("LAB_ALERTS")
    if not chosen and ledger is not None and (beside := ledger.with_name("alerts.toml")).exists():
        chosen = beside
    file = Path(chosen) if chosen else BUILT_IN
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as odd:
        raise ValueError(f"{file} can't be read: {odd.strerror}") from odd
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as odd:
        raise ValueError(f"{file} is no TOML: {odd}") from odd
    listed = content.get("alert")
    if set(content) - {"alert"} or not isinstance(listed, list) or not all(isinstance(table, dict) for table in listed):
        raise ValueError(f"{file}: [[alert]] tables, and nothing else")
    from lab.metrics.rulefile import rule_of  # pydantic is slow to import, and only readers of rules need it

    return [rule_of(table, f"{file}, alert {number}") for number, table in enumerate(listed, 1)]


JobFigures = Callable[[float], "Mapping[str, Any] | None"]
"""What there is to say of jobs, since a moment in Unix seconds: `dead` webhooks (a list of what is said of each), how
many jobs are `waiting`, and for how many seconds the `oldest`; None where there are none."""


def firing(
    book: Ledger, rules: Sequence[Rule], now: float | None = None, *, jobs: JobFigures | None = None
) -> list[Alert]:
    """The alerts that fire at `now` (Unix seconds), in the rules' order; those of jobs, where these are handed in."""
    return _Look(book, time.time() if now is None else now, jobs).all(rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a rule is from firing: the `group` that is nearest, its `value` (the low end of its interval, where it
    has one) and the `limit`; None where nothing has happened yet that it could be held against. `share` is the value's
    part of the limit: from 1 on it fires."""

    rule: Rule
    group: str | None = None
    value: float | None = None
    limit: float | None = None
    fires: bool = False

    @property
    def share(self) -> float:
        """Of the way to the limit."""
        if self.fires:
            return 1.0
        if self.value is None or self.limit is None:
            return 0.0
        return min(0.99, self.value / self.limit) if self.limit > 0 else 0.0

    def say(self) -> str:
        """In words: the value, and the limit."""
        if self.value is None or self.limit is None:
            return "nothing to go by yet"
        if self.rule.figure in ("auth", "quota", "webhook", "cache", "router"):
            return f"{self.value:,.0f}, fires above {self.limit:,.0f}"
        say = units.duration if self.rule.figure in (*PERCENTILES, "waiting", "queue") else _percent
        return f"{say(self.value)}, fires above {say(self.limit)}"


def standing(
    book: Ledger, rules: Sequence[Rule], now: float | None = None, *, jobs: JobFigures | None = None
) -> list[Standing]:
    """How far each rule is from firing, in their order."""
    look = _Look(book, time.time() if now is None else now, jobs)
    return [look.standing(rule) for rule in rules]


class _Look:
    """One look at the ledger: figures that several rules want are made once."""

    def __init__(self, book: Ledger, now: float, jobs: JobFigures | None):
        self._book, self._now, self._jobs = book, now, jobs
        self._known: dict[Any, dict[str, dict[Hashable, Any]]] = {}

    def all(self, rules: Sequence[Rule]) -> list[Alert]:
        return [alert for rule in rules for alert in self._of(rule)]

    def _figures(self, figure: str, by: str, start: float, end: float) -> dict[str, dict[Hashable, Any]]:
        parts = _NEEDS.get(figure, ("times",))
        key = (parts, by, start, end)
        if key not in self._known:
            frame = metrics(self._book, since=start, until=end, by=(by,), only=parts)
            rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
            self._known[key] = {str(row[by]) if row[by] is not None else "none": row for row in rows}
        return self._known[key]

    def _of(self, rule: Rule) -> list[Alert]:
        if rule.figure == "spent":
            return self._spent(rule)
        if rule.figure in ("auth", "quota"):
            return self._kind(rule)
        if rule.figure == "waiting":
            return self._waiting(rule)
        if rule.figure == "cache":
            return self._cache(rule)
        if rule.figure == "router":
            return self._routers(rule)
        if rule.figure in ("webhook", "queue"):
            return self._of_jobs(rule)
        begin = self._now - rule.over
        recent = self._figures(rule.figure, rule.by, begin, self._now)
        before = self._figures(rule.figure, rule.by, begin - rule.past, begin) if rule.times is not None else {}
        alerts = (self._risen(rule, group, row, before.get(group)) for group, row in recent.items())
        return [alert for alert in alerts if alert is not None]

    def standing(self, rule: Rule) -> Standing:
        """How far one rule is from firing."""
        fired = self._of(rule)
        if fired:
            worst = max(fired, key=lambda alert: alert.value / alert.limit if alert.limit else alert.value)
            return Standing(rule=rule, group=worst.group, value=worst.value, limit=worst.limit, fires=True)
        if rule.figure == "spent":
            usd, budget = self._usd(rule)
            return Standing(rule=rule, group=rule.per, value=usd / budget if budget else 0.0, limit=rule.above or 0.0)
        if rule.figure not in SHARE_OF and rule.figure not in PERCENTILES:
            return self._counted(rule)
        begin = self._now - rule.over
        recent = self._figures(rule.figure, rule.by, begin, self._now)
        before = self._figures(rule.figure, rule.by, begin - rule.past, begin) if rule.times is not None else {}
        nearest = Standing(rule=rule)
        for group, row in recent.items():
            held = self._held(rule, row, before.get(group))
            if held is not None:
                here = Standing(rule=rule, group=group, value=held[1], limit=held[3])
                nearest = max(nearest, here, key=lambda standing: (standing.value is not None, standing.share))
        return nearest

    def _counted(self, rule: Rule) -> Standing:
        """How far a rule is that counts, or measures a wait: what it would say of any group at all."""
        limit = rule.above or 0.0
        if rule.figure in ("cache", "router"):  # something is stopped, or nothing is
            return Standing(rule=rule, value=0.0, limit=limit)
        anything = self._of(replace(rule, above=-1.0, least=1))
        most = max(anything, key=lambda alert: alert.value, default=None)
        if most is None:
            return Standing(rule=rule, value=0.0, limit=limit)
        return Standing(rule=rule, group=most.group, value=most.value, limit=limit)

    def _waiting(self, rule: Rule) -> list[Alert]:
        """Of calls that wait, however long already: those that a dead process left are too old for `over` some time."""
        rows = self._grouped(
            rule,
            "count(*) AS n, ? - min(started_at) AS oldest",
            "status = 'running' AND NOT EXISTS (SELECT 1 FROM attempts WHERE attempts.call_id = calls.call_id)",
            [self._now],
        )
        alerts = []
        for row in rows:
            if row["n"] >= rule.least and row["oldest"] > (rule.above or 0.0):
                wait = units.seconds(row["oldest"])
                message = f"{row['name']}: {row['n']:,} calls wait for their first request, the oldest for {wait}"
                alerts.append(self._alert(rule, row["name"], row["oldest"], rule.above or 0.0, None, row["n"], message))
        return alerts

    def _grouped(self, rule: Rule, figures: str, where: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        """Rows of calls in the rule's time, by what it is looked at by."""
        name, tags = f"calls.{rule.by}", ""
        if rule.by == "tag":
            name, tags = "call_tags.tag", " JOIN call_tags ON call_tags.id = calls.id"
        return self._book.query(
            f"SELECT coalesce({name}, 'none') AS name, {figures} FROM calls{tags}"
            f" WHERE {where} AND started_at >= ? AND started_at < ? GROUP BY 1 ORDER BY 2 DESC",
            [*values, self._now - rule.over, self._now],
        )

    def _risen(self, rule: Rule, group: str, row: Mapping[Any, Any], before: Mapping[Any, Any] | None) -> Alert | None:
        held = self._held(rule, row, before)
        if held is None:
            return None
        value, low, n, limit, past = held
        if low <= limit:
            return None
        say = units.seconds if rule.figure in PERCENTILES else _percent
        was = "" if past is None else f", {say(past)} before"
        name = rule.figure.replace("_", " ") if rule.figure in PERCENTILES else _WORDS[rule.figure]
        message = f"{group}: {name} {say(value)}{was} ({n:,} calls in {_span(rule.over)})"
        return self._alert(rule, group, value, limit, past, n, message)

    @staticmethod
    def _held(
        rule: Rule, row: Mapping[Any, Any], before: Mapping[Any, Any] | None
    ) -> tuple[float, float, int, float, float | None] | None:
        """What a group is held against: its value, the low end of that, its calls, the limit, and what it was before;
        None where there is too little to go by."""
        value, low, _high, n = _measured(rule.figure, row)
        if n < rule.least or low is None or value is None:
            return None
        limit, past = rule.above or 0.0, None
        if rule.times is not None:
            then, _low, high, many = _measured(rule.figure, before) if before else (None, None, None, 0)
            if many >= rule.least and then is not None:
                past = then
                limit = max(limit, rule.times * (high if rule.figure in PERCENTILES and high is not None else then))
            elif rule.above is None:
                return None  # no past of its own, and nothing else to be held against
        return value, low, n, limit, past

    def _kind(self, rule: Rule) -> list[Alert]:
        where = "kind = ? AND status = 'failed'"
        rows = self._grouped(rule, "count(*) AS n, max(error) AS error", where, [rule.figure])
        alerts = []
        for row in rows:
            if row["n"] > (rule.above or 0) and row["n"] >= rule.least:
                why = one_line(row["error"] or "", 160)
                message = f"{row['name']}: {row['n']:,} calls failed ({rule.figure}) in {_span(rule.over)}: {why}"
                alerts.append(self._alert(rule, str(row["name"]), row["n"], rule.above or 0.0, None, row["n"], message))
        return alerts

    def _cache(self, rule: Rule) -> list[Alert]:
        """Of certificates that were broken, each."""
        alerts = []
        for row in stopped(self._book, self._now - rule.over, self._now):
            wrong, many = last_compared(self._book, row)
            share = wrong / many
            message = (
                f"{row['lane']}: near hits are no longer served: {wrong:,} of the last {many:,} that were compared were"
                f" wrong, and {row['share']:.1%} may be"
            )
            alerts.append(self._alert(rule, row["lane"], share, row["share"], None, row["checked"], message))
        return alerts

    def _routers(self, rule: Rule) -> list[Alert]:
        """Of routers whose newest version chooses no more, each, until it is fitted again."""
        newest = {version.name: version for version in reversed(versions(self._book))}
        return [
            self._alert(rule, version.name, 1.0, 0.0, None, 0, f"all goes to {version.models[-1]}: {version.wrong}")
            for version in newest.values()
            if version.wrong is not None
        ]

    def _of_jobs(self, rule: Rule) -> list[Alert]:
        """Of webhooks that were given up, and of a queue that nobody works off."""
        figures = self._jobs(self._now - rule.over) if self._jobs is not None else None
        if figures is None:
            return []
        above = rule.above or 0.0
        if rule.figure == "webhook":
            dead = figures["dead"]
            if len(dead) <= above or len(dead) < rule.least:
                return []
            what = f"{len(dead):,} webhook{'' if len(dead) == 1 else 's'} given up in {_span(rule.over)}"
            message = f"{what}, the last: {one_line(dead[0], 160)}"
            return [self._alert(rule, "jobs", len(dead), above, None, len(dead), message)]
        if figures["waiting"] < rule.least or figures["oldest"] <= above:
            return []
        wait = units.duration(figures["oldest"])
        message = f"{figures['waiting']:,} jobs wait for a worker, the oldest for {wait}"
        return [self._alert(rule, "jobs", figures["oldest"], above, None, figures["waiting"], message)]

    def _usd(self, rule: Rule) -> tuple[float, float]:
        """US dollars of today, or of this month; and the budget."""
        day = datetime.fromtimestamp(self._now, UTC)
        days = (
            [day.date().isoformat()] if rule.per == "day" else [f"{day:%Y-%m}-{n:02d}" for n in range(1, day.day + 1)]
        )
        return sum(spent(self._book, "day", date) for date in days), rule.usd or 0.0

    def _spent(self, rule: Rule) -> list[Alert]:
        usd, budget = self._usd(rule)
        if usd <= (rule.above or 0.0) * budget:
            return []
        span = "today" if rule.per == "day" else "this month"
        message = f"{units.dollars(usd)} of {units.dollars(budget)} spent {span} (UTC), {usd / budget:.0%}"
        return [self._alert(rule, rule.per, usd / budget, rule.above or 0.0, None, 0, message)]

    def _alert(
        self, rule: Rule, group: str, value: float, limit: float, past: float | None, n: int, message: str
    ) -> Alert:
        numbers: dict[str, Any] = {"value": float(value), "limit": float(limit), "past": past, "n": int(n)}
        return Alert(name=rule.name, figure=rule.figure, group=group, message=message, at=self._now, **numbers)


_NEEDS: dict[str, tuple[Part, ...]] = {
    "failed": ("outcomes",),
    **{"fallback": ("outcomes", "requests"), "invalid": ("outcomes", "requests")},
}
_WORDS = {"failed": "failed", "fallback": "answered by a fallback", "invalid": "answers that fail their checks"}


def _measured(figure: str, row: Mapping[str, Any]) -> tuple[float | None, float | None, float | None, int]:
    """The value, the ends of its interval, and how many calls stand behind it."""
    if figure in PERCENTILES:
        return row[figure], row[f"{figure}_low"], row[f"{figure}_high"], row["answers"]
    part, whole = SHARE_OF[figure]
    n = int(row[whole] or 0)
    if not n:
        return None, None, None, 0
    count = row[part] if figure == "failed" else round((row[part] or 0.0) * n)
    interval = stats.wilson(int(count), n)
    return interval.estimate, interval.low, interval.high, n


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _span(seconds: float) -> str:
    for unit, many in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= many and seconds % many == 0:
            return f"{seconds / many:.0f} {unit}"
    return f"{seconds:g} s"
