"""The bandit's beliefs, held against scikit-learn's Bayesian regression and written-out Bayes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from router.choosing.learning import learner as module
from router.choosing.learning.context import PRIOR_STD, PRIOR_VARIANCE, WIDTH, for_pool
from router.choosing.learning.learner import MOST_POOLS, NOISE_VARIANCE, Learner
from tests.router.choosing.learning.given import a_context, an_occasion, floats

FOR_EVER = 1e12


def outcomes(count: int, seed: int = 3) -> list[tuple[int, bool, float, float, float]]:
    """domain, code, predicted, score, weight"""
    rng = np.random.default_rng(seed)
    return [
        (
            int(rng.integers(5)),
            bool(rng.random() < 0.3),
            float(rng.random()),
            float(rng.random()),
            float(rng.choice([1.0, 0.3])),
        )
        for _ in range(count)
    ]


def test_without_outcomes_the_prediction_stands() -> None:
    belief = Learner().belief(("a", "b"), floats(0.3, 0.8), floats(0.1, 0.2), a_context())
    assert belief.mean.tolist() == [0.3, 0.8]
    wide = np.sqrt(a_context().variance + PRIOR_VARIANCE[1] * np.array([0.2, 0.3]) ** 2 + np.array([0.1, 0.2]) ** 2)
    np.testing.assert_allclose(belief.std, wide)


def test_means_are_those_of_ridge_regression() -> None:
    """Bayes with a normal prior is ridge regression on inputs scaled by the prior, with the noise as its penalty."""
    learner, rows, residuals, weights = Learner(FOR_EVER), [], [], []
    for domain, code, predicted, score, weight in outcomes(200):
        seen = a_context(domain, code=code)
        learner.observe("a", seen, predicted, score, weight)
        rows.append(for_pool(seen.values, predicted))
        residuals.append(score - predicted)
        weights.append(weight)
    oracle = Ridge(alpha=NOISE_VARIANCE, fit_intercept=False).fit(np.array(rows) * PRIOR_STD, residuals, sample_weight=weights)
    for domain, code, predicted, *_ in outcomes(20, seed=4):
        seen = a_context(domain, code=code)
        expected = predicted + oracle.predict([for_pool(seen.values, predicted) * PRIOR_STD])[0]
        belief = learner.belief(("other", "a"), floats(0.5, predicted), floats(0.0, 0.0), seen)
        assert belief.mean[1] == pytest.approx(min(max(expected, 0.0), 1.0), abs=1e-9)
        assert learner.expected("a", seen, predicted) == pytest.approx(belief.mean[1], abs=1e-9)


def test_doubt_is_that_of_bayes_and_wears_the_predictions_away() -> None:
    learner, rows, weights = Learner(FOR_EVER), [], []
    for domain, code, predicted, score, weight in outcomes(150):
        seen = a_context(domain, code=code)
        learner.observe("a", seen, predicted, score, weight)
        rows.append(for_pool(seen.values, predicted))
        weights.append(weight)
    data = np.array(rows)
    covariance = np.linalg.inv(np.diag(1 / PRIOR_VARIANCE) + (data.T * weights) @ data / NOISE_VARIANCE)
    seen = a_context(2, code=True)
    row = for_pool(seen.values, 0.8)
    left, before = row @ covariance @ row, row @ np.diag(PRIOR_VARIANCE) @ row
    belief = learner.belief(("a",), floats(0.8), floats(0.2), seen)
    assert belief.std[0] == pytest.approx(np.sqrt((0.2**2 + before) * left / before))
    assert belief.std[0] < 0.6 * np.sqrt(0.2**2 + before)


def test_a_correction_in_one_domain_moves_that_domain_most() -> None:
    learner = Learner()
    for _ in range(300):
        learner.observe("a", a_context(1), 0.5, 0.9)
        learner.observe("a", a_context(2), 0.5, 0.5)
    first = learner.expected("a", a_context(1), 0.5)
    second = learner.expected("a", a_context(2), 0.5)
    assert first == pytest.approx(0.9, abs=0.06)
    assert second == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("outcomes_since", [500, 1000])
def test_what_was_learnt_halves_with_the_half_life(outcomes_since: int) -> None:
    learner = Learner(500.0)
    for _ in range(200):
        learner.observe("a", a_context(1), 0.5, 1.0)
    before = learner.weight("a")
    for _ in range(outcomes_since):
        learner.observe("a", a_context(2), 0.5, 0.5)
    new = sum(2.0 ** (-at / 500.0) for at in range(outcomes_since))
    assert learner.weight("a") == pytest.approx(before * 0.5 ** (outcomes_since / 500) + new)


def test_it_follows_a_change_whatever_came_before() -> None:
    learner, rng = Learner(), np.random.default_rng(5)
    for _ in range(20_000):
        learner.observe("a", a_context(), 0.8, float(rng.random() < 0.8))
    for _ in range(1000):
        learner.observe("a", a_context(), 0.8, float(rng.random() < 0.2))
    assert learner.expected("a", a_context(), 0.8) < 0.4


def test_an_idle_pool_becomes_unknown_again() -> None:
    learner = Learner()
    for _ in range(300):
        learner.observe("a", a_context(), 0.8, 0.1)
    known = learner.belief(("a",), floats(0.8), floats(0.1), a_context())
    learner.age(0.001)
    later = learner.belief(("a",), floats(0.8), floats(0.1), a_context())
    assert known.mean[0] < 0.2
    assert later.mean[0] > 0.7
    assert later.std[0] > 4 * known.std[0]


def test_pools_come_and_go_while_it_runs() -> None:
    learner = Learner()
    for _ in range(50):
        learner.observe("a", a_context(), 0.5, 1.0)
    alone = learner.belief(("a",), floats(0.5), floats(0.1), a_context())
    learner.observe("b", a_context(), 0.5, 0.0)
    both = learner.belief(("b", "a", "new"), floats(0.5, 0.5, 0.5), floats(0.1, 0.1, 0.1), a_context())
    assert both.mean[1] == alone.mean[0]
    assert both.mean[0] < 0.5 == both.mean[2]
    assert both.std[1] < both.std[0] < both.std[2]
    assert learner.pools == ("a", "b")


def test_the_least_known_pool_gives_way_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_POOLS", 3)
    learner = Learner()
    for pool, count in (("a", 3), ("b", 1), ("c", 2), ("d", 1)):
        for _ in range(count):
            learner.observe(pool, a_context(), 0.5, 1.0)
    assert learner.pools == ("a", "c", "d")
    assert learner.weight("b") == 0.0
    assert MOST_POOLS >= 100


def test_to_forget_a_pool_leaves_the_others() -> None:
    learner = Learner()
    for pool in ("a", "b"):
        learner.observe(pool, a_context(), 0.5, 1.0)
    before = learner.expected("b", a_context(), 0.5)
    learner.forget("a")
    learner.forget("never seen")
    assert learner.expected("a", a_context(), 0.5) == 0.5
    assert learner.expected("b", a_context(), 0.5) == before > 0.5


@pytest.mark.parametrize(
    ("score", "weight", "name"), [(1.1, 1.0, "score"), (float("nan"), 1.0, "score"), (0.5, -0.1, "weight")]
)
def test_what_is_no_score_or_weight_is_refused_by_name(score: float, weight: float, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Learner().observe("a", a_context(), 0.5, score, weight)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(0, 20)), max_size=40))
def test_beliefs_stay_sane_whatever_it_is_taught(lessons: list[tuple[float, float, float, int]]) -> None:
    learner = Learner(5.0)
    for predicted, score, weight, domain in lessons:
        learner.observe("a", a_context(domain), predicted, score, weight)
    belief = learner.belief(("a",), floats(0.5), floats(0.3), a_context())
    assert 0.0 <= belief.mean[0] <= 1.0
    assert 0.0 < belief.std[0] <= np.sqrt(a_context().variance + 0.09) + 1e-9


def test_a_surprising_preference_moves_both_and_their_sum_stays() -> None:
    learner = Learner()
    winner, loser = an_occasion("a", predicted=0.4), an_occasion("b", predicted=0.6)
    learner.prefer(winner, loser)
    up = learner.expected("a", winner.context, 0.4) - 0.4
    down = learner.expected("b", loser.context, 0.6) - 0.6
    assert up > 0.01
    assert up == pytest.approx(-down)


def test_an_expected_preference_teaches_less_than_a_surprising_one() -> None:
    def moved(above: float, below: float) -> float:
        learner, winner = Learner(), an_occasion("a", predicted=above)
        learner.prefer(winner, an_occasion("b", predicted=below))
        return learner.expected("a", winner.context, above) - above

    assert 0 < moved(0.75, 0.25) < moved(0.5, 0.5) < moved(0.25, 0.75)


def test_many_preferences_come_to_the_order_that_callers_have() -> None:
    """Callers prefer as Bradley and Terry say, with a gap of 0.4; the prediction has them the wrong way round."""
    learner, rng = Learner(), np.random.default_rng(1)
    first, second = an_occasion("a", predicted=0.5), an_occasion("b", predicted=0.6)
    for _ in range(1500):
        wins = rng.random() < 1 / (1 + np.exp(-module.PREFERENCE_SLOPE * 0.4))
        learner.prefer(*((first, second) if wins else (second, first)))
    gap = learner.expected("a", first.context, 0.5) - learner.expected("b", second.context, 0.6)
    assert gap == pytest.approx(0.4, abs=0.15)


def test_a_preference_within_one_pool_teaches_nothing() -> None:
    learner = Learner()
    assert learner.prefer(an_occasion("a"), an_occasion("a")) == ()
    assert learner.pools == ()


def test_a_verdict_taken_back_says_what_is_believed_anyway() -> None:
    learner, honest = Learner(), Learner()
    for each in (learner, honest):
        for _ in range(30):
            each.observe("a", a_context(), 0.5, 0.6)
    lie = learner.observe("a", a_context(), 0.5, 0.0)
    wrong = learner.expected("a", a_context(), 0.5)
    learner.take_back(lie)
    right = honest.expected("a", a_context(), 0.5)
    assert abs(learner.expected("a", a_context(), 0.5) - right) < 0.1 * abs(wrong - right)


def test_a_verdict_on_what_was_forgotten_since_takes_nothing_back() -> None:
    learner = Learner()
    taught = learner.observe("a", a_context(), 0.5, 0.0)
    learner.forget("a")
    learner.take_back(taught)
    assert learner.expected("a", a_context(), 0.5) == pytest.approx(0.5, abs=1e-12)


def test_its_arrays_are_of_the_stated_width() -> None:
    learner = Learner()
    learner.observe("a", a_context(), 0.5, 1.0)
    evidence = learner.evidence()
    assert evidence.moments.shape == (1, WIDTH, WIDTH)
    assert evidence.products.shape == (1, WIDTH)
