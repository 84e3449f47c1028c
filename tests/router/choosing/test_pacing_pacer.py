"""The price of money: what must hold whatever comes, and what operators would ask about."""

from dataclasses import replace
from math import inf, isfinite, nan
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from router.choosing.pacing.pacer import Pacer, PacingRule
from router.choosing.pacing.plan import Window
from router.choosing.pacing.profile import Profile
from tests.router.choosing.pacing_runs import typical

DAY_S = 86_400.0
DAY = Window(0.0, DAY_S, 100.0)
MENU = [(0.5, 0.001), (0.8, 0.02)]  # (quality, USD): a cheap pool and a dear one


def warm(window: Window = DAY, **given) -> Pacer:
    """One that knows what a request costs: 0.01 USD, spent evenly over the window's first hundredth."""
    pacer = Pacer(window, **given)
    for at in range(100):
        pacer.decided(window.start_s + (window.end_s - window.start_s) * at / 10_000, 0.01)
    return pacer


def serve(pacer: Pacer, now_s: float, menu=MENU) -> float:
    """Chooses, as a caller does; returns the cost."""
    price = pacer.price(now_s)
    _, cost_usd = max(menu, key=lambda option: (option[0] - price * option[1], -option[1]))
    pacer.decided(now_s, cost_usd, typical(menu))
    return cost_usd


def day_of(pacer: Pacer, times: list[float], menu=MENU) -> list[float]:
    return [serve(pacer, now_s, menu) for now_s in times]


def evenly(count: int, begin_s: float = 0.0, end_s: float = DAY_S) -> list[float]:
    return [begin_s + (end_s - begin_s) * at / count for at in range(count)]


def test_a_pacer_that_has_seen_nothing_asks_nothing():
    assert Pacer(DAY).price(0.0) == 0
    assert Pacer(DAY).price(DAY_S / 2) == 0


def test_the_first_price_is_the_rules_at_the_mean_cost():
    """On plan, with nothing learnt: quality 0.025 for the cost of a mean request, but for what floor and scarcity change."""
    pacer = Pacer(DAY, PacingRule(centre_gain=0.0))
    pacer.decided(0.0, 0.02)
    spent_s = 0.02 / (100 * 0.995) * DAY_S
    assert pacer.price(spent_s) == pytest.approx(0.025 / 0.02, rel=0.05)


def test_a_band_further_ahead_is_e_times_the_price():
    pacer = warm(rule=PacingRule(centre_gain=0.0))
    now_s = DAY_S / 2
    band_usd, planned_usd = pacer.figures(now_s).band_usd, pacer.figures(now_s).planned_usd
    prices = []
    for bands in (0, 1, 2):
        pacer.spent(now_s, planned_usd + bands * band_usd)
        prices.append(pacer.price(now_s))
    assert prices[1] / prices[0] == pytest.approx(2.7183, rel=0.03)
    assert prices[2] / prices[1] == pytest.approx(2.7183, rel=0.03)


@given(st.lists(st.floats(0, 200), min_size=2, max_size=20), st.floats(0, DAY_S * 1.2))
def test_the_more_was_spent_the_higher_the_price(books, now_s):
    """Of itself: with nothing learnt on the way, and a plan that stays."""
    pacer, prices = warm(rule=PacingRule(centre_gain=0.0, slack_share=1.0)), []
    for spent_usd in sorted(books):
        pacer.spent(now_s, spent_usd)
        prices.append(pacer.price(now_s))
    assert prices == sorted(prices)


def test_the_price_falls_with_time_while_nobody_asks():
    pacer = warm()
    pacer.spent(1000.0, 5.0)
    prices = [pacer.price(now_s) for now_s in evenly(50, 1000.0, 20_000.0)]
    assert prices == sorted(prices, reverse=True)
    assert prices[-1] < prices[0]


def test_plenty_of_money_has_no_price():
    """The dearest pool for all takes a fifth of the budget: nothing may be withheld, from soon on."""
    pacer = Pacer(DAY)
    prices = []
    for now_s in evenly(1000):
        prices.append(pacer.price(now_s))
        serve(pacer, now_s)
    assert max(prices[200:]) == 0
    assert min(price for price in prices if price > 0) < 0.005 * max(prices)  # it comes down to 0 without a jump


