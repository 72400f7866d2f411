"""Jobs in a worker of this process: once, with their steps, their failures, their bad input."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from lab import Lab, Policy, Prompt, errors
from lab.jobs import address, office, workflows
from lab.jobs.flow import Flow
from tests.jobs.working import LONG, until, working


class Provider:
    """Answers with what it was asked, once `open`; counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.open = threading.Event()
        self.open.set()
        self.fail: errors.LabError | None = None
        self.answer = ""

    async def __call__(self, call: Any) -> str:
        self.asked.append(call.messages[-1]["content"])
        await asyncio.to_thread(self.open.wait, LONG)
        if self.fail is not None:
            raise self.fail
        return self.answer or f"<{call.messages[-1]['content']}>"


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def lab(fresh: Path, provider: Provider) -> Iterator[Lab]:
    with Lab(fresh, provider=provider, policy=Policy(retry=None)) as lab:
        yield lab
        provider.open.set()


async def two_chains(topic: str) -> list[str]:
    """Two branches of two steps each, beside each other."""

    async def branch(side: str) -> str:
        first = await LAB[0].aask(f"{side} {topic}", model="m")
        return (await LAB[0].aask(f"more: {first.text}", model="m")).text

    return await asyncio.gather(branch("For"), branch("Against"))


LAB: list[Lab] = []


def flow_of(lab: Lab, **settings: Any) -> Callable[[Callable[..., Any]], Flow]:
    """A flow as of a module, though it is defined within a test."""

    def made(function: Callable[..., Any]) -> Flow:
        function.__qualname__ = function.__name__
        return lab.flow(**settings)(function)

    return made


def test_ten_lines(lab: Lab, provider: Provider) -> None:
    """A flow's calls are steps with a key and a place on the ledger; its progress and its events are seen."""

    @flow_of(lab)
    async def report(topic: str) -> list[str]:
        points = await lab.aask(f"Three points on {topic}", model="m")
        pair = await asyncio.gather(*(lab.aask(f"{side}: {points.text}", model="m") for side in ("For", "Against")))
        lab.progress(1, of=1)
        return [reply.text for reply in pair]

    with working(lab):
        job = lab.submit(report, "tides", id="order-7", user="ann", lane="batch", timeout=600)
        assert job.result(timeout=20) == ["<For: <Three points on tides>>", "<Against: <Three points on tides>>"]
        assert (job.state, str(job.progress), job.progress.share) == ("done", "1 of 1", 1.0)
        status = job.status
        assert (status.user, status.lane, status.timeout) == ("ann", "batch", 600)
        assert status.submitted_at <= status.started_at <= status.ended_at
        calls = lab.calls(job="order-7")
        assert len(calls) == calls["step"].nunique() == 3
        keys = {row[0] for row in lab.ledger.rows("SELECT key FROM calls")}
        assert keys == {f"order-7:{step}" for step in calls["step"]}
        events = [event.what for event in job.events()]
        assert events[0] == "waiting"
        assert events.count("step") == 3
        assert events[-1] == "done"
        assert lab.submit(report, "tides", id="order-7").result(5) == job.result()
        with pytest.raises(errors.InvalidRequestError, match="'order-7' was submitted with another flow or other arg"):
            lab.submit(report, "sand", id="order-7")
        assert len(provider.asked) == 3
        trace = lab.trace(job)
        assert "3 calls" in str(trace)
        assert "report" in trace._repr_html_()
        assert trace.df()["step"].str.endswith("ask").sum() >= 3


def test_the_same_flow_called_directly_runs_at_once(lab: Lab, provider: Provider) -> None:
    @flow_of(lab)
    async def chain(topic: str) -> str:
        lab.progress(0, of=2)
        said = await lab.step(str.upper, topic)
        return (await lab.aask(said, model="m")).text

    assert asyncio.run(chain("tides")) == "<TIDES>"
    assert lab.calls()["job"].isna().all()
    assert not lab._office.there(), "nothing is made for it"


