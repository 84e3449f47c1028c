"""The rules that a whole topology must meet before the router serves it. Pure."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from math import isfinite

from router.fleet.specs import CascadeSpec, HostingSpec, PolicySpec, PoolSpec, TenantSpec, Topology, TopologyRefused

RESERVED = "auto"
SHA256_BYTES = 32
MOST_REPLICAS = 100_000
MOST_TOLD = 20  # faults in one text
MOST_FIGURE = 1e9  # of hosting; so that what is worked out of it stays a number
MOST_SAMPLES = 16  # of a cascade's pool
_LABEL = "[A-Za-z0-9_-]{1,63}"
_ADDRESS = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+(?:%\w+)?\]):(?P<port>[0-9]{{1,5}})", re.ASCII)


def check(topology: Topology) -> None:
    """Raises TopologyRefused, naming every fault, unless the router could serve exactly this."""
    pools = topology.pools
    # First and alone: whoever sends that much may have made mistakes by the million, too.
    if (replicas := sum(len(pool.replicas) for pool in pools)) > MOST_REPLICAS:
        raise TopologyRefused(f"pools: {replicas} replicas, and this router connects to at most {MOST_REPLICAS}")
    faults = [
        *_pool_faults(pools),
        *_replica_faults(pools),
        *_tenant_faults(topology.tenants),
        *_parent_faults(topology.tenants),
        *_policy_faults(topology.policies),
    ]
    if faults:
        more = [f"and {len(faults) - MOST_TOLD} more"] if len(faults) > MOST_TOLD else []
        raise TopologyRefused("\n".join([*faults[:MOST_TOLD], *more]))


def dangling(topology: Topology) -> Iterator[str]:
    """Names that lead nowhere. Not a fault: a pool may leave while its tenants stay, and they may arrive in any order."""
    pools = {pool.name for pool in topology.pools}
    tenants = {tenant.name for tenant in topology.tenants}
    policies = {policy.name for policy in topology.policies}
    for p, pool in enumerate(topology.pools):
        yield from _unknown(f"pools[{p}].prefill_pool", "pool", [pool.prefill_pool], pools)
    for t, tenant in enumerate(topology.tenants):
        yield from _unknown(f"tenants[{t}].pools", "pool", tenant.pools, pools)
        yield from _unknown(f"tenants[{t}].parent", "tenant", [tenant.parent], tenants)
        yield from _unknown(f"tenants[{t}].policy", "policy", [tenant.policy], policies)
    for p, policy in enumerate(topology.policies):
        cascade = policy.cascade.pools if policy.cascade else ()
        yield from _unknown(f"policies[{p}].pool", "pool", [policy.pool], pools)
        yield from _unknown(f"policies[{p}].cascade.pools", "pool", cascade, pools)
        yield from _unknown(f"policies[{p}].canaries", "pool", [canary.pool for canary in policy.canaries], pools)


def _unknown(path: str, kind: str, names: Iterable[str], there: Collection[str]) -> Iterator[str]:
    for name in names:
        if name and name not in there:
            yield f"{path}: there is no {kind} {name!r}"


def _pool_faults(pools: Sequence[PoolSpec]) -> Iterator[str]:
    yield from _named_twice(((f"pools[{p}].name", pool.name) for p, pool in enumerate(pools)))
    # A caller's `model` may be a pool or a served model, so one name must not lead to two pools.
    owners = {pool.name: p for p, pool in reversed(list(enumerate(pools)))}
    for p, pool in enumerate(pools):
        if not pool.models:
            yield f"pools[{p}].models: name at least one model"
        for m, model in enumerate(pool.models):
            owner = owners.setdefault(model, p)
            if owner != p:
                yield f"pools[{p}].models[{m}]: {model!r} already leads to pools[{owner}]"
        if RESERVED in (pool.name, *pool.models):
            yield f"pools[{p}]: {RESERVED!r} is how callers leave the choice to the router; no pool or model can have that name"
        for field in ("input", "cached_input", "output"):
            price = getattr(pool.prices, field)
            if not (isfinite(price) and price >= 0):
                yield f"pools[{p}].prices.{field}: {price} is not a price; give USD per million tokens, 0 or more"
        if pool.hosting is not None:
            yield from _hosting_faults(f"pools[{p}].hosting", pool.hosting)


def _hosting_faults(path: str, hosting: HostingSpec) -> Iterator[str]:
    for field, value in asdict(hosting).items():
        least = 1 if field == "pue" else 0
        if not least <= value <= MOST_FIGURE:
            yield f"{path}.{field}: {value} can't be; give a number from {least} to {MOST_FIGURE:g}"


def _replica_faults(pools: Sequence[PoolSpec]) -> Iterator[str]:
    replicas = [(f"pools[{p}].replicas[{r}]", spec) for p, pool in enumerate(pools) for r, spec in enumerate(pool.replicas)]
    yield from _named_twice((f"{path}.id", spec.id) for path, spec in replicas)
    for path, spec in replicas:
        if not is_address(spec.address):
            yield f"{path}.address: {spec.address!r} is not host:port"


def _tenant_faults(tenants: Sequence[TenantSpec]) -> Iterator[str]:
    yield from _named_twice((f"tenants[{t}].name", tenant.name) for t, tenant in enumerate(tenants))
    holders: dict[bytes, int] = {}
    for t, tenant in enumerate(tenants):
        for k, digest in enumerate(tenant.key_sha256):
            if len(digest) != SHA256_BYTES:
                yield f"tenants[{t}].key_sha256[{k}]: a SHA-256 digest has {SHA256_BYTES} bytes, this has {len(digest)}"
            elif holders.setdefault(digest, t) != t:
                yield f"tenants[{t}].key_sha256[{k}]: tenants[{holders[digest]}] has the same key"

        if not (isfinite(tenant.weight) and tenant.weight > 0):
            yield f"tenants[{t}].weight: {tenant.weight} is not a share; give a number above 0"
        if (budget := tenant.budget) is not None:
            if not (isfinite(budget.usd) and budget.usd >= 0):
                yield f"tenants[{t}].budget.usd: {budget.usd} is not an amount; give USD, 0 or more"
            if budget.hard and not budget.window:
                yield f"tenants[{t}].budget.window: a hard budget needs a window"


def _parent_faults(tenants: Sequence[TenantSpec]) -> Iterator[str]:
    """One for each circle: a budget that is above itself can't be held. Linear in the number of tenants."""
    parents = {tenant.name: tenant.parent for tenant in tenants if tenant.parent}
    index = {tenant.name: t for t, tenant in reversed(list(enumerate(tenants)))}
    done: set[str] = set()
    for start in parents:
        way: dict[str, None] = {}
        name = start
        while name in parents and name not in done and name not in way:
            way[name] = None
            name = parents[name]
        if name in way:
            circle = list(way)[list(way).index(name) :]
            yield f"tenants[{index[name]}].parent: {' → '.join(map(repr, [*circle[:MOST_TOLD], name]))} is a circle"
        done.update(way)


