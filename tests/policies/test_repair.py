"""Repair: what goes back to the model, how often, and what happens in the end; alone, in pairs, and on the ledger."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lab import Budget, Fallback, Lab, Policy, Repair, Retry, checks, errors
from lab.policies.compose import LAYERS
from lab.policies.kernel import composed
from lab.values import Checked, Event
from tests import clock
from tests.play import Player, Step, fail, only


@dataclass
class Found:
    """What the checks made of an answer."""

    right: bool
    broken: bool = False
    value: object = "value"
    checks: tuple[Checked, ...] = ()

    @property
    def passed(self) -> bool:
        return self.right

    def wrong(self) -> list[str]:
        return [] if self.right else ["be better"]


def _play(policy: Policy, *steps: Step, right: list[bool], broken: bool = False, streamed: bool = False) -> Player:
    """One call through the layers, its answers found right or wrong in this order."""
    player, verdicts = Player(policy, *steps), iter(right)

    async def examine(_done: Event) -> Found:
        return Found(next(verdicts), broken)

    player._proceed = composed(LAYERS, replace(player.world, examine=examine), player.stage.source)

    async def call() -> None:
        player.outcome = await player.call(streamed=streamed)

    clock.run(call())
    return player


def _roles(player: Player) -> list[str]:
    return [attempt.role for attempt in player.stage.tries]


def test_a_wrong_answer_is_asked_for_again_with_what_was_wrong() -> None:
    player = _play(only(repair=Repair(attempts=3)), Step(), right=[False, False, True])
    assert _roles(player) == ["first", "repair", "repair"]
    assert player.outcome.text == "m"
    *asked, answer, complaint = player.stage.tries[2].call.messages
    assert asked == [{"role": "user", "content": "hi"}]
    assert answer == {"role": "assistant", "content": "m"}
    assert "- be better" in complaint["content"]


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_attempts_counts_all_answers(attempts: int) -> None:
    player = _play(only(repair=Repair(attempts=attempts)), Step(), right=[False] * attempts)
    assert len(player.stage.tries) == attempts
    assert isinstance(player.outcome.failure, errors.ValidationError)
    assert player.outcome.failure.partial == "m"


def test_without_a_policy_it_is_checked_and_not_repaired() -> None:
    player = _play(only(), Step(), right=[False])
    assert _roles(player) == ["first"]
    assert player.outcome.failure.kind == "validation"


def test_the_last_answer_may_be_returned_marked() -> None:
    player = _play(only(repair=Repair(attempts=2, then="return")), Step(), right=[False, False])
    assert (player.outcome.text, player.outcome.failure) == ("m", None)


def test_a_check_that_fails_itself_is_not_the_models_to_mend() -> None:
    player = _play(only(repair=Repair(attempts=3, then="return")), Step(), right=[False], broken=True)
    assert _roles(player) == ["first"]
    assert player.outcome.failure.kind == "validation"


def test_what_was_handed_out_is_not_repaired() -> None:
    player = _play(only(repair=Repair(attempts=3)), Step(pieces=2), right=[False], streamed=True)
    assert player.outcome.pieces == ["m0 ", "m1 "]
    assert player.outcome.failure.kind == "validation"
    assert _roles(player) == ["first"]


def test_repair_with_retry_each_answer_may_be_retried() -> None:
    steps = (fail("provider"), Step(), fail("transport"), Step())
    player = _play(only(repair=Repair(), retry=Retry(initial=0.0)), *steps, right=[False, True])
    assert _roles(player) == ["first", "retry", "repair", "retry"]
    assert player.outcome.text == "m"
    assert len(player.stage.tries[3].call.messages) == 3, "the retry of a repair is told what was wrong, too"


def test_repair_with_fallback_another_model_is_asked_what_the_first_was() -> None:
    player = _play(only(repair=Repair(), fallback=Fallback("other")), Step(), right=[False, False, True])
    assert [(attempt.role, attempt.model) for attempt in player.stage.tries] == [
        ("first", "m"),
        ("repair", "m"),
        ("fallback", "other"),
    ]
    assert len(player.stage.tries[2].call.messages) == 1
    assert player.outcome.text == "other"


def test_repair_within_the_deadline() -> None:
    from lab import Timeout

    policy = only(repair=Repair(attempts=9), timeout=Timeout(total=2.5, connect=None, attempt=None))
    player = _play(policy, Step(wait=1.0), right=[False] * 9)
    assert (player.outcome.failure.phase, player.outcome.took) == ("total", 2.5)


@pytest.mark.parametrize("bad", [{"attempts": 0}, {"attempts": True}, {"then": "shrug"}])
def test_settings_are_checked(bad: dict) -> None:
    with pytest.raises(ValueError, match="Repair"):
        Repair(**bad)


def test_the_worst_case_counts_repairs_only_where_there_are_checks() -> None:
    policy = Policy(repair=Repair(attempts=2))
    assert (policy.worst_attempts(), policy.worst_attempts(checked=True)) == (3, 6)
    assert "repair" not in policy.explain()
    assert "2 answers, each told what was wrong with the last; then it fails" in policy.explain(checked=True)


def test_each_answer_is_a_row_with_its_role_its_cost_and_what_was_wrong(lab: Lab) -> None:
    """Real requests with real prices; the call's cost is that of all of them."""
    with pytest.raises(errors.ValidationError) as caught:
        lab.ask("repair me", model="sim/instant", checks=[checks.contains("never said")], policy=Policy())
    failure = caught.value
    rows = lab.attempts(failure.call_id)
    assert rows["role"].tolist() == ["first", "repair"]
    assert rows["status"].tolist() == ["failed", "failed"]
    assert rows["kind"].tolist() == ["validation", "validation"]
    assert (rows["cost"] > 0).all()
    assert failure.cost == pytest.approx(rows["cost"].sum())
    call = lab.calls().iloc[0]
    assert (call["kind"], call["valid"], call["n_attempts"]) == ("validation", 0, 2)
    assert call["answer"].startswith("This is instant")
    findings = lab.checks(failure.call_id)
    assert findings[["attempt", "name", "passed"]].values.tolist() == [[1, "contains", False], [2, "contains", False]]
    assert "must contain 'never said'" in findings["message"][0]
    assert failure.checks[0].name == "contains"


