"""One key → observe → plan → server-side apply → status. Level-triggered: nothing is remembered of what led here.

Each write may be the last one before this process dies; the next reconcile, here or in another replica, finds what is there and
goes on. What is applied already is not applied again, so a reconcile that has nothing to do makes no call.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from controlplane.cluster.cache import Cache
from controlplane.cluster.fleet_view import FleetView
from controlplane.cluster.keyring import Keyring
from controlplane.cluster.kinds import KINDS, MODEL_POOL, TENANT
from controlplane.cluster.observe import Observer, Shared
from controlplane.cluster.statuses import policy_status, tenant_status, with_condition
from controlplane.cluster.writes import Writes
from controlplane.feed.verdicts import Verdicts
from controlplane.planning.plan import plan
from controlplane.resources.envelope import ModelPool, parse_status
from controlplane.resources.faults import InvalidObject
from controlplane.resources.status import ModelPoolStatus, RoutingPolicyStatus, TenantStatus
from controlplane.world import Object, Platform, Ref, World

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 30.0  # for what is judged as a whole and was not yet
_STATUSES: dict[str, type[Any]] = {"ModelPool": ModelPoolStatus, "Tenant": TenantStatus, "RoutingPolicy": RoutingPolicyStatus}


class Key(NamedTuple):
    """What the queue holds."""

    kind: str
    namespace: str
    name: str


class Reconciler:
    """`verdicts`, `granted` and `owners` are set by whoever looks at all objects together. `clock` gives Unix seconds."""

    def __init__(
        self,
        writes: Writes,
        cache: Cache,
        view: FleetView,
        observer: Observer,
        keyring: Keyring,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._writes = writes
        self._cache = cache
        self._view = view
        self._observer = observer
        self._keyring = keyring
        self._clock = clock
        self._foreign: dict[tuple[str, str], dict[Ref, Object]] = {}
        self.verdicts = Verdicts({}, {}, {})
        self.granted: Mapping[tuple[str, str], int] = {}
        self.owners: Mapping[tuple[str, str], str] = {}

    async def reconcile(self, key: Key, platform: Platform) -> float | None:
        """Makes the object true; returns when to look again without an event, in seconds. Raises ApiError."""
        seen = self._cache.get(KINDS[key.kind], key.namespace, key.name)
        if seen is None:
            self._forget(key)
            return None
        try:
            if key.kind == MODEL_POOL.kind:
                return await self._pool(seen, platform)
            if key.kind == TENANT.kind:
                return await self._tenant(seen)
            return await self._policy(seen)
        except InvalidObject as fault:
            await self._say_invalid(seen, fault)
            return None

    async def _pool(self, seen: Object, platform: Platform) -> float | None:
        pool = self._view.pools.get(seen)
        self._foreign.pop((pool.namespace, pool.name), None)
        world = await self._world(pool)
        wanted = plan(world, platform)
        if foreign := await self._writes.foreign(world, wanted.apply):
            self._foreign[pool.namespace, pool.name] = foreign
            world = await self._world(pool)
            wanted = plan(world, platform)
        refused = await self._writes.carry_out(world, wanted)
        status = wanted.status
        if refused is not None:
            degraded = ("Degraded", "True", "ApplyRefused", str(refused))
            status = with_condition(pool.status, status, degraded, pool.generation, self._clock())
        await self._writes.status(seen, pool.status, status)
        await self._writes.notes(seen, wanted.notes)
        if refused is not None:
            raise refused
        return wanted.requeue_after_s

    async def _world(self, pool: ModelPool) -> World:
        return await self._observer.world(pool, self._clock(), Shared(self.granted, self._foreign, self.owners))

    async def _tenant(self, seen: Object) -> float | None:
        tenant = self._view.tenants.get(seen)
        digests, faults = self._keyring.of(tenant), self.verdicts.tenants.get((tenant.namespace, tenant.name))
        if digests is None or faults is None:
            return LOOK_AGAIN_S
        status = tenant_status(tenant.status, tenant.generation, faults, len(digests), self._clock())
        await self._writes.status(seen, tenant.status, status)
        return None

    async def _policy(self, seen: Object) -> float | None:
        policy = self._view.policies.get(seen)
        faults = self.verdicts.policies.get((policy.namespace, policy.name))
        if faults is None:
            return LOOK_AGAIN_S
        await self._writes.status(seen, policy.status, policy_status(policy.status, policy.generation, faults, self._clock()))
        return None

    async def _say_invalid(self, seen: Object, fault: InvalidObject) -> None:
        """An object that our schema does not allow (any more): stored before an upgrade, say. What runs stays as it is."""
        before: Any = parse_status(seen.get("status"), _STATUSES[seen["kind"]])
        condition = ("Accepted", "False", "SpecInvalid", str(fault))
        status = with_condition(before, before, condition, seen["metadata"]["generation"], self._clock())
        if status != before:
            log.warning("%s %s/%s: %s", seen["kind"], seen["metadata"]["namespace"], seen["metadata"]["name"], fault)
        await self._writes.status(seen, before, status)

    def _forget(self, key: Key) -> None:
        place = (key.namespace, key.name)
        self._view.forget(key.kind, place)
        if key.kind == MODEL_POOL.kind:
            self._foreign.pop(place, None)
            self._observer.forget(place)
