"""Routers: fitted on what the ledger has, a model name from then on, and never for what they were not fitted on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import Cache, EvalSet, Fallback, Lab, Policy, Prompt, errors
from lab.call.routing import text_of
from lab.ledger import routers
from lab.values import Answer, Call, Price, Usage

SORT = Prompt("sort", "Which one? {{text}}")
WORDS = ("parcel", "invoice", "password", "lamp", "colour")
CASES = [
    {
        "id": f"c{number}",
        "input": (f"my {WORDS[number % 5]} {number}" if number % 2 else f"not my {WORDS[number % 5]}, nor {number}?"),
        "expected": "right",
    }
    for number in range(160)
]
SET = EvalSet.of(CASES, "sorted")
PRICES = {"cheap": 1e-6, "dear": 20e-6}


class Models:
    """A provider: `dear` is right, `cheap` where nothing is negated; `name` is what `cheap` answers under."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.name = "cheap-1"

    def __call__(self, call: Call) -> Answer:
        self.asked.append(call.model)
        wrong = call.model == "cheap" and "not my" in str(call.messages)
        price = PRICES[call.model]
        return Answer(
            text="wrong" if wrong else "right",
            finish_reason="stop",
            usage=Usage(input=10, output=1),
            price=Price(input=price, output=price, cache_read=price, cache_write=price, reasoning=price),
            answered_by=self.name if call.model == "cheap" else "dear-1",
        )


@pytest.fixture
def models() -> Models:
    return Models()


@pytest.fixture
def lab(fresh: Path, models: Models) -> Iterator[Lab]:
    with Lab(fresh, provider=models, policy=Policy(retry=None)) as opened:
        yield opened


def fit(lab: Lab, name: str = "sort", evalset: EvalSet = SET, **more: Any) -> Any:
    settings = {"prompt": SORT, "scorers": ["exact"], "margin": 0.06, "progress": None, "explore": 0.0, **more}
    return lab.router(name, ["dear", "cheap"], evalset, **settings)


def test_it_asks_what_is_missing_and_sends_each_where_it_will_do(lab: Lab, models: Models) -> None:
    lab.evaluate(SORT, "dear", SET, scorers=["exact"], progress=None)
    router = fit(lab, run=False)
    assert (router.plan.cells, {row["model"]: row["cells"] for row in router.plan.rows()}["cheap"]) == (160, 160)
    assert len(models.asked) == 160, "a plan sends nothing"
    router.run(None)
    assert len(models.asked) == 320
    assert router.version.models == ("cheap", "dear"), "cheapest first"
    assert 0.3 < router.shares["cheap"] <= 0.65
    assert router.saves == pytest.approx(router.shares["cheap"] * 0.95, abs=0.01)
    assert "% to cheap, quality within 6 points of dear (95 %, 160 cases), saves " in str(router)
    easy = lab.ask(SORT.fill(text="my lamp 500"), model="route/sort")
    hard = lab.ask(SORT.fill(text="not my lamp, nor 501?"), model="route/sort")
    assert (easy.answered_by, hard.answered_by) == ("cheap-1", "dear-1")
    assert (easy.model, easy.fell_back, easy.routed.why, hard.text) == ("route/sort", False, "score", "right")
    row = lab.calls(limit=2).iloc[1]
    assert (row["model"], row["router"], row["routed_to"], row["routed_why"]) == (
        "route/sort",
        "sort@1",
        "cheap",
        "score",
    )
    assert row["route_score"] <= row["route_cut"]
    assert lab.attempts(easy.call_id)["model"].tolist() == ["cheap"]


def test_it_is_fitted_on_the_ledger_alone_and_numbered(lab: Lab, models: Models) -> None:
    """What experiments of other names have scored is not asked again; scorers and parameters are theirs."""
    lab.compare(SORT, ["cheap", "dear"], SET, scorers=["exact"], progress=None, temperature=0.5, name="before")
    first = fit(lab, scorers=())
    assert (len(models.asked), first.plan) == (320, None)
    again = fit(lab, scorers=())
    assert (first.version.version, again.version.version) == (1, 2)
    assert str(lab.router("sort")) == str(again)
    assert lab.routers()["version"].tolist() == [2, 1]
    assert fit(lab, temperature=0.9, run=False, scorers=()).plan.left == 320, "other parameters are other questions"


