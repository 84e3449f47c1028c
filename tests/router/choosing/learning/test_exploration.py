"""Exploring: whom it tries, and that it never costs more than the purse's bound."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from router.choosing.learning.exploration import TEMPER, WHOLE_SHARE, Exploration, Purse, Stakes, explore
from router.choosing.learning.learner import Belief
from tests.router.choosing.learning.given import floats


def full_purse(share: float = 0.1) -> Purse:
    purse = Purse(share)
    purse.spent(1000.0)
    for _ in range(1000):
        purse.asked()
    return purse


def stakes(*utility: float, cost: tuple[float, ...] = (), bound: tuple[float, ...] = ()) -> Stakes:
    free = (0.0,) * len(utility)
    return Stakes(utility, cost or free, bound or cost or free)


def unsure(*std: float) -> Belief:
    return Belief(np.full(len(std), 0.5), floats(*std))


def test_of_two_pools_the_other_is_tried_as_thompson_would() -> None:
    rng, draws = Random(2), 20_000
    choice, belief, purse = stakes(0.7, 0.65), unsure(0.1, 0.2), full_purse()
    tried = sum(explore(choice, belief, purse, rng.random()) is not None for _ in range(draws))
    behind = (0.65 - 0.7) / np.hypot(0.1, 0.2)
    expected = WHOLE_SHARE * norm.cdf(behind) + (1 - WHOLE_SHARE) * norm.cdf(behind / TEMPER)
    assert tried / draws == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / draws))


def test_of_several_each_is_tried_as_often_as_it_is_the_best_by_chance() -> None:
    """Against normal draws of numpy's."""
    rng, count = Random(3), 20_000
    utility, std = np.array([0.68, 0.7, 0.69, 0.5]), np.array([0.1, 0.05, 0.2, 0.3])
    choice, belief, purse = stakes(*utility), unsure(*std), full_purse()
    found = [explore(choice, belief, purse, rng.random()) for _ in range(count)]
    tried = np.array([sum(each is not None and each.index == index for each in found) for index in range(4)]) / count
    numbers = np.random.default_rng(4)
    scale = np.where(numbers.random((200_000, 1)) < WHOLE_SHARE, 1.0, TEMPER)
    drawn = utility + scale * std * numbers.normal(size=(200_000, 4))
    oracle = np.bincount(drawn.argmax(axis=1), minlength=4) / 200_000
    np.testing.assert_allclose(tried[[0, 2, 3]], oracle[[0, 2, 3]], atol=0.015)
    assert tried[1] == 0.0  # the best itself is no exploration
    assert {each.greedy for each in found if each is not None} == {1}


def test_the_same_draw_makes_the_same_choice() -> None:
    choice, belief, purse = stakes(0.7, 0.69, 0.69), unsure(0.2, 0.2, 0.2), full_purse()
    for at in range(50):
        assert explore(choice, belief, purse, at / 50) == explore(choice, belief, purse, at / 50)


def tried_by_some_draw(choice: Stakes, belief: Belief, purse: Purse) -> Exploration | None:
    """The first exploration that any of many draws leads to."""
    found = (explore(choice, belief, purse, at / 1000) for at in range(1000))
    return next((each for each in found if each is not None), None)


def test_nothing_is_tried_where_there_is_nothing_to_learn() -> None:
    for at in range(100):
        assert explore(stakes(0.5, 0.5), unsure(0.01, 0.01), full_purse(), at / 100) is None
        assert explore(stakes(0.5), unsure(0.5), full_purse(), at / 100) is None


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_an_empty_purse_is_greedy(share: float) -> None:
    choice = stakes(0.7, 0.69, cost=(0.01, 0.02))
    assert tried_by_some_draw(choice, unsure(0.3, 0.3), Purse(share)) is None
    assert tried_by_some_draw(choice, unsure(0.3, 0.3), full_purse()) is not None


def test_a_cheaper_pool_costs_no_money_but_its_loss_is_paid() -> None:
    purse = Purse(0.1)
    purse.asked()
    choice = stakes(0.7, 0.5, cost=(0.02, 0.01))
    found = tried_by_some_draw(choice, unsure(0.5, 0.5), purse)
    assert found is not None
    assert found.held_usd == 0.0
    assert found.loss == pytest.approx(0.2)
    purse.take(found)
    assert purse.loss == pytest.approx(-0.1)
    assert tried_by_some_draw(choice, unsure(0.5, 0.5), purse) is None


