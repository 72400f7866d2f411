"""A webhook that is told of a job's end: signed, once, over failures, given up and told again."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab
from lab.jobs import delivery
from lab.jobs.webhook import signature
from tests.jobs.test_job import Provider, flow_of
from tests.jobs.test_webhook import Receiver
from tests.jobs.working import until, working

SECRET = f"whsec_{base64.b64encode(b'a secret of twenty-four b').decode()}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def lab(fresh: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv(delivery.PRIVATE, "1")
    monkeypatch.setenv(delivery.SECRET, SECRET)
    monkeypatch.setattr(delivery, "WAITS", (0.05, 0.05, 0.05))
    with Lab(fresh, provider=provider) as lab:
        yield lab


async def said(topic: str) -> str:
    return topic


def test_of_its_end_signed_and_without_its_words(lab: Lab, receiver: Receiver) -> None:
    flow = flow_of(lab)(said)
    with working(lab):
        lab.submit(flow, "secret words", id="j", user="ann", webhook=receiver.url).result(20)
        until(lambda: receiver.came)
        headers, body = receiver.came[0]
        message = json.loads(body)
        assert (message["type"], message["data"]) == (
            "job.done",
            {"id": "j", "flow": flow.name, "state": "done", "user": "ann"},
        )
        assert b"secret words" not in body
        assert headers["webhook-id"] == "webhook:j"
        assert headers["webhook-signature"] == signature(SECRET, "webhook:j", headers["webhook-timestamp"], body)
        until(lambda: lab.webhooks()["state"].tolist() == ["done"])
        assert lab.jobs()["job"].tolist() == ["j"], "deliveries are not among the jobs"


def test_through_failures_under_one_identifier_once(lab: Lab, receiver: Receiver) -> None:
    receiver.statuses = [503, 0, 503]
    with working(lab):
        lab.submit(flow_of(lab)(said), "x", id="j", webhook=receiver.url).result(20)
        until(lambda: lab.webhooks()["state"].tolist() == ["done"])
        until(lambda: lab.job("j").status.facts.get("told"))
    with working(lab, name="another"):  # looks at what has ended a moment ago, too
        until(lambda: len(receiver.came) >= 4)
    assert len(receiver.came) == 4
    assert {headers["webhook-id"] for headers, _ in receiver.came} == {"webhook:j"}
    assert len({body for _, body in receiver.came}) == 1


def test_given_up_it_is_listed_fires_and_is_told_again_by_a_verb(lab: Lab, receiver: Receiver) -> None:
    receiver.statuses = [500] * 4
    with working(lab):
        lab.submit(flow_of(lab)(said), "x", id="j", webhook=receiver.url).result(20)
        until(lambda: lab.webhooks(dead=True)["job"].tolist() == ["webhook:j"])
        message = lab.webhooks(dead=True)["message"][0]
        assert message == "127.0.0.1 was not told, after 4 tries: status 500"
        assert "a-secret-token" not in str(lab.webhooks().to_dict())
        (alert,) = [alert for alert in lab.alerts() if alert.figure == "webhook"]
        assert "1 webhook" in alert.message
        assert lab.resend("j").result(20) == {"tries": 1}
        assert len(receiver.came) == 5
        assert {headers["webhook-id"] for headers, _ in receiver.came} == {"webhook:j"}
        assert [alert for alert in lab.alerts() if alert.figure == "webhook"] == []
        with pytest.raises(ValueError, match="job 'other' has no webhook"):
            lab.resend("other")


def test_of_a_failure_and_of_a_cancellation_and_again_of_the_next_end(
    lab: Lab, receiver: Receiver, provider: Provider
) -> None:
    @flow_of(lab)
    async def asks() -> str:
        return (await lab.aask("hi", model="m")).text

    provider.open.clear()
    with working(lab):
        job = lab.submit(asks, id="j", webhook=receiver.url)
        until(lambda: provider.asked)
        job.cancel()
        until(lambda: receiver.came)
        assert json.loads(receiver.came[0][1])["type"] == "job.cancelled"
        provider.open.set()
        job.resume()
        assert job.result(20) == "<hi>"
        until(lambda: len(receiver.came) == 2)
        assert json.loads(receiver.came[1][1])["type"] == "job.done"
        assert len({headers["webhook-id"] for headers, _ in receiver.came}) == 2


def test_an_address_of_this_machine_is_given_up_at_once_unless_it_is_allowed(
    lab: Lab, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(delivery.PRIVATE)
    with working(lab):
        lab.submit(flow_of(lab)(said), "x", webhook=receiver.url).result(20)
        until(lambda: len(lab.webhooks(dead=True)) == 1)
        assert "an address of this machine" in lab.webhooks()["message"][0]
    assert receiver.came == []


def test_over_a_day() -> None:
    assert 23 * 3600 < sum(delivery.WAITS) < 24 * 3600
