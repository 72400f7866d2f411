"""The near hits of one prompt: what is known of them, and labels that you have."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from lab.call.near.certifying import look, watch
from lab.call.near.rule import RULE, signature
from lab.call.near.words import LEAST, MESSAGES, cosine_of, embedder_of
from lab.ledger import answers, cached
from lab.ledger.file import Ledger
from lab.ledger.narrowing import is_name, named_version
from lab.policies.cache import Near

Pair = tuple[Any, Any, bool] | Mapping[str, Any] | Any
"""Two requests (texts, or a prompt's variables by name), and whether one answer serves both: `(a, b, same)`, a row with
these names, or a case of an eval set whose input is `a` and `b` and whose expectation `same` or `different`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What labels show for one lane. Of the `pairs` that were given `hits` pass the rule on what differs and are close:
    only those say something. `n` labels lie within what is served (else within what was tested), `wrong` of them, and
    their share is at most `high`. `closeness` is where serving begins, None for nowhere; `missing` labels, none of them
    wrong, would be the least for the next look. `looked`: there was a look, since the last certificate was `broken`, or
    ever.
    """

    lane: str
    share: float
    pairs: int
    hits: int
    labels: int
    n: int
    wrong: int
    high: float
    closeness: float | None
    missing: int
    looked: bool
    broken: bool

    @property
    def serving(self) -> bool:
        """Whether near hits are served now."""
        return self.closeness is not None

    def __str__(self) -> str:
        begun = f"{self.lane}: " + (f"{self.hits:,} of {self.pairs:,} pairs are would-be hits; " if self.pairs else "")
        if self.closeness is not None:
            order, cosine = divmod(self.closeness, 1)
            return (
                f"{begun}near hits are served, at most {self.share:.1%} of them wrong: {self.wrong:,} of {self.n:,}"
                f" labels are, so no more than {self.high:.2%} (95 %); from a cosine of {cosine:.2f}"
                f"{', the words in the same order' if order else ''}"
            )
        why = [f"{self.wrong:,} of {self.n:,} labels are wrong, so up to {self.high:.2%} may be"] if self.looked else []
        why += ["what had been certified no longer held"] if self.broken else []
        why += [f"{self.missing:,} more labels are needed before the next look"] if self.missing else []
        return f"{begun}no near hit is served, where at most {self.share:.1%} may be wrong: {'; '.join(why)}"


class CacheLane:
    """The near hits of one prompt version, or of the calls without a prompt: `print` it to see how they stand."""

    def __init__(self, book: Ledger, name: str, near: Near, embed: Callable[[Any, str], bytes]):
        """Raises `ValueError` where there is no such version."""
        self._book, self._near, self._embed = book, near, embed
        self.lane = cached.Lane(
            name=_versioned(book, name), embedder=embedder_of(near), rule=RULE, share=near.false_hits
        )

    def calibrate(self, pairs: Iterable[Pair]) -> Calibration:
        """Take labels that you have, and look at what all labels now show: see `lab.cache`. Draw them from the traffic
        that they are to speak for; a pair counts once. All looks of a lane share the 5 % of certificates that may be
        wrong: one look at many labels shows more than many looks. Raises `ValueError`, naming the pair that can't be
        used."""
        rows = [_pair(number, pair) for number, pair in enumerate(pairs)]
        labels: list[tuple[float, bool, str]] = []
        for one, other, same in rows:
            marks = signature(one), signature(other)
            if marks[0] is None or marks[1] is None or marks[0].words != marks[1].words:
                continue
            vectors = [self._embed(self._near.embed, "\n".join(texts)) for texts in (one, other)]
            cosine = cosine_of(*vectors) if len(vectors[0]) == len(vectors[1]) else 0.0
            if cosine >= LEAST:
                closeness = round(min(cosine, 0.9999) + (marks[0] == marks[1]), 4)
                labels.append((closeness, same, answers.hashed(json.dumps(sorted((one, other))))))
        import_module("lab.stats")  # slow to import: not while the ledger waits

        def put(db: sqlite3.Connection) -> None:
            for closeness, same, pair in labels:
                if cached.put_label(db, self.lane, closeness, not same, "given", pair=pair):
                    watch(db, self.lane, closeness, not same)

        self._book.transact(put).result()
        if labels:
            look(self._book, self.lane, self._near.labels, now=True)
        return self.now(pairs=len(rows), hits=len(labels))

    def now(self, *, pairs: int = 0, hits: int = 0) -> Calibration:
        """How it stands, by the last look."""
        return standing(self._book, self.lane, self._near.labels, pairs=pairs, hits=hits)

    def __repr__(self) -> str:
        return str(self.now())


def standing(book: Ledger, lane: cached.Lane, first: int | None, *, pairs: int = 0, hits: int = 0) -> Calibration:
    """How a lane stands, by its last look."""
    from lab.stats import certificates  # slow to import, and only readers need it

    stands = cached.standing(book, lane)
    last = stands.holds or stands.last
    missing = certificates.missing(lane.share, first, stands.looked_at, stands.labels, stands.best)
    return Calibration(
        lane=lane.name,
        share=lane.share,
        pairs=pairs,
        hits=hits,
        labels=stands.labels,
        n=last["n"] if last else stands.labels,
        wrong=last["wrong"] if last else stands.wrong,
        high=last["high"] if last else 1.0,
        closeness=stands.holds["closeness"] if stands.holds else None,
        missing=0 if stands.holds else missing,
        looked=last is not None,
        broken=stands.holds is None and stands.broken is not None,
    )


def _versioned(book: Ledger, name: str) -> str:
    """A lane's name, from a prompt's: its last version, unless it says one; of a prompt that is to come, the first."""
    if name == MESSAGES:
        return name
    plain, version = named_version(name)
    ((last,),) = book.rows("SELECT max(version) FROM prompts WHERE name = ?", [plain])
    if not is_name(plain) or (version is not None and not 1 <= version <= (last or 1)):
        raise ValueError(
            f"lab.cache({name!r}): no such prompt on this ledger; {MESSAGES!r} is for calls without a prompt"
        )
    return f"{plain}@{version or last or 1}"


def _pair(number: int, pair: Any) -> tuple[Sequence[str], Sequence[str], bool]:
    given, expected = getattr(pair, "input", None), getattr(pair, "expected", None)
    if isinstance(given, Mapping) and set(given) == {"a", "b"} and expected in ("same", "different"):
        pair = (given["a"], given["b"], expected == "same")  # a case of an eval set
    if isinstance(pair, Mapping) and {"a", "b", "same"} <= set(pair):
        pair = (pair["a"], pair["b"], pair["same"])
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 3:
        raise ValueError(f"pair {number}: (a, b, same), or a row with these names, and not {pair!r}")
    one, other, same = pair
    if not isinstance(same, bool) and same not in (0, 1):
        raise ValueError(f"pair {number}: same={same!r}: True where one answer serves both, else False")
    return _texts(number, one), _texts(number, other), bool(same)


def _texts(number: int, given: Any) -> list[str]:
    if isinstance(given, str):
        return [given]
    if isinstance(given, Mapping) and given:
        return [value if isinstance(value, str) else json.dumps(value) for _, value in sorted(given.items())]
    raise ValueError(f"pair {number}: a text, or a prompt's variables by name, and not {given!r}")
