"""What is wrong with pools, tenants and policies as a whole: what no schema can say, since it takes the other objects. Pure.

A fault of one object must never spoil the snapshot for others: routers refuse a topology that contradicts itself as a whole.
So of two that claim the same name or key the older has it. What can't be served as it was meant is withheld where money would
be at stake (an unknown parent: its budget would not hold), and served without that part otherwise (an unknown policy).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol, TypeVar

from controlplane.feed.model import Fault, FleetSeen, Place, PolicySeen, PoolSeen, TenantSeen

RESERVED = "auto"  # how callers leave the choice to the router
_EMPTY_KEY = sha256(b"").digest()


class _Aged(Protocol):
    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def created_s(self) -> float: ...


_A = TypeVar("_A", bound=_Aged)
Faults = Mapping[Place, tuple[Fault, ...]]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Faults of each object by namespace and name; every object that was seen is in it, with () where all is well."""

    pools: Faults
    tenants: Faults
    policies: Faults


def judge(seen: FleetSeen) -> Verdicts:
    """Finds every fault. A tenant's parent and policy are looked for in its own namespace; pools everywhere."""
    pools = {place(pool): tuple(faults) for pool, faults in _pool_faults(seen.pools)}
    served = frozenset(pool.name for pool in seen.pools if pool.accepted and not is_withheld(pools[place(pool)]))
    policies = {place(policy): tuple(faults) for policy, faults in _policy_faults(seen.policies, served)}
    tenants = _tenant_faults(seen.tenants, served, policies)
    return Verdicts(pools, tenants, policies)


def name_owners(pools: Iterable[PoolSeen]) -> dict[Place, str]:
    """For each pool that claims a name which an older pool has: that pool, as namespace/name.

    A pool that lost holds none of its names. One that isn't accepted for another reason holds them: it may be accepted any
    moment, and must not take them from a pool that serves by then.
    """
    return {place(pool): owner for pool, _, _, owner in _claims(pools) if owner}


def place(seen: _Aged) -> Place:
    return seen.namespace, seen.name


def by_age(seen: Iterable[_A]) -> list[_A]:
    """Oldest first."""
    return sorted(seen, key=lambda one: (one.created_s, one.namespace, one.name))


def is_withheld(faults: Iterable[Fault]) -> bool:
    return any(fault.withheld for fault in faults)


def _claims(pools: Iterable[PoolSeen]) -> Iterator[tuple[PoolSeen, str, str, str]]:
    """Each pool with the first claim that it lost: field, name and owner; empty where it has all of them."""
    owners: dict[str, str] = {}
    for pool in by_age(pools):
        lost = next(((field, name, owners[name]) for field, name in _names(pool) if name in owners), ("", "", ""))
        if not lost[2]:
            owners.update((name, f"{pool.namespace}/{pool.name}") for _, name in _names(pool))
        yield pool, *lost


def _names(pool: PoolSeen) -> list[tuple[str, str]]:
    """Every name that callers may use for this pool, with its field."""
    model = pool.spec.model
    aliases = ((f"spec.model.aliases[{a}]", alias) for a, alias in enumerate(model.aliases))
    return [("metadata.name", pool.name), ("spec.model.name", model.name), *aliases]


def _pool_faults(pools: Iterable[PoolSeen]) -> Iterator[tuple[PoolSeen, list[Fault]]]:
    for pool, field, name, owner in _claims(pools):
        faults: list[Fault] = []
        if pool.name == RESERVED:  # the schema says so too, and that no model is called so
            faults.append(
                Fault("metadata.name", "NameReserved", f"{RESERVED!r} leaves the choice to the router", withheld=True)
            )
        if owner:
            faults.append(Fault(field, "NameTaken", f"{name!r} leads to the older ModelPool {owner}", withheld=True))
        yield pool, faults


def _policy_faults(policies: Iterable[PolicySeen], served: frozenset[str]) -> Iterator[tuple[PolicySeen, list[Fault]]]:
    owners: dict[str, PolicySeen] = {}
    for policy in by_age(policies):
        faults = _taken(policy, owners.setdefault(policy.name, policy), "RoutingPolicy")
        faults += [_no_pool(field, name) for field, name in _policy_pools(policy) if name not in served]
        yield policy, faults


def _policy_pools(policy: PolicySeen) -> Iterator[tuple[str, str]]:
    spec = policy.spec
    if spec.pool is not None:
        yield "spec.pool", spec.pool
    for p, name in enumerate(spec.cascade.pools if spec.cascade else ()):
        yield f"spec.cascade.pools[{p}]", name
    for c, canary in enumerate(spec.canaries):
        yield f"spec.canaries[{c}].pool", canary.pool


