"""Plans against money worked out by hand."""

from math import inf, nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.choosing.pacing.plan import Plan, Window
from router.choosing.pacing.profile import Profile

WINDOW = Window(100.0, 200.0, 50.0)
BUSY_LATE = Profile.of([1, 3])


def planned(plan: Plan, now_s: float) -> float:
    return plan.line(now_s).planned_usd(now_s)


def test_an_even_plan_sets_aside_by_time():
    plan = Plan.of(WINDOW, Profile(), 0.0)
    assert [planned(plan, now_s) for now_s in (0, 100, 125, 199, 200, 999)] == pytest.approx([0, 0, 12.5, 49.5, 50, 50])


def test_headroom_is_not_planned_for():
    assert planned(Plan.of(WINDOW, Profile(), 0.02), 200) == pytest.approx(49)


def test_a_profile_sets_aside_by_traffic():
    plan = Plan.of(WINDOW, BUSY_LATE, 0.0)
    assert [planned(plan, now_s) for now_s in (125, 150, 175)] == pytest.approx([6.25, 12.5, 31.25])


def test_books_that_began_before_the_window_are_counted_from_there():
    plan = Plan.of(Window(100.0, 200.0, 50.0, opening_usd=30.0), Profile(), 0.1)
    assert [planned(plan, now_s) for now_s in (100, 150, 200)] == pytest.approx([30, 39, 48])


def test_what_was_overspent_before_leaves_nothing_to_plan():
    plan = Plan.of(Window(100.0, 200.0, 50.0, opening_usd=80.0), Profile(), 0.1)
    assert planned(plan, 200) == pytest.approx(50)


def test_a_plan_drawn_anew_goes_through_its_point_to_the_same_end():
    plan = Plan.of(WINDOW, BUSY_LATE, 0.0).through(150.0, 30.0)
    assert [planned(plan, now_s) for now_s in (150, 175, 200)] == pytest.approx([30, 40, 50])


def test_a_plan_drawn_at_the_very_end_stays_finite():
    plan = Plan.of(WINDOW, BUSY_LATE, 0.0).through(nextafter(200.0, 0), 10.0)
    assert 0 <= planned(plan, 180.0) <= 50


@pytest.mark.parametrize("now_s", [inf, -inf, float("nan")])
def test_a_clock_that_tells_nothing_is_refused(now_s):
    with pytest.raises(ValueError, match="now_s"):
        Plan.of(WINDOW, Profile(), 0.0).line(now_s)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ((0.0, 0.0, 1.0), "end_s"),
        ((5.0, 1.0, 1.0), "end_s"),
        ((0.0, inf, 1.0), "end_s"),
        ((0.0, 1.0, -1.0), "budget_usd"),
        ((0.0, 1.0, float("nan")), "budget_usd"),
        ((0.0, 1.0, 1.0, -0.1), "opening_usd"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused_by_name(fields, name):
    with pytest.raises(ValueError, match=name):
        Window(*fields)


@given(st.floats(0, 2e9), st.floats(1e-3, 4e7), st.floats(0, 1), st.lists(st.integers(0, 9), min_size=1, max_size=96))
def test_the_piece_that_is_given_holds_the_moment_it_was_asked_for(start_s, length_s, part, counts):
    window = Window(start_s, start_s + length_s, 10.0)
    plan, now_s = Plan.of(window, Profile.of(counts), 0.0), start_s + part * length_s
    line = plan.line(now_s)
    assert line.from_s <= now_s < line.until_s
    assert -1e-6 <= line.planned_usd(now_s) <= 10 + 1e-6
