"""Grounding: quotes, citations, figures and overlap; what is pointed at, and what can't be seen."""

from __future__ import annotations

import time

import pytest

from lab import Lab, Prompt, checks, errors
from lab.checks import Check, Output
from lab.values import Checked

SOURCE = (
    "The council met on 3 March 2026 in Alderholt. Twenty-four members voted for the bridge, seven against. "
    "The bridge will cost 1,250,000 euros and must not be opened before May. “We can't wait,” said Ines Okafor."
)


def _look(check: Check, text: str) -> Checked:
    return check.examine(Output(text, text))


@pytest.mark.parametrize(
    ("text", "unsupported"),
    [
        ('It says "the bridge will cost 1,250,000 euros".', []),
        ("It says “The  bridge WILL cost”, and 'so on'.", []),
        ('"We can’t wait," said one of them.', []),
        ('It says "the bridge shall cost 1,250,000 euros and must not be opened before May".', []),
        ('It says "the bridge will cost 1,350,000 euros".', ["the bridge will cost 1,350,000 euros"]),
        ('It says "must be opened before May".', ["must be opened before May"]),
        ('It says "the mayor was against it".', ["the mayor was against it"]),
        ("No quote at all.", []),
    ],
)
def test_quotes_are_found_or_pointed_at(text: str, unsupported: list[str]) -> None:
    """Nearly the same words will do; another number, or a denial gone, will not."""
    checked = _look(checks.quotes(SOURCE), text)
    assert [part.text for part in checked.parts] == unsupported
    assert [text[part.start : part.end] for part in checked.parts] == unsupported
    assert checked.passed == (not unsupported)


@pytest.mark.parametrize(
    ("text", "unsupported"),
    [
        ("24 voted for it and 7 against.", []),
        ("It costs 1250000 euros, or 1.250.000.", []),
        ("25 voted for it.", ["25"]),
        ("They met on 2026-03-03.", []),
        ("They met on March 3rd.", []),
        ("They met on 4 March 2026.", ["4 March 2026"]),
        ("They met on 3 March 2025.", ["3 March 2025"]),
        ("It was said by Ines Okafor of Alderholt.", []),
        ("It was said by Ines Moreau.", ["Ines Moreau"]),
        ("Se reunieron el 3 de marzo de 2026.", []),
        ("Nothing to look up here.", []),
    ],
)
def test_numbers_dates_and_names_are_found_or_pointed_at(text: str, unsupported: list[str]) -> None:
    checked = _look(checks.figures(SOURCE), text)
    assert [part.text for part in checked.parts] == unsupported, checked


def test_what_such_checks_can_not_see() -> None:
    """Said in the module's docstring, and true: the opposite in the source's own words passes."""
    opposite = "Seven members voted for the bridge, twenty-four against."
    assert _look(checks.grounded(SOURCE, threshold=1.0), opposite).passed
    assert "say the opposite" in checks.grounding.__doc__


def test_overlap_points_at_the_sentence_that_is_about_something_else() -> None:
    text = "The members voted for the bridge. Dragons are fond of gold and of singing."
    checked = _look(checks.overlap(SOURCE, threshold=0.9), text)
    assert (checked.score, checked.passed) == (0.5, False)
    assert [part.text for part in checked.parts] == ["Dragons are fond of gold and of singing."]
    assert _look(checks.overlap(SOURCE, threshold=0.5), text).passed


def test_the_threshold_is_the_users() -> None:
    text = 'He said "We can\'t wait". It costs 9 euros.'
    strict = _look(checks.grounded(SOURCE, threshold=1.0), text)
    assert not strict.passed
    assert 0 < strict.score < 1
    assert _look(checks.grounded(SOURCE, threshold=strict.score), text).passed
    assert "'9' is a number that the source does not have" in strict.message


def test_citations_name_sources_that_are_there() -> None:
    sources = {"1": SOURCE, "minutes-2": "The library opens at nine."}
    check = checks.citations(sources)
    assert _look(check, "The bridge will cost a lot of euros [1]. The library opens at nine [minutes-2].").passed
    assert "[7] names no source: there is 1, minutes-2" in _look(check, "The bridge will cost euros [7].").message
    assert "cites a source that shares" in _look(check, "Dragons love gold and songs [1].").message
    assert "cite at least 1 of the sources, as [1]" in _look(check, "The bridge will cost.").message


def test_the_source_may_be_a_variable_of_the_prompt(lab: Lab, tmp_path) -> None:
    """Each case of an experiment is held against its own passage."""
    prompt = Prompt("ask", "{{passage}}\n\n{{question}}")
    check = checks.quotes(checks.variable("passage"), at="quote")
    shape = {"type": "object", "properties": {"quote": {"type": "string"}}, "required": ["quote"]}
    with Lab(tmp_path / "f.db", provider=lambda _: '{"quote": "opens at nine"}') as told:
        asked = prompt.fill(passage="The library opens at nine.", question="When?")
        assert told.ask(asked, model="m", schema=shape, checks=[check]).valid
        asked = prompt.fill(passage="The library is shut.", question="When?")
        with pytest.raises(errors.ValidationError, match="is not in the source, word for word"):
            told.ask(asked, model="m", schema=shape, checks=[check])
        with pytest.raises(errors.ValidationError, match="no variable 'passage'"):
            told.ask("x", model="m", schema=shape, checks=[check])


@pytest.mark.parametrize(
    "text",
    ["1" * 300_000, '"' * 300_000, "A " * 150_000, "3 " * 50_000, "[1] " * 20_000, ".!?" * 100_000, "Ab. " * 50_000],
)
def test_hostile_text_is_looked_at_in_no_time(text: str) -> None:
    """Seconds, not hours: nothing here backs up on itself (the bound is generous)."""
    began = time.process_time()
    for check in (checks.quotes(SOURCE), checks.figures(SOURCE), checks.citations({"1": SOURCE})):
        _look(check, text)
    assert time.process_time() - began < 30
