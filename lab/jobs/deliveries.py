"""Webhooks that were to be told: which were, which were given up, and telling them again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from lab.call.intake import new_id
from lab.jobs.flow import BUILT_IN, PREFIX, WEBHOOK
from lab.jobs.status import JobStatus

if TYPE_CHECKING:
    from lab.jobs.workflows import Store


class Shelf(Protocol):
    """Where deliveries are kept: the jobs' database."""

    @property
    def store(self) -> Store:
        """The database."""

    def there(self) -> bool:
        """Whether there is one."""


class Deliveries:
    """The webhooks of one jobs' database."""

    def __init__(self, shelf: Shelf):
        self._shelf = shelf

    def listed(self, limit: int | None = 200) -> list[JobStatus]:
        """Webhooks, newest first."""
        return self._shelf.store.listing(flow=WEBHOOK, limit=limit, result=True) if self._shelf.there() else []

    def dead(self, since: float | None = None) -> list[JobStatus]:
        """Webhooks that were given up, and not told since, newest first."""
        told: set[str] = set()
        given_up: dict[str, JobStatus] = {}
        for status in self.listed(limit=None):
            identifier = status.facts.get("identifier") or status.job
            if status.state == "done":
                told.add(identifier)
            elif status.state == "failed" and (since is None or (status.ended_at or 0.0) >= since):
                given_up.setdefault(identifier, status)
        return [status for identifier, status in given_up.items() if identifier not in told]

    def resend(self, job: str) -> str:
        """Tell a job's webhook again, under the same identifier. Raises `ValueError` where there is none."""
        told = [status for status in self.listed(limit=None) if status.facts.get("of") == job]
        given = self._shelf.store.input(told[0].job) if told else None
        if given is None:
            raise ValueError(f"job {job!r} has no webhook that was to be told")
        return self.put(f"{PREFIX}{job}:again:{new_id()[-8:]}", job, given[0])

    def put(self, name: str, job: str, args: list[Any]) -> str:
        """Have a webhook told."""
        facts = {"lane": "interactive", "version": "1", "submitted": time.time(), "identifier": args[1]}
        queue = f"{BUILT_IN}/{WEBHOOK}"
        facts |= {"of": job, "queue": queue}
        self._shelf.store.enqueue(WEBHOOK, args, {}, job=name, queue=queue, user=None, timeout=None, facts=facts)
        return name