def test_branches_find_their_own_steps_again(lab: Lab, provider: Provider, tmp_path: Path) -> None:
    """What a step is known by is what it asks: in whatever order two branches come to theirs, before and after."""
    LAB[:] = [lab]
    flow = lab.flow(two_chains)
    with working(lab):
        assert lab.submit(flow, "x", id="a").result(20) == ["<more: <For x>>", "<more: <Against x>>"]
    store = lab._office.store
    with store.engine.begin() as db:  # as a crash before the last of them leaves it, and before the job has ended
        db.execute(workflows.sa.text("UPDATE workflow_status SET status = 'PENDING', output = NULL"))
        db.execute(workflows.sa.text("DELETE FROM operation_outputs WHERE function_id = 3"))
    asked = len(provider.asked)
    with working(lab, name="another"):
        assert lab.job("a").result(20) == ["<more: <For x>>", "<more: <Against x>>"]
    assert len(provider.asked) == asked == 4, "the one that was lost was on the ledger under its key"


def test_a_plain_function_is_a_flow_too(lab: Lab, provider: Provider) -> None:
    def outline(topic: str) -> list[str]:
        first = lab.ask(f"A {topic}", model="m", schema={"type": "string"}, checks=[])
        return [first.text, str(first.value), *lab.stream("streamed", model="m")]

    provider.answer = json.dumps("yes")
    flow = flow_of(lab)(outline)
    with working(lab):
        assert lab.submit(flow, "x").result(20) == ['"yes"', "yes", '"yes"']
        assert lab.calls()["job"].notna().all()


def test_within_an_async_flow_the_plain_verb_says_what_to_do(lab: Lab) -> None:
    @flow_of(lab)
    async def stands_still() -> str:
        return lab.ask("hi", model="m").text

    with working(lab), pytest.raises(errors.InvalidRequestError, match=r"await lab\.aask"):
        lab.submit(stands_still).result(20)


def test_a_value_is_read_again_and_a_prompt_names_its_step(lab: Lab, provider: Provider) -> None:
    """A schema's value survives: the step keeps a call's identifier, and the ledger the words."""

    class Order(BaseModel):
        sku: str

    async def order() -> list[Any]:
        asked = Prompt("order", "Which sku? {{text}}").fill(text="A-7")
        reply = await lab.aask(asked, model="m", schema=Order)
        assert isinstance(reply.value, Order)
        return [reply.value.sku, bool(reply.cached)]

    provider.answer = '{"sku": "A-7"}'
    flow = flow_of(lab)(order)
    with working(lab):
        assert lab.submit(flow, id="o").result(20) == ["A-7", False]
        assert lab.calls()["step"][0].startswith("order:")
    with lab._office.store.engine.begin() as db:
        text = db.execute(workflows.sa.text("SELECT group_concat(output) FROM operation_outputs")).scalar()
        assert "A-7" not in text, "its words are on the ledger alone"
        db.execute(workflows.sa.text("UPDATE workflow_status SET status = 'PENDING', output = NULL"))
    with working(lab, name="another"):
        assert lab.job("o").result(20) == ["A-7", True]
    assert lab.count() == 1


def test_a_failure_is_a_steps_outcome_and_raised_as_it_was_replayed_or_not(lab: Lab, provider: Provider) -> None:
    provider.fail = errors.ContentError("no", reason="refused", status=200, partial="so far")

    @flow_of(lab)
    async def careful() -> list[Any]:
        try:
            await lab.aask("hi", model="m")
        except errors.ContentError as failure:
            return [failure.kind, failure.reason, failure.partial, failure.status, failure.attempts]
        return []

    @flow_of(lab)
    async def careless() -> None:
        await lab.aask("ho", model="m")

    expected = ["content", "refused", "so far", 200, 1]
    with working(lab):
        assert lab.submit(careful, id="a").result(20) == expected
        job = lab.submit(careless, id="b")
        with pytest.raises(errors.ContentError, match="no") as told:
            job.result(20)
        assert (told.value.reason, told.value.partial, told.value.attempts) == ("refused", "so far", 1)
        assert told.value.call_id == lab.calls(job="b")["call_id"][0]
        assert lab.jobs(state="failed")["message"].tolist() == ["no"]
    with lab._office.store.engine.begin() as db:
        db.execute(workflows.sa.text("UPDATE workflow_status SET status='PENDING', output=NULL WHERE name LIKE '%ful'"))
    with working(lab, name="another"):
        assert lab.job("a").result(20) == expected
    assert len(provider.asked) == 2


