"""Cache, Secrets, routers' reports and Ray → one frozen World for one ModelPool. Reads only."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from controlplane.cluster.cache import Cache
from controlplane.cluster.kinds import CHILDREN, MODEL_POOL, NODE, POD, RAY_SERVICE, REVISION
from controlplane.cluster.secrets import Secrets
from controlplane.cluster.sightings import node_room, pod_seen
from controlplane.names import POOL_LABEL, RAY_HEAD_LABEL
from controlplane.resources.envelope import ModelPool
from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.world import NodeRoom, Object, PoolLoad, RaySeen, Ref, World

_CHILD_KINDS = frozenset(kind.kind for kind in CHILDREN)
RAY_KEEP_S = 3.0
RAY_PATIENCE_S = 2.0


class Loads(Protocol):
    def of(self, pool: str, now_s: float) -> PoolLoad: ...


class RayAsker(Protocol):
    async def __call__(self, address: str, token: str | None, timeout_s: float) -> RaySeen: ...


@dataclass(frozen=True, slots=True)
class Shared:
    """What takes all pools to know, by pool: replicas that the GPU budget grants; objects of somebody else that have a name of
    ours; the older pool (namespace/name) that has one of its names."""

    granted: Mapping[tuple[str, str], int]
    foreign: Mapping[tuple[str, str], Mapping[Ref, Object]]
    owners: Mapping[tuple[str, str], str]


class Observer:
    """`autoscaling` False: replicas are what spec.replicas says, in every pool."""

    def __init__(self, cache: Cache, secrets: Secrets, loads: Loads, ask_ray: RayAsker, *, autoscaling: bool) -> None:
        self._cache = cache
        self._autoscaling = autoscaling
        self._secrets = secrets
        self._loads = loads
        self._ask_ray = ask_ray
        self._ray: dict[tuple[str, str], RaySeen] = {}
        self._nodes: tuple[NodeRoom, ...] | None = None

    def nodes_changed(self) -> None:
        self._nodes = None

    def forget(self, place: tuple[str, str]) -> None:
        """The pool is gone."""
        self._ray.pop(place, None)

    async def world(self, pool: ModelPool, now_s: float, shared: Shared) -> World:
        """Raises ApiError where a Secret can't be read."""
        place = (pool.namespace, pool.name)
        labelled = self._cache.of_pool(*place)
        children = {ref: seen for ref, seen in labelled.items() if ref.kind in _CHILD_KINDS}
        pods = [seen for ref, seen in labelled.items() if ref.kind == POD.kind and POOL_LABEL in seen["metadata"]["labels"]]
        return World(
            namespace=pool.namespace,
            name=pool.name,
            uid=pool.uid,
            generation=pool.generation,
            spec=self._allowed(pool.spec),
            status=pool.status,
            now_s=now_s,
            deleting=pool.deleting,
            annotations=pool.annotations,
            children={**children, **shared.foreign.get(place, {})},
            revisions=_revisions(children, pool.uid),
            pods=tuple(sorted(map(pod_seen, pods), key=lambda pod: pod.name)),
            nodes=self.nodes(),
            load=self._loads.of(pool.name, now_s),
            secrets_missing=await self._secrets.missing(pool.namespace, _secrets_of(pool.spec)),
            name_owner=shared.owners.get(place, ""),
            pools=frozenset(seen["metadata"]["name"] for seen in self._cache.all(MODEL_POOL) if _in(seen, pool.namespace))
            if pool.spec.prefill_pool
            else frozenset(),
            granted=shared.granted.get(place),
            ray=await self._ray_of(pool, now_s) if pool.spec.runtime == "RayService" else None,
        )

    def _allowed(self, spec: ModelPoolSpec) -> ModelPoolSpec:
        """Where our autoscaling is switched off, whoever writes spec.replicas decides."""
        if self._autoscaling or spec.autoscaling is None:
            return spec
        return spec.model_copy(update={"autoscaling": spec.autoscaling.model_copy(update={"mode": "External"})})

    def nodes(self) -> tuple[NodeRoom, ...]:
        if self._nodes is None:
            self._nodes = tuple(room for seen in self._cache.all(NODE) if (room := node_room(seen)) is not None)
        return self._nodes

    async def _ray_of(self, pool: ModelPool, now_s: float) -> RaySeen | None:
        """What the pool's Ray says now; None while it has no head yet. Asked at most every few seconds."""
        place = (pool.namespace, pool.name)
        known = self._ray.get(place)
        if known is not None and now_s < known.asked_s + RAY_KEEP_S:
            return known
        head = self._ray_head(*place)
        if head is None:
            return known
        token = None
        if pool.spec.ray is not None and pool.spec.ray.auth_secret:
            token = await self._secrets.value(pool.namespace, pool.spec.ray.auth_secret, "auth_token")
        seen = await self._ask_ray(f"http://{head}:8265", token, RAY_PATIENCE_S)
        last_s = seen.asked_s if seen.answered else known.last_answer_s if known is not None else None
        self._ray[place] = replace(seen, last_answer_s=last_s)
        return self._ray[place]

    def _ray_head(self, namespace: str, name: str) -> str | None:
        """IP of the active Ray cluster's head, or of the one that is to be; "" is not an address."""
        service = self._cache.get(RAY_SERVICE, namespace, name)
        status = (service or {}).get("status") or {}
        for which in ("activeServiceStatus", "pendingServiceStatus"):
            cluster = (status.get(which) or {}).get("rayClusterName")
            for pod in self._cache.of_kind(POD, namespace, name) if cluster else ():
                labels = pod["metadata"]["labels"]
                if RAY_HEAD_LABEL in labels and labels.get("ray.io/cluster") == cluster and pod["status"].get("podIP"):
                    return str(pod["status"]["podIP"])
        return None


def _revisions(children: Mapping[Ref, Object], uid: str) -> dict[str, Object]:
    """What earlier revisions were made of, by their hash; those of a pool that had this name before don't count."""
    found = {}
    for ref, seen in children.items():
        owners = seen["metadata"].get("ownerReferences") or ()
        if ref.kind == REVISION.kind and any(owner["uid"] == uid for owner in owners):
            found[ref.name.rpartition("-")[2]] = seen.get("data") or {}
    return found


def _secrets_of(spec: ModelPoolSpec) -> set[tuple[str, str]]:
    wanted = {(var.secret.name, var.secret.key) for var in spec.engine.env if var.secret is not None}
    if spec.ray is not None and spec.ray.auth_secret:
        wanted.add((spec.ray.auth_secret, "auth_token"))
    return wanted


def _in(seen: Object, namespace: str) -> bool:
    return bool(seen["metadata"]["namespace"] == namespace)
