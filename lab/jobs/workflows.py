"""The jobs' database and what runs in it: DBOS, which this file alone knows.

One workflow a flow, one queue a module and lane, a JSON attribute a job for what the lab keeps beside it. Everything is
JSON: nothing is pickled. Imported only where jobs are used: it takes half a second.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import dbos
import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSContextSetAuth, SetWorkflowAttributes, SetWorkflowID, SetWorkflowTimeout
from dbos._context import current_owner_xid
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from lab import errors
from lab.jobs.address import file_of, shown
from lab.jobs.flow import PREFIX
from lab.jobs.status import STARTS, JobProgress, JobState, JobStatus
from lab.values import Lane

logging.getLogger("dbos").setLevel(logging.CRITICAL)  # what is to be said the lab says itself

APPLICATION, VERSION = "lab", "1"
"""Pinned: which code a job began with is the lab's own to know, a flow at a time."""
SETTINGS = 5.0
"""Seconds after which a queue's limits are read again."""
MIGRATING = 60.0
"""Seconds for which another process that makes the tables is waited for."""
_TABLES = 7_226_312
AWAY = 15.0
"""Seconds after which a database that was away is asked for again."""
_STATES: dict[str, JobState] = {
    "DELAYED": "waiting",
    "ENQUEUED": "waiting",
    "PENDING": "running",
    "SUCCESS": "done",
    "ERROR": "failed",
    "CANCELLED": "cancelled",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "failed",
}
_JSON = dbos.DBOSPortableJSONSerializer()
_NO_INPUT = '{"namedArgs":{},"positionalArgs":[]}'
DELIVERIES = "lab/webhook"
"""The queue of webhooks: those wait for hours, and as many as there are."""
Body = Callable[[Any, Any], Awaitable[Any]]


class Failed(dbos.PortableWorkflowError):
    """A failure of a flow, as it is written down: `data` is what `lab.jobs.carried` makes of it."""

    def __init__(self, content: Mapping[str, Any]):
        super().__init__(str(content["message"]), str(content["name"]), None, dict(content))


def engine_of(url: str) -> sa.Engine:
    """Connections to the jobs' database: a SQLite file or Postgres."""
    if file_of(url) is not None:
        engine = sa.create_engine(url, connect_args={"check_same_thread": False})

        @event.listens_for(engine, "connect")
        def connected(connection: Any, _record: Any) -> None:
            connection.isolation_level = "IMMEDIATE"  # writers wait for each other from their first word on
            if sqlite3.sqlite_version_info < (3, 42):  # it doesn't know parts of seconds, and DBOS asks for them
                connection.create_function("unixepoch", -1, lambda *_: time.time())
            for pragma in ("busy_timeout=30000", "foreign_keys=ON", "journal_mode=WAL"):
                connection.execute(f"PRAGMA {pragma}").close()

        return engine
    alive = {"keepalives": 1, "keepalives_idle": 3, "keepalives_interval": 1, "keepalives_count": 3}
    session = "-c tcp_keepalives_idle=3 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3"
    arguments = {"connect_timeout": 5, "application_name": "lab", "tcp_user_timeout": 6000, "options": session, **alive}
    return sa.create_engine(url, connect_args=arguments, pool_size=10, max_overflow=10, pool_timeout=10)


@contextmanager
def reached(url: str) -> Iterator[None]:
    """Raises `BusyError` where the database can't be reached: jobs wait there, and so may who asks."""
    try:
        yield
    except (OperationalError, DBAPIError, PoolTimeout, OSError) as away:
        if isinstance(away, DBAPIError) and not (isinstance(away, OperationalError) or away.connection_invalidated):
            raise
        why = str(getattr(away, "orig", None) or away).strip().splitlines()
        raise errors.BusyError(
            f"the jobs' database can't be reached ({shown(url)}): {why[0] if why else type(away).__name__}",
            retry_after=AWAY,
        ) from away


