"""Shares that may not be exceeded, against a known truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from lab.stats import certificates
from lab.stats.certificates import certify, evidence, needed, upper

STEPS = (0.95, 0.93, 0.92, 0.91, 0.90)


@pytest.mark.parametrize(("wrong", "n"), [(0, 1), (0, 59), (3, 100), (99, 100), (20, 20), (0, 0)])
def test_the_bound_is_clopper_and_pearsons(wrong: int, n: int) -> None:
    if n == 0:
        assert upper(wrong, n) == 1.0
        return
    exact = scipy_stats.binomtest(wrong, n, alternative="less").proportion_ci(0.95, method="exact").high
    assert upper(wrong, n) == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize(("share", "n"), [(0.05, 59), (0.02, 149), (0.01, 299)])
def test_how_many_it_takes_without_a_wrong_one(share: float, n: int) -> None:
    assert needed(share) == n
    assert upper(0, n) <= share < upper(0, n - 1)


def test_it_goes_on_until_a_step_fails() -> None:
    scores = [0.96] * 100 + [0.925] * 100 + [0.905] * 100
    wrong = [False] * 200 + [True] * 30 + [False] * 70
    found = certify(scores, wrong, STEPS, 0.05)
    assert (found.step, found.n, found.wrong) == (0.92, 200, 0)


def test_a_step_with_too_few_labels_is_left_out() -> None:
    assert certify([0.96] * 10 + [0.92] * 60, [False] * 70, STEPS, 0.05).step == 0.92
    assert certify([0.96] * 58, [False] * 58, STEPS, 0.05).step is None


@pytest.mark.parametrize("n", [300, 1000])
def test_it_certifies_what_is_not_so_in_one_of_twenty(n: int) -> None:
    """Where the share of wrong ones falls with the score as it does in life, each step's own share being the truth:
    not the form that the method assumes of anything."""
    draw = np.random.default_rng(n)
    pool = draw.uniform(0.9, 1.0, 200_000)
    bad = draw.random(pool.size) < 0.25 * (1 - pool) / 0.1 * draw.beta(0.3, 1.2, pool.size)
    truth = {step: bad[pool >= step].mean() for step in STEPS}
    broken = 0
    for _ in range(400):
        taken = draw.integers(0, pool.size, n)
        found = certify(pool[taken], bad[taken], STEPS, 0.02)
        broken += found.step is not None and truth[found.step] > 0.02
    assert broken <= 29, "5 % of 400, and what chance adds to that once in a hundred times"


def test_what_a_look_spends_is_what_it_may_certify_wrongly() -> None:
    """Counts are whole, so it is less than 5 %: what is left over may be spent by the next look."""
    found = certify([1.0] * 59, [False] * 59, (0.9,), 0.05)
    assert found.spent == pytest.approx(0.95**59)
    draw = np.random.default_rng(3)
    passed = sum(certify([1.0] * 300, draw.random(300) < 0.05, (0.9,), 0.05).step is not None for _ in range(2000))
    spent = certify([1.0] * 300, [False] * 300, (0.9,), 0.05).spent
    assert abs(passed / 2000 - spent) < 4 * (spent / 2000) ** 0.5


def test_labels_and_scores_are_as_many() -> None:
    with pytest.raises(ValueError, match="labels"):
        certify([0.9], [True, False], STEPS, 0.02)


def _runs(share: float, allowed: float, runs: int, seed: int, limit: int = 20_000) -> np.ndarray:
    draw, lengths = np.random.default_rng(seed), []
    for _ in range(runs):
        known, count = 1.0, 0
        while known < certificates.PATIENCE and count < limit:
            count += 1
            known = evidence(known, bool(draw.random() < share), allowed)
        lengths.append(count)
    return np.array(lengths)


@pytest.mark.parametrize("allowed", [0.01, 0.02, 0.05])
def test_the_watch_is_patient_where_all_is_as_certified(allowed: float) -> None:
    """At most one false stop in 1,000 labels, on average, at the very share that is allowed."""
    assert _runs(allowed, allowed, 40, 1, 8000).mean() > certificates.PATIENCE


@pytest.mark.parametrize(("allowed", "drifted", "within"), [(0.02, 0.2, 90), (0.05, 0.3, 60), (0.01, 0.1, 180)])
def test_the_watch_stops_soon_where_much_has_changed(allowed: float, drifted: float, within: int) -> None:
    assert np.quantile(_runs(drifted, allowed, 300, 2), 0.95) <= within
