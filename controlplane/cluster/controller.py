"""The control plane at work: what changes in the cluster → keys in the queue → reconciles, by whoever holds the lease.

Every replica watches, judges and feeds routers; only the leader writes. Nothing is decided before the whole cluster was listed
once, and routers are shown nothing before every tenant's keys were read: a part of the fleet must never look like all of it.
"""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass

from controlplane.cluster.api import Api
from controlplane.cluster.cache import Cache
from controlplane.cluster.fleet_view import FleetView, says
from controlplane.cluster.gpu_shares import GpuShares
from controlplane.cluster.keyring import Keyring
from controlplane.cluster.kinds import MODEL_POOL, NODE, ROUTING_POLICY, TENANT, WATCHED
from controlplane.cluster.leader import Leader, LeaseRule
from controlplane.cluster.observe import Observer
from controlplane.cluster.queue import WorkQueue
from controlplane.cluster.ray_status import ask
from controlplane.cluster.reconcile import Key, Reconciler
from controlplane.cluster.secrets import KEEP_S, Secrets
from controlplane.cluster.sightings import node_room
from controlplane.cluster.sync import Sync
from controlplane.cluster.writes import Writes
from controlplane.config import ControlPlaneConfig
from controlplane.errors import ApiError, NotLeading, Refused
from controlplane.feed.service import Feed
from controlplane.feed.verdicts import Verdicts, judge, name_owners
from controlplane.metrics import Figures, Metrics, PoolFigures
from controlplane.names import POOL_LABEL, RAY_HEAD_LABEL
from controlplane.resources.envelope import ModelPool
from controlplane.world import Object, Platform

log = logging.getLogger(__name__)

SETTLE_S = 0.05  # changes that come this close together are judged and published as one
CHILD_SETTLE_S = 0.2  # a pool's pods change in bursts; one reconcile for all of them
SHARE_S = 1.0
OURS = (MODEL_POOL, TENANT, ROUTING_POLICY)


@dataclass(frozen=True, slots=True)
class Identity:
    """This replica: its name in leases and events, and the namespace that it runs in."""

    name: str
    namespace: str


