"""Jobs that the clock puts in line."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lab import errors
from lab.jobs import carried, intake
from lab.jobs.flow import BUILT_IN, BY_LEDGER, SCHEDULE, WEBHOOK, Flow

if TYPE_CHECKING:
    import pandas as pd

    from lab.jobs.running import Keeping
    from lab.jobs.workflows import Store


class Counter(Protocol):
    """Where jobs are handed in: an Office."""

    @property
    def store(self) -> Store:
        """The jobs' database."""

    @property
    def host(self) -> Keeping:
        """The Lab whose jobs they are."""

    def there(self) -> bool:
        """Whether there is a database."""

    def found(self, flow: Flow | str) -> Flow:
        """The flow that is meant."""

    def queue(self, flow: Flow, lane: str) -> str:
        """Where its jobs wait."""


class Clock:
    """The schedules of one jobs' database."""

    def __init__(self, counter: Counter):
        self._counter = counter

    def schedule(
        self, name: str, flow: Flow | str, cron: str, args: Sequence[Any], zone: str | None, more: dict[str, Any]
    ) -> None:
        """Put jobs in line by the clock."""
        flow = self._counter.found(flow)
        if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > 60:
            raise errors.InvalidRequestError(f"name={name!r}: up to 60 printable characters")
        if flow.homeless() or flow.name in BY_LEDGER:
            raise errors.InvalidRequestError(f"{flow.name}: only a flow of a module can be put in line by the clock")
        how = {key: more.pop(key, None) for key in ("user", "lane", "timeout", "webhook")}
        intake.check(None, how["user"], how["lane"] or "interactive", how["timeout"], how["webhook"])
        flow.check(tuple(args), more)
        carried.as_json(f"the arguments of {flow.name}", [list(args), more])
        lane = how["lane"] or "interactive"
        context = {"name": name, "flow": flow.name, "args": list(args), "kwargs": more, "how": how}
        context |= {"lane": lane, "queue": self._counter.queue(flow, lane)}
        self._counter.store.schedule(name, SCHEDULE, cron, context, zone, f"{BUILT_IN}/{WEBHOOK}")

    def fire(self, at: Any, context: Mapping[str, Any]) -> None:
        """A time has come: the job of it, once. Whoever puts it in line need not know its flow."""
        how = context["how"]
        facts: dict[str, Any] = {"lane": context["lane"], "submitted": time.time(), "queue": context["queue"]}
        facts |= {"webhook": how["webhook"]} if how["webhook"] else {}
        facts |= {} if self._counter.host.keeps_words else {"blank": True}
        text = carried.as_json("arguments", [context["args"], context["kwargs"]])
        facts["input"] = hashlib.sha256(f"{context['flow']} {text}".encode()).hexdigest()[:16]
        self._counter.store.enqueue(
            context["flow"],
            context["args"],
            context["kwargs"],
            job=f"{context['name']} {at}",
            queue=context["queue"],
            user=how["user"],
            timeout=how["timeout"],
            facts=facts,
        )

    def schedules(self) -> pd.DataFrame:
        """What is put in line by the clock, as a table."""
        import pandas as pd  # slow to import, and only readers need it

        rows = [
            [row["schedule_name"], row["context"]["flow"], row["schedule"], row["cron_timezone"], row["last_fired_at"]]
            for row in (self._counter.store.schedules() if self._counter.there() else [])
        ]
        return pd.DataFrame(rows, columns=["name", "flow", "cron", "zone", "last"])
