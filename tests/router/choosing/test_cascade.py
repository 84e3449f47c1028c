"""Which stages are run: price cap, deadline, readiness, and the rule of what pays, against brute force."""

import math
from dataclasses import replace
from itertools import combinations, product
from math import inf

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from router.choosing.cascade import Now, plan_stages
from router.choosing.latency import Timing
from router.choosing.stage import SAMPLE_TEMPERATURE, STAGE_MAX_TOKENS, Choice
from router.fleet.specs import CascadeSpec
from router.request import Sampling
from tests.router.choosing.cascades import ASKED, SPEC, a_choice, three

NOW = Now()
UNLIMITED = replace(ASKED, sampling=Sampling())


def names(spec: CascadeSpec = SPEC, asked: object = ASKED, choices: object = None, now: Now = NOW) -> list[str]:
    return [stage.pool for stage in plan_stages(spec, asked, choices or three(), now).stages]


def test_all_pools_in_the_policys_order_and_the_last_is_final() -> None:
    staged = plan_stages(SPEC, ASKED, list(reversed(three())), NOW)
    assert [(stage.pool, stage.final) for stage in staged.stages] == [("small", False), ("mid", False), ("large", True)]
    assert (staged.why, staged.refusal) == ("", "")


def test_who_names_a_pool_gets_no_cascade() -> None:
    assert names(asked=replace(ASKED, model="small")) == []


def test_pools_that_may_not_serve_the_request_are_not_asked() -> None:
    small, _, large = three()
    assert names(choices=[small, large, a_choice("stranger", 2.0)]) == ["small", "large"]
    assert names(choices=[a_choice("stranger", 2.0)]) == []


def test_a_pool_without_a_ready_replica_is_left_out_and_the_last_ready_one_is_final() -> None:
    small, mid, _ = three()
    staged = plan_stages(SPEC, ASKED, [small, mid, a_choice("large", 10.0, 0.9, ready=False)], NOW)
    assert [(stage.pool, stage.final) for stage in staged.stages] == [("small", False), ("mid", True)]
    assert staged.why == "large left out: no replica is ready"
    assert names(choices=[a_choice("large", 10.0, ready=False)]) == []


# What pays.


def test_a_pool_that_would_hardly_be_right_is_not_asked_first() -> None:
    staged = plan_stages(SPEC, ASKED, three(0.05, 0.9, 0.95), NOW)
    assert [stage.pool for stage in staged.stages] == ["mid", "large"]
    assert staged.why == "small left out: asking it first, with a predicted quality of 0.05, would save no money"


def test_where_the_strong_pool_is_the_cheaper_one_it_is_asked_at_once() -> None:
    assert names(choices=[a_choice("small", 10.0, 0.99), a_choice("large", 1.0, 0.99)]) == ["large"]


def test_where_nothing_has_a_price_the_policys_order_holds() -> None:
    assert names(choices=[a_choice("small", 0.0, 0.3), a_choice("large", 0.0, 0.9)]) == ["small", "large"]


def test_samples_cost_and_may_not_pay() -> None:
    choices = [a_choice("small", 2.0, 0.6), a_choice("large", 10.0, 0.9)]
    assert names(choices=choices) == ["small", "large"]
    assert names(replace(SPEC, evidence="agreement", samples=8), choices=choices) == ["large"]


def expected_usd(picked: tuple[Choice, ...]) -> float:
    cost = 0.0
    for at, choice in enumerate(reversed(picked)):
        cost = choice.estimate.cost_usd + (1 - choice.quality) * cost if at else choice.estimate.cost_usd
    return cost


@given(st.lists(st.tuples(st.floats(0.1, 20), st.floats(0, 1)), min_size=1, max_size=5))
def test_no_subset_costs_less(pools: list[tuple[float, float]]) -> None:
    choices = [a_choice(f"p{at}", usd, quality) for at, (usd, quality) in enumerate(pools)]
    spec = CascadeSpec(tuple(choice.pool.name for choice in choices))
    staged = plan_stages(spec, ASKED, choices, NOW)
    subsets = [(*some, choices[-1]) for size in range(len(choices)) for some in combinations(choices[:-1], size)]
    least = min(map(expected_usd, subsets))
    assert staged.expected_usd == pytest.approx(least)
    assert expected_usd(tuple(stage.choice for stage in staged.stages)) == pytest.approx(least)


# What it is asked as.


def test_the_final_stage_is_the_callers_own_request() -> None:
    assert plan_stages(SPEC, UNLIMITED, three(), NOW).stages[-1].request is UNLIMITED


def test_a_held_back_answer_is_asked_for_with_probabilities_whole_and_limited() -> None:
    first = plan_stages(SPEC, UNLIMITED, three(), NOW).stages[0]
    assert (first.request.sampling.logprobs, first.request.sampling.max_tokens) == (0, STAGE_MAX_TOKENS)
    assert (first.request.stream, first.request.n, first.cut_by_us, first.votes) == (False, 1, True, False)


