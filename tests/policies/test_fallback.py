"""Another model when one can't answer, and never where that would hide the caller's own mistake."""

from __future__ import annotations

import pytest

from lab import Fallback, Timeout
from tests import clock
from tests.play import Player, Step, fail, only


def play(player: Player, **more: object) -> object:
    return clock.run(player.call(**more))


def test_the_models_are_asked_in_order() -> None:
    player = Player(only(fallback=Fallback("b", "c")), fail("provider"), fail("quota"), Step())
    assert play(player).text == "c"
    assert [(attempt.model, attempt.role) for attempt in player.stage.tries] == [
        ("m", "first"),
        ("b", "fallback"),
        ("c", "fallback"),
    ]


def test_the_last_failure_is_told() -> None:
    assert play(Player(only(fallback=Fallback("b")), fail("provider"), fail("quota"))).failure.kind == "quota"


@pytest.mark.parametrize("kind", ["invalid_request", "auth", "budget"])
def test_the_callers_own_mistake_does_not_fall_back(kind: str) -> None:
    player = Player(only(fallback=Fallback("b")), fail(kind))
    assert play(player).failure.kind == kind
    assert len(player.stage.tries) == 1


def test_the_kinds_are_the_users_to_choose() -> None:
    player = Player(only(fallback=Fallback("b", on=("quota",))), fail("provider"))
    assert play(player).failure.kind == "provider"


def test_nothing_falls_back_after_a_piece_was_handed_up() -> None:
    cut = Step(fail=fail("transport").fail, pieces=3, cut_after=1)
    player = Player(only(fallback=Fallback("b")), cut)
    assert play(player, streamed=True).failure.kind == "transport"
    assert len(player.stage.tries) == 1


def test_the_total_deadline_is_the_end() -> None:
    player = Player(only(fallback=Fallback("b"), timeout=Timeout(total=3, attempt=None)), Step(10))
    out = play(player)
    assert (out.failure.phase, out.took) == ("total", pytest.approx(3))
    assert len(player.stage.tries) == 1


@pytest.mark.parametrize("kind", ["invalid_request", "auth", "budget", "nonsense"])
def test_kinds_that_may_not_fall_back_are_refused_when_made(kind: str) -> None:
    with pytest.raises(ValueError, match=r"Fallback\(on="):
        Fallback("b", on=(kind,))


def test_no_models_are_refused_when_made() -> None:
    with pytest.raises(ValueError, match="names of one or more models"):
        Fallback()