def test_the_last_money_is_held_back_for_the_cheapest():
    """A third of what the dear pool would take: the hard budget would refuse the last thousands, the price does not."""
    costs = day_of(Pacer(DAY), evenly(15_000))
    assert 0.98 * 100 <= sum(costs) <= 100


def test_spending_follows_the_plan_at_each_quarter():
    pacer, spent = Pacer(DAY), []
    for quarter in range(4):
        spent.append(sum(day_of(pacer, evenly(5000, quarter * DAY_S / 4, (quarter + 1) * DAY_S / 4))))
        assert sum(spent) == pytest.approx(25 * (quarter + 1), rel=0.02)


def test_an_idle_night_is_not_spent_at_breakfast():
    """No traffic for the first third. What was unspent goes to the whole rest of the day, but for the slack."""
    pacer = warm()
    requests = evenly(20_000, DAY_S / 3, DAY_S)
    first = sum(day_of(pacer, requests[:2000]))  # a tenth of the rest
    assert first <= 0.1 * 100 + PacingRule().slack_share * 100 + 2
    assert first + sum(day_of(pacer, requests[2000:])) == pytest.approx(100, rel=0.02)


def test_the_price_falls_only_so_far_behind_the_plan():
    pacer = warm()
    now_s = DAY_S * 0.03
    low = pacer.price(now_s)
    assert pacer.price(DAY_S * 0.9) >= 0
    pacer.spent(now_s, 0.0)
    behind = pacer.price(DAY_S * 0.9)
    assert behind == pacer.price(DAY_S * 0.5)
    assert 0 < behind <= low


def test_a_burst_is_paid_for_later_and_the_window_still_ends_on_plan():
    pacer = Pacer(DAY)
    calm = day_of(pacer, evenly(5000, 0.0, DAY_S / 2))
    burst = day_of(pacer, [DAY_S / 2 + at * 0.01 for at in range(5000)])
    assert sum(burst) < 5000 * 0.02 / 2  # not all of it at the dear pool
    after = day_of(pacer, evenly(5000, DAY_S / 2 + 100, DAY_S))
    assert 0.98 * 100 <= sum(calm) + sum(burst) + sum(after) <= 100


def test_a_profile_moves_the_money_to_the_busy_hours():
    profile = Profile.of([1, 9])
    pacer = Pacer(DAY, profile=profile)
    quiet = sum(day_of(pacer, evenly(2000, 0.0, DAY_S / 2)))
    busy = sum(day_of(pacer, evenly(18_000, DAY_S / 2, DAY_S)))
    assert quiet == pytest.approx(10, abs=1)
    assert quiet + busy == pytest.approx(100, rel=0.02)


def test_a_clock_that_jumps_there_and_back_leaves_the_price_as_it_was():
    pacer = warm()
    before = pacer.price(900.0)
    for jump_s in (-5000.0, DAY_S * 3, 0.0, 1e12):
        assert isfinite(pacer.price(jump_s))
    assert pacer.price(900.0) == before


def test_work_done_while_the_clock_was_wrong_does_not_stop_pacing():
    pacer = Pacer(DAY)
    first = day_of(pacer, evenly(5000, 0.0, DAY_S / 4))
    wrong = day_of(pacer, [at * 0.1 for at in range(50)]) + day_of(pacer, [DAY_S * 0.9 + at for at in range(50)])
    rest = day_of(pacer, evenly(15_000, DAY_S / 4, DAY_S))
    assert 0.98 * 100 <= sum(first) + sum(wrong) + sum(rest) <= 100


def test_reports_of_the_books_correct_what_was_decided():
    pacer = warm()
    pacer.spent(1000.0, 3.0)
    assert pacer.figures(1000.0).spent_usd == 3
    pacer.decided(1001.0, 0.5)
    assert pacer.figures(1001.0).spent_usd == 3.5


def test_a_late_report_is_completed_by_what_was_decided_since_it_was_made():
    pacer = Pacer(DAY)
    for now_s in range(10):
        pacer.decided(float(now_s), 1.0)
    pacer.spent(6.5, 7.0)  # the books before the last three
    assert pacer.figures(10.0).spent_usd == pytest.approx(10)


def test_reports_that_overtook_each_other_or_come_twice_change_nothing():
    pacer = warm()
    pacer.spent(1000.0, 3.0)
    pacer.spent(990.0, 2.5)
    pacer.spent(1000.0, 3.0)
    assert pacer.figures(1000.0).spent_usd == 3