def test_what_the_caller_set_stays() -> None:
    asked = replace(ASKED, sampling=Sampling(logprobs=5, max_tokens=7), n=3)
    first = plan_stages(SPEC, asked, three(n=3), NOW).stages[0]
    assert (first.request.sampling, first.request.n, first.cut_by_us) == (asked.sampling, 3, False)


def test_a_verifier_needs_no_probabilities() -> None:
    assert plan_stages(replace(SPEC, evidence="verifier"), ASKED, three(), NOW).stages[0].request.sampling.logprobs is None


@pytest.mark.parametrize(
    ("given_", "others"), [(None, SAMPLE_TEMPERATURE), (0.0, SAMPLE_TEMPERATURE), (1.3, 1.3)], ids=["unset", "greedy", "own"]
)
def test_samples_are_drawn_so_that_they_can_differ_and_the_first_is_the_callers_own(
    given_: float | None, others: float
) -> None:
    asked = replace(ASKED, sampling=replace(ASKED.sampling, temperature=given_))
    first, *_ = plan_stages(replace(SPEC, evidence="agreement", samples=3), asked, three(), NOW).stages
    assert (first.request.n, first.votes, first.request.sampling.logprobs) == (3, True, None)
    assert [first.asked_as(index).sampling.temperature for index in range(3)] == [given_, others, others]


PAIRS = replace(SPEC, evidence="agreement", samples=1)


def test_where_pools_are_compared_each_is_asked_once_and_needs_no_probabilities() -> None:
    first = plan_stages(PAIRS, ASKED, three(), NOW).stages[0]
    assert (first.request.n, first.votes, first.request.sampling.logprobs) == (1, False, None)


def test_where_pools_are_compared_it_takes_two_before_the_last() -> None:
    small, _, large = three()
    staged = plan_stages(PAIRS, ASKED, [small, large], NOW)
    assert [stage.pool for stage in staged.stages] == ["large"]
    assert staged.why == "small left out: comparing its answer would save no money"


@given(st.lists(st.tuples(st.floats(0.1, 20), st.floats(0, 1)), min_size=3, max_size=5))
def test_pools_are_compared_where_that_costs_less_than_the_last_alone(pools: list[tuple[float, float]]) -> None:
    choices = [a_choice(f"p{at}", usd, quality) for at, (usd, quality) in enumerate(pools)]
    expected = 0.0
    for rights in product([True, False], repeat=len(pools)):  # every way it can go
        chance = math.prod(quality if right else 1 - quality for (_, quality), right in zip(pools, rights, strict=True))
        asked = next((at for at in range(len(pools)) if sum(rights[: at + 1]) == 2), len(pools) - 1) + 1
        expected += chance * sum(choice.estimate.cost_usd for choice in choices[:asked])
    alone = choices[-1].estimate.cost_usd
    assume(abs(expected - alone) > 1e-9)
    staged = plan_stages(replace(PAIRS, pools=tuple(choice.pool.name for choice in choices)), ASKED, choices, NOW)
    assert len(staged.stages) == (len(pools) if expected < alone else 1)
    assert staged.expected_usd == pytest.approx(min(expected, alone))


def test_a_caller_of_several_choices_gets_no_votes_but_probabilities() -> None:
    first = plan_stages(replace(SPEC, evidence="agreement"), replace(ASKED, n=2), three(n=2), NOW).stages[0]
    assert (first.request.n, first.votes, first.request.sampling.logprobs) == (2, False, 0)


# The price cap. The bound of a stage is (300 + 100 tokens) at its price: $0.0004, $0.0012, $0.004.


@pytest.mark.parametrize(
    ("cap", "expected"),
    [(0.004, ["small", "mid", "large"]), (0.0039, ["small", "mid"]), (0.0012, ["small", "mid"]), (0.0011, ["small"])],
)
def test_a_stage_that_may_cost_more_than_the_cap_alone_is_left_out(cap: float, expected: list[str]) -> None:
    staged = plan_stages(replace(SPEC, max_cost_usd=cap), ASKED, three(), NOW)
    assert [stage.pool for stage in staged.stages] == expected
    assert staged.stages[-1].final
    assert staged.cap_usd == cap
    assert all(stage.bound_usd <= cap for stage in staged.stages)


def test_several_samples_must_fit_the_cap_too() -> None:
    spec = replace(SPEC, pools=("small", "large"), evidence="agreement", samples=5, max_cost_usd=0.0041)
    assert names(spec, choices=[a_choice("small", 6.0, 0.99), a_choice("large", 10.0, 0.9)]) == ["large"]  # 6 · 800 tokens
    assert names(spec, choices=[a_choice("small", 5.0, 0.99), a_choice("large", 10.0, 0.9)]) == [
        "large"
    ]  # 5 · 600 · … > 10 · 200
    assert names(spec, choices=[a_choice("small", 1.0, 0.99), a_choice("large", 10.0, 0.9)]) == ["small", "large"]


def test_an_answer_without_a_limit_gets_the_one_that_the_cap_pays_for() -> None:
    large = plan_stages(replace(SPEC, max_cost_usd=0.02), UNLIMITED, three(), NOW).stages[-1]
    assert large.pool == "large"
    assert large.request.sampling.max_tokens == 1700  # (0.02 - 300 · 10e-6) / 10e-6
    assert large.bound_usd <= 0.02