def test_another_version_of_the_prompt_goes_to_the_dearest_and_another_prompt_is_refused(
    lab: Lab, models: Models
) -> None:
    fit(lab)
    asked = len(models.asked)
    reply = lab.ask(Prompt("sort", "Now which one? {{text}}").fill(text="my lamp"), model="route/sort")
    assert (reply.answered_by, reply.routed.why, reply.routed.score) == ("dear-1", "another version of sort", None)
    for prompt in ("plain words", Prompt("other", "{{text}}").fill(text="my lamp")):
        with pytest.raises(errors.InvalidRequestError, match="route/sort was fitted on the prompt sort, and this call"):
            lab.ask(prompt, model="route/sort")
    with pytest.raises(errors.InvalidRequestError, match="no router 'none' on this ledger: there is route/sort"):
        lab.ask(SORT.fill(text="x"), model="route/none")
    assert len(models.asked) == asked + 1


def test_a_model_that_is_another_one_by_now_is_not_chosen_any_more(lab: Lab, models: Models) -> None:
    """The first answer under another name is seen, and whoever opens the ledger sees it, too, until it is fitted."""
    fit(lab)
    models.name = "cheap-2"
    first = lab.ask(SORT.fill(text="my lamp 900"), model="route/sort")
    then = lab.ask(SORT.fill(text="my lamp 901"), model="route/sort")
    assert (first.answered_by, then.answered_by) == ("cheap-2", "dear-1")
    assert then.routed.why == "cheap is answered by cheap-2, and was by cheap-1 when it was fitted"
    with Lab(lab.path, provider=models) as other:
        assert other.ask(SORT.fill(text="my lamp 902"), model="route/sort").answered_by == "dear-1"
        assert "it chooses no more: cheap is answered by cheap-2" in str(other.router("sort"))
        assert [str(alert) for alert in other.alerts()] == [f"router stopped: all goes to dear: {then.routed.why}"]


def test_an_answer_of_a_fallback_says_nothing_of_the_model(fresh: Path, models: Models) -> None:
    """Neither of its version, nor, where it was scored, of how well it does."""

    def ailing(call: Call) -> Answer:
        if call.model == "cheap" and "901" in str(call.messages):
            raise errors.ProviderError("it is down")
        return models(call)

    policy = Policy(retry=None, fallback=Fallback("dear"))
    with Lab(fresh, provider=ailing, policy=policy) as lab:
        router = fit(lab)
        reply = lab.ask(SORT.fill(text="my lamp 901"), model="route/sort")
        assert (reply.routed.model, reply.answered_by, reply.fell_back) == ("cheap", "dear-1", True)
        assert lab.ask(SORT.fill(text="my lamp 902"), model="route/sort").answered_by == "cheap-1"
        assert router.version.figures["answered_by"] == {"cheap": ["cheap-1"], "dear": ["dear-1"]}
        cases = EvalSet.of([*CASES[:59], {"id": "x", "input": "my lamp 901", "expected": "right"}], "ailing")
        assert fit(lab, "other", evalset=cases).version.cases == 59, "one was answered by another model"


def test_a_share_goes_the_other_way_and_is_seen_beside_the_promise(lab: Lab) -> None:
    fit(lab, explore=0.4, margin=0.25)
    router = lab.router("sort")
    lab.compare(SORT, ["route/sort"], SET, scorers=["exact"], progress=None)
    seen = lab.routing("sort").set_index("model")
    assert 30 < seen["other_way"].sum() < 100
    assert seen["calls"].sum() == 160
    assert seen.loc["cheap", "promised"] == pytest.approx(router.shares["cheap"])
    assert seen.loc["cheap", "share_low"] <= router.shares["cheap"] <= seen.loc["cheap", "share_high"]
    assert seen.loc["cheap", "score_other"] < seen.loc["cheap", "score"], "what was kept from it is harder"


def test_its_answers_are_kept_and_keyed_as_those_of_the_model_that_gave_them(lab: Lab, models: Models) -> None:
    fit(lab)
    asked, policy = len(models.asked), Policy(cache=Cache())
    ask = SORT.fill(text="my lamp 700")
    first = lab.ask(ask, model="route/sort", policy=policy)
    again = lab.ask(ask, model="route/sort", policy=policy)
    alone = lab.ask(ask, model="cheap", policy=policy)
    assert (again.cached, alone.cached, again.routed.model, again.model) == ("exact", "exact", "cheap", "route/sort")
    assert alone.routed is None
    keyed = [lab.ask(ask, model="route/sort", key="k") for _ in range(2)]
    assert (keyed[1].cached, keyed[1].text) == (True, first.text)
    assert len(models.asked) == asked + 2


