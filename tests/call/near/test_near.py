"""Near hits: what may differ, what is certified, and when serving stops."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab import Cache, EvalSet, Fallback, Lab, Near, Policy, Prompt, Repair, Timeout, checks, errors
from lab.call.near import certifying
from lab.ledger import cached
from lab.stats import certificates
from lab.values import Call

PROMPT = Prompt("triage", "Which label fits? {{ticket}}")
FIRST, AGAIN, OTHER = "How do I reset my password?", "How can I reset the password?", "How do I reset my phone?"


def alike(_text: str) -> list[float]:
    """An embedding that finds everything alike: what keeps requests apart is the rule."""
    return [1.0, 0.0]


def policy(embed: Any = alike, **more: Any) -> Policy:
    """Near hits with at most 5 % wrong."""
    return Policy(cache=Cache(near=Near(**{"false_hits": 0.05, "embed": embed, **more})))


class Labeller:
    """A provider that says what `label` says of the ticket."""

    def __init__(self) -> None:
        self.label: Callable[[str], str] = lambda ticket: "account"
        self.asked: list[str] = []

    def __call__(self, call: Call) -> str:
        ticket = str(call.messages[-1]["content"]).removeprefix("Which label fits? ")
        self.asked.append(ticket)
        return self.label(ticket)


@pytest.fixture
def labeller() -> Labeller:
    return Labeller()


@pytest.fixture
def lab(fresh: Path, labeller: Labeller) -> Iterator[Lab]:
    with Lab(fresh, provider=labeller, policy=policy()) as opened:
        opened.save(PROMPT)
        yield opened


def certify(lab: Lab, n: int = 59, wrong: int = 0, name: str = "triage") -> Any:
    """`n` labels of a person's, `wrong` of them."""
    pairs = [
        (f"reset my thing{chr(97 + k % 26)}{k}", f"reset the thing{chr(97 + k % 26)}{k}", k >= wrong) for k in range(n)
    ]
    return lab.cache(name).calibrate(pairs)


def ask(lab: Lab, ticket: str, **more: Any) -> Any:
    return lab.ask(PROMPT.fill(ticket=ticket), **{"model": "m", **more})


def labels(lab: Lab, n: int) -> list[tuple[Any, ...]]:
    """The comparisons on record, once there are `n`."""
    end = time.monotonic() + 20
    while len(rows := lab.ledger.rows("SELECT wrong, how, closeness FROM cache_labels WHERE how <> 'given'")) < n:
        assert time.monotonic() < end, rows
        time.sleep(0.01)
    return rows


def test_nothing_is_served_before_labels_certify_it(lab: Lab, labeller: Labeller) -> None:
    ask(lab, FIRST)
    assert not ask(lab, AGAIN).cached
    assert labels(lab, 1) == [(0, "label", 1.9999)], "it was asked all the same, and compared"
    stands = lab.cache("triage").now()
    assert (stands.serving, stands.missing) == (False, 58)
    assert "58 more labels" in str(stands)


@pytest.mark.parametrize(("n", "wrong", "serves"), [(58, 0, False), (59, 0, True), (59, 1, False), (93, 1, True)])
def test_as_many_labels_as_it_takes(n: int, wrong: int, serves: bool, lab: Lab) -> None:
    """59 for 5 %, if none is wrong; 93 with one (Clopper and Pearson)."""
    said = certify(lab, n, wrong)
    assert (said.hits, said.serving) == (n, serves)
    ask(lab, FIRST)
    assert bool(ask(lab, AGAIN, policy=policy(shadow=1e-9)).cached) is serves


def test_a_near_hit_says_so(lab: Lab) -> None:
    certify(lab)
    first = ask(lab, FIRST)
    again = ask(lab, AGAIN, policy=policy(shadow=1e-9))
    assert (again.text, again.cached, again.cached_from) == (first.text, "near", first.call_id)
    assert lab.calls()["cached_as"].tolist()[0] == "near"
    assert (lab.cache().near, lab.cache().exact) == (1, 0)


