"""A policy as a whole: refused when wrong, and able to say what it may come to."""

from __future__ import annotations

import pytest

from lab import Budget, Fallback, Hedge, Limit, Policy, Retry, Timeout

SAID = """\
at worst: 12 requests, 60 s, $0.12
key       a call with a key is asked once; whoever else asks is given its reply
budget    $1 per day, checked before it is spent
ledger    how it ended is on disk before its answer is handed over
total     60 s for the call, its waits included
fallback  then gpt-4o
retry     3 attempts, 0 to 0.5, 1 s apart, or as long as it asks for
hedge     a second request after p95, at most 5% more
breaker   left alone for 15 s once 50% fail
limit     8 at once, 500 requests a minute
record    each attempt is a row, with why it was made, its times and what it cost
attempt   connect 10 s, first token 60 s, idle 30 s, attempt 120 s"""


def test_it_explains_itself() -> None:
    policy = Policy(
        timeout=Timeout(total=60),
        hedge=Hedge(),
        fallback=Fallback("gpt-4o"),
        limit=Limit(concurrency=8, rpm=500),
        budget=Budget(usd=1, per="day"),
    )
    assert policy.explain(usd=0.12) == SAID
    drawn = policy._repr_html_()
    assert drawn.startswith("<div")
    assert "at worst: 12 requests, 60 s" in drawn
    assert drawn.count("<div") == drawn.count("</div>") == 12
    assert drawn.index("fallback") < drawn.index("retry") < drawn.index("breaker")


def test_what_it_draws_is_escaped() -> None:
    assert "<script>" not in Policy(fallback=Fallback("<script>alert(1)</script>"))._repr_html_()


def test_with_everything_off_nothing_bounds_it() -> None:
    off = Policy(timeout=None, retry=None, limit=None, breaker=None)
    assert off.explain().split("\n")[0] == "at worst: 1 requests, no end"
    assert off.worst_seconds() is None


def test_without_a_total_every_attempt_and_wait_counts() -> None:
    policy = Policy(timeout=Timeout(total=None, attempt=10), retry=Retry(attempts=3, max_retry_after=5))
    assert policy.worst_seconds() == 3 * 10 + 2 * 5


@pytest.mark.parametrize("part", ["timeout", "retry", "hedge", "fallback", "limit", "breaker", "budget"])
def test_a_wrong_part_is_refused_when_made(part: str) -> None:
    with pytest.raises(
        TypeError, match=rf"Policy\({part}='x'\): a {part.capitalize()}\(\.\.\.\), or None to turn it off"
    ):
        Policy(**{part: "x"})
