"""Curves, hulls and their measures, against brute force, scikit-learn and figures worked out by hand."""

import itertools

import numpy as np
import pytest
from scipy.spatial import ConvexHull
from sklearn.metrics import auc

from training.report.curves import (
    Curve,
    choices,
    cost_at,
    curve_of,
    gap_recovered,
    hull,
    mean_height,
    oracle,
    weights_of_cost,
)
from training.report.reliability import reliability

RNG = np.random.default_rng(7)


def test_without_a_weight_the_best_is_taken_and_at_the_end_the_cheapest() -> None:
    predicted, costs = RNG.random((200, 4)), np.array([3.0, 1.0, 2.0, 5.0])
    chosen = choices(predicted, costs, weights_of_cost(predicted, costs))
    assert (chosen[0] == predicted.argmax(axis=1)).all()
    assert (chosen[-1] == 1).all()


def test_the_weights_find_every_choice_that_there_is() -> None:
    """Every change of a choice lies at a weight that is looked at; brute force over a fine grid finds no other curve."""
    predicted, costs = RNG.random((12, 3)), np.array([1.0, 2.0, 4.0])
    seen = {tuple(row) for row in choices(predicted, costs, weights_of_cost(predicted, costs))}
    fine = {tuple(row) for row in choices(predicted, costs, np.linspace(0, 1.2, 200_001))}
    assert fine <= seen


def test_equal_costs_leave_one_choice() -> None:
    predicted = RNG.random((5, 2))
    assert len(weights_of_cost(predicted, np.ones(2))) == 1


def test_more_weight_never_costs_more() -> None:
    predicted, costs = RNG.random((300, 5)), RNG.random(5)
    cost = np.broadcast_to(costs, predicted.shape)
    curve = curve_of(choices(predicted, costs, weights_of_cost(predicted, costs)), predicted, cost)
    assert (np.diff(curve.cost) <= 1e-12).all()
    assert (np.diff(curve.quality) <= 1e-12).all()


def test_hull_against_scipy() -> None:
    points = RNG.random((60, 2))
    made = hull(points[:, 0], points[:, 1])
    corners = points[ConvexHull(points).vertices]
    best = corners[corners[:, 1].argmax()]
    left = corners[corners[:, 0].argmin()]
    # The upper left part of the whole convex hull, from its leftmost point to its highest.
    slope = (best[1] - left[1]) / (best[0] - left[0])
    upper = corners[(corners[:, 1] >= left[1] + slope * (corners[:, 0] - left[0]) - 1e-12) & (corners[:, 0] <= best[0])]
    expected = upper[upper[:, 0].argsort()]
    np.testing.assert_allclose(np.stack([made.cost, made.quality], axis=1), expected)


def test_mean_height_by_hand() -> None:
    line = Curve(np.array([0.0, 1.0]), np.array([0.2, 0.6]))
    assert mean_height(line, 0, 1) == pytest.approx(0.4)
    assert mean_height(line, 0, 2) == pytest.approx(0.5)  # on, at the height reached
    assert mean_height(line, 1, 1) == pytest.approx(0.6)


def test_mean_height_is_scikit_learns_area() -> None:
    points = RNG.random((40, 2))
    low, high = points[:, 0].min(), points[:, 0].max()
    cover = hull(points[:, 0], points[:, 1])
    ends = np.append(cover.cost, high), np.append(cover.quality, cover.quality[-1])
    assert mean_height(Curve(points[:, 0], points[:, 1]), low, high) == pytest.approx(auc(*ends) / (high - low))


def test_the_oracle_is_beaten_by_no_assignment() -> None:
    quality, costs = RNG.random((6, 3)).round(2), np.array([1.0, 2.0, 5.0])
    best = oracle(quality, costs)
    cover = hull(best.cost, best.quality)
    for chosen in itertools.product(range(3), repeat=6):
        cost, worth = costs[list(chosen)].mean(), quality[range(6), chosen].mean()
        assert worth <= np.interp(cost, cover.cost, cover.quality) + 1e-9


def test_cost_at_a_quality() -> None:
    curve = Curve(np.array([3.0, 2.0, 1.0]), np.array([0.9, 0.8, 0.7]))
    assert cost_at(curve, 0.8) == 2.0
    assert np.isnan(cost_at(curve, 0.95))


def test_gap_recovered_of_chance_and_of_the_oracle() -> None:
    weak = np.repeat([1.0, 0.0, 0.0, 1.0], 250)
    strong = np.repeat([1.0, 1.0, 0.0, 0.0], 250)
    strong[:100] = weak[:100] = 1.0
    strong[900:] = 1.0
    # Gain 250, loss 150, gap 100 of 1000: up in the first quarter to 2.5, level, then down to 1 over the last 150 prompts.
    assert gap_recovered(strong - weak, weak, strong) == pytest.approx(0.25 * 2.5 / 2 + 0.6 * 2.5 + 0.15 * 3.5 / 2, abs=1e-3)
    drawn = [gap_recovered(RNG.random(1000), weak, strong) for _ in range(400)]
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.1)
    assert np.isnan(gap_recovered(weak, weak, weak))


def test_calibrated_predictions_have_a_small_error_and_others_theirs() -> None:
    predicted = RNG.random(40_000)
    observed = (RNG.random(40_000) < predicted).astype(float)
    good = reliability(predicted, observed)
    assert good.error < 0.01
    assert good.count.sum() == 40_000
    assert len(good.count) == 10
    np.testing.assert_allclose(good.predicted, np.arange(0.05, 1, 0.1), atol=0.01)
    # Always 0.1 too high.
    assert reliability(np.minimum(predicted * 0.9, 0.9) + 0.1, observed * 0 + predicted * 0.9).error == pytest.approx(0.1)


def test_a_constant_prediction_is_one_bin() -> None:
    observed = np.append(np.tile([0.0, 1.0], 500), np.nan)
    one = reliability(np.full(1001, 0.5), observed)
    assert (len(one.count), one.error) == (1, 0.0)
    assert np.isnan(reliability(np.empty(0), np.empty(0)).error)
