"""Dollars that are checked before they are spent."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import Budget, Fallback, Hedge, Lab, Policy, Retry, errors
from lab.policies.budget import Spending
from lab.policies.kernel import Try
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


def tried(deadline: float | None = None) -> Try:
    return Try(call=Call(call_id="c", model="m", messages=(), user="u"), model="m", deadline=deadline)


@settings(max_examples=50)
@given(
    worst=st.lists(st.floats(0.01, 3), min_size=1, max_size=30),
    shares=st.lists(st.floats(0, 1), min_size=30, max_size=30),
    usd=st.floats(0.1, 10),
    reading=st.floats(0, 2),
)
def test_it_is_never_exceeded_and_no_call_is_refused_that_would_have_fitted(
    worst: list[float], shares: list[float], usd: float, reading: float
) -> None:
    """Whatever calls run at once, as long as none costs more than its worst case, however long the ledger takes to say
    what is on record. Refused is only what doesn't fit beside what was spent by then."""

    async def play() -> float:
        on_record = 0.0

        async def read(_per: str, _scope: str) -> float:
            known = on_record
            await asyncio.sleep(reading)
            return known

        spending = Spending(Budget(usd=usd, per="user"), read)

        async def call(most: float, share: float) -> None:
            nonlocal on_record
            try:
                await spending.reserve("u", most, tried())
            except errors.BudgetError:
                assert most > usd - on_record - 1e-9
                return
            await asyncio.sleep(3 * share)
            on_record += most * share
            spending.settle("u", most, most * share)

        await asyncio.gather(*(call(most, share) for most, share in zip(worst, shares, strict=False)))
        return on_record

    assert clock.run(play()) <= usd + 1e-9


def test_calls_wait_for_the_reservations_in_front_of_them_until_their_deadline() -> None:
    async def nothing(_per: str, _scope: str) -> float:
        return 0.0

    async def play() -> list[object]:
        spending, loop = Spending(Budget(usd=1.0, per="user"), nothing), asyncio.get_running_loop()

        async def call(most: float, seconds: float, deadline: float | None = None) -> object:
            try:
                await spending.reserve("u", most, tried(deadline))
            except errors.BudgetError as refusal:
                return round(loop.time() - start, 3), str(refusal)
            began = loop.time() - start
            await asyncio.sleep(seconds)
            spending.settle("u", most, most / 10)
            return round(began, 3)

        start = loop.time()
        calls = [call(0.9, 5), call(0.5, 1), call(0.4, 1), call(0.9, 1, start + 5.5), call(0.9, 1), call(2.0, 1)]
        return await asyncio.gather(*calls)

    *outcomes, impossible = clock.run(play())
    assert outcomes[:3] == [0.0, 5.0, 5.0]
    assert outcomes[3][0] == 5.5, "its deadline"
    assert outcomes[4] == 6.0, "an answer that cost less than its worst leaves room"
    assert "may cost $2.000000" in impossible[1]


def test_a_call_within_a_call_does_not_wait_for_the_one_that_waits_for_it(tmp_path: Path) -> None:
    """A check that asks, under the same budget: refused at once where there is no room beside its own call."""
    policy = Policy(budget=Budget(usd=0.003, per="day"), retry=None)
    with Lab(tmp_path / "lab.db") as lab:

        def judged(text: str) -> bool:
            lab.ask("Is it good?", model="sim/instant", max_tokens=1500, policy=policy)
            return True

        with pytest.raises(errors.ValidationError, match=r"BudgetError: this call may cost"):
            lab.ask("hi", model="sim/instant", max_tokens=1500, policy=policy, checks=[judged])


def test_cells_of_an_experiment_wait_for_each_other(tmp_path: Path) -> None:
    """Fifteen at once would pass the budget at worst, all forty together don't come near it: none is refused."""
    with Lab(tmp_path / "lab.db") as lab:
        with pytest.raises(errors.BudgetError) as refusal:
            lab.ask("Say 39.", model="sim/instant", max_tokens=2000, policy=Policy(budget=Budget(usd=1e-9)))
        worst = float(re.search(r"may cost \$([\d.]+)", str(refusal.value))[1])
        rows = [{"n": str(number)} for number in range(40)]
        experiment = lab.compare(
            "Say {{n}}.", "sim/instant", rows, budget=worst * 14, concurrency=20, max_tokens=2000, progress=None
        )
        assert experiment.progress.done == 40
        assert lab.count(kind="budget", experiment=experiment.name) == 0
        assert lab.count(status="ok", experiment=experiment.name) == 40


def test_what_a_failed_a_cancelled_and_a_running_attempt_cost_counts(tmp_path: Path) -> None:
    """Calls that fail, are given up on, or whose losing hedge runs on, fifty at once: never over the budget."""
    policy = Policy(
        budget=Budget(usd=0.004, per="user"),
        retry=Retry(attempts=2, initial=0.001),
        hedge=Hedge(after=0.01, budget=1.0, follow=1.0),
    )
    models = ["sim/instant", "sim/instant+http_500:0.5", "sim/instant+cut:0.5"]

    async def play(lab: Lab) -> list[object]:
        async def ask(number: int) -> object:
            patience = 0.02 if number % 7 == 0 else 60
            call = lab.aask("hi", model=models[number % 3], user="ann", max_tokens=300, policy=policy)
            return await asyncio.wait_for(call, patience)

        return await asyncio.gather(*(ask(number) for number in range(60)), return_exceptions=True)

    with Lab(tmp_path / "lab.db") as lab:
        lab.ask("what is loaded once is loaded now", model="sim/instant")
        outcomes = asyncio.run(play(lab))
        assert {type(outcome).__name__ for outcome in outcomes} >= {"Reply", "TimeoutError"}
    with Lab(tmp_path / "lab.db") as lab:
        assert 0.001 < lab.calls(user="ann", limit=None)["cost"].sum() <= 0.004


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
