"""The fleet as this router knows it, with one writer: every change goes through a method here, on the event loop's thread.

Hands out frozen views. No method waits or does I/O: `topology.py` and `stats.py` feed it, dispatch counts in it.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from random import Random

from router.config import RouterConfig
from router.errors import ReplicaLost
from router.fleet.breaker import BreakerRule
from router.fleet.checks import check, dangling
from router.fleet.circuits import Circuits
from router.fleet.replica import ReplicaStatus, cache_is_void, describe_pools, same_abilities
from router.fleet.revisions import RevisionCount, RevisionCounts
from router.fleet.roster import Roster
from router.fleet.specs import PolicySpec, PoolSpec, Report, TenantSpec, Topology
from router.fleet.throughput import Throughputs
from router.snapshot import Fleet, Pool

log = logging.getLogger(__name__)

Endpoints = frozenset[tuple[str, str]]

# While nothing else changes, a view is used again for this long: the error of its ages, and of when staleness shows.
AGE_STEP_S = 0.05


class FleetStore:
    """`clock` gives monotonic seconds.

    source_version   of the topology in use, as its source calls it; the view's own version only grows
    """

    def __init__(self, config: RouterConfig, clock: Callable[[], float] = time.monotonic, rng: Random | None = None) -> None:
        failover = config.failover
        rule = BreakerRule(failover.circuit_faults, failover.circuit_open_s, failover.circuit_longest_s)
        self._circuits = Circuits(rule, rng or Random())
        self._stale_after_s = config.stale_after_s
        self._clock = clock
        self._version = 0
        self._topology = Topology(())
        self._dangling: frozenset[str] = frozenset()
        self._revisions = RevisionCounts()
        self._roster = Roster()
        self._throughputs = Throughputs()
        self._pools: tuple[Pool, ...] = ()
        self._pools_changed = True
        self._view: Fleet | None = None
        self._view_until_s = -inf
        self._subscribers: list[Callable[[Endpoints], None]] = []
        self._on_incarnation: list[Callable[[str], None]] = []
        self.source_version = 0

    # What the router knows

    def view(self) -> Fleet:
        """The fleet now. The same object until something changes; one that was handed out never does."""
        now_s = self._clock()
        if self._view is None or now_s >= self._view_until_s:
            self._view = self._look(now_s)
        return self._view

    @property
    def tenants(self) -> tuple[TenantSpec, ...]:
        return self._topology.tenants

    @property
    def policies(self) -> tuple[PolicySpec, ...]:
        return self._topology.policies

    @property
    def pools(self) -> tuple[PoolSpec, ...]:
        """The pools as the topology has them, in the order of the view's."""
        return self._topology.pools

    @property
    def misfits(self) -> int:
        """How many replicas were found to serve another model than their pool."""
        return self._roster.misfits

    @property
    def tokens_per_s(self) -> Mapping[str, float]:
        """By pool: the work of one replica, in output tokens a second, that its price and footprint follow from."""
        return self._throughputs.shown

    def revisions(self, pool: PoolSpec) -> dict[str, RevisionCount]:
        """What was counted of each revision that the pool has replicas of."""
        return self._revisions.in_use(pool)

    @property
    def endpoints(self) -> Endpoints:
        """(replica id, address) of every replica in the topology."""
        return frozenset((replica.spec.id, replica.spec.address) for replica in self._roster.replicas.values())

    def address(self, replica_id: str) -> str:
        """Raises ReplicaLost when the replica has left the topology."""
        replica = self._roster.replicas.get(replica_id)
        if replica is None:
            raise ReplicaLost(f"replica {replica_id} has left the fleet", at_fault=False)
        return replica.spec.address

    def replicas(self) -> Iterator[ReplicaStatus]:
        """Every replica in full, for metrics and people; decisions use `view`."""
        now_s = self._clock()
        for replica_id, replica in self._roster.replicas.items():
            circuit = self._circuits.of(replica_id).state(now_s)
            yield ReplicaStatus.of(replica, circuit, int(self._roster.rows.in_flight[replica.row]))

    # Who wants to know

    def subscribe(self, callback: Callable[[Endpoints], None]) -> Callable[[], None]:
        """Calls back with all endpoints after each change of the topology (tenants included). Returns how to end that."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def on_incarnation(self, callback: Callable[[str], None]) -> None:
        """Calls back with a replica's id when what it had cached is void: replaced, cache cleared, moved or gone."""
        self._on_incarnation.append(callback)

    # Who is there

    def apply_topology(
        self, pools: Sequence[PoolSpec], tenants: Sequence[TenantSpec], version: int, policies: Sequence[PolicySpec] = ()
    ) -> None:
        """Takes a whole topology, or raises TopologyRefused and keeps the one it has. The same one again changes nothing.

        A replica whose id and address stay keeps all that is known of it. Requests in flight are counted by id whatever
        happens to the replica, since each of them will be released by that id.
        """
        topology = Topology(tuple(pools), tuple(tenants), policies=tuple(policies))
        check(topology)
        self.source_version = version
        if self._version and topology == self._topology:
            return
        self._warn(topology)
        before = self.endpoints
        self._topology = topology
        self._revisions.keep(topology.pools)
        self._version = max(version, self._version + 1)
        self._roster.place(topology.pools, self._revisions.of)
        self._throughputs.keep(topology.pools)
        for replica_id, _ in before - self.endpoints:
            self._circuits.drop(replica_id)
            self._forget_cache(replica_id)
        self._changed(pools=True)
        for callback in tuple(self._subscribers):
            callback(self.endpoints)

    def _warn(self, topology: Topology) -> None:
        """Tells of names that lead nowhere, each once for as long as it does."""
        now = dict.fromkeys(dangling(topology))
        for text in now:
            if text not in self._dangling:
                log.warning("topology: %s", text)
        self._dangling = frozenset(now)

    # How they are

    def apply_report(self, replica_id: str, report: Report) -> None:
        """Takes what a worker says of itself; figures that can't be are brought into range. Unknown replicas are ignored."""
        replica = self._roster.replicas.get(replica_id)
        if replica is None:
            return
        before, was_usable, now_s = replica.report, replica.usable, self._clock()
        replica.reachable = True
        replica.count.heard(before, report)
        self._throughputs.heard(replica.pool, replica.meter, report, now_s)
        self._roster.note(replica, report, now_s)
        self._changed(pools=before is None or was_usable != replica.usable or not same_abilities(before, report))
        if before is not None and cache_is_void(before, report):
            self._forget_cache(replica_id)
            if before.incarnation != report.incarnation:
                self._circuits.renewed(replica_id, now_s)

    def lost(self, replica_id: str) -> None:
        """Its watch stream broke: not ready until it reports again."""
        replica = self._roster.replicas.get(replica_id)
        if replica is not None and replica.reachable:
            replica.reachable = False
            self._roster.rows.usable[replica.row] = replica.judge()
            self._changed(pools=True)

    # What this router does with them

    def assume(self, replica_id: str) -> None:
        """A request is about to be sent: it counts from now on."""
        self._count(replica_id, 1)
        self._circuits.sent(replica_id, self._clock())

    def release(self, replica_id: str) -> None:
        """That request is over, however it ended. Exactly once for each `assume`."""
        if self._count(replica_id, -1) == 0:
            self._circuits.idle(replica_id)

    def failed(self, replica_id: str) -> None:
        """A request failed by the replica's fault."""
        if (replica := self._roster.replicas.get(replica_id)) is not None:
            replica.count.errors += 1
            self._circuits.failed(replica_id, self._clock())
            self._changed()

    def succeeded(self, replica_id: str) -> None:
        """A request went well."""
        if self._circuits.succeeded(replica_id, self._clock()):
            self._changed()

    def _count(self, replica_id: str, change: int) -> int:
        """Requests in flight there, after the change."""
        if replica_id in self._roster.replicas:
            self._changed()
        return self._roster.count(replica_id, change)

    # How it is shown

    def _changed(self, *, pools: bool = False) -> None:
        self._view = None
        self._pools_changed |= pools

    def _forget_cache(self, replica_id: str) -> None:
        for callback in self._on_incarnation:
            callback(replica_id)

    def _look(self, now_s: float) -> Fleet:
        rows, figures = self._roster.rows, self._throughputs
        self._pools_changed |= figures.show(self.pools, now_s)
        if self._pools_changed:
            self._pools = describe_pools(self.pools, tuple(self._roster.replicas.values()), self._pools, figures.shown)
            self._pools_changed = False
        age_s = now_s - rows.reported_s.frozen()
        ready = rows.usable.frozen() & (age_s <= self._stale_after_s)
        self._view_until_s = now_s + AGE_STEP_S
        for replica_id, until_s in self._circuits.blocked(now_s):
            ready[self._roster.replicas[replica_id].row] = False
            self._view_until_s = min(self._view_until_s, until_s)
        age_s.flags.writeable = ready.flags.writeable = False
        return Fleet(
            version=self._version,
            pools=self._pools,
            replica_ids=self._roster.ids,
            ready=ready,
            in_flight=rows.in_flight.frozen(),
            running=rows.running.frozen(),
            waiting=rows.waiting.frozen(),
            max_running=rows.max_running.frozen(),
            kv_used=rows.kv_used.frozen(),
            age_s=age_s,
        )
