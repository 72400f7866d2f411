"""A policy as a whole: how a call is bounded and recovered, and what that may cost at worst."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass, replace
from functools import lru_cache
from typing import Any

from lab.policies.breaker import Breaker
from lab.policies.budget import Budget
from lab.policies.cache import Cache
from lab.policies.compose import LAYERS
from lab.policies.compress import Compress
from lab.policies.fallback import Fallback
from lab.policies.hedge import Hedge
from lab.policies.kernel import Settings
from lab.policies.limit import Limit
from lab.policies.repair import Repair
from lab.policies.retry import Retry
from lab.policies.timeout import Timeout
from lab.show import units
from lab.show.html import layers_html

_TYPES = {
    "budget": Budget,
    "timeout": Timeout,
    "fallback": Fallback,
    "repair": Repair,
    "retry": Retry,
    "hedge": Hedge,
    "breaker": Breaker,
    "limit": Limit,
    "cache": Cache,
    "compress": Compress,
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Policy:
    """How a call is bounded and recovered. `None` for a part turns it off."""

    timeout: Timeout | None = field(default_factory=Timeout)
    retry: Retry | None = field(default_factory=Retry)
    hedge: Hedge | None = None
    fallback: Fallback | None = None
    repair: Repair | None = field(default_factory=Repair)
    limit: Limit | None = field(default_factory=Limit)
    breaker: Breaker | None = field(default_factory=Breaker)
    budget: Budget | None = None
    cache: Cache | None = None
    compress: Compress | None = None

    def __post_init__(self) -> None:
        for name, kind in _TYPES.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise TypeError(f"Policy({name}={value!r}): a {kind.__name__}(...), or None to turn it off")

    def __repr__(self) -> str:
        return f"Policy({', '.join(f'{name}={_written(value)}' for name, value in _changed(self))})"

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Policy:
        """The policy that `content` has written. What it doesn't name is as by default. Raises `ValueError` or
        `TypeError` for what is none."""
        unknown = sorted(set(content) - set(_TYPES))
        if unknown:
            raise ValueError(f"policy: no part {unknown[0]!r}: one of {', '.join(_TYPES)}")
        parts: dict[str, Any] = {}
        for name, settings in content.items():
            values = {} if settings is None else {key: _tuple(value) for key, value in settings.items()}
            models = values.pop("models", ()) if name == "fallback" else ()
            parts[name] = None if settings is None else _TYPES[name](*models, **values)
        return cls(**parts)

    def content(self) -> dict[str, Any]:
        """The policy as plain JSON values, as the ledger keeps it."""
        return {name: _plain(part) if (part := getattr(self, name)) else None for name in _TYPES}

    def worst_attempts(self, checked: bool = False) -> int:
        """The most requests that one call can make; `checked` is one with a schema or checks, that may be repaired."""
        return self._models() * self._rounds(checked) * self._tries() * (2 if self.hedge else 1)

    def _models(self) -> int:
        return 1 + len(self.fallback.models) if self.fallback else 1

    def _rounds(self, checked: bool) -> int:
        return self.repair.attempts if self.repair and checked else 1

    def _tries(self) -> int:
        return self.retry.attempts if self.retry else 1

    def worst_seconds(self, checked: bool = False) -> float | None:
        """The longest that one call can take, in seconds; None where nothing bounds it.

        Without a total, it is every attempt at its limit and every wait at its longest; the limiter's queue, a
        bounded number of attempts, is not in it.
        """
        if self.timeout is None:
            return None
        if self.timeout.total is not None:
            return self.timeout.total
        if self.timeout.attempt is None:
            return None
        tries = self._tries()
        waits = (
            sum(max(self.retry.longest(n), self.retry.max_retry_after) for n in range(1, tries)) if self.retry else 0
        )
        return self._models() * self._rounds(checked) * (tries * self.timeout.attempt + waits)

    def explain(self, *, usd: float | None = None, checked: bool = False, model: str = "") -> Explanation:
        """The layers that are on, outermost first, and the worst that one call can come to.

        `usd`: US dollars that all of a call's requests may cost together; `lab.explain(...)` knows them for a model.
        `checked`: the call has a schema or checks, so it may be repaired. `model`: what it asks, for a router has its
        say in it.
        """
        seconds = self.worst_seconds(checked)
        worst = [f"{self.worst_attempts(checked)} requests", "no end" if seconds is None else f"{seconds:g} s"]
        if usd is not None:
            worst.append(units.dollars(usd))
        settings = replace(self.settings(checked), model=model)
        lines = [(layer.name, line) for layer in LAYERS if (line := layer.says(settings)) is not None]
        return Explanation(", ".join(worst), tuple(lines))

    def settings(self, checked: bool = False) -> Settings:
        """The parts that are on, as the layers find them."""
        return _settings(self, checked)

    def _repr_html_(self) -> str:
        return self.explain()._repr_html_()


@lru_cache(maxsize=256)
def _settings(policy: Policy, checked: bool) -> Settings:
    return Settings(tuple(part for name in _TYPES if (part := getattr(policy, name)) is not None), checked)


def _plain(part: Any) -> dict[str, Any]:
    return part.content() if isinstance(part, Cache | Compress) else asdict(part)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _changed(holder: Any) -> list[tuple[str, Any]]:
    """The fields that are not as they are by default."""
    pairs = []
    for part in fields(holder):
        usual = part.default if part.default_factory is MISSING else part.default_factory()
        if getattr(holder, part.name) != usual:
            pairs.append((part.name, getattr(holder, part.name)))
    return pairs


def _written(value: Any) -> str:
    if not is_dataclass(value):
        return repr(value)
    return f"{type(value).__name__}({', '.join(f'{name}={setting!r}' for name, setting in _changed(value))})"


class Explanation(str):
    """What a policy does and may come to: text, and in a notebook the layers, one within the other."""

    __slots__ = ("_parts", "_worst")
    _worst: str
    _parts: tuple[tuple[str, str], ...]

    def __new__(cls, worst: str, parts: tuple[tuple[str, str], ...]) -> Explanation:
        """`worst` in a few words; `parts` are names and what they do, outermost first."""
        explanation = super().__new__(
            cls, "\n".join([f"at worst: {worst}", *(f"{name.ljust(10)}{line}" for name, line in parts)])
        )
        explanation._worst, explanation._parts = worst, parts
        return explanation

    def _repr_html_(self) -> str:
        return layers_html(f"at worst: {self._worst}", self._parts)
