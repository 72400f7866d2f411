"""Dollars that are checked before they are spent."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import Budget, Fallback, Lab, Policy, Retry, errors
from lab.policies.budget import Spending
from lab.values import Answer, Call, Price, Usage
from tests import clock
from tests.servers import RawServer, answer, completion

PRICE = Price(input=1e-6, output=2e-6, cache_read=1e-6, cache_write=1e-6, reasoning=2e-6)


def test_a_call_that_may_cost_too_much_is_refused_before_it_is_sent(lab: Lab, server: RawServer) -> None:
    server.plays(answer(completion()))
    where = {"model": "gpt-4o-mini", "api_base": server.url, "api_key": "k-123456789"}
    tight = Policy(budget=Budget(usd=0.0001), retry=None)
    with pytest.raises(
        errors.BudgetError, match=r"may cost \$0\.0006.* and \$0\.000100 of \$0\.0001 per call are left"
    ):
        lab.ask("hi", policy=tight, max_tokens=1000, **where)
    assert not server.received
    assert lab.calls().iloc[0][["kind", "n_attempts", "cost"]].tolist() == ["budget", 0, 0.0]
    assert lab.ask("hi", policy=tight, max_tokens=100, **where).text == "Paris"


def test_every_attempt_that_may_be_made_is_counted(lab: Lab) -> None:
    where = {"model": "gpt-4o-mini", "api_key": "k-123456789", "max_tokens": 100}
    with pytest.raises(errors.BudgetError, match=r"may cost \$0\.0003"):
        lab.ask("hi", policy=Policy(budget=Budget(usd=0.0001), retry=Retry(attempts=5)), **where)
    with pytest.raises(errors.BudgetError, match=r"may cost \$0\.005"):
        lab.ask(
            "hi",
            policy=Policy(budget=Budget(usd=0.0001), retry=Retry(attempts=5), fallback=Fallback("gpt-4o")),
            **where,
        )


def test_a_model_without_a_known_price_is_refused(lab: Lab, server: RawServer) -> None:
    with pytest.raises(errors.BudgetError, match="has no known price, so a budget of"):
        lab.ask("hi", model="openai/served", api_base=server.url, api_key="k", policy=Policy(budget=Budget(usd=1)))


def test_a_days_budget_is_shared_with_what_the_ledger_knows(lab: Lab, server: RawServer) -> None:
    """Another process's calls count too."""
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 0}
    server.plays(answer(completion(usage=usage)))
    where = {"model": "gpt-4o-mini", "api_base": server.url, "api_key": "k-123456789", "max_tokens": 10}
    with Lab(lab.path) as other:
        assert other.ask("hi", **where).cost == pytest.approx(0.15)
    day = Policy(budget=Budget(usd=0.16, per="day"), retry=None)
    assert lab.ask("hi", policy=day, **where).text == "Paris"
    with pytest.raises(errors.BudgetError, match="per day are left"):
        lab.ask("hi", policy=day, **where)


@settings(max_examples=50)
@given(
    worst=st.lists(st.floats(0.01, 3), min_size=1, max_size=30),
    shares=st.lists(st.floats(0, 1), min_size=30, max_size=30),
    usd=st.floats(0.1, 10),
)
def test_it_is_never_exceeded(worst: list[float], shares: list[float], usd: float) -> None:
    """Whatever calls run at once, as long as none costs more than its worst case."""

    async def play() -> float:
        async def nothing(_per: str, _scope: str) -> float:
            return 0.0

        spending, spent = Spending(Budget(usd=usd, per="user"), nothing), 0.0

        async def call(most: float, share: float) -> None:
            nonlocal spent
            try:
                await spending.reserve("u", most, "m")
            except errors.BudgetError:
                return
            await asyncio.sleep(share)
            spent += most * share
            spending.settle("u", most, most * share)

        await asyncio.gather(*(call(most, share) for most, share in zip(worst, shares, strict=False)))
        return spent

    assert clock.run(play()) <= usd + 1e-9


def test_whose_spending_counts() -> None:
    call = Call(call_id="c", model="m", messages=(), user="u", experiment="e")
    assert Budget(usd=1, per="user").scope(call, 0) == "u"
    assert Budget(usd=1, per="experiment").scope(call, 0) == "e"
    assert Budget(usd=1, per="day").scope(call, 86_400 * 365) == "1971-01-01"
    assert Budget(usd=1).scope(replace(call, call_id="d"), 0) == "d"


def test_a_price_is_applied_to_disjoint_buckets() -> None:
    usage = Usage(input=10, cache_read=20, cache_write=30, output=40, reasoning=50)
    assert PRICE.cost(usage) == pytest.approx(60e-6 + 180e-6)
    assert Answer(text="x", finish_reason="stop", usage=usage).cost is None


@pytest.mark.parametrize("wrong", [{"usd": 0}, {"usd": "1"}, {"usd": 1, "per": "week"}])
def test_a_wrong_setting_is_refused_when_made(wrong: dict) -> None:
    with pytest.raises(ValueError, match="Budget"):
        Budget(**wrong)