def test_while_one_is_under_way_the_purse_does_not_overdraw_again() -> None:
    purse = Purse(0.1)
    purse.spent(0.01)
    for _ in range(100):
        purse.asked()
    choice = stakes(0.7, 0.69, cost=(0.01, 0.02), bound=(0.5, 1.0))
    first = tried_by_some_draw(choice, unsure(0.3, 0.3), purse)
    assert first is not None
    purse.take(first)
    purse.spent(100.0)  # the purse is full enough for a few more, one after the other
    for _ in range(9):
        again = tried_by_some_draw(choice, unsure(0.3, 0.3), purse)
        assert again is not None
        purse.take(again)
    assert purse.usd < 0.99
    assert tried_by_some_draw(choice, unsure(0.3, 0.3), purse) is None


def test_when_it_has_ended_a_purse_with_little_in_it_may_overdraw_once_more() -> None:
    purse, choice = full_purse(), stakes(0.7, 0.69, cost=(0.01, 0.02), bound=(500.0, 1000.0))
    for _ in range(3):
        found = tried_by_some_draw(choice, unsure(0.3, 0.3), purse)
        assert found is not None
        purse.take(found)
        assert purse.usd < 0.0
        assert tried_by_some_draw(choice, unsure(0.3, 0.3), purse) is None
        purse.settle(found, 0.02)


def test_what_was_held_beyond_the_actual_cost_comes_back() -> None:
    purse = full_purse()
    found = tried_by_some_draw(stakes(0.7, 0.69, cost=(0.01, 0.02), bound=(0.1, 0.2)), unsure(0.3, 0.3), purse)
    assert found is not None
    before = purse.usd
    purse.take(found)
    assert before - purse.usd == pytest.approx(0.19)
    purse.settle(found, 0.03)
    assert before - purse.usd == pytest.approx(0.02) == purse.extra_usd


def test_nothing_comes_back_twice_or_from_another_purse() -> None:
    purse, other = full_purse(), full_purse()
    found = tried_by_some_draw(stakes(0.7, 0.69, cost=(0.01, 0.02), bound=(0.1, 0.2)), unsure(0.3, 0.3), purse)
    assert found is not None
    purse.take(found)
    purse.settle(found, 0.01)
    before, others = purse.usd, other.usd
    purse.settle(found, 0.01)
    other.settle(found, 0.01)
    assert (purse.usd, other.usd) == (before, others)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="explore_share"):
        Purse(share)


Step = tuple[str, int, tuple[float, float, float, float], float]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "settle"]),
        st.integers(0, 30),
        st.tuples(st.floats(0, 10), st.floats(0, 10), st.floats(0, 1), st.floats(0, 1)),
        st.floats(0, 0.999),
    ),
    max_size=120,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([0.0, 0.01, 0.2, 1.0]), STEPS)
def test_exploration_never_costs_more_than_its_share_and_one_request(share: float, steps: list[Step]) -> None:
    """Any order of requests and endings, dear ones first, several under way. The books are kept here, not by the purse."""
    purse, running, rng = Purse(share), [], Random(1)
    spent = extra = asked = lost = dearest = worst = 0.0
    for what, which, (cost, other, utility, other_utility), draw in steps:
        if what == "settle" and running:
            exploration, greedy_usd, most_usd = running.pop(which % len(running))
            actual = most_usd * rng.random()
            extra += max(actual - greedy_usd, 0.0)
            spent += actual
            if exploration is not None:
                purse.settle(exploration, actual)
            purse.spent(actual)
        elif what == "ask":
            purse.asked()
            asked += 1
            choice = Stakes((utility, other_utility), (cost / 2, other / 2), (cost, other))
            found = explore(choice, unsure(3.0, 3.0), purse, draw)
            if found is None:
                spent += cost / 2
                purse.spent(cost / 2)
                continue
            purse.take(found)
            lost += abs(utility - other_utility)
            worst = max(worst, abs(utility - other_utility))
            most = (cost, other)[found.index]
            greedy_usd = (cost / 2, other / 2)[1 - found.index]
            dearest = max(dearest, most - greedy_usd)
            running.append((found, greedy_usd, most))
        under_way = sum(max(most - greedy_usd, 0.0) for _, greedy_usd, most in running)
        assert extra + under_way <= share * spent + dearest + 1e-9
        assert lost <= share * asked + worst + 1e-9
        assert purse.extra_usd == pytest.approx(extra + under_way, abs=1e-9)


def test_with_money_coming_in_the_share_is_really_used() -> None:
    purse, rng = Purse(0.05), Random(7)
    spent = 0.0
    for _ in range(4000):
        purse.asked()
        found = explore(stakes(0.7, 0.69, cost=(0.01, 0.02)), unsure(0.2, 0.2), purse, rng.random())
        cost = 0.01 if found is None else 0.02
        if found is not None:
            purse.take(found)
            purse.settle(found, cost)
        purse.spent(cost)
        spent += cost
    assert 0.8 * 0.05 * spent <= purse.extra_usd <= 0.05 * spent + 0.01
