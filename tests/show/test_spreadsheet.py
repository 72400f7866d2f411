"""Figures as a person would say them; anything a model says is only ever text."""

from __future__ import annotations

import pytest

from lab.show import units
from lab.show.text import one_line


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.0204, "20 ms"), (0.9996, "1000 ms"), (1.236, "1.24 s"), (75.0, "75.00 s")]
)
def test_seconds(value: float | None, text: str) -> None:
    assert units.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "unknown"), (0, "$0"), (0.0000237, "$0.000024"), (0.00123, "$0.0012"), (0.5, "$0.50"), (12.345, "$12.35")],
)
def test_dollars(value: float | None, text: str) -> None:
    """Unknown is not nothing, and next to nothing is not nothing either."""
    assert units.dollars(value) == text


def test_shorten_is_one_line_of_at_most_that_width() -> None:
    assert one_line("a\n b", 10) == "a b"
    assert one_line("x" * 1_000_000, 10) == "xxxxxxxxx…"
