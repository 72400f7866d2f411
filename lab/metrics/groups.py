"""Calls and attempts in groups, as arrays: what the figures are counted over."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

BY = (
    "model status kind user tag experiment prompt_name prompt_version config lane day hour".split()
)  # what calls can be grouped by
DAY = 86_400
NEEDS = {"tag": ["tags"], "day": ["started_at"], "hour": ["started_at"]}


def needed(by: Sequence[str]) -> list[str]:
    """The columns of calls that these groups are made of. Raises `ValueError` for a name that is none."""
    wrong = [name for name in by if name not in BY]
    if wrong or not by:
        raise ValueError(f"by={tuple(by)!r}: one or more of {', '.join(BY)}")
    return [column for name in by for column in NEEDS.get(name, [name])]


@dataclass
class Groups:
    """Calls in groups. `keys` has a row a group; `at` are places of calls and `code` the group of each: a call with
    several tags stands in several groups."""

    keys: pd.DataFrame
    at: np.ndarray
    code: np.ndarray
    many: int
    """Groups."""
    calls: int
    """Calls, in as many groups as they may be: `at` has as many places only where each is in one."""

    def count(self, mask: np.ndarray) -> np.ndarray:
        """How many calls of each group are in a mask over all calls."""
        return np.bincount(self.code[self._each(mask)], minlength=self.many)

    def total(self, values: np.ndarray) -> np.ndarray:
        """The sum of a value a call, by group; NaN where one is."""
        return np.bincount(self.code, weights=self._each(values), minlength=self.many)

    def _each(self, values: np.ndarray) -> np.ndarray:
        """The values of the calls `at` their places; those places are mostly all there are, in order."""
        return values if len(self.at) == self.calls else values[self.at]

    def spread(self, values: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
        """The values of each group's calls in the mask, sorted, without NaN."""
        if not self.many:
            return []
        order, ends = self._order
        parts = np.split(np.where(mask, values, np.nan)[order], ends)
        return [np.sort(part[~np.isnan(part)]) for part in parts]

    @cached_property
    def _order(self) -> tuple[np.ndarray, np.ndarray]:
        """Places of calls, group after group, and where all groups but the last end."""
        code = self.code.astype(np.uint16) if self.many < 65_536 else self.code  # a quicker sort
        return self.at[np.argsort(code, kind="stable")], np.cumsum(np.bincount(code, minlength=self.many))[:-1]

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        order = np.argsort(self.at, kind="stable")
        count = np.bincount(self.at, minlength=self.calls)
        return order, np.concatenate([[0], np.cumsum(count)[:-1]]), count

    def of_attempts(self, at: np.ndarray) -> tuple[np.ndarray | slice, np.ndarray]:
        """Attempts in their calls' groups, by the places `at` of their calls: which attempts, and their groups."""
        if len(self.at) == self.calls:  # each call in one group
            return slice(None), self.code[at]
        order, first, count = self._places
        many = count[at]
        which = np.repeat(np.arange(len(at)), many)
        within = np.arange(len(which)) - np.repeat(np.cumsum(many) - many, many)
        return which, self.code[order[first[at[which]] + within]]

    def rows(self) -> Iterator[dict[Hashable, Any]]:
        """The keys, as dictionaries."""
        yield from self.keys.to_dict("records")


def grouped(calls: pd.DataFrame, by: Sequence[str]) -> Groups:
    """The groups of these calls."""
    import pandas as pd  # slow to import, and only readers need it

    at = np.arange(len(calls))
    columns = {name: calls[name] for name in by if name not in NEEDS}
    if "tag" in by:
        at, columns["tag"] = _tags(calls["tags"])
        columns = {name: column if name == "tag" else column.iloc[at] for name, column in columns.items()}
    for name, seconds in (("day", DAY), ("hour", 3600)):
        if name in by:
            columns[name] = _moments(calls["started_at"].to_numpy()[at], seconds)
    codes, names = [], []
    for name in by:
        code, unique = pd.factorize(columns[name], use_na_sentinel=False)
        codes.append(code)
        names.append(np.asarray(unique, dtype=object))
    code, keys = _joined(codes, names)
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in zip(by, keys, strict=True)})
    order = frame.assign(**{name: frame[name].map(_sortable) for name in by}).sort_values(list(by), kind="stable").index
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return Groups(
        frame.loc[order].reset_index(drop=True).infer_objects(),
        at,
        rank[code] if len(code) else code,
        len(frame),
        len(calls),
    )


def _sortable(value: Any) -> tuple[int, Any]:
    """Missing values last; texts and numbers each in their order."""
    return (1, "") if value is None or value != value else (0, value)


def _joined(codes: list[np.ndarray], names: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """One code for several: and what each stands for in each of them."""
    whole = codes[0].astype(np.int64)
    for code, words in zip(codes[1:], names[1:], strict=True):
        whole = whole * max(1, len(words)) + code
    if len(codes) == 1:
        return whole, [names[0]]
    unique, code = np.unique(whole, return_inverse=True)
    keys: list[np.ndarray] = []
    for words in reversed(names[1:]):
        keys.append(words[unique % max(1, len(words))])
        unique = unique // max(1, len(words))
    return code, [names[0][unique], *reversed(keys)]


def _tags(tags: pd.Series) -> tuple[np.ndarray, pd.Series]:
    """Each call once a tag; once, without one, where it has none."""
    import pandas as pd  # slow to import, and only readers need it

    lists: list[list[Any]]  # of tags; [None] of none
    lists = [list(dict.fromkeys(map(clean, json.loads(text)))) or [None] for text in tags.cat.categories]
    known = {tag: place for place, tag in enumerate(dict.fromkeys(tag for listed in lists for tag in listed))}
    codes = tags.cat.codes.to_numpy()
    count = np.array([len(listed) for listed in lists], dtype=np.int64)[codes] if lists else np.empty(0, np.int64)
    flat = np.array([known[tag] for listed in lists for tag in listed], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum([len(listed) for listed in lists])[:-1]]).astype(np.int64)
    at = np.repeat(np.arange(len(codes)), count)
    within = np.arange(len(at)) - np.repeat(np.cumsum(count) - count, count)
    place = flat[starts[codes[at]] + within] if len(at) else flat
    words = list(known)
    named = [word for word in words if word is not None]
    categories = pd.Index(named)
    order = np.array([named.index(word) if word is not None else -1 for word in words], dtype=np.int64)
    return at, pd.Series(pd.Categorical.from_codes(order[place] if len(place) else [], categories=categories))


def clean(tag: str) -> str:
    """A tag without lone surrogates, which JSON can hold and nothing else."""
    return tag.encode("utf-8", "replace").decode()


def _moments(started: np.ndarray, seconds: int) -> pd.Series:
    """The UTC day (`2026-11-22`) or hour (`2026-11-22 14:00`) of each moment."""
    import pandas as pd  # slow to import, and only readers need it

    known = np.clip(np.nan_to_num(started), -6e10, 2e11)  # as far as a calendar goes
    code, unique = pd.factorize((known // seconds).astype(np.int64))
    moments = [pd.Timestamp(int(number) * seconds, unit="s") for number in unique]
    words = [f"{moment:%Y-%m-%d}" if seconds == DAY else f"{moment:%Y-%m-%d %H:00}" for moment in moments]
    return pd.Series(pd.Categorical.from_codes(code, categories=pd.Index(words)))
