"""Bootstrap intervals, against scipy's."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from training.report.redrawing import DRAWS, interval, redrawn_means


def test_intervals_are_scipys() -> None:
    values = np.random.default_rng(1).exponential(size=300)
    ours = interval([float(mean[0]) for (mean,) in redrawn_means([values[None]], np.arange(300), seed=2)])
    drawn = bootstrap((values,), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(3))
    theirs = drawn.confidence_interval
    assert ours.value == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.02)


def test_equal_prompts_are_drawn_together() -> None:
    """Two groups, one of 0s and one of 1s: a draw has none, one or both of them, never half a group."""
    values = np.array([[0.0] * 5 + [1.0] * 5])
    means = [float(mean[0]) for (mean,) in redrawn_means([values], np.repeat([3, 8], 5), seed=0)]
    assert means[0] == 0.5
    assert len(means) == DRAWS + 1
    assert set(means) == {0.0, 0.5, 1.0}
