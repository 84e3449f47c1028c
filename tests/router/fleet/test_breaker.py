from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.fleet.breaker import CLOSED, BreakerRule, Circuit
from router.fleet.circuits import Circuits

RULE = BreakerRule(faults=3, open_s=1.0, longest_s=8.0, probe_s=10.0)


def opened(now_s: float = 0.0) -> Circuit:
    circuit = CLOSED
    for _ in range(RULE.faults):
        circuit = circuit.failed(now_s, RULE, Random(1))
    return circuit


def test_faults_in_a_row_open_it_and_a_success_between_them_does_not_count() -> None:
    two = CLOSED.failed(0, RULE, Random(1)).failed(0, RULE, Random(1))
    assert two.allows(0)
    assert two.succeeded(0) == CLOSED
    assert two.succeeded(0).failed(0, RULE, Random(1)).failed(0, RULE, Random(1)).state(0) == "closed"
    assert two.failed(0, RULE, Random(1)).state(0) == "open"


def test_it_turns_half_open_by_time_and_lets_one_request_through() -> None:
    circuit = opened()
    reopen_s = circuit.changes_at_s(0)
    assert 0.75 <= reopen_s <= 1.0
    assert not circuit.allows(reopen_s - 1e-6)
    assert circuit.state(reopen_s) == "half_open"
    assert circuit.allows(reopen_s)
    probed = circuit.probed(reopen_s, RULE)
    assert not probed.allows(reopen_s)
    assert probed.changes_at_s(reopen_s) == reopen_s + RULE.probe_s
    assert probed.succeeded(reopen_s) == CLOSED


def test_a_probe_that_nobody_answers_for_gives_its_turn_away() -> None:
    circuit = opened().probed(1.0, RULE)
    assert not circuit.allows(10.9)
    assert circuit.allows(11.0)
    assert circuit.unprobed().allows(1.0)


def test_each_opening_without_success_is_twice_as_long_up_to_the_longest() -> None:
    circuit, now_s, waits = opened(), 0.0, []
    for _ in range(6):
        waits.append(circuit.changes_at_s(now_s) - now_s)
        now_s = circuit.changes_at_s(now_s)
        circuit = circuit.probed(now_s, RULE).failed(now_s, RULE, Random(1))
    for wait_s, whole_s in zip(waits, (1, 2, 4, 8, 8, 8), strict=True):
        assert 0.75 * whole_s <= wait_s <= whole_s


def test_requests_that_were_under_way_when_it_opened_change_nothing() -> None:
    circuit = opened()
    assert circuit.failed(0.1, RULE, Random(1)) == circuit
    assert circuit.succeeded(0.1) == circuit


def test_a_new_process_need_not_wait_but_gets_one_request_first() -> None:
    circuit = opened().renewed(0.1)
    assert circuit.state(0.1) == "half_open"
    assert not circuit.probed(0.1, RULE).allows(0.1)
    assert CLOSED.renewed(0.1) == CLOSED


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["failed", "succeeded", "probed", "unprobed", "renewed"]),
        st.floats(min_value=0, max_value=20, allow_nan=False),
    ),
    max_size=60,
)


@given(STEPS, st.integers(0, 2**32))
def test_whatever_happens_it_opens_only_by_faults_and_always_allows_again(steps: list[tuple[str, float]], seed: int) -> None:
    circuit, now_s, rng, faults_in_a_row = CLOSED, 0.0, Random(seed), 0
    for step, passed_s in steps:
        now_s += passed_s
        was = circuit.state(now_s)
        match step:
            case "failed":
                circuit = circuit.failed(now_s, RULE, rng)
                faults_in_a_row += was != "open"
            case "succeeded":
                circuit = circuit.succeeded(now_s)
                faults_in_a_row = 0 if was != "open" else faults_in_a_row
            case "probed":
                circuit = circuit.probed(now_s, RULE)
                assert was != "half_open" or not circuit.allows(now_s)
            case "unprobed":
                circuit = circuit.unprobed()
            case "renewed":
                circuit = circuit.renewed(now_s)
        assert circuit.faults == faults_in_a_row
        assert (circuit.state(now_s) == "closed") == (faults_in_a_row < RULE.faults)
        at_s = circuit.changes_at_s(now_s)
        if circuit.allows(now_s):
            assert at_s == inf
        else:
            assert now_s < at_s <= now_s + max(RULE.longest_s, RULE.probe_s)
            assert circuit.allows(at_s)


def test_a_healthy_fleet_holds_no_circuits(caplog: pytest.LogCaptureFixture) -> None:
    circuits = Circuits(RULE, Random(1))
    assert not circuits.succeeded("a", 0)
    for _ in range(RULE.faults):
        circuits.failed("a", 0)
    assert [replica for replica, _ in circuits.blocked(0)] == ["a"]
    assert caplog.messages == ["replica a: left alone after 3 faults in a row"]
    circuits.sent("a", 1)
    assert not circuits.of("a").allows(1)
    circuits.idle("a")
    assert circuits.of("a").allows(1)
    assert circuits.succeeded("a", 1)
    assert circuits.of("a") is CLOSED
