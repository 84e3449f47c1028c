"""One decision at a time: each reason has a case here. Whole days are in tests/sim."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.planning.autoscale import Now, cold_start_s, desired
from controlplane.resources.conditions import rfc3339
from controlplane.resources.model_pool import Autoscaling
from controlplane.resources.status import ScalingStatus
from controlplane.world import PodSeen, PoolLoad
from tests.controlplane.planning.worlds import NOW_S

RULE = Autoscaling(min_replicas=1, max_replicas=20, target_utilization=0.5)
IDLE_RULE = Autoscaling(min_replicas=0, max_replicas=20, target_utilization=0.5, idle_seconds=600)


def load(running: int = 0, waiting: int = 0, ready: int = 4, **more) -> PoolLoad:
    """Replicas of ten slots, of which five should be busy."""
    return replace(PoolLoad(routers=1, seen_s=NOW_S, running=running, waiting=waiting, slots=10 * ready), **more)


def known(replicas: int = 4, **more) -> ScalingStatus:
    return ScalingStatus(desired_replicas=replicas, slots_per_replica=10.0, **more)


def decide(seen: PoolLoad, before: ScalingStatus, rule: Autoscaling = RULE, ready: int | None = None, **more):
    return desired(seen, rule, before, Now(NOW_S, before.desired_replicas if ready is None else ready, **more))


def said(decision) -> tuple[int, str]:
    return decision.replicas, decision.reason


@pytest.mark.parametrize(
    ("running", "wanted"),
    [
        (20, (4, "OnTarget")),
        (22, (4, "OnTarget")),  # 4.4 replicas: within a tenth of 4
        (23, (5, "Concurrency")),
        (36, (8, "Concurrency")),
        (40, (8, "Concurrency")),  # a step up doubles at most
        (18, (4, "OnTarget")),
        (17, (4, "OnTarget")),  # 3.4, of which there is no such number
        (15, (4, "HoldDown")),
        (0, (4, "HoldDown")),
    ],
)
def test_concurrency_against_target(running, wanted):
    assert said(decide(load(running), known())) == wanted


def test_bounded_step_and_its_pause():
    crowd = load(400, ready=2)
    first = decide(crowd, known(2))
    assert said(first) == (6, "Concurrency")  # four more, since twice two is less
    soon = desired(crowd, RULE, first.status, Now(NOW_S + 10, 2))
    assert said(soon) == (6, "StepHold")
    assert soon.next_s == NOW_S + 15
    then = desired(crowd, RULE, soon.status, Now(NOW_S + 15, 2))
    assert said(then) == (12, "Concurrency")
    last = desired(crowd, RULE, then.status, Now(NOW_S + 30, 2))
    assert said(last) == (20, "Concurrency")
    assert said(desired(crowd, RULE, last.status, Now(NOW_S + 60, 2))) == (20, "AtMax")


def test_same_second_is_not_decided_twice():
    first = decide(load(400, ready=2), known(2))
    again = desired(load(400, ready=2), RULE, first.status, Now(NOW_S, 2))
    assert again.status == first.status


def test_scale_down_waits_and_takes_the_highest_wish():
    before = known(8)
    low = desired(load(10, ready=8), RULE, before, Now(NOW_S, 8))
    assert said(low) == (8, "HoldDown")
    assert low.next_s == NOW_S + 300
    higher = desired(load(25, ready=8), RULE, low.status, Now(NOW_S + 150, 8))
    assert higher.status.held_replicas == 5
    lower = desired(load(10, ready=8), RULE, higher.status, Now(NOW_S + 299, 8))
    assert said(lower) == (8, "HoldDown")
    down = desired(load(10, ready=8), RULE, lower.status, Now(NOW_S + 300, 8))
    assert said(down) == (5, "LowLoad")
    assert down.status.lower_since is None
    assert down.status.last_scale_time == rfc3339(NOW_S + 300)


def test_load_that_comes_back_starts_the_hold_anew():
    low = desired(load(10, ready=8), RULE, known(8), Now(NOW_S, 8))
    busy = desired(load(40, ready=8), RULE, low.status, Now(NOW_S + 200, 8))
    assert said(busy) == (8, "OnTarget")
    assert busy.status.lower_since is None
    again = desired(load(10, ready=8), RULE, busy.status, Now(NOW_S + 300, 8))
    assert said(again) == (8, "HoldDown")


def test_scale_up_may_be_held_too_and_takes_the_lowest_wish():
    rule = RULE.model_copy(update={"scale_up_hold_seconds": 60})
    first = desired(load(40), rule, known(), Now(NOW_S, 4))
    assert said(first) == (4, "HoldUp")
    assert first.next_s == NOW_S + 60
    less = desired(load(30), rule, first.status, Now(NOW_S + 30, 4))
    then = desired(load(40), rule, less.status, Now(NOW_S + 60, 4))
    assert said(then) == (6, "Concurrency")


def test_missing_data_changes_nothing():
    for before in (known(8), known(0), known(8, lower_since=rfc3339(NOW_S - 4000), held_replicas=2)):
        decision = decide(PoolLoad(), before, IDLE_RULE)
        assert said(decision) == (before.desired_replicas, "NoReports")


def test_replicas_that_start_count_as_capacity_when_more_are_wished():
    """Forty at once need eight; eight are on their way though only four run yet."""
    assert said(decide(load(40, ready=4), known(8), ready=4)) == (8, "OnTarget")


def test_replicas_that_start_count_as_full_when_fewer_are_wished():
    held = known(8, lower_since=rfc3339(NOW_S - 300), held_replicas=1)
    assert said(decide(load(10, ready=5), held, ready=5)) == (5, "LowLoad")  # two for the load, three that start
    assert said(decide(load(10, ready=8), held, ready=8)) == (2, "LowLoad")


def test_no_fewer_during_a_rollout():
    held = known(8, lower_since=rfc3339(NOW_S - 300), held_replicas=1)
    decision = decide(load(10, ready=8), held, changing=True)
    assert said(decision) == (8, "RolloutHolds")
    idle = known(3, last_request_time=rfc3339(NOW_S - 4000))
    assert decide(load(ready=3), idle, IDLE_RULE, changing=True).replicas == 3


def test_queue_asks_for_what_arrivals_need_and_its_own_work():
    """Eight a second, two seconds each: 16 at once. 240 that wait are 480 seconds' work, in half of 60 s: 16 more."""
    seen = load(16, 240, arrivals_per_s=8.0, answers_per_s=8.0, over_s=15.0)
    decision = decide(seen, known(4, service_seconds=2.0, cold_start_seconds=60.0))
    assert said(decision) == (7, "Concurrency")  # 32 / 5
    unknown = decide(replace(seen, answers_per_s=0.0), known(4))
    assert unknown.replicas == 8  # nothing is known of the time in a replica yet: as if all had to run at once; one step