@pytest.mark.parametrize(
    "second",
    [
        OTHER,
        "How do I not reset my password?",
        "How do I reset my password 2 times?",
        "How do I reset my password for free?",
        "Wie setze ich mein Passwort zurück?",
    ],
)
def test_what_means_something_else_is_no_hit_however_alike_it_looks(second: str, lab: Lab) -> None:
    """With an embedding that finds everything alike."""
    certify(lab)
    ask(lab, FIRST)
    assert not ask(lab, second, policy=policy(shadow=1e-9)).cached


@pytest.mark.parametrize(
    "other",
    [
        {"model": "m2"},
        {"temperature": 0.2},
        {"schema": {"type": "string"}},
        {"checks": [checks.length(most=99)]},
        {"api_key": "another-tenants-key"},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
    ],
    ids=lambda other: next(iter(other)),
)
def test_all_but_the_words_is_equal_to_the_byte(other: dict[str, Any], lab: Lab, labeller: Labeller) -> None:
    certify(lab)
    labeller.label = lambda ticket: '"account"'
    ask(lab, FIRST)
    assert not ask(lab, AGAIN, policy=policy(shadow=1e-9), **other).cached


@pytest.mark.parametrize("name", ["GROQ_API_KEY", "GROQ_API_BASE"])
def test_another_tenant_by_the_environment_is_no_hit(name: str, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts for the same words counts for others."""
    certify(lab)
    served = policy(shadow=1e-9)
    monkeypatch.setenv(name, "https://the-first.example")
    ask(lab, FIRST, model="groq/llama", policy=served)
    assert ask(lab, AGAIN, model="groq/llama", policy=served).cached == "near"
    monkeypatch.setenv(name, "https://the-second.example")
    assert not ask(lab, "How could I reset a password?", model="groq/llama", policy=served).cached


def test_another_version_is_another_lane(lab: Lab) -> None:
    certify(lab)
    ask(lab, FIRST)
    other = Prompt("triage", "Which of the labels fits? {{ticket}}")
    assert not lab.ask(other.fill(ticket=AGAIN), model="m", policy=policy(shadow=1e-9)).cached
    assert lab.cache("triage@1").now().serving
    assert not lab.cache("triage").now().serving


def test_messages_may_differ_in_the_last_one_of_the_user(lab: Lab) -> None:
    certify(lab, name="messages")
    system = {"role": "system", "content": "Say a label."}

    def said(text: str, first: dict[str, str] = system) -> Any:
        return lab.ask([first, {"role": "user", "content": text}], model="m", policy=policy(shadow=1e-9)).cached

    assert [said(FIRST), said(AGAIN)] == [False, "near"]
    assert not said(AGAIN, {"role": "system", "content": "Say a label!"})


def test_the_embedding_has_a_say(lab: Lab) -> None:
    def far(text: str) -> list[float]:
        return [1.0, 0.0] if text == FIRST else [0.0, 1.0]

    embedded = policy(far, shadow=1e-9)
    certify(lab)
    with Lab(lab.path, provider=lambda _call: "x", policy=embedded) as other:
        certify(other)
        ask(other, FIRST)
        assert not ask(other, AGAIN).cached


def test_another_embeddings_certificate_does_not_count(lab: Lab) -> None:
    def mine(_text: str) -> list[float]:
        return [0.5, 0.5]

    certify(lab)
    ask(lab, FIRST, policy=policy(mine, shadow=1e-9))
    assert not ask(lab, AGAIN, policy=policy(mine, shadow=1e-9)).cached


def test_an_embedding_of_another_size_is_no_candidate(lab: Lab) -> None:
    size = [2]

    def growing(_text: str) -> Any:
        return np.ones(size[0])

    with Lab(lab.path, provider=lambda _call: "x", policy=policy(growing, shadow=1e-9)) as other:
        certify(other)
        ask(other, FIRST)
        size[0] = 3
        assert not ask(other, AGAIN).cached


@pytest.mark.parametrize("odd", [[], [0.0, 0.0], [float("nan"), 1.0], "words", None, [[1.0]], [float("inf")]])
def test_what_is_no_embedding_is_refused(odd: Any, lab: Lab) -> None:
    with pytest.raises(errors.InvalidRequestError, match="embed"):
        ask(lab, FIRST, policy=policy(lambda _text: odd))


def test_a_model_that_is_not_there(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAB_EMBEDDING", str(tmp_path))
    monkeypatch.setattr("lab.provider.minilm._shared", None)
    with pytest.raises(errors.InvalidRequestError, match="make weights"):
        ask(lab, FIRST, policy=policy("local/minilm"))
    with pytest.raises(errors.InvalidRequestError, match="local/minilm"):
        ask(lab, FIRST, policy=policy("local/other"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(errors.InvalidRequestError, match="OPENAI_API_KEY"):
        ask(lab, FIRST, policy=policy("text-embedding-3-small"))


def test_checks_are_made_of_the_new_request(tmp_path: Path) -> None:
    """What the answer is held against may be among the words that differ: a quotation that isn't in the new source."""
    prompt = Prompt("find", "{{question}} {{source}}")
    quoted = [checks.quotes(checks.variable("source"), fuzzy=1.0)]
    served = policy(shadow=1e-9)
    with Lab(tmp_path / "lab.db", provider=lambda _call: 'It says "the door is red".', policy=served) as lab:
        lab.save(prompt)
        pairs = [
            ({"question": f"is it a{k}", "source": "x y"}, {"question": f"it is a{k}", "source": "x y"}, True)
            for k in range(59)
        ]
        assert lab.cache("find").calibrate(pairs).serving

        def answered(source: str, question: str) -> Any:
            asked = prompt.fill(question=question, source=source)
            return lab.ask(asked, model="m", checks=quoted, policy=replace(served, repair=Repair(then="return"))).cached

        assert not answered("The door is red.", "Which colour has the door?")
        assert answered("So the door is red.", "Which colour has a door?") == "near"
        assert not answered("The door was red.", "Which colour has this door?")


def test_values_are_compared_under_a_schema(lab: Lab, labeller: Labeller) -> None:
    labeller.label = lambda ticket: '{"label": "a", "n": 1}' if ticket == FIRST else '{ "n": 1, "label": "a" }'
    schema = {"type": "object", "properties": {"label": {"type": "string"}, "n": {"type": "integer"}}}
    ask(lab, FIRST, schema=schema)
    ask(lab, AGAIN, schema=schema)
    assert labels(lab, 1)[0][:2] == (0, "value")
    labeller.label = lambda ticket: '{"label": "b", "n": 1}'
    ask(lab, "How could I reset the password?", schema=schema)
    assert labels(lab, 2)[1][:2] == (1, "value")


def test_a_function_or_a_person_compares_long_answers(lab: Lab, labeller: Labeller) -> None:
    labeller.label = lambda ticket: f"A long answer.\nTo {ticket}"
    ask(lab, FIRST, policy=policy(same=lambda kept, fresh: kept[:10] == fresh[:10]))
    ask(lab, AGAIN, policy=policy(same=lambda kept, fresh: kept[:10] == fresh[:10]))
    assert labels(lab, 1)[0][:2] == (0, "function")
    ask(lab, "Please, how could I reset the password?")
    assert labels(lab, 2)[1][:2] == (None, "person")
    (open_one,) = cached.open_labels(lab.ledger)
    assert open_one["answer"].endswith("Please, how could I reset the password?")
    assert lab.cache().open == 1
    assert lab.compared(open_one["number"], same=False)
    assert not lab.compared(open_one["number"], same=True), "somebody has said so before"
    assert [row["number"] for row in lab.cache().last_wrong] == [open_one["number"]]
    drawn = lab.cache()._repr_html_()
    assert drawn.count("<b>A long answer. To ") == 2
    assert "Please, how could I reset the password?" in drawn


@pytest.mark.parametrize("same", [lambda kept, fresh: 1 / 0, "nobody"])
def test_where_who_compares_fails_a_person_does(same: Any, lab: Lab, labeller: Labeller) -> None:
    """The call itself is none the worse for it."""
    labeller.label = lambda ticket: f"A long answer.\nTo {ticket}"
    asked = policy(same=same)
    ask(lab, FIRST, policy=asked)
    assert ask(lab, AGAIN, policy=asked).text
    assert labels(lab, 1)[0][:2] == (None, "person")


def test_what_is_equal_needs_no_judge(lab: Lab, labeller: Labeller) -> None:
    ask(lab, FIRST, policy=policy(same="nobody"))
    ask(lab, AGAIN, policy=policy(same="nobody"))
    assert labels(lab, 1)[0][:2] == (0, "label")


def test_a_judge_compares(lab: Lab, labeller: Labeller) -> None:
    def provider(call: Call) -> str:
        asked = str(call.messages[-1]["content"])
        if call.model == "judge":
            seen.append(asked)
            return '{"verdict": "no"}'
        return f"A long answer.\nTo {asked}"

    seen: list[str] = []
    judged = policy(same="judge")
    with Lab(lab.path, provider=provider, policy=judged) as other:
        ask(other, FIRST)
        ask(other, AGAIN)
        assert labels(other, 1)[0][:2] == (1, "judge")
        assert FIRST in seen[0]
        assert AGAIN in seen[0]
        assert other.calls(tag="judge")["model"].tolist() == ["judge"], "it is a call on the ledger"


def test_shadow_checks_go_on(lab: Lab) -> None:
    """All of them, where the share is 1: nothing comes out of the cache, and all of it is compared."""
    certify(lab)
    everything = policy(shadow=1.0)
    ask(lab, FIRST, policy=everything)
    for word in ("the", "a", "this", "that"):
        assert not ask(lab, f"How can I reset {word} password?", policy=everything).cached
    labels(lab, 4)
    stands = lab.cache()
    assert (stands.compared, stands.wrong) == (4, 0)
    assert stands.lanes["state"].tolist() == ["serving"]


def test_serving_stops_by_itself_and_an_alert_fires(lab: Lab, labeller: Labeller) -> None:
    certify(lab)
    everything = policy(shadow=1.0)
    labeller.label = lambda ticket: ticket  # all answers differ now
    ask(lab, FIRST, policy=everything)
    for number in range(12):
        ask(lab, f"How can I reset {'the ' * number} password?", policy=everything)
    labels(lab, 12)
    stands = lab.cache("triage").now()
    assert (stands.serving, stands.broken) == (False, True)
    assert lab.cache().lanes["state"].tolist() == ["stopped"]
    (alert,) = [alert for alert in lab.alerts() if alert.name == "cache stopped"]
    assert "triage@1" in alert.message
    assert not ask(lab, "How could I reset a password?", policy=policy(shadow=1e-9)).cached


def test_nothing_older_takes_the_place_of_what_was_broken(lab: Lab, labeller: Labeller) -> None:
    """Several looks may have certified the same."""
    certify(lab)
    certify(lab, 400)
    assert lab.ledger.rows("SELECT count(*) FROM cache_certificates WHERE closeness IS NOT NULL") == [(2,)]
    everything = policy(shadow=1.0)
    labeller.label = lambda ticket: ticket
    ask(lab, FIRST, policy=everything)
    for number in range(12):
        ask(lab, f"How can I reset {'the ' * number} password?", policy=everything)
    labels(lab, 12)
    assert not lab.cache("triage").now().serving
    assert len([alert for alert in lab.alerts() if alert.name == "cache stopped"]) == 1


def test_what_was_broken_begins_again_with_new_labels(lab: Lab, labeller: Labeller) -> None:
    test_serving_stops_by_itself_and_an_alert_fires(lab, labeller)
    before = lab.cache("triage").now().labels
    assert before < 12, "the old ones don't count"
    assert certify(lab, 400).serving


def test_all_looks_together_are_wrong_in_one_of_twenty(lab: Lab) -> None:
    """What a look may spend is half of what those before it have left."""
    certify(lab, 59, wrong=5)
    certify(lab, 400, wrong=5)
    spent = [row[0] for row in lab.ledger.rows("SELECT spent FROM cache_certificates")]
    assert len(spent) == 2
    assert spent[0] == pytest.approx(0.95**59, rel=1e-6)
    assert spent[1] <= (certificates.ERROR - spent[0]) / 2
    assert sum(spent) <= certificates.ERROR


def test_looks_come_by_themselves(tmp_path: Path) -> None:
    """Of traffic alone: the first when there are labels enough, the next when they have doubled."""
    rng = random.Random(1)
    with Lab(tmp_path / "lab.db", provider=lambda _call: "account", policy=policy(shadow=0.05)) as lab:
        lab.save(PROMPT)
        replies = []
        for number in range(160):
            thing = f"thing{number % 20}"
            said = rng.choice(
                [
                    "How do I reset my {}?",
                    "How can I reset the {}?",
                    "how could I reset {}",
                    "please, how do I reset a {}",
                ]
            )
            replies.append(ask(lab, f"{said} {number % 7 * 'please '}".format(thing)))
        assert lab.cache("triage").now().serving
        assert any(reply.cached == "near" for reply in replies)


def test_a_pair_counts_once(lab: Lab) -> None:
    """However often it is given."""
    for _ in range(5):
        certify(lab, 30)
    assert not lab.cache("triage").calibrate([(FIRST, AGAIN, True)] * 59).serving
    assert lab.cache("triage").now().labels == 31


def test_a_look_with_too_few_labels_spends_nothing(lab: Lab) -> None:
    certify(lab, 30)
    assert certify(lab, 59).serving


def test_labels_that_refute_a_certificate_break_it(lab: Lab) -> None:
    assert certify(lab, 59).serving
    said = certify(lab, 400, wrong=400)
    assert not said.serving
    assert said.broken
    ask(lab, FIRST)
    assert not ask(lab, AGAIN, policy=policy(shadow=1e-9)).cached


def test_what_older_labels_break_is_not_certified_again_by_what_it_was_certified_with(
    lab: Lab, labeller: Labeller
) -> None:
    """A person answers questions that were asked before the certificate was given."""
    labeller.label = lambda ticket: f"A long answer.\nTo {ticket}"
    ask(lab, FIRST)
    for number in range(9):
        ask(lab, f"How can I reset {'the ' * number} password?")
    labels(lab, 9)
    assert certify(lab, 100).serving
    for row in cached.open_labels(lab.ledger):
        lab.compared(row["number"], same=False)
    assert not lab.cache("triage").now().serving


@pytest.mark.parametrize(
    ("kept", "fresh", "same"),
    [
        ("account", " Account. ", True),
        ("**account**", "account", True),
        ("C++", "C#", False),
        ("-5", "5", False),
        ("A-", "A+", False),
        ("5%", "$5", False),
        ("a > b", "a < b", False),
        ("1.5", "1 5", False),
        ("दिन", "दीन", False),
    ],
)
def test_labels_are_the_same_but_for_capitals_and_what_stands_around_them(
    kept: str, fresh: str, same: bool, lab: Lab, labeller: Labeller
) -> None:
    labeller.label = lambda ticket: kept if ticket == FIRST else fresh
    ask(lab, FIRST)
    ask(lab, AGAIN)
    assert labels(lab, 1)[0][:2] == (int(not same), "label")


def test_an_embedding_that_fails_costs_no_answer(lab: Lab, labeller: Labeller) -> None:
    """The first one is tried before anything is spent; one that fails later loses the near hits, and nothing else."""
    fails = [True]

    def embed(_text: str) -> list[float]:
        if fails[0]:
            raise ConnectionError("down")
        return [1.0, 0.0]

    failing = policy(embed)
    with pytest.raises(errors.InvalidRequestError, match="ConnectionError: down"):
        ask(lab, FIRST, policy=failing)
    assert labeller.asked == []
    fails[0] = False
    ask(lab, FIRST, policy=failing)
    fails[0] = True
    assert ask(lab, AGAIN, policy=failing).text == "account"
    assert ask(lab, AGAIN, policy=failing).cached == "exact", "it is kept all the same"


def test_an_embedding_that_hangs_holds_up_nothing(tmp_path: Path) -> None:
    """Neither the call beyond its deadline, nor an answer that has come, nor the end of the Lab."""
    hang, hanging = threading.Event(), [False]

    def embed(_text: str) -> list[float]:
        if hanging[0]:
            hang.wait(60)
        return [1.0, 0.0]

    quick = replace(policy(embed), timeout=Timeout(total=2.0))
    start = time.monotonic()
    with Lab(tmp_path / "lab.db", provider=lambda _call: "account", policy=quick) as lab:
        lab.save(PROMPT)
        ask(lab, "How do I change my address?")
        hanging[0] = True
        assert ask(lab, FIRST).text == "account"
    assert time.monotonic() - start < 20
    hang.set()


def test_an_embeddings_cost_is_the_calls(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """However late it comes."""

    async def embed(_model: str, _text: str) -> tuple[list[float], float]:
        await asyncio.sleep(0.2)
        return [1.0, 0.0], 0.25

    monkeypatch.setattr("lab.provider.embedding.embedded", embed)
    reply = ask(lab, FIRST, policy=policy("text-embedding-3-small"))
    assert lab.ledger.rows("SELECT cost FROM calls WHERE call_id = ?", [reply.call_id])[0][0] in (None, 0.25)


def test_a_fallbacks_answer_is_compared_with_nothing(lab: Lab) -> None:
    down = [False]

    def provider(call: Call) -> str:
        if down[0] and call.model == "m":
            raise errors.ProviderError("down")
        return call.model

    shadowed = replace(policy(shadow=1.0), retry=None, fallback=Fallback("m2"))
    with Lab(lab.path, provider=provider, policy=shadowed) as other:
        certify(other)
        ask(other, FIRST)
        down[0] = True
        for number in range(8):
            ask(other, f"How can I reset {'the ' * number} password?")
        assert other.cache("triage").now().serving


def test_functions_are_told_apart(lab: Lab) -> None:
    """Lambdas have one name; what one was certified with is nothing to another."""
    one, other = policy(lambda _text: [1.0, 0.0]), policy(lambda _text: [0.0, 1.0])
    with Lab(lab.path, provider=lambda _call: "x", policy=one) as first:
        certify(first)
    with Lab(lab.path, provider=lambda _call: "x", policy=other) as second:
        assert not second.cache("triage").now().serving


def test_an_object_with_a_lock_may_embed(lab: Lab) -> None:
    class Client:
        def __init__(self) -> None:
            self.lock = threading.Lock()

        def embed(self, _text: str) -> list[float]:
            with self.lock:
                return [1.0]

    assert ask(lab, FIRST, policy=policy(Client().embed)).text


def test_a_function_is_not_read_back_as_a_models_name() -> None:
    with pytest.raises(ValueError, match="is a function, which a policy that was written down has lost"):
        Policy.of(policy().content())


def test_repeats_of_a_case_are_asked_each(tmp_path: Path) -> None:
    """Or an experiment would count one answer five times."""
    asked: list[str] = []

    def provider(call: Call) -> str:
        asked.append(call.call_id)
        return "account"

    with Lab(tmp_path / "lab.db", provider=provider, policy=policy(shadow=1e-9)) as lab:
        lab.save(PROMPT)
        certify(lab)
        first = lab.compare([PROMPT], ["m"], [{"ticket": FIRST}], repeats=5, progress=None, name="one")
        assert len(asked) == 5
        again = lab.compare([PROMPT], ["m"], [{"ticket": FIRST}], repeats=5, progress=None, name="two")
        assert len(asked) == 5, "the same cells of another experiment are the same"
        assert "cached" not in str(first.table())
        row = again.summary().iloc[0]
        assert (row["cached"], row["left_out"]) == (5, 0)


def test_a_long_request_is_looked_for_as_it_is_alone(lab: Lab) -> None:
    start = time.monotonic()
    ask(lab, "word " * 200_000)
    assert lab.ledger.rows("SELECT rest FROM cache_entries") == [(None,)]
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["text"], "pair 0"),
        ([("a", "b")], "pair 0"),
        ([("a", "b", True), ("a", "b", "yes")], "pair 1"),
        ([(1, 2, True)], "pair 0"),
        ([{"a": "x", "b": "y"}], "pair 0"),
    ],
)
def test_pairs_that_are_none_are_refused(pairs: Any, message: str, lab: Lab) -> None:
    with pytest.raises(ValueError, match=message):
        lab.cache("triage").calibrate(pairs)
    assert lab.ledger.rows("SELECT count(*) FROM cache_labels") == [(0,)]


