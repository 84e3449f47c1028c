"""Any sequence of operations on the store, against a model that is a few dictionaries."""

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from router.fleet.specs import PoolSpec, ReplicaSpec
from router.fleet.store import AGE_STEP_S
from router.snapshot import Fleet
from tests.router.fleet.given import Clock, pool, report, store

IDS = ("a", "b", "c", "d")
REPLICA = st.sampled_from(IDS)
ARRAYS = ("ready", "in_flight", "running", "waiting", "max_running", "kv_used", "age_s")


@st.composite
def topologies(draw: st.DrawFn) -> list[PoolSpec]:
    ids = draw(st.lists(REPLICA, unique=True))
    cut = draw(st.integers(0, len(ids)))
    specs = [ReplicaSpec(i, f"127.0.0.1:{draw(st.integers(1, 2))}", draw(st.booleans())) for i in ids]
    return [pool("small", *specs[:cut]), pool("large", *specs[cut:], models=("large-model", "small-model-too"))]


class AnyLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.store = store(self.clock, circuit_faults=2)
        self.in_flight: Counter[str] = Counter()
        self.addresses: dict[str, str] = {}
        self.running: dict[str, int] = {}
        self.seen: list[tuple[Fleet, dict[str, Any]]] = []

    @rule(pools=topologies())
    def topology(self, pools: list[PoolSpec]) -> None:
        self.store.apply_topology(pools, [], 1)
        before, self.addresses = self.addresses, {spec.id: spec.address for p in pools for spec in p.replicas}
        self.running = {i: n for i, n in self.running.items() if i in before and self.addresses.get(i) == before[i]}

    @rule(replica=REPLICA, running=st.integers(0, 9), incarnation=st.sampled_from("xy"))
    def reports(self, replica: str, running: int, incarnation: str) -> None:
        self.store.apply_report(
            replica, report(running=running, incarnation=incarnation, models=("small-model", "large-model"))
        )
        if replica in self.addresses:
            self.running[replica] = running

    @rule(replica=REPLICA)
    def lost(self, replica: str) -> None:
        self.store.lost(replica)

    @rule(replica=REPLICA)
    def assume(self, replica: str) -> None:
        self.store.assume(replica)
        self.in_flight[replica] += 1

    @precondition(lambda self: self.in_flight.total())
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        replica = data.draw(st.sampled_from(sorted(+self.in_flight)))
        self.store.release(replica)
        self.in_flight[replica] -= 1

    @rule(replica=REPLICA)
    def failed(self, replica: str) -> None:
        self.store.failed(replica)

    @rule(replica=REPLICA)
    def succeeded(self, replica: str) -> None:
        self.store.succeeded(replica)

    @rule(seconds=st.sampled_from([0.01, 0.7, 3.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.pass_s(seconds)

    @invariant()
    def the_view_says_what_happened(self) -> None:
        view = self.store.view()
        assert set(view.replica_ids) == set(self.addresses)
        assert [pool.start for pool in view.pools[1:]] == [pool.stop for pool in view.pools[:-1]]
        for row, replica in enumerate(view.replica_ids):
            assert view.in_flight[row] == self.in_flight[replica]
            assert view.running[row] == self.running.get(replica, 0)
            assert replica in self.running or not view.ready[row]
            assert self.store.address(replica) == self.addresses[replica]
        if not self.seen or self.seen[-1][0] is not view:
            self.seen.append((view, {name: getattr(view, name).tolist() for name in ARRAYS}))

    @invariant()
    def a_view_has_what_a_fresh_one_would(self) -> None:
        cached = self.store.view()
        self.store._view = None
        fresh = self.store.view()
        assert fresh.ready.tolist() == cached.ready.tolist()
        assert fresh.pools == cached.pools
        np.testing.assert_allclose(fresh.age_s, cached.age_s, rtol=0, atol=AGE_STEP_S)

    @invariant()
    def old_views_never_change(self) -> None:
        for view, values in self.seen[-20:]:
            assert {name: getattr(view, name).tolist() for name in ARRAYS} == values


AnyLife.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyLife = AnyLife.TestCase