def test_look_ahead_over_the_cold_start():
    """Nothing waits yet, but arrivals outrun answers: in a cold start of 60 s, 4/s more are 240 that wait."""
    seen = load(20, arrivals_per_s=14.0, answers_per_s=10.0, over_s=15.0)
    slow = decide(seen, known(4, service_seconds=2.0, cold_start_seconds=60.0))
    assert said(slow) == (8, "LookAhead")  # (14 × 2 + 240 × 2 / 30) / 5 = 8.8, of which one step is four
    chance = replace(seen, arrivals_per_s=11.0)
    assert said(decide(chance, known(4, service_seconds=2.0, cold_start_seconds=60.0))) == (4, "OnTarget")


def test_kv_blocks():
    assert said(decide(load(20, kv_used=0.99), known())) == (5, "KvUse")
    assert said(decide(load(20, kv_used=0.85), known())) == (4, "OnTarget")


def test_missed_objective():
    late = load(20, tpot_met=0.6)
    assert said(decide(late, known())) == (7, "Objective")  # 4 × 0.95 / 0.6
    awful = load(20, tpot_met=0.0)
    assert said(decide(awful, known())) == (8, "Objective")
    assert said(decide(load(20, tpot_met=0.95), known())) == (4, "OnTarget")


def test_missed_objective_of_idle_replicas_is_not_answered_with_more():
    assert decide(load(9, tpot_met=0.0), known(last_scale_time=rfc3339(NOW_S - 900))).replicas == 4