def test_pairs_that_the_rule_keeps_apart_say_nothing(lab: Lab) -> None:
    said = lab.cache("triage").calibrate([(FIRST, OTHER, False)] * 80)
    assert (said.pairs, said.hits, said.labels) == (80, 0, 0)


def test_labels_of_one_kind(lab: Lab) -> None:
    assert not certify(lab, 80, wrong=80).serving
    assert "80 of 80 labels are wrong" in str(lab.cache("triage"))


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, "x", True, None])
def test_a_bound_of_nothing_or_all_is_refused(share: Any) -> None:
    with pytest.raises(ValueError, match="false_hits"):
        Near(false_hits=share)


@pytest.mark.parametrize(
    "more", [{"shadow": 0}, {"shadow": 1.1}, {"labels": 0}, {"embed": 3}, {"same": 3}, {"embed": ""}]
)
def test_settings_that_make_no_sense_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(more))):
        Near(**more)


def test_no_such_prompt(lab: Lab) -> None:
    for name in ("no name!", "triage@7", "triage@0", "to-come@2", ""):
        with pytest.raises(ValueError, match="no such prompt"):
            lab.cache(name)


def test_labels_may_be_there_before_the_first_call(tmp_path: Path) -> None:
    """For the version that is to come; by the Lab's own bound, or the default one."""
    with Lab(tmp_path / "lab.db", provider=lambda _call: "account", policy=policy(shadow=1e-9)) as lab:
        assert certify(lab).lane == "triage@1"
        assert [ask(lab, FIRST).cached, ask(lab, AGAIN).cached] == [False, "near"]
    with Lab(tmp_path / "lab.db", provider=lambda _call: "x") as plain:
        assert plain.cache("triage").now().share == 0.02


