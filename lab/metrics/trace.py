"""One call from intake to outcome: its row, its attempts, what the checks found, what was said, and when it all was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lab.ledger import queries
from lab.ledger.file import Ledger
from lab.show import units
from lab.show.text import one_line
from lab.show.timeline import Bar, timeline_html, timeline_text

if TYPE_CHECKING:
    import pandas as pd

WAIT, CONNECT, FIRST, THINK, REST = "waiting", "connect", "first token", "thinking", "generation"
WHOLE = "until its end"
BATCH = "in a batch"


@dataclass(frozen=True, slots=True)
class Trace:
    """A call as the ledger has it. `call` is its row, `attempts` and `checks` are DataFrames, `said` is what was asked
    and answered; `bars` is the timeline: one bar an attempt, its parts in seconds from the call's beginning."""

    call: dict[str, Any]
    attempts: pd.DataFrame = field(repr=False)
    checks: pd.DataFrame = field(repr=False)
    said: dict[str, Any] = field(repr=False)
    bars: tuple[Bar, ...] = field(repr=False)

    @property
    def head(self) -> str:
        """The call in one line."""
        call = self.call
        outcome = call["status"] if call["kind"] is None else f"{call['status']}: {call['kind']}"
        detail = call["phase"] or call["reason"]
        sent = f" to {call['routed_to']}" if call["routed_to"] else ""
        parts = [one_line(f"{call['model']}{sent}", 80), outcome + (f" ({detail})" if detail else "")]
        if call["elapsed"] is not None:
            parts.append(f"{units.seconds(call['elapsed'])} in all")
        many = len(self.attempts)
        parts.append(f"{many} attempt{'' if many == 1 else 's'}")
        parts.append(self._paid())
        return " · ".join(parts)

    def _paid(self) -> str:
        call = self.call
        if not call["cached"]:
            return units.dollars(call["cost"])
        if call["cached_as"] not in ("exact", "near"):
            return "out of the store"
        saved = "" if call["saved"] is None else f", saved {units.dollars(call['saved'])}"
        of = f", the answer of call {call['cached_from']}" if call["cached_from"] else ""
        return f"out of the cache ({call['cached_as']}){of}{saved}"

    def df(self) -> pd.DataFrame:
        """The timeline as a table: columns `attempt`, `part`, `start`, `end` (seconds from the call's beginning)."""
        import pandas as pd  # slow to import, and only readers need it

        rows = [
            {"attempt": bar.label, "part": part, "start": start, "end": end}
            for bar in self.bars
            for part, start, end in bar.parts
        ]
        return pd.DataFrame(rows, columns=["attempt", "part", "start", "end"])

    def __str__(self) -> str:
        return "\n".join([f"call {self.call['call_id']}", self.head, *timeline_text(self.bars)])

    def __repr__(self) -> str:
        return f"<Trace {self.call['call_id']} {one_line(self.head, 200)}>"

    def _repr_html_(self) -> str:
        return timeline_html(f"call {self.call['call_id']}", self.head, self.bars)


def trace(book: Ledger, call_id: str) -> Trace:
    """One call by its identifier, or by the beginning of it. Raises `ValueError` where there is none, or several."""
    given = str(call_id)
    rows = book.rows("SELECT call_id FROM calls WHERE call_id = ?", [given])
    if not rows and len(given) >= 6:
        end = given + "\U0010ffff"
        rows = book.rows("SELECT call_id FROM calls WHERE call_id >= ? AND call_id < ? LIMIT 2", [given, end])
    if len(rows) != 1:
        many = "no call" if not rows else "more than one call"
        raise ValueError(f"{many} {one_line(given, 80)!r} on this ledger: see lab.calls()")
    identity = rows[0][0]
    row = queries.call(book, identity)
    attempts, checks = queries.attempts(book, identity), queries.checks(book, identity)
    texts = queries.texts(book, identity) or {}
    return Trace(row, attempts, checks, texts, bars_of(row, attempts, checks))


def bars_of(call: dict[str, Any], attempts: pd.DataFrame, checks: pd.DataFrame) -> tuple[Bar, ...]:
    """A bar an attempt, its parts in seconds from the call's beginning."""
    began = call["started_at"]
    queue, bars = call["queue"], []
    for row in attempts.to_dict("records"):
        sent = row["started_at"].timestamp() - began
        wait = float(row["wait"] or 0.0) if row["number"] > 1 else float(queue or 0.0)
        parts = [(WAIT, max(0.0, sent - wait), max(0.0, sent))] if wait > 0 else []
        at = sent = max(0.0, sent)
        seen = _known(row["ttft"])
        last = REST if seen else WHOLE
        answer = row["ttft"] + row["thinking"] if seen and _known(row["thinking"]) else None
        for part, until in (
            (CONNECT, row["connect"]),
            (FIRST, row["ttft"]),
            (THINK, answer),
            (last, row["latency"]),
        ):
            if until == until and until is not None and sent + until > at:
                parts.append((part, at, sent + until))
                at = sent + until
        if row["way"] == "batch":
            later = [after for after in attempts["started_at"] if after > row["started_at"]]
            until = later[0].timestamp() - began if later else call["elapsed"] or sent
            parts.append((BATCH, sent, max(sent, until)))
        checked = checks[checks["attempt"] == row["number"]]
        bars.append(
            Bar(
                label=f"{row['number']} {row['role']}",
                model=row["model"],
                parts=tuple(parts),
                outcome=_outcome(row),
                good=bool(row["won"]),
                notes=tuple(_note(check) for check in checked.to_dict("records")),
            )
        )
    return tuple(bars)


def _known(value: Any) -> bool:
    return value is not None and value == value


def _outcome(row: Mapping[Any, Any]) -> str:
    if row["won"]:
        return "won"
    kind = row["kind"] if isinstance(row["kind"], str) else None
    detail = next((row[name] for name in ("phase", "reason") if isinstance(row[name], str)), None)
    known = row["http_status"] is not None and row["http_status"] == row["http_status"]
    status = f" {row['http_status']:.0f}" if known else ""
    return (kind or row["status"]) + (f" ({detail})" if detail else "") + (status if kind else "")


def _note(check: dict[str, Any]) -> str:
    message = "" if check["passed"] or not isinstance(check["message"], str) else f": {check['message']}"
    return f"{check['name']} {'passed' if check['passed'] else 'failed'}{one_line(message, 120)}"