def test_books_that_forgot_are_believed():
    """A restarted Redis: what it says is what holds; the price is that of the plan behind, and the day goes on."""
    pacer = Pacer(DAY)
    day_of(pacer, evenly(10_000, 0.0, DAY_S / 2))
    on_plan = pacer.price(DAY_S / 2)
    pacer.spent(DAY_S / 2, 0.0)
    assert pacer.figures(DAY_S / 2).spent_usd == 0
    assert pacer.price(DAY_S / 2) < on_plan
    costs = day_of(pacer, evenly(10_000, DAY_S / 2, DAY_S))
    assert 90 <= sum(costs) <= 100


def test_a_report_of_the_window_before_is_passed_over():
    pacer = Pacer(Window(1000.0, 2000.0, 10.0))
    pacer.spent(999.0, 9.9)
    assert pacer.figures(1000.0).spent_usd == 0


def test_a_router_that_starts_in_mid_window_takes_the_books_as_they_are():
    pacer = Pacer(DAY)
    pacer.spent(DAY_S / 2, 49.0)
    costs = day_of(pacer, evenly(10_000, DAY_S / 2, DAY_S))
    assert 0.96 * 51 <= sum(costs) <= 51


def test_the_next_window_knows_the_price_and_the_traffic():
    pacer = Pacer(DAY)
    day_of(pacer, evenly(2000, 0.0, DAY_S / 2) + evenly(18_000, DAY_S / 2, DAY_S))
    follower = pacer.followed_by(Window(DAY_S, 2 * DAY_S, 100.0), weight=1.0)
    assert follower.profile.share(0.5) == pytest.approx(0.1, abs=0.001)
    assert follower.figures(DAY_S).spent_usd == 0
    assert follower.price(DAY_S) == pytest.approx(pacer.price(DAY_S * 0.999), rel=1.0)  # where a new one would ask nothing


def test_the_next_window_begins_where_the_price_was_learnt_to_be():
    """The money reaches for the middle pool now and then only: λ is 700, many times the first price of 0.9."""
    menu = [(0.2, 0.001), (0.9, 0.002), (0.95, 0.08)]
    pacer = Pacer(replace(DAY, budget_usd=25.0))
    day_of(pacer, evenly(20_000), menu)
    follower = pacer.followed_by(Window(DAY_S, 2 * DAY_S, 25.0))
    assert follower.price(DAY_S) > 20 * PacingRule().first_price / typical(menu)


def test_what_is_held_and_given_back_is_not_learnt_from_twice():
    """Books that swing by one USD below their high, behind plan: as long as no new high is seen, λ stays."""
    pacer = warm()
    pacer.spent(1000.0, 1.0)
    before = pacer.price(5000.0)
    for at in range(100):
        pacer.spent(1000.0 + at, 0.2)
        pacer.spent(1000.5 + at, 1.0)
    assert pacer.price(5000.0) == before


def test_the_first_report_voids_a_plan_that_own_requests_had_bent():
    """A router that starts at half time has spent nothing itself, which is far behind plan; the books say it is on plan."""
    late, early = Pacer(DAY), Pacer(DAY)
    for at in range(100):
        late.decided(DAY_S / 2 + at, 0.01)
    late.spent(DAY_S / 2 + 100, 49.8)
    assert late.figures(DAY_S * 0.75).planned_usd == pytest.approx(early.figures(DAY_S * 0.75).planned_usd)


def test_a_window_without_requests_hands_its_profile_on():
    profile = Profile.of([1, 9])
    follower = Pacer(DAY, profile=profile).followed_by(Window(DAY_S, 2 * DAY_S, 50.0))
    assert follower.profile.share(0.5) == pytest.approx(0.1)
    assert follower.price(DAY_S) == 0


@pytest.mark.parametrize(("budget_usd", "rest_usd"), [(400.0, 350.0), (60.0, 10.0)])
def test_a_budget_that_is_changed_in_mid_window_is_met_at_its_end(budget_usd, rest_usd):
    pacer = Pacer(DAY)
    spent_usd = sum(day_of(pacer, evenly(10_000, 0.0, DAY_S / 2)))
    before = pacer.price(DAY_S / 2)
    pacer.rebudget(DAY_S / 2, budget_usd)
    assert pacer.price(DAY_S / 2) == pytest.approx(before, rel=1.0)  # no jump: the plan goes on from here
    menu = [(0.5, 0.0002), (0.8, 0.08)]
    rest = sum(day_of(pacer, evenly(10_000, DAY_S / 2, DAY_S), menu))
    assert spent_usd + rest <= budget_usd
    assert rest == pytest.approx(rest_usd, rel=0.06)


