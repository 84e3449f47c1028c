from decimal import Decimal, getcontext
from random import Random

import pytest

from controlplane.planning.error_rates import errors_rose, least_rise, wilson
from controlplane.world import RevisionLoad


def load(errors: int, requests: int) -> RevisionLoad:
    return RevisionLoad(60.0, requests, errors)


@pytest.mark.parametrize(("errors", "requests"), [(0, 1), (0, 10), (1, 1), (3, 40), (17, 200), (200, 200), (5, 100000)])
def test_wilson_solves_its_equation(errors, requests):
    """Its bounds are where (rate - p)² = z² p(1-p)/n, the definition of the score interval."""
    getcontext().prec = 40
    rate = Decimal(errors) / Decimal(requests)
    for bound in map(Decimal, wilson(errors, requests)):
        rest = (rate - bound) ** 2 - 9 * bound * (1 - bound) / Decimal(requests)
        assert abs(rest) < Decimal("1e-12")


def test_nothing_asked_says_nothing():
    assert wilson(0, 0) == (0.0, 1.0)
    assert not errors_rose(load(0, 0), load(0, 0), 0.0)


@pytest.mark.parametrize(
    ("new", "old", "margin", "rose"),
    [
        ((30, 100), (1, 1000), 0.05, True),
        ((10, 10), (0, 1000), 0.05, True),
        ((9, 9), (0, 1000), 0.05, False),  # fewer than ten prove nothing
        ((3, 20), (0, 1000), 0.05, False),  # 15 %, yet within chance of 5 %
        ((300, 1000), (300, 1000), 0.05, False),  # both fail alike
        ((330, 1000), (300, 1000), 0.05, False),
        ((450, 1000), (300, 1000), 0.05, True),
        ((5, 10), (0, 0), 0.05, True),  # no old replica was asked: judged alone
        ((1000, 1000), (0, 1000), 1.0, False),  # a margin of 1 switches it off
    ],
)
def test_rise(new, old, margin, rose):
    assert errors_rose(load(*new), load(*old), margin) is rose


def test_false_alarms_are_rare():
    """Two revisions that fail alike, 4000 times over: not even one in a hundred may be called a rise beyond nothing."""
    rng = Random(5)
    alarms = 0
    for _ in range(4000):
        new = sum(rng.random() < 0.03 for _ in range(60))
        old = sum(rng.random() < 0.03 for _ in range(300))
        alarms += errors_rose(load(new, 60), load(old, 300), 0.0)
    assert alarms <= 40


def test_more_requests_are_surer():
    rises = [least_rise(load(requests // 10, requests), load(0, 10 * requests)) for requests in (10, 100, 1000, 10000)]
    assert rises == sorted(rises)
    assert 0.08 < rises[-1] < 0.1