def test_a_failed_job_is_gone_on_with_and_what_is_done_stays_done(lab: Lab, provider: Provider) -> None:
    @flow_of(lab)
    async def two() -> str:
        first = await lab.aask("first", model="m")
        if len(provider.asked) == 1:
            provider.fail = errors.ProviderError("down")
        return first.text + (await lab.aask("second", model="m")).text

    with working(lab):
        job = lab.submit(two)
        with pytest.raises(errors.ProviderError, match="down"):
            job.result(20)
        provider.fail = None
        job.resume()
        assert job.result(20) == "<first><second>"
        assert provider.asked == ["first", "second", "second"]
        with pytest.raises(ValueError, match="is done: only what failed or was cancelled"):
            job.resume()
        once_more = job.again()
        assert (once_more.result(20), once_more.id == job.id) == ("<first><second>", False)
        assert len(provider.asked) == 5


def test_other_work_is_a_step_and_what_it_raises_is_raised_again(lab: Lab) -> None:
    done: list[str] = []

    class Own(Exception):
        """One that no other process could make."""

    def fetch(what: str) -> dict[str, Any]:
        done.append(what)
        if what == "value":
            raise ValueError("not there")
        if what == "own":
            raise Own("mine")
        return {"got": (1, 2)} if what == "page" else {"got": object()}

    @flow_of(lab)
    async def fetching(what: str) -> Any:
        try:
            return await lab.step(fetch, what)
        except (ValueError, errors.JobError, errors.InvalidRequestError) as failure:
            return [type(failure).__name__, str(failure)]

    with working(lab):
        assert lab.submit(fetching, "page", id="page").result(20) == {"got": [1, 2]}
        assert lab.submit(fetching, "value").result(20) == ["ValueError", "not there"]
        assert lab.submit(fetching, "own").result(20) == ["JobError", "Own: mine"]
        kind, message = lab.submit(fetching, "object").result(20)
        assert kind == "InvalidRequestError"
        assert message.startswith("step fetch: JSON alone")
    with lab._office.store.engine.begin() as db:
        db.execute(workflows.sa.text("UPDATE workflow_status SET status = 'PENDING', output = NULL"))
    with working(lab, name="another"):
        until(lambda: set(lab.jobs()["state"]) == {"done"})
        assert lab.job("page").result(20) == {"got": [1, 2]}
    assert len(done) == 4


def test_cancelled_while_it_waits_for_an_answer_then_gone_on_with(lab: Lab, provider: Provider) -> None:
    @flow_of(lab)
    async def patient() -> str:
        first = await lab.aask("first", model="m")
        if len(provider.asked) == 1:
            provider.open.clear()
        return first.text + (await lab.aask("second", model="m")).text

    with working(lab):
        job = lab.submit(patient)
        until(lambda: len(provider.asked) == 2)
        job.cancel()
        until(lambda: job.state == "cancelled")
        with pytest.raises(errors.JobError, match="was cancelled"):
            job.result(5)
        with pytest.raises(ValueError, match="is cancelled"):
            job.cancel()
        until(lambda: lab.count(status="cancelled") == 1)  # the call has been let go, too
        provider.open.set()
        job.resume()
        assert job.result(20) == "<first><second>"
        assert provider.asked == ["first", "second", "second"]


def test_a_job_has_its_own_time(lab: Lab, provider: Provider) -> None:
    @flow_of(lab)
    async def forever() -> None:
        await lab.aask("hi", model="m")

    provider.open.clear()
    with working(lab):
        job = lab.submit(forever, timeout=0.2)
        with pytest.raises(TimeoutError, match="is still running after 0 s"):
            job.result(0)
        with pytest.raises(errors.TimeoutError, match=r"not done within 0\.2 s") as late:
            job.result(20)
        assert (job.state, late.value.phase) == ("failed", "total")


