import random

import pytest

from cli.supervision.backoff import Backoff


@pytest.mark.parametrize(
    ("failures", "low", "high"), [(1, 0.25, 0.5), (2, 0.5, 1.0), (5, 4.0, 8.0), (7, 15.0, 30.0), (5000, 15.0, 30.0)]
)
def test_the_pause_doubles_up_to_its_longest(failures: int, low: float, high: float) -> None:
    pauses = [Backoff(0.5, 30.0).pause_s(failures, random.Random(seed)) for seed in range(200)]
    assert low <= min(pauses) < low * 1.1
    assert high * 0.95 < max(pauses) <= high


@pytest.mark.parametrize(("before", "served_s", "after"), [(0, 0.0, 1), (3, 0.0, 4), (3, 29.9, 4), (3, 30.0, 1)])
def test_serving_long_enough_starts_the_count_over(before: int, served_s: float, after: int) -> None:
    assert Backoff(healthy_s=30.0).failures(before, served_s) == after
