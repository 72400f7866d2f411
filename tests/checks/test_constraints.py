"""Constraints, functions and files as checks: what passes, and what the model is told where something doesn't."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from lab import Lab, checks, errors
from lab.checks import Check, Output, constraints, examined
from lab.values import Checked

ORDER = {"sku": "AB-104", "items": [{"n": 2}, {"n": 0}], "note": None, "label": " Billing "}


def _look(check: Check, value: object = None) -> Checked:
    value = ORDER if value is None else value
    return check.examine(Output(str(value), value))


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (checks.one_of("billing", "bug"), "billing ", ""),
        (checks.one_of("billing", "bug"), "Billing", "must be one of 'billing', 'bug', and nothing else"),
        (checks.one_of("billing", "bug", case=False), "Billing", ""),
        (checks.one_of(1, 2), True, "must be one of 1, 2"),
        (checks.positive(), 0, "must be more than 0"),
        (checks.positive(), 0.1, ""),
        (checks.positive(), "3", "must be a number"),
        (checks.positive(), True, "must be a number"),
        (checks.between(1, 5), 5, ""),
        (checks.between(1, 5), 5.1, "must be at most 5"),
        (checks.between(1, 5), float("nan"), "must be a number"),
        (checks.between(low=1), 0, "must be at least 1"),
        (checks.length(2, 3), "abcd", "must have at most 3 characters, not 4"),
        (checks.length(2, unit="words"), "one", "must have at least 2 words, not 1"),
        (checks.length(1, 2), [1, 2, 3], "must have at most 2 entries, not 3"),
        (checks.length(1), 5, "must be a text or a list"),
        (checks.matches(r"[A-Z]{2}-\d+"), "AB-104", ""),
        (checks.matches(r"[A-Z]{2}-\d+", meaning="be a code such as AB-104"), "x AB-104", "must be a code such as"),
        (checks.contains("Refund", "order"), "your REFUND for the order", ""),
        (checks.contains("refund", case=True), "Refund", "must contain 'refund'"),
        (checks.excludes("sorry", "as an AI"), "Sorry!", "must not contain 'sorry'"),
    ],
)
def test_each_constraint_says_what_would_be_right(check: Check, value: object, message: str) -> None:
    checked = _look(check, value)
    assert checked.passed == (not message)
    assert message in checked.message


def test_a_path_leads_into_the_value() -> None:
    """Every part at a starred path is looked at, and named by its own path."""
    checked = _look(checks.positive(at="items.*.n"))
    assert checked.message == "items.1.n is 0: it must be more than 0"
    assert _look(checks.one_of("AB-104", at="sku")).passed
    assert _look(checks.length(1, at="note")).message == "note is None: it must be a text or a list"
    assert _look(checks.matches("x", at="note", optional=True)).passed


def test_a_part_that_is_not_there_fails_its_check(tmp_path: Path) -> None:
    """It is the answer's fault, said by name, and not a crash."""
    outcome = asyncio.run(examined("{}", checks.Schema.of({"type": "object"}), [checks.positive(at="items.0.n")]))
    assert [check.message for check in outcome.checks] == ["", "items is missing"]
    assert not outcome.broken


def test_a_function_of_the_value_is_a_check() -> None:
    def short(value: str) -> bool | str:
        if value == "crash":
            raise KeyError("x")
        if value == "refuse":
            raise ValueError("refuse to be refused")
        return "be shorter" if len(value) > 10 else True

    async def later(value: str) -> bool:
        return value != "late"

    async def look(text: str) -> list[tuple[str, bool, bool, str]]:
        outcome = await examined(text, None, [checks.that(short), checks.that(later, "come in time")])
        return [(check.name, check.passed, check.broken, check.message) for check in outcome.checks]

    assert asyncio.run(look("fine")) == [("short", True, False, ""), ("later", True, False, "")]
    assert asyncio.run(look("late"))[1] == ("later", False, False, "come in time")
    assert asyncio.run(look("much too long a text"))[0][3] == "be shorter"
    assert asyncio.run(look("refuse"))[0] == ("short", False, False, "refuse to be refused")
    crashed = asyncio.run(look("crash"))[0]
    assert crashed[:3] == ("short", False, True)
    assert "the check `short` itself failed with KeyError" in crashed[3]


def test_a_changed_function_is_another_check() -> None:
    first, same, other = (lambda v: v > 1), (lambda v: v > 1), (lambda v: v > 2)
    assert checks.that(first).content() == checks.that(same).content() != checks.that(other).content()


@pytest.mark.parametrize(
    "bad",
    [
        lambda: checks.one_of(),
        lambda: checks.between(3, 1),
        lambda: checks.matches("("),
        lambda: checks.length(unit="lines"),
        lambda: checks.files(".", kind="exe"),
        lambda: checks.figures("x", kinds=("names", "colours")),
        lambda: checks.quotes("x", threshold=2),
    ],
)
def test_a_constraint_that_makes_no_sense_is_refused_when_it_is_made(bad) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        bad()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of assets, and a secret beside it."""
    (tmp_path / "out").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "out" / "chart.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 100)
    (tmp_path / "out" / "fake.png").write_text("not a picture")
    (tmp_path / "out" / "data.json").write_text('{"a": 1}')
    (tmp_path / "out" / "empty.json").write_text("")
    (tmp_path / "out" / "link.txt").symlink_to(tmp_path / "secret.txt")
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("name", "more", "messages"),
    [
        ("chart.png", {"kind": "png", "suffixes": ("png",), "most": 1000}, ""),
        ("fake.png", {"kind": "png"}, "its content is no png"),
        ("data.json", {"kind": "json"}, ""),
        ("chart.png", {"kind": "json"}, "its content is no JSON"),
        ("chart.png", {"most": 10}, "it has 108 bytes, at most 10 are wanted"),
        ("empty.json", {}, "it has 0 bytes, at least 1 are wanted"),
        ("chart.png", {"suffixes": (".svg",)}, "its name must end in .svg"),
        ("missing.png", {}, "there is no such file"),
        ("../secret.txt", {}, "it must stay within the folder"),
        ("link.txt", {}, "it must stay within the folder"),
        ("/etc/passwd", {}, "it must stay within the folder"),
        ("a\0b", {}, "it must name a file"),
        ("x" * 5000, {}, "there is no such file|it can't be read"),
        ("data.json", {"also": lambda path: "a" not in json.loads(path.read_text())}, "fails a check of its own"),
    ],
)
def test_promised_files_are_there_and_what_they_should_be(folder: Path, name: str, more: dict, messages: str) -> None:
    """A hostile answer can't make the check look outside of its folder."""
    checked = checks.files(folder, at="files.*", **more).examine(Output("", {"files": [name]}))
    assert checked.passed == (not messages), checked
    assert any(message in checked.message for message in messages.split("|"))