def test_changed_code_is_said_and_nothing_runs_half_in_it(lab: Lab, provider: Provider) -> None:
    @flow_of(lab, version="1")
    async def evolving() -> str:
        return (await lab.aask("hi", model="m")).text

    with working(lab):
        assert lab.submit(evolving, id="j").result(20) == "<hi>"
    with lab._office.store.engine.begin() as db:
        db.execute(workflows.sa.text("UPDATE workflow_status SET status = 'PENDING', output = NULL"))
    evolving.version = "2"
    with working(lab, name="newer"):
        job = lab.job("j")
        with pytest.raises(errors.JobError, match=r"its code has changed since it began \(version 1, now 2\)"):
            job.result(20)
        job.resume()
        assert job.result(20) == "<hi>"
        assert provider.asked == ["hi"]


def test_a_flow_of_a_notebook_is_refused_or_runs_here(lab: Lab) -> None:
    async def cell() -> str:
        return "here"

    flow = lab.flow(cell)
    with pytest.raises(errors.InvalidRequestError, match="put it into a module of its own"):
        lab.submit(flow)
    with working(lab), pytest.warns(UserWarning, match="runs in this process, and ends with it"):
        assert lab.submit(flow).result(20) == "here"


def test_bad_input_is_said_in_one_sentence(lab: Lab) -> None:
    flow = lab.flow(two_chains)
    for given, why in (
        (lambda: lab.submit("nope"), "no flow 'nope': there is batch, compare"),
        (lambda: lab.submit("no_such_module:report"), "module 'no_such_module' can't be imported"),
        (lambda: lab.submit(print), "a function needs @lab.flow above it"),
        (lambda: lab.submit(flow), "missing a required argument: 'topic'"),
        (lambda: lab.submit(flow, object()), "JSON alone"),
        (lambda: lab.submit(flow, float("nan")), "JSON alone"),
        (lambda: lab.submit(flow, "x" * 20_000_001), "at most 20,000,000"),
        (lambda: lab.submit(flow, "x", lane="fast"), "lane='fast': one of interactive, batch"),
        (lambda: lab.submit(flow, "x", id=""), "id='': up to 150 printable"),
        (lambda: lab.submit(flow, "x", id="webhook:a"), "up to 150 printable characters, not `webhook:"),
        (lambda: lab.submit(flow, "x", user=7), "user=7: a string"),
        (lambda: lab.submit(flow, "x", timeout=0), "timeout=0: seconds"),
        (lambda: lab.submit(flow, "x", webhook="ftp://host"), "the webhook's address"),
        (lambda: lab.flow(3), "a flow is a function"),
        (lambda: lab.worker(concurrency=0), "concurrency=0: a whole number"),
        (lambda: lab.worker("json"), "module 'json' defines no flow"),
        (lambda: lab.schedule("s", flow, "not a time", "x"), "Invalid cron schedule"),
    ):
        with pytest.raises(errors.InvalidRequestError) as told:
            given()
        assert why in str(told.value)
    for lookup, why in ((lambda: lab.job("x"), "no job 'x'"), (lambda: lab.jobs(state="odd"), "state='odd': one of")):
        with pytest.raises(ValueError, match=why):
            lookup()


def test_a_result_that_is_too_large_or_no_json_fails_the_job_and_says_so(lab: Lab) -> None:
    @flow_of(lab)
    async def huge(kind: str) -> Any:
        return "x" * 20_000_001 if kind == "long" else {1, 2}

    with working(lab):
        with pytest.raises(errors.InvalidRequestError, match="write it to a file, and hand on its path"):
            lab.submit(huge, "long").result(20)
        with pytest.raises(errors.InvalidRequestError, match="set is not JSON serializable"):
            lab.submit(huge, "set").result(20)