class Store:
    """The jobs' database, from outside: any process may put jobs into it, look, stop them and go on with them."""

    def __init__(self, url: str):
        """Raises `BusyError` where it can't be reached, and makes its tables where there are none."""
        self.url = url
        path = file_of(url)
        self.shared = path is None
        """Whether workers of other machines may share it: replies go through it then, not only what they are called."""
        self.engine = engine_of(url)
        with reached(url):
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # its owner's alone, for what is said in it
            self._prepare()
            self._client = DBOSClient(
                system_database_engine=self.engine,
                serializer=_JSON,
                application_name=APPLICATION,
                retry_connection_errors=False,
            )

    @property
    def prefix(self) -> str:
        """What stands before a table's name."""
        return "dbos." if self.shared else ""

    def _prepare(self) -> None:
        """Make the tables, or wait for who makes them: nobody may stand in a transaction meanwhile."""
        if not self.shared:
            if not sa.inspect(self.engine).has_table("workflow_status"):
                DBOS.migrate(self.url)
            return
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            end = time.monotonic() + MIGRATING
            while not sa.inspect(connection).has_table("workflow_status", schema="dbos") or self._behind(connection):
                if connection.execute(sa.text(f"SELECT pg_try_advisory_lock({_TABLES})")).scalar():
                    try:
                        DBOS.migrate(self.url)
                    finally:
                        connection.execute(sa.text(f"SELECT pg_advisory_unlock({_TABLES})"))
                    return
                if time.monotonic() > end:
                    raise errors.BusyError("the jobs' tables are being made by another process", retry_after=AWAY)
                time.sleep(0.1)

    @staticmethod
    def _behind(connection: sa.Connection) -> bool:
        """Whether somebody is making them at this moment."""
        query = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {_TABLES}"
        return bool(connection.execute(sa.text(query)).scalar())

    def enqueue(
        self,
        flow: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        job: str,
        queue: str,
        user: str | None,
        timeout: float | None,
        facts: Mapping[str, Any],
    ) -> None:
        """Put a job in line, unless there is one of this name."""
        options: dict[str, Any] = {
            "workflow_name": flow,
            "queue_name": queue,
            "workflow_id": job,
            "app_version": VERSION,
            "queue_partition_key": whose(user, job),
            "attributes": dict(facts),
        }
        options |= {"authenticated_user": user} if user else {}
        options |= {"workflow_timeout": timeout} if timeout else {}
        with reached(self.url):
            try:
                self._client.enqueue(cast(Any, options), list(args), dict(kwargs))
            except dbos.error.DBOSConflictingWorkflowError as other:
                raise errors.InvalidRequestError(f"job {job!r} is another flow's: take another id") from other

    def status(self, job: str, *, result: bool = False) -> JobStatus | None:
        """How a job stands; None where there is none of this name."""
        found = self.listing(jobs=[job], result=result)
        return found[0] if found else None

    def listing(
        self,
        *,
        jobs: Sequence[str] | None = None,
        states: Sequence[JobState] | None = None,
        flow: str | None = None,
        user: str | None = None,
        ended_before: float | None = None,
        worker: str | None = None,
        newest: bool = True,
        limit: int | None = None,
        offset: int = 0,
        result: bool = False,
        computed: bool = True,
    ) -> list[JobStatus]:
        """How jobs stand, newest or oldest first; what they returned, or failed of, with `result`. What has run out of
        time is kept as cancelled and has failed: without `computed` there may be some of the one among the other."""
        wanted = None if states is None else [raw for raw, state in _STATES.items() if state in states]
        if wanted is not None and "ERROR" in wanted and "CANCELLED" not in wanted:
            wanted.append("CANCELLED")  # what has run out of time, too
        with reached(self.url):
            rows = self._client.list_workflows(
                workflow_ids=None if jobs is None else list(jobs),
                status=wanted,
                name=flow,
                user=user,
                completed_before=_moment(ended_before),
                executor_id=worker,
                sort_desc=newest,
                limit=limit,
                offset=offset or None,
                load_input=False,
                load_output=result,
            )
        found = [_status(row) for row in rows]
        return found if states is None or not computed else [status for status in found if status.state in states]

    def input(self, job: str) -> tuple[list[Any], dict[str, Any]] | None:
        """The arguments of a job; None where it, or they, are gone."""
        with reached(self.url):
            rows = self._client.list_workflows(workflow_ids=[job], load_output=False)
        content = cast("dict[str, Any] | None", rows[0].input if rows else None) or {}
        args = list(content.get("args") or ())
        return (args[0], args[1]) if len(args) == 2 else None

    def steps(self, job: str) -> list[dict[str, Any]]:
        """What a job has done, in order: `number`, `name`, `started_at`, `ended_at` (Unix seconds), `output`, and
        whether it was `broken` off by an error that is none of its outcomes."""
        with reached(self.url):
            rows = self._client.list_workflow_steps(job)
        return [
            {
                "number": row["function_id"],
                "name": row["function_name"],
                "started_at": _seconds(row["started_at_epoch_ms"]),
                "ended_at": _seconds(row["completed_at_epoch_ms"]),
                "output": row["output"],
                "broken": row["error"] is not None,
            }
            for row in rows
        ]

    def update(self, job: str, facts: Mapping[str, Any]) -> None:
        """Put these beside what is kept of a job."""
        with reached(self.url):
            self._client.update_workflow_attributes(job, dict(facts), merge=True)

    def cancel(self, job: str) -> None:
        """Stop it, wherever it runs: what it waits for is left at once, a plain function at its next step."""
        with reached(self.url):
            self._client.cancel_workflow(job)

    def resume(self, status: JobStatus, queue: str) -> None:
        """Go on with one that was stopped, failed, or was started too often: what was done stays done."""
        with reached(self.url):
            if status.state == "failed" and not status.poison:
                self._drop_failed(status.job)
                try:
                    self._client.rewind_workflow(
                        status.job,
                        start_step=10**9,
                        queue_name=queue,
                        queue_partition_key=whose(status.user, status.job),
                        application_version=VERSION,
                    )
                except dbos.error.DBOSException as odd:  # somebody else has just done so
                    raise ValueError(f"job {status.job!r} can't be resumed: {odd}") from odd
            else:
                self._client.resume_workflow(status.job, queue_name=queue)

    def _drop_failed(self, job: str) -> None:
        """Forget the steps that failed, and no others."""
        failed = [step["number"] for step in self.steps(job) if step["broken"] or "failed" in (step["output"] or {})]
        query = f"DELETE FROM {self.prefix}operation_outputs WHERE workflow_uuid = :job AND function_id = :number"
        with self.engine.begin() as connection:
            for number in failed:
                connection.execute(sa.text(query), {"job": job, "number": number})

    def stamp(self, job: str) -> str | None:
        """Which run of a job is its last one; None where none runs."""
        query = f"SELECT owner_xid FROM {self.prefix}workflow_status WHERE workflow_uuid = :job AND status = 'PENDING'"
        with reached(self.url), self.engine.connect() as connection:
            return connection.execute(sa.text(query), {"job": job}).scalar()

    def marked(self, ended_after: float) -> list[str]:
        """Jobs that ended since then and have something to be done about: a webhook, words that go; firings, too."""
        webhook, told, run, blank, blanked = map(self._fact, "webhook told run blank blanked".split())
        query = (
            f"SELECT workflow_uuid FROM {self.prefix}workflow_status WHERE completed_at > :since AND (name = 'schedule'"
            f" OR ({webhook} IS NOT NULL AND coalesce({told}, '') <> coalesce({run}, '-'))"
            f" OR ({blank} IS NOT NULL AND {blanked} IS NULL)) ORDER BY completed_at"
        )
        with reached(self.url), self.engine.connect() as connection:
            return [row[0] for row in connection.execute(sa.text(query), {"since": int(ended_after * 1000)})]

    def _fact(self, name: str) -> str:
        """What is kept beside a job under this name, in SQL."""
        return f"attributes ->> '{name}'" if self.shared else f"json_extract(attributes, '$.{name}')"

    def requeue(self, job: str, worker: str, queue: str) -> None:
        """Put a job that a worker is said to run, and doesn't, back in line."""
        query = (
            f"UPDATE {self.prefix}workflow_status SET status = 'ENQUEUED', owner_xid = NULL, queue_name = :queue,"
            " started_at_epoch_ms = NULL WHERE workflow_uuid = :job AND status = 'PENDING' AND executor_id = :worker"
        )
        with reached(self.url), self.engine.begin() as connection:
            connection.execute(sa.text(query), {"job": job, "worker": worker, "queue": queue})

    def give_back(self, worker: str) -> None:
        """Put what a worker still runs back in line: it was told to stop, and has not died of them."""
        query = (
            f"UPDATE {self.prefix}workflow_status SET status = 'ENQUEUED', owner_xid = NULL,"
            " started_at_epoch_ms = NULL,"
            " recovery_attempts = CASE WHEN recovery_attempts > 0 THEN recovery_attempts - 1 ELSE 0 END"
            " WHERE status = 'PENDING' AND executor_id = :worker AND queue_name IS NOT NULL"
        )
        with reached(self.url), self.engine.begin() as connection:
            connection.execute(sa.text(query), {"worker": worker})

    def delete(self, jobs: Sequence[str]) -> None:
        """Forget these jobs, and all of theirs."""
        with reached(self.url):
            self._client.delete_workflows(list(jobs))

    def blank(self, job: str) -> None:
        """Take the words out of a job that is over: its arguments, and what its steps returned."""
        with reached(self.url), self.engine.begin() as connection:
            for table in ("workflow_input", "workflow_status"):
                query = f"UPDATE {self.prefix}{table} SET inputs = :none WHERE workflow_uuid = :job"
                connection.execute(sa.text(f"{query} AND inputs IS NOT NULL"), {"none": _NO_INPUT, "job": job})
            connection.execute(
                sa.text(f"UPDATE {self.prefix}operation_outputs SET output = 'null' WHERE workflow_uuid = :job"),
                {"job": job},
            )

    def waiting(self, queue: str) -> tuple[int, int]:
        """How many jobs wait in a queue, and how many of it were begun within the last minute."""
        table = f"{self.prefix}workflow_status"
        since = int((datetime.now(UTC).timestamp() - 60) * 1000)
        with reached(self.url), self.engine.connect() as connection:
            row = connection.execute(
                sa.text(
                    f"SELECT (SELECT count(*) FROM {table} WHERE queue_name = :queue AND status = 'ENQUEUED'),"
                    f" (SELECT count(*) FROM {table} WHERE queue_name = :queue AND started_at_epoch_ms > :since)"
                ),
                {"queue": queue, "since": since},
            ).one()
        return int(row[0]), int(row[1])

    def running(self) -> set[str]:
        """The workers that jobs are said to run in."""
        query = f"SELECT DISTINCT executor_id FROM {self.prefix}workflow_status WHERE status = 'PENDING'"
        with reached(self.url), self.engine.connect() as connection:
            return {row[0] for row in connection.execute(sa.text(query)) if row[0]}

    def schedule(
        self, name: str, flow: str, cron: str, context: Mapping[str, Any], zone: str | None, queue: str
    ) -> None:
        """Have `flow` put in line by the clock. Raises `InvalidRequestError` for a time that is none."""
        with reached(self.url):
            try:
                entry = {"schedule_name": name, "workflow_name": flow, "schedule": cron, "context": dict(context)}
                self._client.apply_schedules([cast(Any, entry | {"cron_timezone": zone, "queue_name": queue})])
            except dbos.error.DBOSException as odd:
                raise errors.InvalidRequestError(f"schedule {name!r}: {odd}") from odd

    def schedules(self) -> list[Mapping[str, Any]]:
        """What is put in line by the clock."""
        with reached(self.url):
            return [cast(Mapping[str, Any], row) for row in self._client.list_schedules()]

    def unschedule(self, name: str) -> None:
        """No more of this one."""
        with reached(self.url):
            self._client.delete_schedule(name)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.destroy()
        self.engine.dispose()