def test_no_word_of_a_case_is_in_what_was_learnt(lab: Lab) -> None:
    """Categories are known by a hash: they may be what nobody is to keep."""
    named = Prompt("named", "Of {{who}}: {{text}}")
    cases = [
        {**case, "input": {"who": f"secret-{number % 4}", "text": case["input"]}} for number, case in enumerate(CASES)
    ]
    router = fit(lab, "named", prompt=named, evalset=EvalSet.of(cases, "named"))
    assert router.version.figures["category"] == "who"
    (row,) = lab.ledger.rows("SELECT figures, learnt FROM routers")
    assert "secret" not in row[0]
    assert b"secret" not in row[1]
    assert lab.ask(named.fill(who="secret-1", text="my lamp 3"), model="route/named").routed.why == "score"


def test_nothing_can_be_promised_from_too_little(lab: Lab, models: Models) -> None:
    """All goes to the dearest, and it says how many cases it would take."""
    router = fit(lab, margin=0.004)
    assert (router.version.cut, router.shares) == (None, {"cheap": 0.0, "dear": 1.0})
    assert "all to dear: 160 cases can't promise quality within 0.4 points for less; with " in str(router)
    reply = lab.ask(SORT.fill(text="my lamp 1"), model="route/sort")
    assert (reply.answered_by, reply.routed.why) == ("dear-1", "nothing is promised")


def test_the_worst_it_may_cost_is_the_dearest(lab: Lab) -> None:
    fit(lab)
    plan = lab.compare(SORT, ["route/sort", "dear"], SET, run=False, progress=None).plan
    assert {row["model"]: row["usd"] is None for row in plan.rows()} == {"route/sort": True, "dear": True}
    assert "route" in str(lab.explain(SORT.fill(text="x"), model="route/sort"))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"models": ["dear"]}, "two or more, for it chooses between them"),
        ({"models": ["dear", "dear"]}, "each once"),
        ({"models": ["dear", "route/sort"]}, "is a router itself"),
        ({"evalset": []}, "no case"),
        ({"evalset": None}, "no variable|variable|eval set"),
        ({"scorers": ()}, "there is no scorer"),
        ({"margin": 0}, "margin=0: a share of 1"),
        ({"margin": True}, "a share of 1"),
        ({"explore": 0.9}, "explore=0.9"),
        ({"save": "tokens"}, "one of cost, latency"),
        ({"embed": len}, "the name of a model"),
        ({"name": "a b"}, "letters, digits"),
        ({"name": "nobody", "prompt": None}, "which prompt"),
    ],
)
def test_what_is_no_router_is_one_sentence_and_nothing_is_sent(
    lab: Lab, models: Models, more: dict[str, Any], says: str
) -> None:
    settings = {"name": "sort", "models": ["cheap", "dear"], "evalset": SET, "prompt": SORT, "scorers": ["exact"]}
    settings |= more
    name, asked, cases = settings.pop("name"), settings.pop("models"), settings.pop("evalset")
    with pytest.raises(errors.InvalidRequestError, match=says) as refused:
        lab.router(name, asked, cases, progress=None, **settings)
    assert "\n" not in str(refused.value)
    assert models.asked == []


def never(_value: object, _expected: object) -> float:
    """A scorer that fits nothing."""
    return 0.0


def test_too_few_cases_and_scores_that_are_all_the_same(lab: Lab) -> None:
    with pytest.raises(errors.InvalidRequestError, match="30 of 30 cases have a score by every model: at least 40"):
        lab.router("sort", ["cheap", "dear"], SET.cases[:30], prompt=SORT, scorers=["exact"], progress=None)
    with pytest.raises(errors.InvalidRequestError, match="every score is 0: there is nothing to learn from"):
        lab.router("sort", ["cheap", "dear"], SET, prompt=SORT, scorers=[never], progress=None)
    with pytest.raises(ValueError, match="no router 'sort' on this ledger"):
        lab.router("sort")


def test_cases_that_all_go_together_say_nothing(lab: Lab, models: Models) -> None:
    together = EvalSet.of([{**case, "cluster": "a"} for case in CASES], "together")
    with pytest.raises(errors.InvalidRequestError, match="go together in 1 clusters, each of which counts once"):
        fit(lab, evalset=together)


def test_the_order_in_which_a_prompt_is_filled_in_changes_nothing() -> None:
    assert text_of({"question": "q", "context": "c"}) == text_of({"context": "c", "question": "q"}) == "c\nq"


def test_another_process_fits_and_this_one_goes_by_it(
    lab: Lab, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(lab, margin=0.004)
    assert lab.ask(SORT.fill(text="my lamp 1"), model="route/sort").routed.version == 1
    with Lab(lab.path, provider=models) as other:
        fit(other)
    monkeypatch.setattr("lab.call.routing.FRESH", -1.0)
    reply = lab.ask(SORT.fill(text="my lamp 2"), model="route/sort")
    assert (reply.routed.version, reply.answered_by) == (2, "cheap-1")
    assert routers.newest(lab.ledger, "sort", 2) is None