def test_a_lane_that_is_too_deep_refuses_with_how_long_to_wait(lab: Lab) -> None:
    flow = lab.flow(two_chains)
    for number in range(3):
        lab.submit(flow, f"{number}", depth=3)
    with pytest.raises(errors.BusyError, match=r"3 jobs wait in .*/interactive, and no more than 3 may") as refused:
        lab.submit(flow, "x", depth=3)
    assert refused.value.retry_after == 60.0
    assert lab.submit(flow, "x", lane="batch", depth=3).state == "waiting", "the other lane has room"
    assert lab.jobs(state="waiting")["flow"].tolist() == [flow.name] * 4


def test_words_are_kept_as_long_as_they_are_needed_and_redacted_where_they_stay(fresh: Path) -> None:
    """The jobs' file is as careful as the ledger: arguments go when the job is done, the result is redacted."""

    def hide(text: str) -> str:
        return text.replace("Ann", "[name]")

    with Lab(fresh, provider=lambda call: "Ann said so", redact=hide) as lab:

        @flow_of(lab)
        async def say(who: str) -> list[str]:
            reply = await lab.aask(f"What does {who} say?", model="m")
            extra = await lab.step(str.upper, f"{who} ANN")
            return [reply.text, extra, who]

        with working(lab):
            job = lab.submit(say, "Ann", id="j")
            assert job.result(20) == ["[name] said so", "ANN ANN", "[name]"]
            until(lambda: job.status.facts.get("blanked"))
            assert job.arguments is None
            with pytest.raises(ValueError, match="its arguments are gone"):
                job.again()
        files = [path for path in fresh.parent.iterdir() if path.name.startswith("lab.jobs.db") and path.is_file()]
        lab._office.close()
        with sqlite3.connect(fresh.with_name("lab.jobs.db")) as db:
            dump = "\n".join(db.iterdump())
        assert "Ann" not in dump
        assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}


def test_an_experiment_is_a_job_and_the_same_again_while_it_runs_is_the_same(lab: Lab, provider: Provider) -> None:
    spec = {
        "prompts": [["sort", "Which? {{n}}"]],
        "models": ["m"],
        "rows": [{"id": str(n), "input": {"n": n}} for n in range(4)],
    }
    provider.open.clear()
    with working(lab):
        job = lab.submit("compare", spec | {"concurrency": 1})
        until(lambda: len(provider.asked) == 1)
        assert lab.submit("compare", spec | {"concurrency": 1}).id == job.id
        assert lab.jobs(flow="compare")[["lane", "done", "of"]].values.tolist() == [["batch", 0.0, 4.0]]
        job.cancel()
        until(lambda: not lab.ledger.rows("SELECT 1 FROM leases WHERE space = 'experiment'"))
        provider.open.set()
        asked = len(provider.asked)
        job.resume()
        result = job.result(20)
        assert (result["cells"], result["failed"]) == (4, 0)
        assert len(provider.asked) <= asked + 4
        assert lab.experiment(result["experiment"]).df()["status"].eq("ok").all()
        assert len(lab.calls(job=job.id, status="ok")) == 4
        assert "calls" in lab.trace(job).head
        with pytest.raises(errors.InvalidRequestError, match="api_key: what runs in the background is written down"):
            lab.submit("compare", spec | {"params": {"api_key": "planted"}})


def test_an_experiment_waits_for_a_script_that_runs_it(lab: Lab, provider: Provider) -> None:
    from lab.evals.spec import Spec

    spec = Spec.read(
        {"prompts": [["sort", "Which? {{n}}"]], "models": ["m"], "name": "x", "rows": [{"id": "a", "input": {"n": 1}}]}
    )
    provider.open.clear()
    with Lab(lab.path, provider=provider) as script:
        thread = threading.Thread(target=script.planned(spec).run, args=(None,))
        thread.start()
        until(lambda: len(provider.asked) == 1)
        with working(lab):
            job = lab.submit("compare", spec)
            until(lambda: "is being run by another process" in str(job.progress))
            provider.open.set()
            thread.join()
            assert job.result(20)["cells"] == 1
    assert len(provider.asked) == 1


