"""From what was seen to what routers are told. Pure, and the same for the same content in any order: all replicas of the
control plane must come to the same bytes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from controlplane.feed.model import EndpointSeen, FleetSeen, PoolSeen, TenantSeen
from controlplane.feed.verdicts import Verdicts, is_withheld, judge, place
from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.resources.routing_policy import RoutingPolicySpec
from controlplane.resources.tenant import TenantSpec


class FedReplica(NamedTuple):
    """One worker. `id` is its pod's name; `address` host:port, an IPv6 host in brackets."""

    id: str
    address: str
    draining: bool
    revision: str


@dataclass(frozen=True, slots=True)
class FedPool:
    """A pool and the replicas that take requests, or finish them, sorted by id."""

    name: str
    spec: ModelPoolSpec
    replicas: tuple[FedReplica, ...]


@dataclass(frozen=True, slots=True)
class FedTenant:
    """A tenant with the keys that are its own, sorted; `policy` is "" unless that policy is fed too."""

    name: str
    spec: TenantSpec
    key_sha256: tuple[bytes, ...]
    policy: str


@dataclass(frozen=True, slots=True)
class FedPolicy:
    """A routing policy."""

    name: str
    spec: RoutingPolicySpec


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of it, each part sorted by name. Names are unique, and so are replicas' ids and tenants' keys, over the whole."""

    pools: tuple[FedPool, ...] = ()
    tenants: tuple[FedTenant, ...] = ()
    policies: tuple[FedPolicy, ...] = ()


def build(seen: FleetSeen, verdicts: Verdicts | None = None) -> Snapshot:
    """What routers are told; `verdicts` where they are known already. Pools that a tenant or policy names and that aren't there
    stay named: a tenant without its pools must not be one who may use all."""
    found = verdicts or judge(seen)
    return Snapshot(
        pools=tuple(_pools(pool for pool in seen.pools if pool.accepted and not is_withheld(found.pools[place(pool)]))),
        tenants=tuple(
            sorted((_tenant(t, found) for t in seen.tenants if not is_withheld(found.tenants[place(t)])), key=lambda t: t.name)
        ),
        policies=tuple(
            sorted(
                (FedPolicy(p.name, p.spec) for p in seen.policies if not is_withheld(found.policies[place(p)])),
                key=lambda p: p.name,
            )
        ),
    )


def _pools(pools: Iterable[PoolSeen]) -> Iterator[FedPool]:
    taken: set[str] = set()
    for pool in sorted(pools, key=lambda pool: pool.name):
        replicas = []
        for pod, endpoint in sorted(_by_pod(pool.endpoints).items()):
            # Pods of two namespaces may have one name; routers know replicas by it.
            name = pod if pod not in taken else f"{pool.namespace}/{pod}"
            if name not in taken:
                taken.add(name)
                replicas.append(FedReplica(name, _address(endpoint), endpoint.terminating, endpoint.revision))
        yield FedPool(pool.name, pool.spec, tuple(replicas))


def _by_pod(endpoints: Iterable[EndpointSeen]) -> dict[str, EndpointSeen]:
    """One endpoint for each pod that takes requests or still finishes some.

    Kubernetes may list a pod in two slices for a while, and does so for two address families: the better one counts.
    """
    best: dict[str, EndpointSeen] = {}
    for endpoint in endpoints:
        if (endpoint.ready or endpoint.terminating) and endpoint.address and 0 < endpoint.port < 65536:
            other = best.get(endpoint.pod)
            if other is None or _rank(endpoint) < _rank(other):
                best[endpoint.pod] = endpoint
    return best


def _rank(endpoint: EndpointSeen) -> tuple[bool, bool, str, int, str]:
    return not endpoint.terminating, ":" in endpoint.address, endpoint.address, endpoint.port, endpoint.revision


def _address(endpoint: EndpointSeen) -> str:
    host = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
    return f"{host}:{endpoint.port}"


def _tenant(tenant: TenantSeen, found: Verdicts) -> FedTenant:
    faults = found.tenants[place(tenant)]
    refused = {fault.field for fault in faults}
    keys = {digest for k, digest in enumerate(tenant.digests) if digest is not None and f"spec.keys[{k}]" not in refused}
    policy = "" if tenant.spec.policy is None or "spec.policy" in refused else tenant.spec.policy
    return FedTenant(tenant.name, tenant.spec, tuple(sorted(keys)), policy)