class Controller:
    """`run` until cancelled. One per process, used from its event loop only."""

    def __init__(self, api: Api, feed: Feed, metrics: Metrics, config: ControlPlaneConfig, identity: Identity) -> None:
        self._api, self._feed, self._metrics, self._config = api, feed, metrics, config
        self._queue: WorkQueue[Key] = WorkQueue()
        self._cache = Cache(self._changed)
        self._sync = Sync(api, self._cache, config.namespaces, config.resync_s, self._note_all)
        secrets, lease = Secrets(api), config.lease
        self._keyring = Keyring(secrets)
        self._view = FleetView(self._cache, self._keyring)
        self._observer = Observer(self._cache, secrets, feed.loads, ask, autoscaling=config.autoscaling)
        self._shares = GpuShares(config.gpu_budget)
        rule = LeaseRule(lease.duration_s, lease.renew_s, lease.retry_s)
        self._leader = Leader(api, (lease.namespace or identity.namespace, lease.name), identity.name, rule)
        writes = Writes(api, self._cache, metrics, self._leader.check, identity.name)
        self._reconciler = Reconciler(writes, self._cache, self._view, self._observer, self._keyring)
        self._dirty = asyncio.Event()
        self._keys_wanted = asyncio.Event()
        self._pending: set[Key] = set()
        self.synced = False

    async def run(self) -> None:
        """Raises whatever should end the process."""
        await self._sync.begin()
        while not (await self._keyring.refresh(self._view.tenants))[1]:
            log.warning("not every tenant's keys could be read; routers are told nothing yet")
            await asyncio.sleep(1.0)
        self.synced = True
        self._feed.loads.on_wake = self._woken
        self._note_all()
        async with asyncio.TaskGroup() as tasks:
            for work in (
                self._sync.run(),
                self._leader.run(),
                self._judge_and_publish(),
                self._look_up_keys(),
                self._lead(),
                self._share(),
            ):
                tasks.create_task(work)
            tasks.create_task(self._queue.run(self._config.workers, self._work))

    # Whom a change concerns

    def _changed(self, old: Object | None, new: Object | None) -> None:
        """An object came, changed, or went."""
        seen = new or old or {}
        meta = seen["metadata"]
        kind, place = seen["kind"], (meta.get("namespace", ""), meta["name"])
        labels = meta.get("labels") or {}
        pool = labels.get(POOL_LABEL) or labels.get(RAY_HEAD_LABEL)
        if kind in (MODEL_POOL.kind, TENANT.kind, ROUTING_POLICY.kind):
            self._note(Key(kind, *place))
            if kind == TENANT.kind:
                self._keys_wanted.set()
        elif kind == NODE.kind:
            if old is None or new is None or node_room(old) != node_room(new):
                self._observer.nodes_changed()
                self._note(*(Key(MODEL_POOL.kind, p.namespace, p.name) for p in self._view.pools if _troubled(p)))
        elif pool is not None:
            self._view.moved((place[0], pool))
            self._dirty.set()
            self._queue.add_after(Key(MODEL_POOL.kind, place[0], pool), CHILD_SETTLE_S)

    def _note(self, *keys: Key) -> None:
        """To be reconciled once the newest state has been judged as a whole."""
        self._pending.update(keys)
        self._dirty.set()

    def _note_all(self) -> None:
        self._note(
            *(Key(kind.kind, s["metadata"]["namespace"], s["metadata"]["name"]) for kind in OURS for s in self._cache.all(kind))
        )

    def _woken(self, pool: str) -> None:
        """Requests wait in a router for a pool that has nobody."""
        for place in [(p.namespace, p.name) for p in self._view.pools if p.name == pool]:
            self._queue.add(Key(MODEL_POOL.kind, *place))

    async def _judge_and_publish(self) -> None:
        while True:
            await self._dirty.wait()
            await asyncio.sleep(SETTLE_S)
            self._dirty.clear()
            began_s = time.monotonic()
            try:
                self._look_at_all()
            except Exception:  # whatever it is, the routers keep what they have, and each pool is still looked at by itself
                log.exception("the fleet could not be judged as a whole")
            pending, self._pending = self._pending, set()
            for key in pending:
                self._queue.add(key)
            await asyncio.sleep(4 * (time.monotonic() - began_s))  # a large fleet in turmoil: at most a fifth of the time

    def _look_at_all(self) -> None:
        """What takes all objects together: verdicts, names, shares of the GPUs; and what routers are told."""
        seen = self._view.look()
        verdicts = judge(seen)
        self._pending.update(_concerned(self._reconciler.verdicts, verdicts))
        self._reconciler.verdicts, self._reconciler.owners = verdicts, name_owners(seen.pools)
        self._divide()
        self._feed.publish(seen, self._cache.version)

    def _divide(self) -> None:
        """Divides the GPU budget anew; before a pool's first reconcile too, or it would be made without a limit."""
        if self._config.gpu_budget:
            changed = self._shares.divide(self._view.pools, self._feed.loads, time.time())
            self._reconciler.granted = self._shares.granted
            self._pending.update(Key(MODEL_POOL.kind, *place) for place in changed)

    async def _look_up_keys(self) -> None:
        """At once for a Tenant that came or changed, and now and then for all of them: Secrets can't be watched."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(KEEP_S):
                    await self._keys_wanted.wait()
            self._keys_wanted.clear()
            changed, _ = await self._keyring.refresh(self._view.tenants)
            if changed:
                self._note(*(Key(TENANT.kind, *place) for place in changed))

    async def _share(self) -> None:
        """Load changes without an event, and with it who gains most by a GPU."""
        while self._config.gpu_budget:
            await asyncio.sleep(SHARE_S)
            self._divide()
            if self._pending:
                self._dirty.set()

    # Acting

    async def _lead(self) -> None:
        """Who begins to lead looks at everything: keys that came up before were dropped."""
        while True:
            await self._leader.begun.wait()
            self._leader.begun.clear()
            self._note_all()

    async def _work(self, key: Key) -> bool:
        if not self._leader.leading:
            return True
        began_s, outcome = time.perf_counter(), "ok"
        try:
            again_s = await self._reconciler.reconcile(key, self._platform())
        except NotLeading:
            return True
        except ApiError as fault:
            outcome = "refused" if isinstance(fault, Refused) else "retry"
            log.log(logging.WARNING if outcome == "refused" else logging.INFO, "%s %s/%s: %s", *key, fault)
            return False
        except Exception:  # one odd object must not end the work on all others
            outcome = "failed"
            log.exception("%s %s/%s", *key)
            return False
        finally:
            self._metrics.reconciled(key.kind, outcome, time.perf_counter() - began_s)
        if again_s is not None:
            self._queue.add_after(key, again_s)
        return True

    def _platform(self) -> Platform:
        given = self._config.platform
        return Platform(
            worker_image=given.worker_image,
            image_pull_policy=given.image_pull_policy,
            image_pull_secrets=given.image_pull_secrets,
            service_account=given.worker_service_account,
            tls_secret=given.worker_tls_secret,
            kube_minor=self._sync.minor,
            has=self._sync.served,
            labels=given.labels,
            endpoint_picker=given.endpoint_picker,
        )

    # Telling

    def why_not_ready(self) -> str:
        """Nothing once routers can be served."""
        return "" if self.synced else "the cluster has not been listed yet"

    def figures(self) -> Figures:
        stats = self._feed.stats()
        return Figures(
            leading=self._leader.leading,
            synced=self.synced,
            queue_depth=self._queue.depth,
            queue_busy=self._queue.busy,
            objects={kind.kind: self._cache.count(kind) for kind in WATCHED},
            calls=dict(self._api.calls),
            watch_restarts=self._sync.restarts,
            topology_version=stats.version,
            topology_pushes=stats.pushes_total,
            routers=stats.watchers,
            reports=stats.reports_total,
            reports_refused=stats.refused_total,
            pools=tuple(
                PoolFigures(
                    p.namespace,
                    p.name,
                    p.status.replicas,
                    p.status.ready_replicas,
                    says(p.status.conditions, "Available"),
                    says(p.status.conditions, "Degraded"),
                )
                for p in self._view.pools
            ),
        )


def _concerned(before: Verdicts, now: Verdicts) -> set[Key]:
    """Objects of which something else must be said now."""
    keys = set()
    for kind, old, new in (
        (MODEL_POOL, before.pools, now.pools),
        (TENANT, before.tenants, now.tenants),
        (ROUTING_POLICY, before.policies, now.policies),
    ):
        keys |= {Key(kind.kind, *place) for place in old.keys() | new.keys() if old.get(place) != new.get(place)}
    return keys


def _troubled(pool: ModelPool) -> bool:
    """Another node may make a difference to it."""
    return not says(pool.status.conditions, "Accepted") or says(pool.status.conditions, "Degraded")