def _policy_faults(policies: Sequence[PolicySpec]) -> Iterator[str]:
    yield from _named_twice((f"policies[{p}].name", policy.name) for p, policy in enumerate(policies))
    for p, policy in enumerate(policies):
        for weight, value in asdict(policy.weights).items():
            if not (isfinite(value) and value >= 0):
                yield f"policies[{p}].weights.{weight}: {value} is not a weight; give a number, 0 or more"
        yield from _not_a_share(f"policies[{p}].quality_floor", policy.quality_floor or 0.0)
        yield from _not_a_share(f"policies[{p}].explore_share", policy.explore_share)
        if policy.cascade is not None:
            yield from _cascade_faults(f"policies[{p}].cascade", policy.cascade)
        if (policy.strategy == "custom") != bool(policy.custom):
            yield f"policies[{p}].custom: strategy custom needs the name of a chooser, and only it has one"
        if sum(canary.percent for canary in policy.canaries) > 100:
            yield f"policies[{p}].canaries: more than 100 percent together"


def _cascade_faults(path: str, cascade: CascadeSpec) -> Iterator[str]:
    yield from _not_a_share(f"{path}.min_confidence", cascade.min_confidence)
    if not (isfinite(limit := cascade.max_cost_usd or 0.0) and limit >= 0):
        yield f"{path}.max_cost_usd: {limit} is not an amount; give USD, 0 or more"
    if not 1 <= cascade.samples <= MOST_SAMPLES:
        yield f"{path}.samples: {cascade.samples} is not between 1 and {MOST_SAMPLES}"


def _not_a_share(path: str, given: float) -> Iterator[str]:
    if not 0 <= given <= 1:
        yield f"{path}: {given} is not between 0 and 1"


def _named_twice(names: Iterable[tuple[str, str]]) -> Iterator[str]:
    first: dict[str, str] = {}
    for path, name in names:
        if not name:
            yield f"{path}: is empty"
        elif name in first:
            yield f"{path}: {name!r} is taken by {first[name]}"
        else:
            first[name] = path


def is_address(address: str) -> bool:
    """True for host:port, also with an IPv6 host in brackets."""
    match = _ADDRESS.fullmatch(address)
    return match is not None and 0 < int(match["port"]) < 65536
