import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from router.errors import ReplicaLost
from router.fleet.specs import PolicySpec, ReplicaSpec, TenantSpec, TopologyRefused
from router.fleet.store import AGE_STEP_S, FleetStore
from tests.router.fleet.given import Clock, address_of, pool, report, store


def fleet_with(*replicas: str, clock: Clock | None = None, **failover: Any) -> FleetStore:
    """One pool of replicas that are all ready."""
    made = store(clock, **failover)
    made.apply_topology([pool("small", *replicas)], [], 1)
    for replica in replicas:
        made.apply_report(replica, report())
    return made


def ready(fleet: FleetStore) -> dict[str, bool]:
    view = fleet.view()
    return dict(zip(view.replica_ids, view.ready.tolist(), strict=True))


def test_an_empty_fleet_has_a_view() -> None:
    view = store().view()
    assert (view.version, view.pools, view.replica_ids, len(view.ready)) == (0, (), (), 0)


def test_rows_are_pool_by_pool_and_a_replica_is_ready_once_it_says_so() -> None:
    fleet = store()
    fleet.apply_topology([pool("small", "a", "b"), pool("empty"), pool("large", "c")], [], 7)
    view = fleet.view()
    assert view.version == 7
    assert [(p.name, p.start, p.stop) for p in view.pools] == [("small", 0, 2), ("empty", 2, 2), ("large", 2, 3)]
    assert view.replica_ids == ("a", "b", "c")
    assert not view.ready.any()
    assert np.isinf(view.age_s).all()
    fleet.apply_report("b", report(running=3, waiting=2, kv_used=0.25))
    fleet.apply_report("c", report(models=("other", "large-model")))
    assert ready(fleet) == {"a": False, "b": True, "c": True}
    view = fleet.view()
    assert (view.running[1], view.waiting[1], view.max_running[1], view.kv_used[1], view.age_s[1]) == (3, 2, 8, 0.25, 0)


@pytest.mark.parametrize("phase", ["starting", "draining", "failed"])
def test_only_ready_workers_are_ready(phase: str) -> None:
    fleet = fleet_with("a")
    fleet.apply_report("a", report(phase=phase))
    assert ready(fleet) == {"a": False}


def test_a_replica_that_is_to_leave_takes_no_new_requests() -> None:
    fleet = fleet_with("a", "b")
    fleet.apply_topology([pool("small", ReplicaSpec("a", address_of("a"), draining=True), "b")], [], 2)
    assert ready(fleet) == {"a": False, "b": True}


def test_a_lost_replica_is_ready_again_with_its_next_report() -> None:
    fleet = fleet_with("a")
    fleet.lost("a")
    assert ready(fleet) == {"a": False}
    fleet.lost("a")
    fleet.apply_report("a", report())
    assert ready(fleet) == {"a": True}


def test_a_replica_that_stops_reporting_is_not_ready() -> None:
    clock = Clock()
    fleet = fleet_with("a", clock=clock)
    clock.pass_s(10.0)
    assert ready(fleet) == {"a": True}
    clock.pass_s(AGE_STEP_S)
    assert ready(fleet) == {"a": False}
    assert fleet.view().age_s[0] == pytest.approx(10.0 + AGE_STEP_S)
    fleet.apply_report("a", report())
    assert ready(fleet) == {"a": True}


def test_a_view_is_reused_until_something_changes_and_old_ones_stay_as_they_were() -> None:
    clock = Clock()
    fleet = fleet_with("a", "b", clock=clock)
    first = fleet.view()
    assert fleet.view() is first
    fleet.assume("a")
    second = fleet.view()
    assert (first.in_flight.tolist(), second.in_flight.tolist()) == ([0, 0], [1, 0])
    assert second.running is first.running, "an array nobody wrote to is not copied"
    with pytest.raises(ValueError, match="read-only"):
        second.ready[0] = False
    fleet.succeeded("a")
    fleet.apply_report("unknown", report())
    assert fleet.view() is second
    clock.pass_s(AGE_STEP_S)
    assert fleet.view() is not second
    assert fleet.view().age_s[0] == pytest.approx(AGE_STEP_S)


