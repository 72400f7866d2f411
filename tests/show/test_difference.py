"""Two texts, word by word."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lab.show import difference

TEXTS = st.lists(st.sampled_from(["one", "two", " ", "\n", "three", ",", "<b>", "é", "  "]), max_size=40).map("".join)


@given(TEXTS, TEXTS)
def test_what_stayed_and_went_is_the_one_and_what_stayed_and_came_the_other(before: str, after: str) -> None:
    found = difference.pieces(before, after)
    assert "".join(text for sign, text in found if sign != "+") == before
    assert "".join(text for sign, text in found if sign != "-") == after


@given(TEXTS)
def test_the_same_is_one_piece(text: str) -> None:
    assert difference.pieces(text, text) == ([("=", text)] if text else [])


def test_words_are_compared_and_two_changes_side_by_side_are_one() -> None:
    assert difference.pieces("the red big house", "the blue old house") == [
        ("=", "the "),
        ("-", "red big"),
        ("+", "blue old"),
        ("=", " house"),
    ]


def test_it_is_escaped() -> None:
    found = difference.pieces("<script>a</script>", "<script>b</script>")
    drawn = difference.to_html(found)
    assert "<script" not in drawn
    assert "<del>" in drawn
    assert "<ins>" in drawn


def test_very_long_texts_are_compared_as_far_as_they_go() -> None:
    found = difference.pieces("word " * 100_000, "other " * 100_000)
    assert sum(len(text) for _sign, text in found) <= 2 * difference.LONGEST


def test_one_changed_word_of_many_is_found_wherever_it_is() -> None:
    """In a long line, and in the midst of many lines."""
    for join in (" ", ". ", "\n"):
        before = [f"word{n % 7}{join}" for n in range(3000)]
        after = [*before[:2900], f"other{join}", *before[2901:]]
        changed = [
            (sign, text.strip()) for sign, text in difference.pieces("".join(before), "".join(after)) if sign != "="
        ]
        assert sum(len(text) for _sign, text in changed) < 60, join
        assert any("other" in text for sign, text in changed if sign == "+")
