"""What the feed is made from: frozen values that the cache of the cluster hands over. No I/O.

`created_s` is the object's creationTimestamp in Unix seconds. Where two objects claim the same thing the older one
has it; of the same second, the one whose namespace and name come first.
"""

from dataclasses import dataclass

from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.resources.routing_policy import RoutingPolicySpec
from controlplane.resources.tenant import TenantSpec

Place = tuple[str, str]  # namespace, name


@dataclass(frozen=True, slots=True)
class EndpointSeen:
    """One endpoint of a pool's headless Service. `address` is an IP, `pod` the targetRef's name, `revision` the pod's label."""

    pod: str
    address: str
    port: int
    ready: bool = True
    terminating: bool = False
    revision: str = ""


@dataclass(frozen=True, slots=True)
class PoolSeen:
    """A ModelPool with its endpoints, in any order. `accepted`: its condition Accepted is True."""

    namespace: str
    name: str
    created_s: float
    spec: ModelPoolSpec
    accepted: bool = True
    endpoints: tuple[EndpointSeen, ...] = ()


@dataclass(frozen=True, slots=True)
class TenantSeen:
    """A Tenant. `digests` has the SHA-256 of each of `spec.keys`, in their order; None where the Secret lacks it."""

    namespace: str
    name: str
    created_s: float
    spec: TenantSpec
    digests: tuple[bytes | None, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicySeen:
    """A RoutingPolicy."""

    namespace: str
    name: str
    created_s: float
    spec: RoutingPolicySpec


@dataclass(frozen=True, slots=True)
class FleetSeen:
    """Everything that one set of routers serves, in any order."""

    pools: tuple[PoolSeen, ...] = ()
    tenants: tuple[TenantSeen, ...] = ()
    policies: tuple[PolicySeen, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an object, for its condition Accepted.

    `field` is the path in the object, such as `spec.pools[2]`; `reason` is UpperCamelCase. `withheld`: routers are told
    nothing of the object; otherwise they are told all the rest of it, and `message` says what becomes of this.
    """

    field: str
    reason: str
    message: str
    withheld: bool = False
