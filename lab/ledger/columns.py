"""Columns of all calls and attempts as DataFrames, quickly: packed ones from their packs, the newest from their rows.

What has been read stays in memory, about 150 bytes a call, for as long as the Lab is there.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from lab import errors
from lab.ledger import forks, packs
from lab.ledger.file import Ledger
from lab.ledger.narrowing import FILTERS, named_version, unix
from lab.ledger.opening import connect, connected

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
_OPEN: weakref.WeakKeyDictionary[Ledger, Columns] = weakref.WeakKeyDictionary()
_LOCK = threading.Lock()
_AT_ONCE = 10
"""Packs made in one transaction."""


def of(book: Ledger) -> Columns:
    """The columns of this ledger."""
    with forks.for_a_moment(), _LOCK:  # no fork finds the lock taken
        columns = _OPEN.get(book)
        if columns is None:
            columns = _OPEN[book] = Columns(book.path)
    book.settle()  # what this process has submitted is seen
    return columns


_NEEDS = {
    "since": ["started_at"],
    "until": ["started_at"],
    "prompt": ["prompt_name", "prompt_version"],
    "tag": ["tags"],
}


class Columns:
    """The columns of one ledger file, read when they are first wanted. Safe to share between threads."""

    def __init__(self, path: Any):
        self._path = path
        self._lock = threading.Lock()
        self._values: dict[tuple[int, str], np.ndarray] = {}
        self._words: dict[str, dict[str, int]] = {}
        self._eye: sqlite3.Connection | None = None
        self._last: tuple[Any, Any] = (None, None)
        forks.hold(self)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` returns; the last result again where the key is the same and the ledger has not changed since.
        Several figures of one page stand on the same columns."""
        with self._lock:
            if self._eye is None:
                self._eye = connect(self._path, readonly=True)
                weakref.finalize(self, self._eye.close)
            key = (key, self._eye.execute("PRAGMA data_version").fetchone())
            known, value = self._last
        if known != key:
            value = make()
            self._last = (key, value)
        return cast(T, value)

    def read(
        self, *, since: float | None = None, until: float | None = None, **wanted: Iterable[str]
    ) -> list[pd.DataFrame]:
        """DataFrames of these columns, `calls=[...]` and `attempts=[...]`, all of one moment. Texts are categories.
        Packs that lie outside of `since` and `until` (Unix seconds) are left out; what is read may do so, too."""
        try:
            with connected(self._path) as connection:
                _pack(connection)
                with self._lock:
                    connection.execute("BEGIN")
                    all_ = packs.directory(connection)
                    left = packs.gaps(all_, packs.newest(connection))
                    there = [pack for pack in all_ if _overlaps(pack, since, until)]
                    self._forget({pack.pack for pack in all_})
                    return [self._frame(connection, name, list(names), there, left) for name, names in wanted.items()]
        except sqlite3.Error as failed:
            raise errors.LedgerError(f"{self._path} can't be read: {failed}") from failed

    def let_go(self) -> None:
        """Before a fork: look with no connection until `take_up`; what it had seen last is no measure for the next."""
        self._lock.acquire()
        if self._eye is not None:
            self._eye.close()
        self._eye, self._last = None, (None, None)

    def take_up(self) -> None:
        """After a fork."""
        self._lock.release()

    def _frame(
        self,
        connection: sqlite3.Connection,
        table: str,
        names: list[str],
        there: list[packs.Pack],
        left: list[tuple[int, int]],
    ) -> pd.DataFrame:
        import pandas as pd  # slow to import, and only readers need it

        self._load(connection, [f"{table}.{name}" for name in names], [pack.pack for pack in there])
        parts: list[tuple[int, dict[str, np.ndarray]]] = [
            (pack.first, {name: self._values[pack.pack, f"{table}.{name}"] for name in names}) for pack in there
        ]
        for first, last in left:
            unpacked = packs.select(connection, table, names, first, last)
            parts.append((first, {name: self._shared(f"{table}.{name}", column) for name, column in unpacked.items()}))
        parts.sort(key=lambda part: part[0])
        columns: dict[str, Any] = {}
        for name in names:
            joined = [part[name] for _first, part in parts]
            values = np.concatenate(joined) if joined else np.empty(0, packs.OF[table][name].replace("text", "i4"))
            words = self._words.get(f"{table}.{name}", {})
            text = packs.OF[table][name] == "text"
            columns[name] = pd.Categorical.from_codes(values, categories=pd.Index(list(words))) if text else values
        return pd.DataFrame(columns, copy=False)

    def _forget(self, there: set[int]) -> None:
        """Let go of the packs that are gone."""
        for key in [key for key in self._values if key[0] not in there]:
            del self._values[key]

    def _load(self, connection: sqlite3.Connection, names: list[str], there: list[int]) -> None:
        """Read what is not in memory yet."""
        new = {name for name in names if any((pack, name) not in self._values for pack in there)}
        missing = [pack for pack in there if any((pack, name) not in self._values for name in new)]
        rows = connection.execute(
            "SELECT pack, name, data FROM json_each(?) AS lots CROSS JOIN json_each(?) AS names CROSS JOIN pack_columns"
            " ON pack = lots.value AND name = names.value",
            (json.dumps(missing), json.dumps(sorted(new))),
        )
        for pack, name, data in rows if missing else ():
            self._values[pack, name] = self._shared(name, packs.decode(data))

    def _shared(self, name: str, column: packs.Column) -> np.ndarray:
        """The values; texts as places among all words that this column has had so far."""
        if column.words is None:
            return column.values
        known = self._words.setdefault(name, {})
        places = np.array([*(known.setdefault(word, len(known)) for word in column.words), -1], dtype="i4")
        shared: np.ndarray = places[column.values]
        return shared


