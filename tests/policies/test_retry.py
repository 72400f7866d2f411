"""Asking again: when, how long after, how often, and when not."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import Retry, Timeout
from tests import clock
from tests.play import Player, Step, fail, only

NONE = {"jitter": "none"}


def play(player: Player, **more: object) -> object:
    return clock.run(player.call(**more))


def test_a_failure_is_tried_again_with_growing_waits() -> None:
    player = Player(only(retry=Retry(attempts=4, **NONE)), fail("provider"), fail("transport"), fail("timeout"), Step())
    out = play(player)
    assert (out.text, out.winner) == ("m", 4)
    assert [attempt.role for attempt in player.stage.tries] == ["first", "retry", "retry", "retry"]
    assert [attempt.wait for attempt in player.stage.tries] == [0, 0.5, 1, 2]
    assert out.took == pytest.approx(4 * 1 + 0.5 + 1 + 2)
    assert player.stage.closed == 4


def test_there_is_no_sleep_after_the_last_attempt() -> None:
    out = play(player := Player(only(retry=Retry(attempts=3, **NONE)), fail("provider")))
    assert out.failure.kind == "provider"
    assert len(player.stage.tries) == 3
    assert out.took == pytest.approx(3 + 0.5 + 1)


@pytest.mark.parametrize(
    "kind", ["invalid_request", "auth", "quota", "content", "unsupported", "budget", "busy", "validation"]
)
def test_what_another_try_can_not_mend_is_not_tried_again(kind: str) -> None:
    player = Player(only(retry=Retry(attempts=5)), fail(kind))
    assert play(player).failure.kind == kind
    assert len(player.stage.tries) == 1


def test_the_kinds_are_the_users_to_choose() -> None:
    player = Player(only(retry=Retry(attempts=2, on=["quota"])), fail("quota"), Step())
    assert play(player).text == "m"


def test_retry_after_is_obeyed() -> None:
    player = Player(only(retry=Retry()), fail("rate_limit", retry_after=7.0), Step())
    assert play(player).took == pytest.approx(1 + 7 + 1)


@pytest.mark.parametrize(
    ("retry", "timeout", "asked", "words"),
    [
        (Retry(max_retry_after=5), Timeout(total=100), 7.0, "it asks for 7 s, more than max_retry_after=5"),
        (Retry(), Timeout(total=6), 7.0, "the wait of 7.0 s is longer than the 5.0 s left"),
    ],
)
def test_a_wait_that_can_not_be_afforded_is_not_begun(retry: Retry, timeout: Timeout, asked: float, words: str) -> None:
    player = Player(only(retry=retry, timeout=timeout), fail("rate_limit", retry_after=asked))
    out = play(player)
    assert words in str(out.failure)
    assert out.took == pytest.approx(1)
    assert out.failure.kind == "rate_limit"


def test_a_stream_is_not_sent_again_once_a_piece_was_handed_up() -> None:
    cut = Step(fail=fail("transport").fail, pieces=3, cut_after=2)
    player = Player(only(retry=Retry()), cut, Step())
    out = play(player, streamed=True)
    assert out.failure.kind == "transport"
    assert out.pieces == ["m0 ", "m1 "]
    assert len(player.stage.tries) == 1


def test_a_stream_that_is_cut_before_its_first_piece_is_sent_again() -> None:
    player = Player(only(retry=Retry(**NONE)), fail("transport"), Step(pieces=2))
    assert play(player, streamed=True).pieces == ["m0 ", "m1 "]


def test_an_answer_that_is_asked_for_whole_may_be_cut_and_tried_again() -> None:
    """Nothing was handed over yet."""
    cut = Step(fail=fail("transport").fail, pieces=3, cut_after=2)
    player = Player(only(retry=Retry(**NONE)), cut, Step(pieces=2))
    out = play(player)
    assert (out.text, out.winner, out.pieces) == ("m", 2, ["m0 ", "m1 "])


def test_an_outage_does_not_multiply_the_load() -> None:
    """Extra attempts are at most their share of the first ones, but for what was saved up before."""
    player = Player(only(retry=Retry(attempts=5, share=0.1, **NONE)), fail("provider"))

    async def many() -> list:
        return [await player.call() for _ in range(1000)]

    outs = clock.run(many())
    assert len(player.stage.tries) <= 1000 + 0.1 * 1000 + 10
    assert "over their share" in str(outs[-1].failure)


@given(
    nth=st.integers(1, 10_000),
    initial=st.floats(0, 10),
    multiplier=st.floats(0, 10),
    most=st.floats(0, 60),
    seed=st.integers(),
)
def test_a_wait_is_never_negative_nor_longer_than_the_longest(
    nth: int, initial: float, multiplier: float, most: float, seed: int
) -> None:
    retry = Retry(initial=initial, multiplier=multiplier, max_delay=most)
    assert 0 <= retry.delay(nth, Random(seed)) <= retry.longest(nth) <= most


def test_full_jitter_is_spread_over_the_whole_wait() -> None:
    waits = [Retry(initial=8).delay(1, Random(seed)) for seed in range(2000)]
    assert sum(waits) / 2000 == pytest.approx(4, rel=0.05)
    assert min(waits) < 0.1
    assert max(waits) > 7.9


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"attempts": 0}, r"Retry\(attempts=0\): a whole number of at least 1"),
        ({"attempts": 2.5}, "a whole number"),
        ({"on": ("sometimes",)}, r"Retry\(on=\('sometimes',\)\): a tuple of these: invalid_request"),
        ({"on": "provider"}, "a tuple of these"),
        ({"initial": -1}, "a number of at least 0"),
        ({"jitter": "half"}, "one of these: full, none"),
    ],
)
def test_a_wrong_setting_is_refused_when_made(wrong: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Retry(**wrong)