def whose(user: str | None, job: str) -> str:
    """Whose limit a job counts for: its user's, or its own where it has none."""
    return user if user else f"- {job}"


def _moment(unix: float | None) -> str | None:
    return None if unix is None else datetime.fromtimestamp(unix, UTC).isoformat()


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _status(row: dbos.WorkflowStatus) -> JobStatus:
    facts = row.attributes or {}
    progress = facts.get("progress")
    deadline, ended = _seconds(row.workflow_deadline_epoch_ms), _seconds(row.completed_at)
    late = row.status == "CANCELLED" and deadline is not None and ended is not None and ended + 1 > deadline
    if row.status in ("SUCCESS", "ERROR") and ended is not None:
        ended = facts.get("ended") or ended  # the database's own clock tells no more than seconds on some Pythons
    failure: Any = row.error
    data: dict[str, Any] | None = None
    if isinstance(failure, dbos.PortableWorkflowError):
        said: Any = failure.data
        data = said if isinstance(said, dict) else {"name": failure.name, "message": failure.message}
    elif failure is not None:
        data = {"name": type(failure).__name__, "message": str(failure)}
    begun = None if row.status in ("DELAYED", "ENQUEUED") else facts.get("began") or _seconds(row.dequeued_at)
    return JobStatus(
        job=row.workflow_id,
        flow=row.name,
        state="failed" if late else _STATES[row.status],
        lane=cast(Lane, facts.get("lane", "interactive")),
        user=row.authenticated_user,
        submitted_at=facts.get("submitted") or (row.created_at or 0) / 1000,
        started_at=begun,
        ended_at=ended,
        worker=row.executor_id,
        starts=row.recovery_attempts or 0,
        timeout=_seconds(row.workflow_timeout_ms),
        timed_out=late,
        poison=row.status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
        progress=JobProgress(**progress) if progress else None,
        queue=row.queue_name,
        facts=facts,
        result=row.output,
        failed=data,
    )