def test_a_budget_below_what_was_spent_leaves_the_cheapest():
    pacer = Pacer(DAY)
    day_of(pacer, evenly(10_000, 0.0, DAY_S / 2))
    pacer.rebudget(DAY_S / 2, 20.0)
    assert pacer.figures(DAY_S / 2).planned_usd <= 20
    assert {serve(pacer, now_s) for now_s in evenly(100, DAY_S / 2, DAY_S)} == {0.001}


def test_a_budget_of_nothing_asks_for_the_cheapest():
    pacer = Pacer(replace(DAY, budget_usd=0.0))
    serve(pacer, 0.0)
    assert {serve(pacer, now_s) for now_s in evenly(100)} == {0.001}


def test_pools_that_cost_nothing_have_no_price():
    pacer = Pacer(DAY)
    for now_s in evenly(100):
        pacer.decided(now_s, 0.0)
    assert pacer.price(50.0) == 0


def test_what_makes_no_sense_is_passed_over_and_counted():
    pacer = warm()
    before = pacer.figures(1000.0)
    for cost_usd in (nan, inf, -1.0, 1e12):
        pacer.decided(1000.0, cost_usd)
    for now_s, spent_usd in ((1000.0, nan), (1000.0, -3.0), (1000.0, inf), (nan, 1.0), (inf, 1.0)):
        pacer.spent(now_s, spent_usd)
    assert pacer.figures(1000.0) == replace(before, ignored=9)


@pytest.mark.parametrize("now_s", [nan, inf, -inf])
def test_a_clock_that_tells_nothing_is_refused(now_s):
    with pytest.raises(ValueError, match="now_s"):
        warm().price(now_s)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("first_price", 0.0),
        ("headroom_share", 0.5),
        ("bands", 0.0),
        ("fall", 9.0),
        ("slack_share", 0.0),
        ("centre_gain", nan),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=rf"pacing\.{field}"):
        PacingRule(**{field: value})


def test_a_million_requests_leave_the_figures_exact():
    """The sum of a million costs, to a millionth of a cent; the price as finite as at first."""
    rng, pacer, window_s = Random(1), Pacer(Window(0.0, 1e6, 1e4)), 1e6
    total_usd = 0.0
    for at in range(1_000_000):
        cost_usd = rng.random() * 0.02
        pacer.decided(at * window_s / 1e6, cost_usd)
        total_usd += cost_usd
    assert pacer.figures(1e6 - 1).spent_usd == pytest.approx(total_usd, abs=1e-8)
    assert 0 <= pacer.price(1e6 - 1) < inf


moments = st.floats(-1e5, 3e5)
money = st.floats(0, 1e4) | st.sampled_from([0.0, 1e-300, 1e-12, 1e9, nan, inf, -1.0])


class Anything(RuleBasedStateMachine):
    """Calls in any order, at any time, with anything."""

    def __init__(self) -> None:
        super().__init__()
        self.pacer, self.now_s = Pacer(DAY), 0.0

    @rule(now_s=moments, cost_usd=money, typical_usd=money | st.none())
    def decided(self, now_s, cost_usd, typical_usd):
        self.now_s = now_s
        self.pacer.decided(now_s, cost_usd, typical_usd)

    @rule(now_s=moments, spent_usd=money)
    def spent(self, now_s, spent_usd):
        self.pacer.spent(now_s, spent_usd)

    @rule(now_s=moments, budget_usd=st.floats(0, 1e6))
    def rebudget(self, now_s, budget_usd):
        self.pacer.rebudget(now_s, budget_usd)

    @rule(start_s=moments, length_s=st.floats(1, 1e6), budget_usd=st.floats(0, 1e6), opening_usd=st.floats(0, 1e6))
    def followed_by(self, start_s, length_s, budget_usd, opening_usd):
        self.pacer = self.pacer.followed_by(Window(start_s, start_s + length_s, budget_usd, opening_usd))

    @invariant()
    def the_price_is_a_price(self):
        for now_s in (self.now_s, 0.0, DAY_S / 2, 2 * DAY_S):
            price = self.pacer.price(now_s)
            assert isfinite(price)
            assert price >= 0
            assert isfinite(self.pacer.figures(now_s).ahead_usd)


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
