"""Pickers: what they take, and how often."""

from collections import Counter
from random import Random

import numpy as np
import pytest

from router.picking.pickers import Best, TwoChoices, WeightedRandom
from router.picking.plugin import Picker

OUT = -np.inf


def taken(picker: Picker, totals: list[float], times: int = 4000) -> Counter[int]:
    rng = Random(5)
    return Counter(picker.pick(np.array(totals), rng) for _ in range(times))


def test_best_takes_the_best() -> None:
    assert taken(Best(), [0.5, 0.9, OUT, 0.7]) == {1: 4000}


def test_best_breaks_ties_evenly() -> None:
    counts = taken(Best(), [0.9, 0.1, 0.9, 0.9 + 1e-12])
    assert set(counts) == {0, 2, 3}
    assert min(counts.values()) > 1200


def test_two_choices_never_takes_the_worst_of_three() -> None:
    counts = taken(TwoChoices(), [0.1, OUT, 0.5, 0.9])
    assert set(counts) == {2, 3}
    # The best of three is in two of the three pairs.
    assert counts[3] / 4000 == pytest.approx(2 / 3, abs=0.03)


def test_weighted_random_follows_the_weights() -> None:
    counts = taken(WeightedRandom(sharpness=1.0), [0.2, OUT, 0.6, 0.2])
    assert 1 not in counts
    assert counts[2] / 4000 == pytest.approx(0.6, abs=0.03)


def test_weighted_random_sharpens() -> None:
    counts = taken(WeightedRandom(sharpness=2.0), [1.0, 2.0])
    assert counts[1] / 4000 == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("picker", [Best(), TwoChoices(), WeightedRandom()])
def test_any_picker_takes_the_only_one_and_copes_with_zero(picker: Picker) -> None:
    assert taken(picker, [OUT, 0.0, OUT], 50) == {1: 50}
    assert set(taken(picker, [0.0, OUT, 0.0], 50)) <= {0, 2}