def test_cells_without_an_answer_fail_the_job_and_resume_asks_them_again(lab: Lab, provider: Provider) -> None:
    provider.fail = errors.QuotaError("no credit")
    spec = {"prompts": [["sort", "Which? {{n}}"]], "models": ["m"], "rows": [{"id": "a", "input": {"n": 1}}]}
    with working(lab):
        job = lab.submit("compare", spec)
        with pytest.raises(errors.JobError, match="1 cells have no answer: no credit"):
            job.result(20)
        provider.fail = None
        job.resume()
        assert job.result(20)["cells"] == 1


def test_what_the_clock_puts_in_line(lab: Lab, provider: Provider) -> None:
    """Each time once, under a name made of it; changed under its name; gone when it is taken away."""
    flow = lab.flow(two_chains)
    LAB[:] = [lab]
    lab.schedule("nightly", flow, "0 3 * * *", "x", zone="Europe/Berlin", user="ann")
    lab.schedule("nightly", flow, "* * * * * *", "y", user="ann")
    assert lab.schedules()[["name", "flow", "cron"]].values.tolist() == [["nightly", flow.name, "* * * * * *"]]
    with working(lab):
        until(lambda: len(lab.jobs(state="done")) >= 2)
        rows = lab.jobs(state="done")
        assert set(rows["user"]) == {"ann"}
        assert rows["job"].str.startswith("nightly 20").all()
        assert rows["job"].is_unique
        lab.unschedule("nightly")
        assert lab.schedules().empty


def test_old_jobs_are_forgotten(lab: Lab) -> None:
    @flow_of(lab)
    async def quick() -> int:
        return 1

    with working(lab):
        job = lab.submit(quick)
        job.result(20)
        assert lab.prune_jobs(time.time() - 60) == 0
        assert lab.prune_jobs(time.time() + 60) == 1
        with pytest.raises(ValueError, match="no job"):
            job.state  # noqa: B018