def test_what_stays_keeps_all_that_is_known_of_it_wherever_its_row_moves() -> None:
    clock = Clock()
    fleet = fleet_with("a", "b", clock=clock, circuit_faults=1)
    fleet.apply_report("b", report(running=5))
    fleet.assume("b")
    fleet.failed("b")
    clock.pass_s(0.5)
    fleet.apply_topology([pool("large", "z"), pool("small", "b", "a")], [], 2)
    view = fleet.view()
    assert view.replica_ids == ("z", "b", "a")
    assert view.running.tolist() == [0, 5, 0]
    assert view.in_flight.tolist() == [0, 1, 0]
    assert view.age_s.tolist() == [math.inf, 0.5, 0.5]
    assert ready(fleet) == {"z": False, "b": False, "a": True}
    clock.pass_s(0.5)
    assert ready(fleet)["b"], "its circuit is half-open by now"


def test_a_replica_that_moves_to_another_address_starts_anew_but_its_requests_still_count() -> None:
    fleet = fleet_with("a", circuit_faults=1)
    fleet.assume("a")
    fleet.failed("a")
    fleet.apply_topology([pool("small", ReplicaSpec("a", "127.0.0.1:9"))], [], 2)
    assert fleet.address("a") == "127.0.0.1:9"
    assert ready(fleet) == {"a": False}
    fleet.apply_report("a", report())
    assert ready(fleet) == {"a": True}
    assert fleet.view().in_flight.tolist() == [1]
    fleet.release("a")
    assert fleet.view().in_flight.tolist() == [0]


def test_requests_on_a_replica_that_left_are_still_counted_when_it_returns() -> None:
    fleet = fleet_with("a")
    for _ in range(3):
        fleet.assume("a")
    fleet.apply_topology([], [], 2)
    fleet.release("a")
    fleet.assume("a")
    fleet.release("a")
    fleet.apply_topology([pool("small", "a")], [], 3)
    assert fleet.view().in_flight.tolist() == [2]
    fleet.release("a")
    fleet.release("a")
    assert fleet.view().in_flight.tolist() == [0]


def test_one_release_too_many_is_told_and_harmless(caplog: pytest.LogCaptureFixture) -> None:
    fleet = fleet_with("a")
    fleet.release("a")
    fleet.release("never seen")
    assert fleet.view().in_flight.tolist() == [0]
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


def test_the_address_of_a_replica_that_left_is_a_reason_to_go_elsewhere() -> None:
    with pytest.raises(ReplicaLost, match="has left the fleet") as lost:
        store().address("a")
    assert not lost.value.at_fault


def test_a_refused_topology_changes_nothing() -> None:
    fleet = fleet_with("a")
    before = fleet.view()
    with pytest.raises(TopologyRefused, match=r"pools\[1\].replicas\[0\].id"):
        fleet.apply_topology([pool("small", "b"), pool("large", "b")], [], 2)
    assert fleet.view() is before


def test_the_version_moves_with_each_change_whatever_the_source_counts() -> None:
    fleet = fleet_with("a")
    fleet.apply_topology([pool("small", "a")], [], 50)
    assert fleet.view().version == 1, "the same again is no change"
    fleet.apply_topology([pool("small", "a", "b")], [], 50)
    assert fleet.view().version == 50
    fleet.apply_topology([pool("small", "b")], [], 3)
    assert fleet.view().version == 51


def test_subscribers_hear_of_each_change_of_topology_and_tenants() -> None:
    fleet, heard = store(), []
    unsubscribe = fleet.subscribe(heard.append)
    fleet.apply_topology([pool("small", "a")], [], 1)
    fleet.apply_topology([pool("small", "a")], [], 2)
    tenant = TenantSpec("acme", (bytes(32),), ("small",))
    fleet.apply_topology([pool("small", "a")], [tenant], 3)
    unsubscribe()
    fleet.apply_topology([], [], 4)
    assert heard == [{("a", address_of("a"))}] * 2
    assert fleet.endpoints == frozenset()


def test_a_tenant_of_a_pool_that_is_not_there_is_told(caplog: pytest.LogCaptureFixture) -> None:
    fleet = store()
    fleet.apply_topology([], [TenantSpec("acme", (bytes(32),), ("gone",))], 1)
    assert caplog.messages == ["topology: tenants[0].pools: there is no pool 'gone'"]
    assert [tenant.name for tenant in fleet.tenants] == ["acme"]


