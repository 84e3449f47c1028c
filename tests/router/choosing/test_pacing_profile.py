"""Profiles against shares counted by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.choosing.pacing.profile import Profile


def test_an_even_profile_is_time():
    assert [Profile().share(part) for part in (-1.0, 0.0, 0.3, 1.0, 2.0)] == pytest.approx([0, 0, 0.3, 1, 1])


def test_shares_follow_what_was_counted():
    profile = Profile.of([1, 0, 3, 4])
    assert profile.gone == pytest.approx((0, 1 / 8, 1 / 8, 4 / 8, 1))
    assert profile.share(0.625) == pytest.approx(1 / 8 + 3 / 16)  # half of the third slice


def test_nothing_counted_is_even():
    assert Profile.of([0, 0]) == Profile()


@pytest.mark.parametrize("gone", [(), (0.0,), (0.1, 1.0), (0.0, 0.9), (0.0, 0.6, 0.5, 1.0), (0.0, float("nan"), 1.0)])
def test_what_does_not_rise_from_0_to_1_is_refused(gone):
    with pytest.raises(ValueError, match=r"profile\.gone"):
        Profile(gone)


@pytest.mark.parametrize("counts", [[], [-1, 2], [float("nan")], [float("inf")]])
def test_what_can_not_be_counted_is_refused(counts):
    with pytest.raises(ValueError, match=r"profile\.counts"):
        Profile.of(counts)


def test_mixing_moves_by_the_weight():
    mixed = Profile.of([1, 3]).mixed(Profile.of([1, 1, 1, 1]), 0.5)
    assert mixed.gone == pytest.approx((0, 0.1875, 0.375, 0.6875, 1))


def test_more_slices_change_nothing():
    profile = Profile.of([1, 3])
    assert [profile.sliced(6).share(part) for part in (0.1, 0.5, 0.8)] == pytest.approx(
        [profile.share(part) for part in (0.1, 0.5, 0.8)]
    )


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=200), st.integers(1, 300), st.floats(0, 1))
def test_whatever_is_counted_makes_a_profile(counts, slices, weight):
    """The checks of the class itself are what must hold."""
    profile = Profile.of(counts).mixed(Profile.of([3, 1, 1]).sliced(slices), weight)
    assert profile.share(1.0) == 1
