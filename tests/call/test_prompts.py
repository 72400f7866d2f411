"""Prompts: filled in, refused before anything is spent, numbered, labelled, and told apart from one another."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lab import Lab, Prompt, errors


def test_variables_are_filled_in_and_never_read_again() -> None:
    """What a user writes is not a template, whatever it looks like."""
    prompt = Prompt("p", "{{ a }} and {{b}}; literally \\{{a}}, {a} and }}")
    text = prompt.fill(a="{{b}} \\{{c}} \\1", b=[1, "ü"]).messages[0]["content"]
    assert text == '{{b}} \\{{c}} \\1 and [1, "ü"]; literally {{a}}, {a} and }}'


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"a": "x"}, "prompt p: the variable 'b' is missing: fill it in"),
        ({"a": "x", "b": "y", "c": "z"}, "prompt p has no variable 'c'; its variables: a, b"),
        ({"a": "x", "b": " \n"}, "prompt p: the variable 'b' is empty"),
        ({"a": "x", "b": object()}, "prompt p: the variable 'b' can't be written"),
    ],
)
def test_what_is_wrong_with_the_variables_is_said_before_anything_is_spent(variables: dict, message: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match=message):
        Prompt("p", "{{a}} {{b}}").fill(**variables)


def test_a_variable_may_be_empty_where_that_is_said() -> None:
    assert Prompt("p", "a{{b}}", blank=["b"]).fill(b="").messages[0]["content"] == "a"


@pytest.mark.parametrize(
    ("name", "template", "message"),
    [
        ("a b", "x", "letters, digits"),
        ("", "x", "letters, digits"),
        ("p", "", "the template is empty"),
        ("p", [], "a template is a text, or a list of messages"),
        ("p", [{"content": "x"}], "a template is a text, or a list of messages"),
        ("p", "{{ 1 + 1 }}", "is no variable such as"),
        ("p", "{{a", "is no variable such as"),
    ],
)
def test_a_template_that_can_not_be_used_is_refused_when_it_is_made(name: str, template: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Prompt(name, template)


def test_a_prompt_can_live_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "triage.md"
    path.write_text("[system]\nYou sort tickets.\n\n[user]\nTicket: {{ticket}}\n\n[not a role]\n", encoding="utf-8")
    prompt = Prompt.load(path)
    assert (prompt.name, prompt.variables) == ("triage", ("ticket",))
    assert prompt.fill(ticket="x").messages == (
        {"role": "system", "content": "You sort tickets."},
        {"role": "user", "content": "Ticket: x\n\n[not a role]"},
    )
    with pytest.raises(ValueError, match="no prompt can be read from it"):
        Prompt.load(tmp_path / "missing.md")
    path.write_text("before\n[user]\nx")
    with pytest.raises(ValueError, match="text before the first"):
        Prompt.load(path)


def test_versions_are_numbered_as_they_are_used(lab: Lab) -> None:
    """A template edited in place is a new version; the old one again is the old one."""
    first, second = Prompt("p", "Say {{word}}."), Prompt("p", "Say {{word}}!")
    for prompt in (first, second, first):
        lab.ask(prompt.fill(word="hi"), model="sim/instant")
    lab.ask("no name", model="sim/instant")
    assert lab.calls()["prompt_version"].tolist()[1:] == [1.0, 2.0, 1.0]
    versions = lab.prompts("p")
    assert versions[["version", "calls"]].values.tolist() == [[2, 1], [1, 2]]
    assert versions["changed"].tolist()[0].endswith("-Say {{word}}.\n+Say {{word}}!")
    assert first.diff(first) == ""
    assert lab.prompt("p", version=1) == first


def test_labels_move(lab: Lab) -> None:
    first, second = Prompt("p", "one"), Prompt("p", "two")
    assert (lab.save(first, label="production"), lab.save(second)) == (1, 2)
    assert lab.prompt("p", label="production") == first
    assert lab.prompt("p") == second
    lab.label("p", "production", version=2)
    assert lab.prompt("p", label="production") == second
    assert lab.prompts("p")["labels"].tolist() == [["production"], []]
    for wrong in (
        lambda: lab.label("p", "production", version=9),
        lambda: lab.label("p", "not a word", version=1),
        lambda: lab.prompt("p", label="staging"),
        lambda: lab.prompt("q"),
        lambda: lab.prompt("p", version=3),
    ):
        with pytest.raises(ValueError, match=r"prompt '.'|label="):
            wrong()


def test_a_version_is_given_once_however_many_ask(tmp_path: Path) -> None:
    """Twelve threads and two Labs on one ledger, all with a prompt that none has seen."""
    labs = [Lab(tmp_path / "v.db", provider=lambda _: "x") for _ in range(2)]
    threads = [
        threading.Thread(target=lambda n=n: labs[n % 2].ask(Prompt("p", f"v{n % 3}"), model="m")) for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(labs[0].prompts("p")["version"]) == [1, 2, 3]
    calls = labs[0].calls()
    assert calls.groupby("prompt")["prompt_version"].nunique().tolist() == [1, 1, 1]
    for lab in labs:
        lab.close()


def test_a_prompt_with_variables_is_not_asked_as_it_is(lab: Lab) -> None:
    with pytest.raises(errors.InvalidRequestError, match=r"ask with prompt.fill\(word=...\)"):
        lab.ask(Prompt("p", "{{word}}"), model="sim/instant")
    assert lab.ask(Prompt("p", "hi"), model="sim/instant").text


@pytest.mark.parametrize("model", ["sim/instant", "sim/anthropic/instant", "local/smollm2"])
def test_too_long_a_prompt_is_refused_before_it_is_sent(lab: Lab, model: str) -> None:
    """Counted, with room for the answer; nothing is sent, and another model may still take it."""
    with pytest.raises(errors.UnsupportedError, match=r"the prompt is about .* tokens") as caught:
        lab.ask("word " * 200_000, model=model)
    assert caught.value.attempts == 0
    with pytest.raises(errors.UnsupportedError, match=r"and 200,000 of answer \(max_tokens\)"):
        lab.ask("hi", model=model, max_tokens=200_000)


def test_a_part_that_a_model_does_not_take_is_named(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    asked = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}]
    monkeypatch.setenv("DEEPSEEK_API_KEY", "k" * 20)
    for model in ("local/smollm2", "deepseek/deepseek-chat"):
        with pytest.raises(errors.UnsupportedError, match=r"messages\[0\].content\[1\]: .* takes no images"):
            lab.ask(asked, model=model)