def test_what_a_replica_had_cached_is_void_when_it_is_replaced_cleared_moved_or_gone() -> None:
    fleet, void = store(), []
    fleet.on_incarnation(void.append)
    fleet.apply_topology([pool("small", "a", "b", "c")], [], 1)
    for replica in "abc":
        fleet.apply_report(replica, report(incarnation="1"))
        fleet.lost(replica)
        fleet.apply_report(replica, report(incarnation="1", running=1))
    assert void == []
    fleet.apply_report("a", report(incarnation="2"))
    fleet.apply_report("b", report(incarnation="1", cache_clears_total=1))
    assert void == ["a", "b"]
    fleet.apply_topology([pool("small", ReplicaSpec("a", "127.0.0.1:9"), "b")], [], 2)
    assert sorted(void[2:]) == ["a", "c"]


def test_an_open_circuit_closes_by_time_and_one_success() -> None:
    clock = Clock()
    fleet = fleet_with("a", clock=clock, circuit_faults=2, circuit_open_s=1.0)
    fleet.failed("a")
    assert ready(fleet) == {"a": True}
    fleet.failed("a")
    assert ready(fleet) == {"a": False}
    clock.pass_s(0.74)
    assert ready(fleet) == {"a": False}
    clock.pass_s(0.26)
    assert ready(fleet) == {"a": True}
    fleet.assume("a")
    assert ready(fleet) == {"a": False}, "one probe at a time"
    fleet.succeeded("a")
    assert ready(fleet) == {"a": True}
    fleet.release("a")


def test_a_view_expires_at_the_very_moment_a_circuit_turns_half_open() -> None:
    clock = Clock()
    fleet = fleet_with("a", clock=clock, circuit_faults=1, circuit_open_s=AGE_STEP_S / 2)
    fleet.failed("a")
    held = fleet.view()
    clock.pass_s(AGE_STEP_S / 2)
    assert fleet.view() is not held
    assert ready(fleet) == {"a": True}


def test_a_probe_whose_caller_hung_up_gives_its_turn_back() -> None:
    clock = Clock()
    fleet = fleet_with("a", clock=clock, circuit_faults=1)
    fleet.failed("a")
    clock.pass_s(1.0)
    fleet.assume("a")
    fleet.release("a")
    assert ready(fleet) == {"a": True}


def test_a_replaced_worker_gets_a_request_at_once() -> None:
    fleet = fleet_with("a", circuit_faults=1)
    fleet.failed("a")
    fleet.apply_report("a", report(incarnation="b"))
    assert ready(fleet) == {"a": True}
    assert [status.circuit for status in fleet.replicas()] == ["half_open"]


def test_faults_of_replicas_that_left_are_nobodys() -> None:
    fleet = fleet_with("a", circuit_faults=1)
    fleet.apply_topology([], [], 2)
    fleet.failed("a")
    fleet.succeeded("a")
    fleet.lost("a")
    fleet.apply_topology([pool("small", "a")], [], 3)
    fleet.apply_report("a", report())
    assert ready(fleet) == {"a": True}


@pytest.mark.parametrize(("share", "believed"), [(math.nan, 1.0), (-0.5, 0.0), (5.0, 1.0), (math.inf, 1.0), (-math.inf, 0.0)])
def test_shares_that_cannot_be_are_brought_into_range(share: float, believed: float) -> None:
    fleet = fleet_with("a")
    fleet.apply_report("a", report(kv_used=share))
    assert fleet.view().kv_used.tolist() == [believed]


def test_counts_that_cannot_be_do_not_overflow_sums() -> None:
    fleet = fleet_with("a")
    huge = 2**64 - 1
    fleet.apply_report("a", report(running=huge, waiting=huge, max_running=huge, output_tokens_total=huge))
    view = fleet.view()
    assert (view.running + view.waiting + view.max_running).tolist() == [3_000_000]
    fleet.apply_report("a", report(running=-1, waiting=-5, max_running=0))
    view = fleet.view()
    assert (view.running[0], view.waiting[0], view.max_running[0]) == (0, 0, 0)


