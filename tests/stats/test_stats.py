"""Statistics: equal to scipy's and statsmodels', and their intervals hold as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lab import stats

# what it is compared with takes seconds to import: each test brings its own
RANDOM = np.random.default_rng(20)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (0, 12), (1, 3), (7, 10), (10, 10), (88, 120), (4999, 5000)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_wilson_is_statsmodels(successes: int, n: int, level: float) -> None:
    from statsmodels.stats.proportion import proportion_confint

    interval = stats.wilson(successes, n, level)
    low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    assert (interval.low, interval.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 1), (3, 9), (9, 3), (8, 8), (40, 75), (1000, 1100)])
def test_mcnemar_is_statsmodels(first: int, second: int) -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    theirs = mcnemar([[5, first], [second, 7]], exact=True).pvalue
    assert stats.mcnemar(first, second) == pytest.approx(min(1.0, theirs), rel=1e-9)


@pytest.mark.parametrize(("lost", "won", "n"), [(1, 4, 20), (0, 5, 30), (12, 2, 50), (9, 9, 120), (30, 10, 400)])
def test_tangos_interval_inverts_the_score_test(lost: int, won: int, n: int) -> None:
    """Against the score test computed the long way: the nuisance share by maximum likelihood, numerically."""
    from scipy.optimize import minimize_scalar

    def score(delta: float) -> float:
        def loss(share: float) -> float:  # won has share + delta, lost has share
            cells = ((won, share + delta), (lost, share), (n - won - lost, 1 - 2 * share - delta))
            return -sum(count * math.log(max(p, 1e-300)) for count, p in cells if count)

        low, high = max(0.0, -delta), (1 - delta) / 2
        share = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-13}).x
        return (won - lost - n * delta) / math.sqrt(n * (2 * share + delta * (1 - delta)))

    interval = stats.paired_shares(lost, won, n)
    assert interval.estimate == pytest.approx((won - lost) / n)
    assert score(interval.low) == pytest.approx(1.959964, abs=1e-3)
    assert score(interval.high) == pytest.approx(-1.959964, abs=1e-3)


def test_no_case_that_differs_is_still_no_certainty() -> None:
    """Ten cases, all alike: the difference may be a quarter either way. With no case nothing is known."""
    interval = stats.paired_shares(0, 0, 10)
    assert (interval.low, interval.high) == (pytest.approx(-0.2775, abs=1e-3), pytest.approx(0.2775, abs=1e-3))
    assert math.isnan(stats.paired_shares(0, 0, 0).low)


@pytest.mark.parametrize("df", [1, 2, 5, 29, 400, 50_000])
@pytest.mark.parametrize("share", [0.5, 0.6, 0.975, 0.9999, 0.01])
def test_students_t_is_the_inverse_of_scipys_distribution(share: float, df: int) -> None:
    from scipy import stats as reference

    assert reference.t.cdf(stats.t_quantile(share, df), df) == pytest.approx(share, rel=1e-9)


def test_a_mean_without_clusters_is_scipys_t_interval() -> None:
    from scipy import stats as reference

    values = RANDOM.normal(size=23)
    theirs = reference.ttest_1samp(values, 0).confidence_interval(0.9)
    interval = stats.mean(values, level=0.9)
    assert (interval.low, interval.high) == (pytest.approx(theirs.low), pytest.approx(theirs.high))


def test_clusters_of_equal_answers_count_once() -> None:
    """Each case asked four times with the same outcome is no more evidence than asked once."""
    values = RANDOM.random(40)
    once = stats.mean(values)
    repeated = stats.mean(np.repeat(values, 4), np.repeat(np.arange(40), 4))
    assert (repeated.low, repeated.high) == (pytest.approx(once.low), pytest.approx(once.high))
    assert stats.clustered_se(np.repeat(values, 4)) < stats.clustered_se(values) * 0.51


def test_the_bootstrap_is_scipys() -> None:
    from scipy import stats as reference

    values = RANDOM.exponential(size=60)
    theirs = reference.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    interval = stats.bootstrap(values, resamples=20_000)
    assert (interval.low, interval.high) == (pytest.approx(theirs.low, abs=0.02), pytest.approx(theirs.high, abs=0.02))
    assert stats.bootstrap(values, seed=3) == stats.bootstrap(values, seed=3)


def test_holm_is_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    p_values = [0.04, 0.001, 0.2, 0.01, 0.01, 0.9]
    assert stats.holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))
    assert stats.holm([]) == []


def test_cases_needed_is_statsmodels_and_the_inverse_of_detectable() -> None:
    """A one-sample z test is the two-sample one with an unboundedly large second sample."""
    from statsmodels.stats.power import NormalIndPower

    theirs = NormalIndPower(ddof=0).solve_power(effect_size=0.05 / 0.45, alpha=0.05, power=0.8, ratio=0)
    assert stats.cases_needed(0.45, 0.05) == math.ceil(theirs)
    assert stats.detectable(0.45, stats.cases_needed(0.45, 0.05)) == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_percentile_intervals_say_where_there_are_too_few(share: float) -> None:
    """The least n is that for which the largest (or smallest) value is a bound at all."""
    from scipy import stats as reference

    least = next(n for n in range(1, 1000) if stats.ranks(n, share) is not None)
    assert least == {0.5: 6, 0.95: 72, 0.99: 368}[share]
    assert math.isnan(stats.percentile(np.arange(least - 1), share).estimate)
    low, high = stats.ranks(5000, share)
    cdf = reference.binom(5000, share).cdf
    assert 0.95 <= cdf(high) - cdf(low) <= 0.97


def test_of_two_percentile_intervals_as_likely_the_upper_is_taken() -> None:
    """A median's come in such pairs, of which rounding is not to choose."""
    assert all(low + high >= n - 1 for n in range(6, 300) for low, high in [stats.ranks(n, 0.5)])


