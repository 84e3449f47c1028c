"""Sums of outcomes: that they add up, fade, and stay with their pools."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.choosing.learning.context import WIDTH
from router.choosing.learning.evidence import Evidence, Sums, faded, heaviest, left_after, merged, no_evidence, summed

FOR_EVER = 1e12


def evidence(**weights: float) -> Evidence:
    """One outcome per pool, of this weight."""
    sums = Sums(len(weights))
    for row, (pool, weight) in enumerate(weights.items()):
        sums.add(row, np.random.default_rng(len(pool)).uniform(-1, 1, WIDTH), 0.25, weight)
    return sums.value(tuple(weights))


def same(first: Evidence, second: Evidence) -> None:
    assert set(first.pools) == set(second.pools)
    order = [second.pools.index(pool) for pool in first.pools]
    for name in ("weight", "moments", "products", "seen"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name)[order], atol=1e-12)


POOLS = st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1), max_size=4).map(lambda weights: evidence(**weights))


@settings(max_examples=50, deadline=None)
@given(POOLS, POOLS, POOLS)
def test_without_forgetting_sums_add_in_any_order(first: Evidence, second: Evidence, third: Evidence) -> None:
    same(merged(first, second, FOR_EVER), merged(second, first, FOR_EVER))
    same(merged(merged(first, second, FOR_EVER), third, FOR_EVER), merged(first, merged(second, third, FOR_EVER), FOR_EVER))
    same(merged(first, no_evidence()), first)


@settings(max_examples=50, deadline=None)
@given(POOLS, POOLS, POOLS)
def test_with_forgetting_deltas_may_be_joined_before_they_are_added(first: Evidence, second: Evidence, third: Evidence) -> None:
    same(merged(merged(first, second, 3.0), third, 3.0), merged(first, merged(second, third, 3.0), 3.0))


def test_the_earlier_fades_by_what_was_seen_later() -> None:
    both = merged(evidence(a=1.0), evidence(a=1.0), half_life_outcomes=1.0)
    assert both.weight[0] == pytest.approx(1.5)
    assert both.seen[0] == 2.0


def test_the_heaviest_are_kept_in_their_order_and_what_is_nothing_goes() -> None:
    kept = heaviest(faded(evidence(a=0.5, b=0.2, c=1.0, d=0.9), 1.0), 2)
    assert kept.pools == ("c", "d")
    silent = evidence(a=1.0, b=0.0)
    assert heaviest(silent, 5).pools == ("a",)


def test_a_pool_that_says_forget_me_is_kept_until_it_was_told() -> None:
    sums = Sums(1)
    sums.seen[0] = 9.0
    assert heaviest(sums.value(("a",)), 5).pools == ("a",)


def test_rows_are_laid_out_anew_by_name() -> None:
    sums = summed(evidence(a=1.0, b=0.5), ("b", "x", "a"))
    assert sums.weight.tolist() == [0.5, 0.0, 1.0]
    assert summed(evidence(a=1.0), ("b",)).weight.tolist() == [0.0]


@pytest.mark.parametrize(("elapsed_s", "left"), [(0.0, 1.0), (10.0, 0.5), (20.0, 0.25), (-50.0, 1.0)])
def test_time_leaves_a_share(elapsed_s: float, left: float) -> None:
    assert left_after(elapsed_s, half_life_s=10.0) == left