def test_but_not_one_that_no_answer_would_fit() -> None:
    assert names(replace(SPEC, max_cost_usd=0.005), UNLIMITED) == ["small", "mid"]  # large: 200 tokens


def test_where_no_pool_fits_one_is_cut_to_what_the_cap_pays_for() -> None:
    staged = plan_stages(replace(SPEC, max_cost_usd=0.00035), ASKED, three(), NOW)
    assert [(stage.pool, stage.final, stage.request.sampling.max_tokens) for stage in staged.stages] == [("small", True, 50)]
    assert staged.stages[0].bound_usd <= 0.00035
    assert "cut to 50 tokens" in staged.why


def test_where_not_even_the_prompt_fits_it_is_refused() -> None:
    staged = plan_stages(replace(SPEC, max_cost_usd=0.0002), ASKED, three(), NOW)
    assert staged.stages == ()
    assert "$0.0002" in staged.refusal


@given(
    st.lists(st.tuples(st.floats(0.01, 50), st.floats(0, 1)), min_size=1, max_size=4),
    st.floats(1e-6, 0.1),
    st.sampled_from([None, 1, 100, 5000]),
    st.sampled_from(["logprob", "agreement", "verifier"]),
    st.integers(1, 3),
)
def test_no_stage_can_cost_more_than_the_cap(
    pools: list[tuple[float, float]], cap: float, limit: int | None, evidence: str, n: int
) -> None:
    choices = [a_choice(f"p{at}", usd, quality, n=n) for at, (usd, quality) in enumerate(pools)]
    spec = CascadeSpec(tuple(choice.pool.name for choice in choices), 0.5, cap, evidence, 4)
    staged = plan_stages(spec, replace(ASKED, sampling=Sampling(max_tokens=limit), n=n), choices, NOW)
    assert bool(staged.stages) != bool(staged.refusal)
    assert all(stage.bound_usd <= cap * (1 + 1e-9) for stage in staged.stages)
    assert [stage.final for stage in staged.stages[::-1]] == [True] * bool(staged.stages) + [False] * (len(staged.stages) - 1)
    assert all(bound <= cap for bound in staged.bounds_usd)


def test_what_to_reserve_is_all_stages_then_fewer() -> None:
    staged = plan_stages(SPEC, ASKED, three(), NOW)
    assert staged.bounds_usd == pytest.approx((0.0056, 0.004, 0.0016, 0.0012, 0.0004))
    assert plan_stages(replace(SPEC, max_cost_usd=0.005), ASKED, three(), NOW).bounds_usd[0] == 0.005


# What is left of the money.


def test_a_stage_within_what_is_left() -> None:
    large = plan_stages(SPEC, ASKED, three(), NOW).stages[-1]
    assert large.within(inf) is large
    assert large.within(0.004) is large
    assert large.within(0.0039) is None


@given(st.floats(0, 0.1), st.floats(0.01, 50))
def test_a_shortened_stage_costs_no_more_than_is_left(usd: float, price: float) -> None:
    stage = plan_stages(CascadeSpec(("only",)), UNLIMITED, [a_choice("only", price)], NOW).stages[0]
    within = stage.within(usd)
    assume(within is not None)
    assert within.bound_usd <= usd * (1 + 1e-9)
    assert within.request.sampling.max_tokens is None or within.request.sampling.max_tokens >= 400


# The deadline.

TIMINGS = {"small": Timing(0.001, 0.01), "mid": Timing(0.002, 0.02), "large": Timing(0.01, 0.05)}  # 1.1, 2.2, 6.0 s


@pytest.mark.parametrize(
    ("left_s", "expected"),
    [(20, ["small", "mid", "large"]), (9.2, ["small", "large"]), (7.2, ["small", "large"]), (7.0, ["large"]), (1.0, ["large"])],
)
def test_a_stage_that_leaves_the_last_no_time_is_left_out(left_s: float, expected: list[str]) -> None:
    now = Now(1000.0, TIMINGS)
    asked = replace(ASKED, deadline=1000.0 + left_s)
    assert names(asked=asked, now=now) == expected


def test_the_first_must_be_done_while_the_last_has_its_time() -> None:
    small, mid, large = plan_stages(SPEC, replace(ASKED, deadline=1020.0), three(), Now(1000.0, TIMINGS)).stages
    assert (small.request.deadline, mid.request.deadline, large.request.deadline) == (1014.0, 1014.0, 1020.0)


def test_where_nobody_knows_how_long_the_last_takes_it_keeps_half_the_time() -> None:
    stages = plan_stages(SPEC, replace(ASKED, deadline=1020.0), three(), Now(1000.0)).stages
    assert [stage.request.deadline for stage in stages] == [1010.0, 1010.0, 1020.0]


def test_without_a_deadline_none_is_set() -> None:
    assert [stage.request.deadline for stage in plan_stages(SPEC, ASKED, three(), Now(5.0, TIMINGS)).stages] == [None] * 3
