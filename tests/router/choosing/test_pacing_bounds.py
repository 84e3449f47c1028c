"""The bounds of docs/pacing.md on random and adversarial arrivals. Optima come from the Lagrangian's dual."""

from itertools import pairwise
from math import exp, log, sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.choosing.pacing.pacer import Pacer, PacingRule
from router.choosing.pacing.plan import Window
from tests.router.choosing.pacing_runs import Options, best_quality_at_most, play, play_with_remainder

END_S = 1000.0
RIGID = PacingRule(slack_share=1.0)  # a plan that never gives way
NOTHING = (0.0, 0.0)


def evenly(options: list[Options]) -> list[tuple[float, Options]]:
    return [(END_S * at / len(options), each) for at, each in enumerate(options)]


option = st.tuples(st.floats(0, 1), st.floats(0, 5))
menus = st.lists(st.lists(option, min_size=1, max_size=4), min_size=1, max_size=60)


@given(menus, st.floats(1, 200), st.lists(st.floats(0, END_S - 1), min_size=60, max_size=60), st.floats(0, 40))
def test_what_the_price_misses_is_no_more_than_the_remainder(options, budget_usd, times, gain):
    """Theorem 1: whatever comes, whenever it comes."""
    requests = list(zip(sorted(times)[: len(options)], options, strict=True))
    pacer = Pacer(Window(0.0, END_S, budget_usd), PacingRule(slack_share=1.0, centre_gain=gain))
    played = play_with_remainder(pacer, requests, END_S, budget_usd * (1 - RIGID.headroom_share))
    dual, size = played.dual
    assert dual >= -played.over - 1e-6 * (1 + size)


@given(menus, st.floats(1, 200), st.randoms(use_true_random=False))
def test_any_other_choice_is_beaten_up_to_its_price_and_the_remainder(options, budget_usd, rng):
    """Theorem 1 as it is stated: Σq ≥ Σq* − Σλ(c* − p) − R, for a comparator that chose at random."""
    pacer = Pacer(Window(0.0, END_S, budget_usd), RIGID)
    played = play_with_remainder(pacer, evenly(options), END_S, budget_usd * (1 - RIGID.headroom_share))
    others = [rng.choice(each) for each in options[: len(played.costs)]]
    _, size = played.dual
    paid = sum(price * (cost - p) for price, (_, cost), p in zip(played.prices, others, played.set_aside, strict=True))
    assert sum(played.quality) >= sum(quality for quality, _ in others) - paid - played.over - 1e-6 * (1 + size)


def drawn(rng: Random) -> Options:
    """A cheap pool, a middle one and a dear one, better and dearer by chance; dearer prompts are dearer everywhere."""
    tokens = rng.expovariate(1.0) + 0.05
    low = rng.random() * 0.6
    middle = low + rng.random() * (1 - low) * 0.6
    return [(low, 0.1 * tokens), (middle, 0.5 * tokens), (middle + rng.random() * (1 - middle) * 0.6, 2.0 * tokens)]


@pytest.mark.parametrize("per_request_usd", [0.25, 0.5, 1.0])
def test_regret_against_like_arrivals_grows_as_the_root_of_their_number(per_request_usd):
    """Theorem 2. Poisson arrivals; the optimum is bounded by the dual with the whole budget."""
    for count in (500, 2000, 8000):
        losses = []
        for seed in range(2):
            rng = Random(seed)
            times = sorted(rng.random() * END_S for _ in range(count))
            requests = [(now_s, drawn(rng)) for now_s in times]
            budget_usd = per_request_usd * count
            played = play(Pacer(Window(0.0, END_S, budget_usd), PacingRule(headroom_share=0.0)), requests, END_S)
            paid_usd = sum(played.costs)
            assert paid_usd <= 1.01 * budget_usd
            losses.append(best_quality_at_most(requests, max(budget_usd, paid_usd)) - sum(played.quality))
        assert max(losses) <= 0.6 * sqrt(count)


@pytest.mark.parametrize("per_request_usd", [0.25, 1.0])
def test_the_remainder_grows_as_the_root_of_the_number(per_request_usd):
    """R ≤ μ·√T·(22 + V + σ²), its constant worked out in docs/pacing.md, here with the figures of the run."""
    for count in (250, 1000, 4000):
        rng = Random(count)
        budget_usd = per_request_usd * count
        requests = evenly([drawn(rng) for _ in range(count)])
        played = play_with_remainder(Pacer(Window(0.0, END_S, budget_usd), RIGID), requests, END_S, budget_usd)
        steps = [after - gap for gap, after in pairwise(played.gaps)]
        spread = sum(step * step for step in steps) / len(steps) / per_request_usd**2
        dearest = max(played.prices[10:]) * per_request_usd
        assert played.over <= dearest * sqrt(count) * (2 + spread)


