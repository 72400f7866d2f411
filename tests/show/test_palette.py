"""Colours that mean the same wherever they are drawn."""

from __future__ import annotations

import pytest

from lab.show import charts, palette
from lab.show.charts import shared

WHITE, DARK = "#ffffff", "#13171a"
EVERY = sorted({*palette.MODELS, *(colour for _sign, colour in palette.OUTCOMES.values())})


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colour", EVERY)
def test_each_is_told_from_both_backgrounds(colour: str) -> None:
    """WCAG's 1.4.11: graphics need 3 : 1."""
    assert _contrast(colour, WHITE) >= 3
    assert _contrast(colour, DARK) >= 3


def test_outcomes_are_told_apart_without_colour() -> None:
    signs = [sign for sign, _colour in palette.OUTCOMES.values()]
    assert len(set(signs)) == len(signs)
    assert palette.outcome("rate_limit") == "▲ rate limit"


def test_every_kind_of_failure_has_one() -> None:
    from typing import get_args

    from lab import errors

    assert set(get_args(errors.Kind)) <= set(palette.OUTCOMES)


def test_known_names_have_their_own_colour_others_are_grey_and_nobody_has_anothers() -> None:
    known = {"a": "#079e92", "b": "#c77618"}
    drawn = shared.range_of(["b", "new", "a", palette.OTHERS], known)
    assert drawn[0] == known["b"]
    assert drawn[2] == known["a"]
    assert drawn[3] == palette.GREY
    assert drawn[1] not in drawn[:1] + drawn[2:]
    assert shared.last([palette.OTHERS, "x"]) == ["x", palette.OTHERS]
    assert list(palette.MODELS) == charts.GROUPS