def test_missed_objective_waits_for_replicas_added_last():
    fresh = known(last_scale_time=rfc3339(NOW_S - 89), cold_start_seconds=60.0)
    assert said(decide(load(20, tpot_met=0.6), fresh)) == (4, "OnTarget")
    shown = known(last_scale_time=rfc3339(NOW_S - 90), cold_start_seconds=60.0)
    assert decide(load(20, tpot_met=0.6), shown).reason == "Objective"


def test_late_first_tokens_count_while_requests_wait():
    history = load(20, ttft_met=0.3)
    assert said(decide(history, known())) == (4, "OnTarget")
    assert decide(replace(history, waiting=1), known(service_seconds=1.0)).reason == "Objective"


def test_what_was_too_much_is_remembered():
    missed = decide(load(16, tpot_met=0.6), known())
    assert missed.status.strained_at == 4.0
    more = missed.replicas
    later = desired(load(16, ready=more, tpot_met=1.0), RULE, missed.status, Now(NOW_S + 400, more))
    assert said(later) == (more, "HoldDown")
    assert later.status.held_replicas == 5  # 16 / 3.6; by slots alone it would have been 4
    easy = desired(load(32, ready=more, tpot_met=1.0), RULE, missed.status, Now(NOW_S + 400, more))
    assert easy.status.strained_at == pytest.approx(32 / more, abs=0.05)  # it can do more after all


def test_from_zero():
    asleep = ScalingStatus(desired_replicas=0)
    assert said(decide(load(ready=0), asleep, IDLE_RULE)) == (0, "Idle")
    assert said(decide(load(waiting=1, ready=0), asleep, IDLE_RULE)) == (1, "FromZero")
    assert said(decide(load(ready=0, arrivals_per_s=0.1), asleep, IDLE_RULE)) == (1, "FromZero")
    assert said(decide(load(waiting=500, ready=0), asleep, IDLE_RULE)) == (1, "FromZero")  # what one can do is not known
    assert said(decide(load(waiting=12, ready=0), known(0), IDLE_RULE)) == (3, "FromZero")
    assert said(decide(load(waiting=500, ready=0), known(0), IDLE_RULE)) == (4, "FromZero")  # one step


def test_to_zero_after_idle_seconds():
    first = decide(load(3, ready=1), known(1), IDLE_RULE)
    assert first.status.last_request_time == rfc3339(NOW_S)
    still = desired(load(ready=1), IDLE_RULE, first.status, Now(NOW_S + 629, 1))
    assert still.replicas == 1
    assert still.next_s == NOW_S + 630  # idleSeconds, and the twentieth within which the last request is known
    gone = desired(load(ready=1), IDLE_RULE, first.status, Now(NOW_S + 630, 1))
    assert said(gone) == (0, "Idle")


def test_silence_of_routers_is_no_idleness():
    first = decide(load(3, ready=1), known(1), IDLE_RULE)
    blind = desired(PoolLoad(), IDLE_RULE, first.status, Now(NOW_S + 3600, 1))
    back = desired(load(ready=1), IDLE_RULE, blind.status, Now(NOW_S + 3605, 1))
    assert back.replicas == 1


def test_time_of_the_last_request_is_written_seldom():
    status = known(1)
    written = set()
    for at in range(0, 600, 5):
        status = desired(load(3, ready=1), IDLE_RULE, status, Now(NOW_S + at, 1)).status
        written.add(status.last_request_time)
    assert len(written) == 20


def test_changed_bounds_hold_at_once():
    assert said(decide(load(20), known(40))) == (20, "Bounds")
    assert said(decide(load(0, ready=1), known(1), RULE.model_copy(update={"min_replicas": 3}))) == (3, "Bounds")
    nothing = RULE.model_copy(update={"min_replicas": 0, "max_replicas": 0})  # the GPU budget grants none
    assert said(decide(load(waiting=9), known(2), nothing)) == (0, "Bounds")
    assert said(decide(load(waiting=9), known(0), nothing)) == (0, "AtMax")


def test_at_the_minimum():
    held = known(1, lower_since=rfc3339(NOW_S - 999))
    assert said(decide(load(0, ready=1), held)) == (1, "AtMin")