CHEAP: Options = [NOTHING, (0.4, 0.2)]
DEAR: Options = [NOTHING, (1.0, 2.0)]
WORTHLESS: Options = [NOTHING, (0.001, 2.0)]
FLIP: Options = [NOTHING, (0.9, 0.2), (0.1, 2.0)]
FLOP: Options = [NOTHING, (0.1, 0.2), (0.9, 2.0)]
RANDOM = Random(8)
ADVERSARIAL = {
    "all cheap first": [CHEAP] * 500 + [DEAR] * 500,
    "all dear first": [DEAR] * 500 + [CHEAP] * 500,
    "a flood of no value": [WORTHLESS] * 800 + [DEAR] * 200,
    "a flood of no value at the end": [DEAR] * 200 + [WORTHLESS] * 800,
    "quality flips": ([FLIP] * 50 + [FLOP] * 50) * 10,
    "one in ten is dear": [DEAR if RANDOM.random() < 0.1 else CHEAP for _ in range(1000)],
    "dearer and dearer": [[NOTHING, (0.2 + at / 1250, 0.1 + at / 500)] for at in range(1000)],
}


@pytest.mark.parametrize("options", ADVERSARIAL.values(), ids=ADVERSARIAL)
@pytest.mark.parametrize("per_request_usd", [0.1, 0.4, 1.0])
def test_against_an_adversary_a_fixed_share_of_the_optimum_is_kept(options, per_request_usd):
    """Theorem 3: of even arrivals with a free option, at least OPT/α − R, where α = dearest option / money per request."""
    budget_usd = per_request_usd * len(options)
    target_usd = budget_usd * (1 - RIGID.headroom_share)
    requests = evenly(options)
    played = play_with_remainder(Pacer(Window(0.0, END_S, budget_usd), RIGID), requests, END_S, target_usd)
    seen = requests[: len(played.costs)]
    alpha = max(1.0, max(cost for each in options for _, cost in each) / (target_usd / len(options)))
    _, size = played.dual
    assert sum(played.quality) >= best_quality_at_most(seen, budget_usd) / alpha - played.over - 1e-6 * (1 + size)
    assert len(played.costs) >= 0.8 * len(options)  # most could be seen before the money was gone


@pytest.mark.parametrize("name", ["quality flips", "one in ten is dear"])
@pytest.mark.parametrize(("per_request_usd", "share"), [(0.1, 0.8), (0.4, 0.99), (1.0, 0.99)])
def test_what_changes_within_the_window_but_not_with_it_costs_little(name, per_request_usd, share):
    requests = evenly(ADVERSARIAL[name])
    budget_usd = per_request_usd * len(requests)
    played = play(Pacer(Window(0.0, END_S, budget_usd)), requests, END_S)
    assert sum(played.costs) <= budget_usd
    assert sum(played.quality) >= share * best_quality_at_most(requests, budget_usd)


@pytest.mark.parametrize("dear_first", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_spending_runs_ahead_of_a_plan_no_further_than_its_price_needs(seed, dear_first):
    """Theorem 4, where the cheapest of each request costs less than is planned until the next."""
    rng, count, planned_usd = Random(seed), 2000, 0.01
    options = [[(0.2, rng.uniform(0.01, 0.9) * planned_usd), (0.9, rng.uniform(1.5, 4) * planned_usd)] for _ in range(count)]
    options.sort(key=lambda each: each[1][1], reverse=dear_first)
    budget_usd = count * planned_usd / (1 - RIGID.headroom_share)
    played = play(Pacer(Window(0.0, END_S, budget_usd), RIGID), evenly(options), END_S)
    dearest = max(cost for each in options for _, cost in each)
    enough = max((high[0] - low[0]) / (high[1] - low[1]) for low, high in options)  # from this price on all take the cheapest
    bands = log(enough * dearest / RIGID.first_price + exp(-2 * RIGID.fall)) + RIGID.fall + 0.1
    assert max(played.gaps) <= sqrt(dearest * budget_usd) * bands + dearest
    assert max(played.gaps) > 0  # it does run ahead at times