class Runtime:
    """What runs jobs in this process. There is one a process, for DBOS keeps itself in one place."""

    _here: Runtime | None = None
    _lock = threading.Lock()

    def __init__(
        self,
        store: Store,
        name: str,
        bodies: Mapping[str, Body],
        queues: Mapping[str, Mapping[str, Any]],
        room: Callable[[str], int],
    ):
        """`bodies` by the names of their flows; `queues` by name, with what limits them over all workers; `room` says
        how many jobs out of one may run here at once."""
        with Runtime._lock:
            if Runtime._here is not None:
                raise errors.InvalidRequestError("this process has a worker already: one is all it can have")
            Runtime._here = self
        self.store, self.name = store, name
        self._flows: dict[str, Any] = {}
        self._room = room
        self._aside = ThreadPoolExecutor(4, "lab-jobs-begin")  # DBOS refuses much where an event loop runs: a notebook
        try:
            with reached(store.url):
                self._aside.submit(self._launch, bodies, queues).result()
        except BaseException:
            self.close()
            raise

    def _launch(self, bodies: Mapping[str, Body], queues: Mapping[str, Mapping[str, Any]]) -> None:
        self._dbos = DBOS(
            config={
                "name": APPLICATION,
                "system_database_url": self.store.url,
                "system_database_engine": self.store.engine,
                "executor_id": self.name,
                "application_version": VERSION,
                "serializer": _JSON,
                "log_level": "CRITICAL",
                "use_listen_notify": False,
                "notification_listener_polling_interval_sec": 0.2,  # looks at nothing, and is waited for at the end
                "scheduler_polling_interval_sec": 15.0,
            }
        )
        for flow, body in bodies.items():
            self.register(flow, body)
        DBOS.listen_queues(list(queues))
        DBOS.launch()
        self._bound_here()
        self._listen(queues)

    def _bound_here(self) -> None:
        """How many run at once is each worker's own to say, where DBOS would keep one number for all of them; and a
        queue in which nobody waits is looked at with one short query instead of a transaction, ten times a second."""
        database = self._dbos._sys_db
        known, scopes = database.get_queue, database.dequeue_scopes
        read: dict[str, tuple[float, Any]] = {}
        table = f"{self.store.prefix}workflow_status"
        query = sa.text(f"SELECT 1 FROM {table} WHERE queue_name = :queue AND status = 'ENQUEUED' LIMIT 1")

        def own(name: str) -> Any:
            at, queue = read.get(name, (0.0, None))
            if time.monotonic() > at + SETTINGS:
                queue = known(name)
                read[name] = (time.monotonic(), queue)
            if queue is not None and name != DELIVERIES:
                queue._worker_concurrency = self._room(name)
            return queue

        def waiting(queue_name: str) -> list[str | None]:
            with self.store.engine.connect() as connection:
                somebody = connection.execute(query, {"queue": queue_name}).first()
            return scopes(queue_name) if somebody else []

        database.get_queue = own  # type: ignore[assignment, method-assign]
        database.dequeue_scopes = waiting  # type: ignore[method-assign]

    def listen(self, queues: Mapping[str, Mapping[str, Any]]) -> None:
        """Take jobs out of these, too."""
        with reached(self.store.url):
            self._aside.submit(self._listen, queues).result()

    def _listen(self, queues: Mapping[str, Mapping[str, Any]]) -> None:
        listening = self._dbos._listening_queues
        for queue, limits in queues.items():
            if listening is not None and queue not in listening:
                listening.append(queue)
            DBOS.register_queue(queue, **limits, on_conflict="always_update")

    def register(self, flow: str, body: Body) -> None:
        """Let this process run a flow."""

        async def run(first: Any, second: Any) -> Any:
            return await body(first, second)

        self._flows[flow] = DBOS.workflow(name=flow, max_recovery_attempts=STARTS - 2)(run)

    def start(
        self, flow: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, job: str, user: str | None,
        timeout: float | None, facts: Mapping[str, Any], queue: str,
    ) -> None:  # fmt: skip
        """Begin a job here and now, past its `queue`, unless there is one of this name. Should this process die, it is
        in that queue that it is found again."""

        def begin() -> None:
            with SetWorkflowID(job), SetWorkflowTimeout(timeout), SetWorkflowAttributes(dict(facts)):
                with DBOSContextSetAuth(user, None):
                    DBOS.start_workflow(self._flows[flow], list(args), dict(kwargs))
            query = f"UPDATE {self.store.prefix}workflow_status SET queue_name = :queue, queue_partition_key = :user,"
            query += " started_at_epoch_ms = created_at"
            with self.store.engine.begin() as connection:
                connection.execute(
                    sa.text(f"{query} WHERE workflow_uuid = :job AND queue_name IS NULL"),
                    {"queue": queue, "user": whose(user, job), "job": job},
                )

        with reached(self.store.url):
            self._aside.submit(begin).result()  # whoever submits may stand on an event loop

    def limited(self, name: str) -> bool:
        """Whether a queue has limits that hold over all workers."""
        queue = self._dbos._sys_db.get_queue(name)
        return queue is not None and (queue._limiter is not None or bool(queue._has_partition_limits()))

    def active(self) -> set[str]:
        """The jobs that DBOS runs here, by its own account."""
        return set(self._dbos._active_workflows_set.activeList())

    def recover(self, worker: str) -> int:
        """Put the jobs of a dead worker back in line; how many."""
        return len(DBOS._recover_pending_workflows([worker]))

    def drain(self, grace: float) -> None:
        """Take no more jobs; wait for those that run, for so many seconds at most."""
        for stop in self._dbos.background_thread_stop_events:
            stop.set()
        end = time.monotonic() + grace
        while any(not job.startswith(PREFIX) for job in self.active()) and time.monotonic() < end:
            time.sleep(0.05)

    def close(self) -> None:
        """Stop; what still runs is left for another worker."""
        with Runtime._lock:
            if Runtime._here is self:
                self._aside.shutdown(wait=False)
                Runtime._here = None
                DBOS.destroy(destroy_registry=True)


def job_here() -> str:
    """The job in whose flow this runs."""
    return cast(str, DBOS.workflow_id)


def stamp_here() -> str:
    """Which of its runs this is: what DBOS has claimed the job with."""
    return cast(str, current_owner_xid(job_here()))


def skip(steps: int) -> None:
    """Give the next step a number after these: those that were done before are not looked up by number."""
    for _ in range(steps):
        DBOS.reserve_step()


async def record(name: str, do: Callable[[], Any]) -> Any:
    """Do a step and write down what it returns; cancelled where its job is."""
    return await DBOS.run_step_async(dbos.StepOptions(name=name, preemptible=True), do)


CANCELLED: tuple[type[BaseException], ...] = (asyncio.CancelledError, dbos.error.DBOSWorkflowCancelledError)
"""What is raised in a flow whose job was stopped."""