def _covered(interval: stats.Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def _share(hits: int, runs: int) -> None:
    """Between 93 and 97 %, give or take what the number of runs can tell."""
    error = 1.96 * math.sqrt(0.95 * 0.05 / runs)
    assert 0.93 - error <= hits / runs <= 0.97 + error, hits / runs


@pytest.mark.parametrize(("n", "p"), [(20, 0.5), (30, 0.8), (60, 0.9), (120, 0.95), (1000, 0.99)])
def test_wilson_covers_as_often_as_it_says(n: int, p: float) -> None:
    """Exactly, over every outcome there can be."""
    from scipy import stats as reference

    chances = reference.binom(n, p).pmf(np.arange(n + 1))
    covered = sum(chance for k, chance in enumerate(chances) if _covered(stats.wilson(k, n), p))
    assert 0.93 <= covered <= 0.975, covered


@pytest.mark.parametrize(("n", "p", "q", "both"), [(60, 0.85, 0.8, 0.72), (120, 0.9, 0.9, 0.85), (90, 0.7, 0.6, 0.5)])
def test_paired_shares_cover_as_often_as_they_say(n: int, p: float, q: float, both: float) -> None:
    random = np.random.default_rng(1)
    draws = random.multinomial(n, [both, p - both, q - both, 1 - p - q + both], size=1500)
    _share(sum(_covered(stats.paired_shares(int(d[1]), int(d[2]), n), q - p) for d in draws), 1500)


@pytest.mark.parametrize(("groups", "each"), [(8, 4), (20, 3), (60, 2)])
def test_clustered_means_cover_as_often_as_they_say(groups: int, each: int) -> None:
    """Values of one cluster go together; taken one by one, they would be covered far too rarely."""
    random, right, naive = np.random.default_rng(2), 0, 0
    names = np.repeat(np.arange(groups), each)
    for _ in range(2000):
        values = np.repeat(random.normal(size=groups), each) + random.normal(size=groups * each)
        right += _covered(stats.mean(values, names), 0.0)
        naive += _covered(stats.mean(values), 0.0)
    _share(right, 2000)
    assert naive / 2000 < 0.9


@pytest.mark.parametrize(
    ("groups", "together", "least", "most"), [(60, 0.0, 0.93, 0.97), (60, 0.6, 0.93, 0.97), (20, 0.6, 0.95, 1.0)]
)
def test_shares_of_clusters_cover_as_often_as_they_say(groups: int, together: float, least: float, most: float) -> None:
    """Three cases a cluster, right nine times in ten, alone or together; of few clusters it is more often."""
    random, names, hits = np.random.default_rng(4), np.repeat(np.arange(groups), 3), 0
    for _ in range(1500):
        shared = (random.random(groups) < together)[names]
        lot = np.where(shared, random.random(groups)[names], random.random(3 * groups))
        hits += _covered(stats.share((lot < 0.9).astype(float), names), 0.9)
    error = 1.96 * math.sqrt(0.05 * 0.95 / 1500)
    assert least - error <= hits / 1500 <= most + error, hits / 1500


def test_without_clusters_they_are_wilsons_and_tangos() -> None:
    assert stats.share([1.0] * 9 + [0.0]) == stats.wilson(9, 10)
    assert stats.paired([1.0, -1.0, -1.0] + [0.0] * 17) == stats.paired_shares(2, 1, 20)


def test_the_cluster_bootstrap_covers_as_often_as_it_says() -> None:
    """Scores between 0 and 1 of 60 cases in 45 clusters, as a set of the lab's own would have."""
    random, hits = np.random.default_rng(3), 0
    names = np.concatenate([np.arange(45), np.arange(15)])
    for _ in range(800):
        level = random.beta(4, 1, size=45)
        values = random.binomial(4, level[names]) / 4
        hits += _covered(stats.bootstrap(values, names, resamples=800, seed=int(random.integers(1e9))), 0.8)
    _share(hits, 800)


@pytest.mark.parametrize(("n", "share"), [(100, 0.5), (200, 0.95), (500, 0.99), (2000, 0.99)])
def test_percentile_intervals_cover_at_least_as_often_as_they_say(n: int, share: float) -> None:
    """Their steps are whole values: what can't be exactly 95 % is more. Exactly, by the binomial distribution."""
    from scipy import stats as reference

    low, high = stats.ranks(n, share)
    below = reference.binom(n, share)
    covered = below.cdf(high) - below.cdf(low)
    assert 0.95 <= covered <= 0.97


@pytest.mark.parametrize(
    "bad", [lambda: stats.wilson(3, 2), lambda: stats.mean([[1.0]]), lambda: stats.mean([math.nan])]
)
def test_what_makes_no_sense_is_refused(bad) -> None:
    with pytest.raises(ValueError, match=r"."):
        bad()