def test_a_judge_is_a_call_of_its_own(tmp_path: Path) -> None:
    """Its verdict decides, its cost and its words are on the ledger, and its own failure is not the answer's."""

    def answer(call: object) -> str:
        if call.model != "judge-model":
            return "rude" if "rude" in str(call.messages) else "polite"
        if "judge fails" in str(call.messages):
            return "no JSON"
        return json.dumps({"verdict": "no" if "rude" in call.messages[0]["content"] else "yes"})

    with Lab(tmp_path / "lab.db", provider=answer) as lab:
        judge = checks.judge(lab, "judge-model", "Is it polite?")
        assert lab.ask("be polite", model="m", checks=[judge]).valid
        with pytest.raises(errors.ValidationError, match=r"a judge was asked: Is it polite\? It said: no"):
            lab.ask("be rude", model="m", checks=[judge])
        assert len(lab.calls(tag="judge")) == 3
        assert set(lab.calls(tag="judge")["model"]) == {"judge-model"}


def test_the_local_model_can_judge(lab: Lab) -> None:
    """A small model's opinion, held to its labels by a grammar."""
    judge = checks.judge(lab, "local/smollm2", "Is this a greeting?", max_tokens=40)
    assert asyncio.run(judge.ask("Hello, how are you?")) in ("yes", "no")


def _maker(number: int):
    return lambda value: len(value) < number


def test_a_function_is_known_by_what_it_does_in_every_process() -> None:
    """Names it calls, what it closes over, its defaults and its arguments count; addresses and hash orders don't."""
    import subprocess
    import sys
    from functools import partial

    same = [
        lambda: checks.that(lambda v: v in {"alpha", "beta", "gamma"}).content(),
        lambda: checks.that(lambda v: all(part for part in v)).content(),
        lambda: checks.files(".", also=lambda path: True).content(),
        lambda: checks.that(_maker(3)).content(),
    ]
    assert [make() for make in same] == [make() for make in same]
    apart = [
        (lambda v: v.upper() == "ab", lambda v: v.lower() == "ab"),
        (_maker(3), _maker(4)),
        (partial(_maker, 3), partial(_maker, 4)),
        (lambda v, n=1: v, lambda v, n=2: v),
    ]
    for first, other in apart:
        assert checks.that(first).content() != checks.that(other).content()
    assert checks.one_of("a").content() != checks.one_of("b").content()
    code = "from lab import checks; print(checks.that(lambda v: v in {'a', 'b', 'c', 'd', 'e'}).content())"
    contents = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout for _ in range(3)}
    assert len(contents) == 1


def test_no_words_of_a_check_are_in_the_configuration(tmp_path: Path) -> None:
    """A source document is the user's, and would outlast whatever is not kept."""
    with Lab(tmp_path / "w.db", provider=lambda _: "x", keep="hashes") as lab:
        lab.ask("q", model="m", checks=[checks.figures("PATIENT Maria Gonzalez"), checks.excludes("Gonzalez")])
    assert b"Gonzalez" not in (tmp_path / "w.db").read_bytes()


def test_a_secret_that_a_message_quotes_is_not_cut_in_half(tmp_path: Path) -> None:
    key = "s3cr3tvalue" + "0123456789" * 8
    with Lab(tmp_path / "s.db", provider=lambda call: f"the key is {call.params['api_key']}") as lab:
        with pytest.raises(errors.ValidationError) as caught:
            lab.ask("q", model="m", api_key=key, checks=[checks.one_of("yes")])
        assert "s3cr3t" not in str(caught.value)
    assert b"s3cr3tvalue" not in (tmp_path / "s.db").read_bytes()


def test_a_pattern_that_goes_back_for_ever_is_a_broken_check_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own engine would hold the whole process."""
    monkeypatch.setattr(constraints, "PATIENCE", 0.3)
    assert not _look(constraints.matches(r"(a+)+"), "a" * 50 + "b").passed, "no time at all"
    endless = constraints.matches(r"(?:(a+)(a+)(a+)(a+)\1\2\3\4)+b")
    ticks = []

    async def play(lab: Lab) -> errors.ValidationError:
        async def beside() -> None:
            while True:
                ticks.append(asyncio.get_running_loop().time())
                await asyncio.sleep(0.01)

        other = asyncio.create_task(beside())
        with pytest.raises(errors.ValidationError) as failure:
            await lab.aask("hi", model="m", checks=[endless])
        other.cancel()
        return failure.value

    with Lab(tmp_path / "lab.db", provider=lambda call: "a" * 120) as lab:
        failure = asyncio.run(play(lab))
    assert "takes more than 0.3 s on it" in str(failure)
    assert failure.checks[0].broken
    assert len(ticks) > 5, "others go on"