def test_a_database_that_is_away_is_busy(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(address.WHERE, "postgresql://nobody:planted@127.0.0.1:9/none")
    flow = lab.flow(two_chains)
    with pytest.raises(errors.BusyError, match=r"can't be reached \(127.0.0.1:9/none\)") as away:
        lab.submit(flow, "x")
    assert "planted" not in str(away.value)
    assert away.value.retry_after == workflows.AWAY
    monkeypatch.setenv(address.WHERE, "mysql://host/name")
    with pytest.raises(errors.InvalidRequestError, match=r"\$LAB_JOBS: postgresql://"):
        lab.jobs()


def test_a_worker_that_is_closed_hands_over_what_it_began_past_the_queue(lab: Lab, provider: Provider) -> None:
    """Async flows, steps and plain functions: none of them fails of it, and none counts as its worker's death."""

    @flow_of(lab)
    async def asks() -> str:
        return (await lab.aask("async", model="m")).text

    @flow_of(lab)
    def plain() -> str:
        try:
            return lab.ask("plain", model="m").text
        except Exception as failure:
            return f"caught {failure!r}"

    async def slow() -> str:
        return (await lab.aask("inner", model="m")).text

    @flow_of(lab)
    async def steps() -> str:
        return await lab.step(slow)

    provider.open.clear()
    with working(lab):
        jobs = [lab.submit(flow) for flow in (asks, plain, steps)]
        until(lambda: len(provider.asked) == 3)
    assert [job.state for job in jobs] == ["waiting"] * 3
    assert [job.status.starts for job in jobs] == [0] * 3
    provider.open.set()
    with working(lab, name="another"):
        assert [job.result(20) for job in jobs] == ["<async>", "<plain>", "<inner>"]
    assert Counter(provider.asked).most_common(1)[0][1] <= 2


def test_a_failed_job_that_is_resumed_keeps_what_was_done_after_the_failure(lab: Lab, provider: Provider) -> None:
    charged: list[int] = []

    def charge(amount: int) -> int:
        charged.append(amount)
        return amount

    @flow_of(lab)
    async def order() -> int:
        provider.fail = errors.ContentError("no", reason="refused") if not charged else None
        with suppress(errors.ContentError):
            await lab.aask("may fail", model="m")
        amount = await lab.step(charge, 7)
        if len(provider.asked) < 2:
            raise ValueError("once")
        return amount

    with working(lab, per_user=1):
        job = lab.submit(order)
        with pytest.raises(ValueError, match="once"):
            job.result(20)
        job.resume()
        assert job.result(20) == 7
    assert charged == [7]
    assert provider.asked == ["may fail"] * 2


def test_two_runs_of_one_job_do_no_step_twice(lab: Lab) -> None:
    """Cancelled while it is between two steps, and gone on with at once: the first run does nothing more."""
    done: list[str] = []
    go = threading.Event()

    @flow_of(lab)
    async def between() -> str:
        done.append("begun")
        await asyncio.to_thread(go.wait, LONG)
        return await lab.step(late, "x")

    def late(what: str) -> str:
        done.append("step")
        return what

    with working(lab):
        job = lab.submit(between)
        until(lambda: done == ["begun"])
        job.cancel()
        job.resume()
        until(lambda: done == ["begun", "begun"])
        go.set()
        assert job.result(20) == "x"
        time.sleep(0.3)
        status = job.status
        assert done.count("step") == 1
        assert status.started_at <= status.facts["again"] <= status.ended_at


def test_steps_that_nothing_tells_apart_are_refused(lab: Lab) -> None:
    """After a take-over each would be given whichever result came first."""

    def work(number: int, extra: int = 0) -> int:
        return number + extra

    class Client:
        def __init__(self, base: int):
            self.base = base

        def fetch(self, what: int) -> int:
            return self.base + what

    @flow_of(lab)
    async def told_apart() -> list[Any]:
        client = Client(10)
        partials = [lab.step(partial(work, number, extra=1)) for number in range(3)]
        return [*await asyncio.gather(*partials), await lab.step(client.fetch, 1), await lab.step(client.fetch, 1)]

    @flow_of(lab)
    async def alike(kind: str) -> list[Any]:
        if kind == "closures":
            return await asyncio.gather(*(lab.step(lambda n=number: n + number) for number in range(2)))  # noqa: B023
        if kind == "objects":
            return [await lab.step(Client(base).fetch, 1) for base in (1, 2)]
        return [await lab.step(work, object())]

    with working(lab):
        assert lab.submit(told_apart).result(20) == [1, 2, 3, 11, 11]
        for kind in ("closures", "objects"):
            with pytest.raises(errors.InvalidRequestError, match="give them what differs as arguments"):
                lab.submit(alike, kind).result(20)
        with pytest.raises(errors.InvalidRequestError, match=r"the arguments of step .*work: JSON alone"):
            lab.submit(alike, "object").result(20)


def test_with_redaction_a_flow_sees_what_it_would_see_after_a_restart(fresh: Path) -> None:
    asked: list[str] = []

    def answer(call: Any) -> str:
        asked.append(call.messages[-1]["content"])
        return "Ann"

    with Lab(fresh, provider=answer, redact=lambda text: text.replace("Ann", "[name]")) as lab:

        @flow_of(lab)
        async def chain() -> str:
            first = await lab.aask("who", model="m")
            return (await lab.aask(f"and {first.text}", model="m")).text

        with working(lab):
            assert lab.submit(chain, id="j").result(20) == "[name]"
        with lab._office.store.engine.begin() as db:
            db.execute(workflows.sa.text("UPDATE workflow_status SET status = 'PENDING', output = NULL"))
        with working(lab, name="another"):
            assert lab.job("j").result(20) == "[name]"
    assert asked == ["who", "and [name]"]


def test_a_database_that_blinks_while_a_job_begins_does_not_fail_it(
    lab: Lab, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lab.jobs import running

    @flow_of(lab)
    async def asks() -> str:
        return (await lab.aask("hi", model="m")).text

    blinks = ["steps", "update", "stamp"]
    store = lab._office.store
    for name in tuple(blinks):

        def blinking(plain: Any, name: str, *given: Any, **more: Any) -> Any:
            if name in blinks:
                blinks.remove(name)
                raise errors.BusyError("away for a moment")
            return plain(*given, **more)

        monkeypatch.setattr(store, name, partial(blinking, getattr(store, name), name))
    monkeypatch.setattr(running, "AGAIN", 0.01)
    with working(lab):
        assert lab.submit(asks).result(20) == "<hi>"
    assert blinks == []


def test_of_a_lane_no_more_run_at_once_than_was_said(lab: Lab, provider: Provider) -> None:
    """However they come: out of the queue, or begun at once."""

    @flow_of(lab)
    async def asks(number: int) -> str:
        return (await lab.aask(f"{number}", model="m")).text

    provider.open.clear()
    with working(lab, concurrency=3) as worker:
        jobs = [lab.submit(asks, number) for number in range(7)]
        until(lambda: len(provider.asked) == 3)
        time.sleep(1.0)
        assert len(provider.asked) == len(worker.runs.here()) == 3
        provider.open.set()
        assert [job.result(20) for job in jobs] == [f"<{number}>" for number in range(7)]


def test_the_listing_finds_jobs_however_many_others_there_are(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office, "PAGE", 3)
    flow = lab.flow(two_chains)
    for number in range(4):
        lab.submit(flow, f"{number}", lane="batch" if number % 2 else "interactive")
    for number in range(8):
        lab._office.webhooks.put(f"webhook:{number}", "j", ["http://x/", f"w{number}", {}, []])
    assert len(lab.jobs(limit=2)) == 2
    assert len(lab.jobs(limit=None)) == 4
    assert len(lab.jobs(lane="batch")) == 2


def test_a_bad_time_leaves_the_schedule_that_was_there(lab: Lab) -> None:
    flow = lab.flow(two_chains)
    lab.schedule("nightly", flow, "0 3 * * *", "x")
    with pytest.raises(errors.InvalidRequestError, match="Invalid cron"):
        lab.schedule("nightly", flow, "whenever", "x")
    assert lab.schedules()["cron"].tolist() == ["0 3 * * *"]


def test_the_same_id_of_another_flow_is_refused_and_of_a_job_that_is_done_is_free_of_limits(lab: Lab) -> None:
    @flow_of(lab)
    async def one() -> int:
        return 1

    @flow_of(lab)
    async def two() -> int:
        return 2

    with working(lab):
        assert lab.submit(one, id="j").result(20) == 1
    assert lab.submit(one, id="j", depth=1).state == "done"
    with pytest.raises(errors.InvalidRequestError, match="was submitted with another flow"):
        lab.submit(two, id="j")


def test_all_of_it_where_an_event_loop_runs_as_in_a_notebook(lab: Lab) -> None:
    @flow_of(lab)
    async def asks(topic: str) -> str:
        return (await lab.aask(topic, model="m")).text

    async def cell() -> str:
        worker = lab.worker()
        later = lab.flow(said_later)
        try:
            job = lab.submit(asks, "x", id="j")
            first = await job.aresult(20)
            again = await (await lab.asubmit(later, "y")).aresult(20)
            return f"{first} {again} {job.state} {len(lab.jobs())} {lab.trace(job).job}"
        finally:
            worker.close()

    assert asyncio.run(cell()) == "<x> y done 2 j"


async def said_later(topic: str) -> str:
    return topic


def test_a_batch_is_waited_for_by_a_job(fresh: Path) -> None:
    """Its line is sent once, whoever waits; what fails is among the results."""
    with Lab(fresh) as lab, working(lab):
        asked = ["What is a hedge?", "What is a quorum?"]
        job = lab.submit("batch", asked, model="sim/instant", name="two")
        replies = job.result(60)
        assert [sorted(reply) for reply in replies] == [["call", "text"]] * 2
        assert lab.submit("batch", ["What is a hedge?", "What is a quorum?"], model="sim/instant", name="two").result(
            60
        )
        assert len(lab.batches()) == 1
        assert lab.jobs()["lane"].tolist() == ["batch"] * 2
        with pytest.raises(errors.AuthError):
            lab.submit("batch", ["hi"], model="gemini/gemini-pro").result(60)
        with pytest.raises(errors.InvalidRequestError, match="api_key: what runs in the background is written down"):
            lab.submit("batch", ["hi"], model="sim/instant", api_key="planted")
