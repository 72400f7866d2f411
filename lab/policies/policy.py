"""A policy as a whole: which limits a call runs under."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from lab.policies.timeout import Timeout


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a call is bounded. `None` for a part turns it off."""

    timeout: Timeout | None = field(default_factory=Timeout)

    def __post_init__(self) -> None:
        if self.timeout is not None and not isinstance(self.timeout, Timeout):
            raise TypeError(f"Policy(timeout={self.timeout!r}): a Timeout(...), or None for no limits")

    def content(self) -> dict[str, Any]:
        """The policy as plain JSON values, as the ledger keeps it."""
        return {"timeout": asdict(self.timeout) if self.timeout else None}
