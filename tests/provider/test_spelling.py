"""Slips in names are refused before anything is sent."""

from __future__ import annotations

import pytest

from lab import Lab, errors
from tests.servers import RawServer, answer, completion

SLIPS = [
    ("temprature", "temperature"),
    ("Temperature", "temperature"),
    ("max_token", "max_tokens"),
    ("topp", "top_p"),
    ("response_fromat", "response_format"),
    ("seeds", "seed"),
    ("reasoning_efort", "reasoning_effort"),
]


@pytest.mark.parametrize(("slip", "meant"), SLIPS)
def test_a_likely_slip_is_refused_with_the_right_name(lab: Lab, server: RawServer, slip: str, meant: str) -> None:
    server.plays(answer(completion("Paris")))
    with pytest.raises(errors.InvalidRequestError, match=f"`{slip}` is no parameter: did you mean `{meant}`"):
        lab.ask("hi", model="openai/m", api_base=server.url, api_key="k-123456789", **{slip: 1})
    assert not server.received


@pytest.mark.parametrize(
    "name", ["top_k", "min_p", "min_tokens", "repetition_penalty", "models", "temp", "max_new_tokens", "zzz", "stop"]
)
def test_what_is_no_slip_is_sent(lab: Lab, server: RawServer, name: str) -> None:
    server.plays(answer(completion("Paris")))
    lab.ask("hi", model="openai/m", api_base=server.url, api_key="k-123456789", **{name: ["x"]})
    assert server.received[0].body[name] == ["x"]


def test_a_slip_can_be_sent_all_the_same(lab: Lab, server: RawServer) -> None:
    server.plays(answer(completion("Paris")))
    lab.ask("hi", model="openai/m", api_base=server.url, api_key="k-123456789", extra_body={"temprature": 1})
    assert server.received[0].body["temprature"] == 1


def test_a_simulated_model_that_is_misspelt_is_named(lab: Lab) -> None:
    with pytest.raises(errors.UnsupportedError, match=r"no model 'sim/stedy' \(did you mean sim/steady\?\): there is"):
        lab.ask("hi", model="sim/stedy")
