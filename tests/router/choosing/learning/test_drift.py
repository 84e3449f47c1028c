"""The watch: false alarms within the stated rate, changes found within a stated number of outcomes. Seeded simulations, many
runs at once on the arithmetic that the watch uses.
"""

import numpy as np
import pytest

from router.choosing.learning.drift import (
    ALARM_AT,
    BETS,
    BRIER_MARGIN,
    HORIZON,
    OFF_MARGIN,
    RATE,
    SETTLED_AFTER,
    Detector,
    Forecasts,
    Watch,
    advance,
    evidence_of,
)
from router.snapshot import Floats


def first_alarms(gains: Floats) -> Floats:
    """Per run (row), the outcome that raised the first alarm; the number of outcomes where none did."""
    runs, outcomes = gains.shape
    capital, first = np.zeros((runs, len(BETS))), np.full(runs, outcomes)
    for at in range(outcomes):
        capital = advance(capital, gains[:, at])
        first = np.where((evidence_of(capital) >= ALARM_AT) & (first == outcomes), at, first)
    return first


def test_the_alarm_is_where_the_stated_rate_has_it() -> None:
    assert ALARM_AT == HORIZON / RATE == 1e6


def test_the_sums_are_a_supermartingale_less_the_outcomes() -> None:
    """The step that the proof rests on: the mean over gains of mean 0 is R + 1, for every bet."""
    capital = np.array([0.0, 1.0, 10.0, 1e4, 1e5])
    for low, high in ((-1.1, 0.9), (-0.3, 0.6)):
        odds = high / (high - low)
        after = odds * advance(capital, low) + (1 - odds) * advance(capital, high)
        np.testing.assert_allclose(after, capital + 1.0)
        assert (advance(capital, -1.0 - OFF_MARGIN) > 0).all()


@pytest.mark.parametrize("noise", ["coin", "skewed", "small"])
def test_at_the_edge_of_all_is_well_false_alarms_are_within_the_rate(noise: str) -> None:
    """1,000 runs of 10,000 outcomes each, gains of mean exactly 0: the worst that "all is well" allows."""
    rng = np.random.default_rng(42)
    if noise == "coin":
        gains = rng.choice([-0.9, 0.9], size=(1000, HORIZON))
    elif noise == "skewed":
        gains = np.where(rng.random((1000, HORIZON)) < 0.1, 0.9, -0.1)
    else:
        gains = rng.normal(0.0, 0.05, (1000, HORIZON)).clip(-0.9, 0.9)
    alarms = (first_alarms(gains) < HORIZON).mean()
    assert alarms <= RATE


def test_a_settled_pool_raises_no_alarm_in_a_thousand_runs() -> None:
    """Beliefs off by up to 0.05, as learning leaves them: none of 1,000 × 10,000 outcomes is an alarm, either way."""
    rng = np.random.default_rng(7)
    truth = rng.uniform(0.2, 0.9, (1000, 1))
    believed = truth + rng.uniform(-0.05, 0.05, (1000, HORIZON))
    off = (rng.random((1000, HORIZON)) < truth) - believed
    for sign in (1.0, -1.0):
        assert (first_alarms(sign * off - OFF_MARGIN) == HORIZON).all()


@pytest.mark.parametrize(("drop", "within"), [(0.6, 60), (0.4, 130), (0.25, 500)])
def test_a_collapse_is_found_within(drop: float, within: int) -> None:
    """After 5,000 good outcomes a pool of quality 0.8 falls by `drop`, and nothing adapts: 95 of 100 runs find it in time."""
    rng = np.random.default_rng(11)
    good = (rng.random((400, 5000)) < 0.8) - 0.8
    bad = (rng.random((400, 1500)) < 0.8 - drop) - 0.8
    first = first_alarms(np.concatenate([-good, -bad], axis=1) - OFF_MARGIN)
    delay = first - 5000
    assert (delay >= 0).mean() >= 0.99  # no alarm before
    assert np.quantile(delay, 0.95) <= within


@pytest.mark.parametrize(("worse_by", "within"), [(0.3, 500), (0.6, 200)])
def test_forecasts_that_got_worse_are_found_within(worse_by: float, within: int) -> None:
    """What serves says 0.7 + worse_by (but at most 1) or − worse_by at random, constants say 0.7, and 0.7 it is."""
    rng = np.random.default_rng(5)
    scores = (rng.random((300, 2000)) < 0.7).astype(np.float64)
    served = 0.7 + worse_by * rng.choice([-1.0, 1.0], scores.shape)
    gains = (scores - served.clip(0, 1)) ** 2 - (scores - 0.7) ** 2 - BRIER_MARGIN
    assert np.quantile(first_alarms(gains), 0.95) <= within


def test_one_by_one_it_is_the_same_as_many_at_once() -> None:
    rng = np.random.default_rng(1)
    gains = rng.choice([-0.3, 0.7], size=400)
    detector = Detector()
    alarms = [at for at, gain in enumerate(gains) if detector.saw(float(gain))]
    assert alarms[0] == first_alarms(gains[None, :])[0]
    assert len(alarms) > 1  # and it goes on


def test_an_outcome_of_little_weight_counts_little() -> None:
    full, weak = Detector(), Detector()
    after_full = next(at for at in range(10_000) if full.saw(0.5))
    after_weak = next(at for at in range(10_000) if weak.saw(0.5, weight=0.1))
    assert after_weak > 5 * after_full
    assert not any(Detector().saw(0.9, weight=0.0) for _ in range(1000))


def test_the_watch_tells_which_forecaster_is_worse() -> None:
    watch, rng = Watch(), np.random.default_rng(3)
    seen = {"learning": 0, "worthless": 0, "changed": 0}
    for _ in range(400):  # what was learnt is off both ways, the artefact is right, the constants are near
        served = 0.6 + float(rng.choice([-0.4, 0.4]))
        alarms = watch.saw("a", Forecasts(served, 0.6, 0.5), float(rng.random() < 0.6))
        seen["learning"] += alarms.learning
        seen["worthless"] += alarms.worthless
        seen["changed"] += bool(alarms.changed)
    assert seen["learning"] >= 1
    assert seen["worthless"] >= 1
    assert seen["changed"] == 0
    served_brier, artefact_brier, prior_brier = watch.brier()
    assert artefact_brier == pytest.approx(0.24, abs=0.02)
    assert artefact_brier < prior_brier < served_brier


@pytest.mark.parametrize(("score", "how"), [(1.0, "better"), (0.0, "worse")])
def test_a_changed_pool_is_named_and_then_learnt_anew(score: float, how: str) -> None:
    watch = Watch()
    found = [watch.saw("a", Forecasts(0.5, 0.5, 0.5), score).changed for _ in range(400)]
    first = found.index(how)
    assert first >= SETTLED_AFTER
    second = found.index(how, first + 1)
    assert second - first > SETTLED_AFTER


def test_a_pool_that_is_new_is_not_watched_yet() -> None:
    watch = Watch()
    assert not any(watch.saw("a", Forecasts(0.9, 0.9, 0.9), 0.0).changed for _ in range(int(SETTLED_AFTER)))


def test_before_the_first_outcome_figures_are_zero() -> None:
    assert list(Watch().brier()) == [0.0, 0.0, 0.0]