def _overlaps(pack: packs.Pack, since: float | None, until: float | None) -> bool:
    if pack.earliest is None or pack.latest is None:
        return True
    return (since is None or pack.latest >= since) and (until is None or pack.earliest < until)


def _pack(connection: sqlite3.Connection) -> None:
    """Make the packs that are due; a ledger that can't be written now is read as it is."""
    connection.isolation_level = None
    connection.execute("PRAGMA busy_timeout = 50")  # whoever writes goes first: it is read from its rows, then
    try:
        while packs.due(connection):
            connection.execute("BEGIN IMMEDIATE")
            packs.pack(connection, most=_AT_ONCE)  # others want to write, too
            connection.execute("COMMIT")
    except sqlite3.OperationalError:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def calls(book: Ledger, names: Sequence[str], **filters: Any) -> pd.DataFrame:
    """Columns of the calls that match the `FILTERS`, in the order they came in."""
    (frame,) = of(book).read(calls=dict.fromkeys([*names, *_needs(filters)]), **_span(filters))
    mask = _mask(frame, **filters)
    return frame if mask is None else frame[mask].reset_index(drop=True)


def both(
    book: Ledger, names: Sequence[str], attempts: Sequence[str], **filters: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Columns of the calls that match, and of their attempts. Both have the index of their own places; the attempts'
    column `at` is the place of their call in the first frame."""
    wanted = dict.fromkeys(["id", *names, *_needs(filters)])
    whole, tried = of(book).read(calls=wanted, attempts=dict.fromkeys(["call", *attempts]), **_span(filters))
    mask = _mask(whole, **filters)
    if mask is None:
        matching = whole
        tried["at"] = np.searchsorted(whole["id"].to_numpy(), tried["call"].to_numpy())
        return matching, tried
    place = np.cumsum(mask) - 1
    at = np.searchsorted(whole["id"].to_numpy(), tried["call"].to_numpy())
    mine = mask[at]
    matching, tried = whole[mask].reset_index(drop=True), tried[mine].reset_index(drop=True)
    tried["at"] = place[at[mine]]
    return matching, tried


def _span(filters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: unix(filters[name]) for name in ("since", "until") if filters.get(name) is not None}


def _needs(filters: Mapping[str, Any]) -> list[str]:
    """The columns that these filters look at."""
    wrong = set(filters) - set(FILTERS)
    if wrong:
        raise ValueError(f"{', '.join(sorted(wrong))}: figures can be narrowed by {', '.join(FILTERS)}")
    return [name for key, value in filters.items() if value is not None for name in _NEEDS.get(key, [key])]


def _mask(
    frame: pd.DataFrame,
    since: datetime | float | None = None,
    until: datetime | float | None = None,
    prompt: str | None = None,
    tag: str | None = None,
    **same: str | None,
) -> np.ndarray | None:
    """Which calls match; None is all of them."""
    terms = []
    if since is not None:
        terms.append(frame["started_at"].to_numpy() >= unix(since))
    if until is not None:
        terms.append(frame["started_at"].to_numpy() < unix(until))
    if prompt is not None:
        name, version = named_version(prompt)
        terms.append((frame["prompt_name"] == name).to_numpy())
        if version is not None:
            terms.append((frame["prompt_version"] == version).to_numpy())
    if tag is not None:
        has = [tag in json.loads(text) for text in frame["tags"].cat.categories]
        terms.append(np.array([*has, False], dtype=bool)[frame["tags"].cat.codes.to_numpy()])
    terms += [(frame[name] == value).to_numpy() for name, value in same.items() if value is not None]
    return np.logical_and.reduce(terms) if terms else None
