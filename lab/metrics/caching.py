"""What the cache saved, and what it spoiled."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab import stats
from lab.ledger import cached, queries
from lab.ledger.file import Ledger
from lab.metrics.wording import money, share
from lab.show import units
from lab.show.text import one_line
from lab.stats import certificates

if TYPE_CHECKING:
    import pandas as pd

_SAVED = """
    SELECT coalesce(sum(cached_as = 'exact'), 0) AS exact, coalesce(sum(cached_as = 'near'), 0) AS near,
        coalesce(sum(saved), 0.0) AS usd, coalesce(sum(saved_seconds), 0.0) AS seconds,
        coalesce(sum(saved IS NULL), 0) AS unknown FROM calls
"""
_HIT = "cached_as IN ('exact', 'near')"
"""As the index of hits says it."""
_COMPARED = """
    SELECT count(*) AS n, coalesce(sum(wrong), 0) AS wrong FROM cache_labels WHERE lane = :lane
    AND embedder = :embedder AND rule = :rule AND wrong IS NOT NULL AND how <> 'given' AND closeness >= :closeness
    AND at >= :since
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What came out of the cache: of so many `calls`, `exact` and `near` hits; the US dollars (`usd`; of `unknown`
    hits it isn't known) and `seconds` that they had taken; what is kept now, `entries` of `megabytes`.

    `compared` would-be hits of what is served were asked all the same, and for `wrong` of them the kept answer would
    not have done: `false_hits` is their share with its 95 % interval. `lanes` is a row a prompt version: `lane`,
    `state` (serving, calibrating, refused, stopped), `allowed`, `labels`, `wrong`, `high`, `missing`, `compared`,
    `compared_wrong`, `embedder`, `since`. `last_wrong` are the last of the wrong ones, both requests and both answers;
    `open` comparisons wait for a person."""

    calls: int
    exact: int
    near: int
    usd: float
    unknown: int
    seconds: float
    entries: int
    megabytes: float
    compared: int
    wrong: int
    lanes: pd.DataFrame
    last_wrong: Sequence[Mapping[str, Any]]
    open: int

    @property
    def false_hits(self) -> stats.Interval:
        """The share of near hits that were wrong, as far as they were compared (Wilson's interval)."""
        return stats.wilson(self.wrong, self.compared)

    def lines(self) -> list[str]:
        """All of it, in words."""
        hits, usd = self.exact + self.near, money(self.usd)
        part = f" ({hits / self.calls:.1%})" if self.calls else ""
        lines = [
            f"{hits:,} of {self.calls:,} calls came out of the cache{part}: {self.exact:,} exact, {self.near:,} near"
        ]
        unknown = f", and what {self.unknown:,} hits had cost, which isn't known" if self.unknown else ""
        lines.append(f"saved: {usd} and {units.duration(self.seconds)}{unknown}")
        false = self.false_hits
        if self.compared:
            said = share(false.estimate, false.low, false.high)
            lines.append(f"near hits that were wrong: {said}, {self.wrong:,} of {self.compared:,} that were compared")
        for row in self.lanes.to_dict("records"):
            more = f", {row['missing']:,} labels are missing" if row["missing"] else ""
            lines.append(
                f"{row['lane']}: {row['state']}; at most {row['allowed']:.1%} may be wrong, {row['wrong']:,} of"
                f" {row['labels']:,} labels are{more}"
            )
        lines += [f"pairs of answers that a person is to compare: {self.open:,}"] if self.open else []
        lines.append(f"kept now: {self.entries:,} answers, {self.megabytes:.1f} MB")
        return lines

    def __str__(self) -> str:
        wrong = [
            f"  {row['lane']}: {one_line(row['asked'], 60)!r} -> {one_line(row['answer'] or '', 40)!r}, kept:"
            f" {one_line(row['kept_asked'], 60)!r} -> {one_line(row['kept_answer'] or '', 40)!r}"
            for row in self.last_wrong[:3]
        ]
        return "\n".join([*self.lines(), *(["the last wrong ones:", *wrong] if wrong else [])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "".join(f"<div>{html.escape(line)}</div>" for line in self.lines())
        if not self.last_wrong:
            return lines
        cell = '<td style="text-align:left;vertical-align:top;max-width:28em;white-space:pre-wrap">'
        sides = (
            (_side(row["kept_asked"], row["kept_answer"]), _side(row["asked"], row["answer"]))
            for row in self.last_wrong[:5]
        )
        rows = "".join(f"<tr>{cell}{kept}</td>{cell}{fresh}</td></tr>" for kept, fresh in sides)
        head = "<tr><th>kept</th><th>asked all the same: the kept answer would not have done</th></tr>"
        return f"{lines}<table>{head}{rows}</table>"


def _side(asked: str | None, answer: str | None) -> str:
    """A request and its answer, as a cell."""
    texts = [html.escape(one_line(text or "not kept", 200)) for text in (asked, answer)]
    return f"{texts[0]}<br><b>{texts[1]}</b>"


def saved(book: Ledger, *, last: int = 10, **filters: Any) -> Saved:
    """What the cache saved and spoiled; filters as in `lab.ledger.queries.calls`, of which `since` narrows the
    comparisons, too. `last` wrong hits are told in full."""
    import pandas as pd  # slow to import, and only readers need it

    where, values = queries.filtered(**filters)
    (figures,) = book.query(f"{_SAVED}{where or ' WHERE'}{' AND' if where else ''} {_HIT}", values)
    since = filters.get("since")
    begin = 0.0 if since is None else since.timestamp() if hasattr(since, "timestamp") else float(since)
    rows = [_lane(book, lane, begin) for lane in cached.lanes(book)]
    columns = "lane state allowed labels wrong high missing compared compared_wrong embedder since".split()
    lanes = pd.DataFrame(rows, columns=columns)
    (size,) = book.query("SELECT entries, bytes FROM cache_size")
    return Saved(
        calls=queries.count(book, **filters),
        **{name: figures[name] for name in ("exact", "near", "usd", "unknown", "seconds")},
        entries=size["entries"],
        megabytes=size["bytes"] / 1e6,
        compared=int(lanes["compared"].sum()),
        wrong=int(lanes["compared_wrong"].sum()),
        lanes=lanes,
        last_wrong=cached.wrong_hits(book, last, begin),
        open=cached.waiting(book),
    )


def _lane(book: Ledger, lane: cached.Lane, since: float) -> dict[str, Any]:
    """How one lane stands, and what its near hits spoiled since then."""
    stands = cached.standing(book, lane)
    last = stands.holds or stands.last
    state = "serving" if stands.holds else "stopped" if stands.broken else "refused" if stands.last else "calibrating"
    missing = certificates.missing(lane.share, None, stands.looked_at, stands.labels, stands.best)
    least, begin = math.inf, since
    if stands.holds:
        least, begin = stands.holds["closeness"], max(since, stands.holds["given_at"])
    (compared,) = book.query(_COMPARED, {**lane.columns(), "closeness": least, "since": begin})
    return {
        "lane": lane.name,
        "state": state,
        "allowed": lane.share,
        "labels": stands.labels,
        "wrong": stands.wrong,
        "high": last["high"] if last else math.nan,
        "missing": 0 if stands.holds else missing,
        "compared": compared["n"],
        "compared_wrong": compared["wrong"],
        "embedder": lane.embedder,
        "since": (last or {}).get("given_at"),
    }