def test_cases_of_an_eval_set_are_labels(lab: Lab) -> None:
    rows = [{"input": {"a": f"reset my a{k}", "b": f"reset the a{k}"}, "expected": "same"} for k in range(59)]
    assert lab.cache("triage").calibrate(EvalSet.of(rows)).serving


def test_two_labs_share_what_is_kept_and_certified(lab: Lab) -> None:
    certify(lab)
    ask(lab, FIRST)
    with Lab(lab.path, provider=lambda _call: "asked", policy=policy(shadow=1e-9)) as other:
        assert ask(other, AGAIN).cached == "near"


def test_the_same_look_is_kept_once(lab: Lab) -> None:
    """Two processes may come to it at once."""
    near = lab.cache("triage")
    for closeness in [1.99] * 59:
        lab.ledger.transact(lambda db, value=closeness: cached.put_label(db, near.lane, value, False, "label")).result()

    async def both() -> None:
        await asyncio.gather(*(asyncio.to_thread(certifying.look, lab.ledger, near.lane) for _ in range(2)))

    asyncio.run(both())
    assert lab.ledger.rows("SELECT count(*) FROM cache_certificates") == [(1,)]


def test_the_real_embedding_finds_what_is_said_otherwise(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab.db", provider=lambda _call: "account", policy=policy("local/minilm", shadow=1e-9)) as lab:
        lab.save(PROMPT)
        certify(lab)
        ask(lab, FIRST)
        assert ask(lab, AGAIN).cached == "near"