def test_cold_start_is_the_lower_median_of_ready_pods():
    def pod(name: str, took_s: float | None) -> PodSeen:
        since_s = None if took_s is None else NOW_S + took_s
        return PodSeen(name, "r", NOW_S, ready=took_s is not None, ready_since_s=since_s)

    assert cold_start_s([], None) is None
    assert cold_start_s([pod("a", None)], 44.0) == 44.0
    assert cold_start_s([pod("a", 50), pod("b", 4000)], None) == 50.0  # b lost its readiness for a while
    assert cold_start_s([pod("a", 50), pod("b", 60), pod("c", 70)], None) == 60.0
    assert cold_start_s([pod("a", 65)], 60.0) == 60.0  # about the same: not written again
    assert cold_start_s([pod("a", 67)], 60.0) == 67.0


def test_time_in_a_replica_is_measured_in_balance():
    steady = load(20, arrivals_per_s=4.0, answers_per_s=4.0, over_s=15.0)
    assert decide(steady, known()).status.service_seconds == 5.0
    assert decide(steady, known(service_seconds=4.5)).status.service_seconds == 4.5  # about the same
    assert decide(steady, known(service_seconds=3.0)).status.service_seconds == 4.0  # 25 % less than measured
    assert decide(steady, known(service_seconds=9.0)).status.service_seconds == 6.667
    emptying = replace(steady, arrivals_per_s=1.0)
    assert decide(emptying, known(service_seconds=3.0)).status.service_seconds == 3.0
    few = replace(steady, answers_per_s=1.0, arrivals_per_s=1.0)
    assert decide(few, known()).status.service_seconds is None


shares = st.none() | st.floats(0, 1)
loads = st.builds(
    PoolLoad,
    routers=st.integers(0, 3),
    arrivals_per_s=st.floats(0, 1e6),
    answers_per_s=st.floats(0, 1e6),
    over_s=st.floats(0, 120),
    waiting=st.integers(0, 10**7),
    running=st.integers(0, 10**7),
    slots=st.integers(0, 10**6),
    ttft_met=shares,
    tpot_met=shares,
    kv_used=st.floats(0, 1),
)
rules = st.builds(
    lambda low, span, target, tolerance, hold: Autoscaling(
        min_replicas=low,
        max_replicas=max(1, low + span),
        target_utilization=target,
        tolerance=tolerance,
        scale_down_hold_seconds=hold,
    ),
    st.integers(0, 50),
    st.integers(0, 100),
    st.floats(1e-6, 1),
    st.floats(0, 0.999),
    st.integers(0, 600),
)
moments = st.one_of(st.none(), st.integers(0, 10**5).map(lambda ago: rfc3339(NOW_S - ago)))
statuses = st.builds(
    ScalingStatus,
    desired_replicas=st.integers(0, 200),
    last_scale_time=moments,
    lower_since=moments,
    held_replicas=st.none() | st.integers(0, 200),
    last_request_time=moments,
    cold_start_seconds=st.none() | st.floats(0, 1e5),
    slots_per_replica=st.none() | st.floats(0, 1e4),
    service_seconds=st.none() | st.floats(0, 1e5),
    strained_at=st.none() | st.floats(0, 1e4),
)


@given(loads, rules, statuses, st.integers(0, 200), st.booleans())
def test_always_a_number_within_bounds_and_settled_at_once(seen, rule, before, ready, changing):
    now = Now(NOW_S, ready, changing)
    decision = desired(seen, rule, before, now)
    assert isinstance(decision.replicas, int)
    assert rule.min_replicas <= decision.replicas <= rule.max_replicas
    assert decision.status.desired_replicas == decision.replicas
    assert decision.next_s is None or decision.next_s > NOW_S - 1
    most = before.desired_replicas + max(4, before.desired_replicas)
    assert decision.reason == "Bounds" or decision.replicas <= most
    again = desired(seen, rule, decision.status, now)
    assert again.status == decision.status


@given(loads, rules, statuses, st.integers(0, 200), st.integers(1, 10**6))
def test_more_waiting_never_means_fewer(seen, rule, before, ready, more):
    now = Now(NOW_S, ready)
    fewer = desired(seen, rule, before, now)
    crowd = desired(replace(seen, waiting=seen.waiting + more), rule, before, now)
    assert crowd.replicas >= fewer.replicas