def test_a_worker_of_another_model_is_not_ready_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    fleet = fleet_with("a")
    for _ in range(3):
        fleet.apply_report("a", report(models=("tiny",)))
    fleet.apply_topology([pool("small", "a", "b")], [], 2)
    assert ready(fleet) == {"a": False, "b": False}
    assert fleet.misfits == 1
    assert caplog.messages == ["replica a serves ('tiny',), pool small wants small-model"]
    fleet.apply_report("a", report())
    assert ready(fleet)["a"]


def test_a_pool_can_do_what_all_its_replicas_can_and_is_simulated_if_one_is() -> None:
    fleet = fleet_with("a", "b", "c")
    fleet.apply_report("a", report(embeddings=True, parses_tool_calls=True, max_context_tokens=4096))
    fleet.apply_report("b", report(embeddings=True, engine="simulated", simulated=True, max_context_tokens=2048))
    fleet.lost("c")
    small = fleet.view().pools[0]
    assert (small.engine, small.simulated, small.embeddings) == ("simulated, vllm", True, True)
    assert (small.max_context_tokens, small.reports_token_ids, small.parses_tool_calls) == (2048, True, False)
    fleet.lost("b")
    assert (fleet.view().pools[0].engine, fleet.view().pools[0].parses_tool_calls) == ("vllm", True)
    fleet.lost("a")
    assert fleet.view().pools[0].simulated, "with none usable, every replica that ever reported counts"
    fleet.apply_report("a", report(reports_token_ids=False))
    assert not fleet.view().pools[0].reports_token_ids


def test_each_replica_can_be_told_in_full() -> None:
    fleet = fleet_with("a", "b")
    fleet.apply_topology([pool("small", "a", "b", "c")], [], 2)
    fleet.assume("a")
    fleet.lost("b")
    told = {status.id: status for status in fleet.replicas()}
    assert (told["a"].pool, told["a"].address, told["a"].in_flight) == ("small", address_of("a"), 1)
    assert (told["a"].phase, told["a"].reachable, told["a"].fits, told["a"].circuit) == ("ready", True, True, "closed")
    assert (told["b"].phase, told["b"].reachable) == ("ready", False)
    assert (told["c"].phase, told["c"].report) == ("unknown", None)


def test_a_name_that_leads_nowhere_is_told_once_for_as_long_as_it_does(caplog: pytest.LogCaptureFixture) -> None:
    fleet, tenant = store(), TenantSpec("acme", (bytes(32),), ("gone",), policy="none")
    for version, replicas in enumerate(("", "a", "ab"), start=1):
        fleet.apply_topology([pool("small", *replicas)], [tenant], version)
    told = ["topology: tenants[0].pools: there is no pool 'gone'", "topology: tenants[0].policy: there is no policy 'none'"]
    assert caplog.messages == told
    fleet.apply_topology([pool("small"), pool("gone")], [tenant], 4, [PolicySpec("none")])
    fleet.apply_topology([pool("small")], [tenant], 5)
    assert caplog.messages == told * 2


def test_a_change_of_the_policies_alone_is_a_change() -> None:
    fleet, heard = store(), []
    fleet.subscribe(heard.append)
    for version, floor in enumerate((0.5, 0.5, 0.7), start=1):
        fleet.apply_topology([], [], version, [PolicySpec("p", "qualityFloor", quality_floor=floor)])
    assert len(heard) == 2
    assert fleet.policies == (PolicySpec("p", "qualityFloor", quality_floor=0.7),)


def test_a_pool_scaled_to_zero_is_known_by_what_its_last_replicas_could() -> None:
    fleet = store()
    fleet.apply_topology([pool("small", cold_start_wait_s=60)], [], 1)
    (never,) = fleet.view().pools
    assert (never.known, never.cold_start_wait_s, never.start, never.stop) == (False, 60, 0, 0)
    fleet.apply_topology([pool("small", "a")], [], 2)
    fleet.apply_report("a", report(max_context_tokens=4096, parses_tool_calls=True, kv_block_tokens=16, embeddings=True))
    (up,) = fleet.view().pools
    assert (up.known, up.max_context_tokens, up.parses_tool_calls, up.kv_block_tokens) == (True, 4096, True, 16)
    fleet.apply_topology([pool("small")], [], 3)
    (down,) = fleet.view().pools
    assert down == replace(up, stop=0)
    fleet.apply_topology([pool("small", models=("another",))], [], 4)
    assert not fleet.view().pools[0].known, "another model is another pool"