def _tenant_faults(tenants: Sequence[TenantSeen], served: frozenset[str], policies: Faults) -> Faults:
    found: dict[Place, list[Fault]] = {}
    owners: dict[str, TenantSeen] = {}
    holders: dict[bytes, TenantSeen] = {}
    for tenant in by_age(tenants):
        faults = _taken(tenant, owners.setdefault(tenant.name, tenant), "Tenant")
        faults += _key_faults(tenant, holders)
        faults += _policy_of_tenant_faults(tenant, policies)
        faults += [_no_pool(f"spec.pools[{p}]", name) for p, name in enumerate(tenant.spec.pools) if name not in served]
        found[place(tenant)] = faults
    _add_parent_faults({place(tenant): tenant for tenant in tenants}, found)
    return {where: tuple(faults) for where, faults in found.items()}


def _key_faults(tenant: TenantSeen, holders: dict[bytes, TenantSeen]) -> Iterator[Fault]:
    for k, digest in enumerate(tenant.digests):
        secret = tenant.spec.keys[k].secret if k < len(tenant.spec.keys) else None
        if digest is None:
            named = f"Secret {secret.name!r} has no key {secret.key!r}" if secret else "there is no such key"
            yield Fault(f"spec.keys[{k}].secret", "KeyNotFound", f"{named}; the tenant's other keys are taken")
        elif digest == _EMPTY_KEY:
            yield Fault(f"spec.keys[{k}]", "KeyEmpty", "the key is empty; the tenant's other keys are taken")
        elif (holder := holders.setdefault(digest, tenant)) is not tenant:
            message = f"the older Tenant {holder.namespace}/{holder.name} has the same key; this tenant's other keys are taken"
            yield Fault(f"spec.keys[{k}]", "KeyShared", message)


def _policy_of_tenant_faults(tenant: TenantSeen, policies: Faults) -> Iterator[Fault]:
    if (name := tenant.spec.policy) is None:
        return
    known = policies.get((tenant.namespace, name))
    if known is None:
        yield Fault("spec.policy", "PolicyNotFound", f"there is no RoutingPolicy {name!r} here; the router's own rule holds")
    elif is_withheld(known):
        yield Fault("spec.policy", "PolicyNotAccepted", f"RoutingPolicy {name!r} is not accepted; the router's own rule holds")


def _add_parent_faults(tenants: Mapping[Place, TenantSeen], found: Mapping[Place, list[Fault]]) -> None:
    """Where a budget above can't be held, the tenant is withheld: first who stands wrong itself, then whoever is below that."""
    below: dict[Place, list[Place]] = {}
    for where, tenant in tenants.items():
        if (name := tenant.spec.parent) is None:
            continue
        parent = (tenant.namespace, name)
        below.setdefault(parent, []).append(where)
        if parent not in tenants:
            found[where].append(_parent_fault("ParentNotFound", f"there is no Tenant {name!r} here, and its budget must hold"))
        elif _in_cycle(where, tenants):
            found[where].append(_parent_fault("ParentCycle", f"Tenant {name!r} has this one above it"))
    spread = [where for where, faults in found.items() if is_withheld(faults)]
    for where in spread:  # grows as it is read
        for child in below.get(where, ()):
            if not is_withheld(found[child]):
                found[child].append(
                    _parent_fault("ParentNotAccepted", f"Tenant {where[1]!r} is not accepted, and its budget must hold")
                )
                spread.append(child)


def _in_cycle(start: Place, tenants: Mapping[Place, TenantSeen]) -> bool:
    """True when the way up leads back to `start` itself; a cycle further up is not this tenant's own."""
    passed: set[Place] = set()
    where: Place | None = start
    while where is not None and where in tenants and where not in passed:
        passed.add(where)
        parent = tenants[where].spec.parent
        where = None if parent is None else (where[0], parent)
    return where == start


def _taken(seen: _A, owner: _A, kind: str) -> list[Fault]:
    if owner is seen:
        return []
    return [
        Fault("metadata.name", "NameTaken", f"the older {kind} {owner.namespace}/{owner.name} has this name", withheld=True)
    ]


def _no_pool(field: str, name: str) -> Fault:
    return Fault(field, "PoolNotFound", f"there is no accepted ModelPool {name!r}; the rest holds")


def _parent_fault(reason: str, message: str) -> Fault:
    return Fault("spec.parent", reason, message, withheld=True)
