"""What may go to a cheaper model: promises hold against known truths, and none is made of too little."""

from __future__ import annotations

import numpy as np
import pytest

from lab.stats import betting, gains, routes


def world(n: int, seed: int, hard: float = 0.4) -> tuple[gains.Requests, np.ndarray, np.ndarray, np.ndarray]:
    """Requests on two axes; the dearer model gains `hard` where they lie far out, in steps, which is none of the
    predictors' forms. Requests, the truth, scores drawn from it, and places on the axes."""
    random = np.random.default_rng(seed)
    spots = random.normal(size=(n, 2))
    vectors = np.hstack([spots, 0.3 * random.normal(size=(n, 30))])
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    far = (spots[:, 0] > 0.3).astype(float)
    truth = np.column_stack([0.9 - hard * far, 0.9 - 0.05 * far])
    scores = (random.random((n, 2)) < truth).astype(float)
    requests = gains.Requests(vectors=vectors, plain=random.normal(size=(n, 12)), groups=[None] * n)
    return requests, truth, scores, spots


def test_evidence_by_betting_is_wrong_as_rarely_as_it_says() -> None:
    """At exactly the bound, for rare large losses that break a normal interval, and for plain ones."""
    random = np.random.default_rng(1)
    for share, size in ((0.02, 1.0), (0.5, 0.04)):
        losses = (random.random((300, 1500)) < share) * size
        assert betting.below(losses, share * size).mean() < 0.05
    assert betting.below(np.zeros(400), 0.02).all()
    assert not betting.below(np.zeros(100), 0.02).any(), "too few to show it"


def test_columns_are_reached_from_the_first_on() -> None:
    none, all_ = np.zeros(500), np.ones(500)
    assert betting.reached(np.column_stack([none, none, all_, none]), 0.05) == 2
    assert betting.reached(np.column_stack([all_, none]), 0.05) == 0


@pytest.mark.parametrize("bad", [[2.0], [float("nan")]])
def test_what_is_no_loss_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="from -1 to 1"):
        betting.below(bad, 0.02)


def test_cases_that_go_together_are_one_draw() -> None:
    """Said ten times over, the same cases show no more than they did."""
    losses = np.zeros(60)
    many, names = np.repeat(losses, 10), np.repeat(np.arange(60), 10)
    assert betting.below(many, 0.02)[0]
    assert not betting.below(betting.by_cluster(many, names, 0.02), 0.0)[0]


def test_the_gain_is_learnt_and_the_promise_kept() -> None:
    """8 draws of 300 cases; the full 200, and the shares, are in benchmarks/route.py."""
    broken, shares, recovered = 0, [], []
    for seed in range(8):
        requests, _truth, scores, _spots = world(300, seed)
        predicted = gains.out_of_fold(requests, scores, range(300))
        promise = routes.promised(predicted, scores, range(300), 0.05, 0.01)
        model = gains.GainModel.read(gains.fitted(requests, scores).written())
        fresh, truth, _scores, _spots = world(2000, 10_000 + seed)
        drawn = model.predict(fresh)
        where = routes.places(drawn, promise.cut)
        loss = (truth[:, 1] - truth[np.arange(2000), where]).mean()
        broken += loss > 0.05
        shares.append(promise.share)
        recovered.append(gains.recovered(drawn[:, 0], truth[:, 0], truth[:, 1]))
    assert broken <= 1
    assert np.mean(shares) > 0.2
    assert np.mean(recovered) > 0.62


def test_where_nothing_can_be_told_nothing_is_promised() -> None:
    """The cheaper model is worse everywhere, by more than the margin."""
    requests, _truth, scores, _spots = world(300, 3)
    scores[:, 0] = np.random.default_rng(4).random(300) < 0.3
    predicted = gains.out_of_fold(requests, scores, range(300))
    promise = routes.promised(predicted, scores, range(300), 0.02)
    assert (promise.cut, promise.share, promise.loss) == (None, 0.0, 0.0)


def test_three_models_go_by_one_cut() -> None:
    gain = np.array([[0.3, 0.1], [0.0, 0.0], [0.5, 0.4], [0.2, 0.05]])
    assert routes.places(gain, 0.1).tolist() == [1, 0, 2, 1]
    assert routes.places(gain, None).tolist() == [2, 2, 2, 2]
    assert routes.places(gain, 0.5).tolist() == [0, 0, 0, 0]


def test_a_category_speaks_where_the_words_do_not() -> None:
    """The gain hangs on the category alone; what is left out of the fit is predicted by it."""
    random = np.random.default_rng(5)
    groups = [f"g{number % 6}" for number in range(240)]
    hard = np.array([group in ("g0", "g1") for group in groups])
    scores = np.column_stack([random.random(240) < 0.9 - 0.6 * hard, random.random(240) < 0.9]).astype(float)
    requests = gains.Requests(vectors=random.normal(size=(240, 20)), plain=random.normal(size=(240, 12)), groups=groups)
    predicted = gains.out_of_fold(requests, scores, range(240))
    assert predicted[hard].mean() > predicted[~hard].mean() + 0.25