def test_a_marked_reply_says_so_everywhere(tmp_path: Path) -> None:
    policy = Policy(repair=Repair(then="return"))
    with Lab(tmp_path / "m.db", provider=lambda _: "wrong", policy=policy) as lab:
        reply = lab.ask("x", model="m", checks=[checks.one_of("right")])
        assert (reply.text, reply.valid, reply.attempts) == ("wrong", False, 2)
        assert [check.name for check in reply.checks] == ["one_of"]
        assert lab.calls()[["status", "valid"]].values.tolist() == [["ok", 0]]
        assert lab.attempts(reply.call_id)[["status", "won"]].values.tolist() == [["failed", False], ["ok", True]]


def test_words_that_are_not_kept_are_not_kept_by_checks_either(tmp_path: Path) -> None:
    """With hashes alone, a message of a check that quotes the answer would be a hole."""
    answers = iter(["secret wine", "right"])
    with Lab(tmp_path / "h.db", provider=lambda _: next(answers), keep="hashes") as lab:
        assert lab.ask("x", model="m", checks=[checks.one_of("right")]).valid
    assert b"secret wine" not in (tmp_path / "h.db").read_bytes()


def test_a_budget_knows_that_a_checked_call_may_cost_more(lab: Lab) -> None:
    """What fits once may not fit twice."""
    policy = Policy(retry=None, budget=Budget(usd=0.0002))
    assert lab.ask("x", model="sim/instant", max_tokens=200, policy=policy)
    with pytest.raises(errors.BudgetError):
        lab.ask("x", model="sim/instant", max_tokens=200, policy=policy, checks=[lambda _: True])


def test_a_fallback_must_have_passed_its_gate(tmp_path: Path) -> None:
    """The call fails as it would have, and says why; once the gate is passed the model is asked."""
    from lab import Prompt
    from lab.ledger import verdicts

    def answer(call: object) -> str:
        if call.model == "big":
            raise errors.ProviderError("big is down")
        return "small's answer"

    prompt = Prompt("triage", "Sort: {{ticket}}")
    policy = Policy(retry=None, fallback=Fallback("small", gate="triage-set"))
    with Lab(tmp_path / "g.db", provider=answer, policy=policy) as lab:

        def refusal() -> str:
            with pytest.raises(errors.ProviderError) as caught:
                lab.ask(prompt.fill(ticket="x"), model="big")
            return str(caught.value)

        assert refusal() == (
            "big is down; no fallback to small: it has not been through the gate on triage-set with triage version 1"
        )
        row = {"eval_set": "triage-set", "prompt_name": "triage", "model": "small", "baseline": "a", "candidate": "b"}
        verdicts.put(lab._ledger, **row, prompt_version=1, verdict="inconclusive", margin=0.02, n=9)
        assert refusal().endswith("the gate on triage-set with triage version 1 said inconclusive")
        verdicts.put(lab._ledger, **row, prompt_version=1, verdict="pass", margin=0.02, n=900)
        reply = lab.ask(prompt.fill(ticket="x"), model="big")
        assert (reply.text, reply.fell_back) == ("small's answer", True)
        with pytest.raises(errors.ProviderError, match="with a prompt without a name"):
            lab.ask("no name", model="big")
        changed = Prompt("triage", "Sort this: {{ticket}}")
        with pytest.raises(errors.ProviderError, match="with triage version 2"):
            lab.ask(changed.fill(ticket="x"), model="big")


def test_async_calls_are_repaired_too(tmp_path: Path) -> None:
    answers = iter(["wrong", "right"])
    with Lab(tmp_path / "a.db", provider=lambda _: next(answers)) as lab:
        reply = asyncio.run(lab.aask("x", model="m", checks=[checks.one_of("right")]))
    assert (reply.text, reply.attempts) == ("right", 2)


def test_a_wrong_answer_that_was_paid_for_is_returned_where_the_next_one_fails() -> None:
    steps = (Step(), fail("transport"))
    player = _play(only(repair=Repair(then="return")), *steps, right=[False, False])
    assert (player.outcome.text, player.outcome.failure) == ("m", None)
    player = _play(only(repair=Repair()), *steps, right=[False, False])
    assert player.outcome.failure.kind == "transport"
