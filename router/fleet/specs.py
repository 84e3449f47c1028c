"""What the store is told: pools, replicas and tenants by the topology source, load by the workers. Frozen values, and the rules
that a whole topology must meet.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from router.snapshot import Prices, Tier

Phase = Literal["starting", "ready", "draining", "failed"]
RESERVED = "auto"
SHA256_BYTES = 32
_LABEL = "[A-Za-z0-9_-]{1,63}"
_ADDRESS = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+(?:%\w+)?\]):(?P<port>[0-9]{{1,5}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ReplicaSpec:
    """One worker. `address` is host:port of headgate.v1.Worker. `draining`: it is about to leave, no new requests."""

    id: str
    address: str
    draining: bool = False


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """Replicas of one model. `models` are the names that callers may use; the first is what workers are told."""

    name: str
    tier: Tier
    models: tuple[str, ...]
    prices: Prices
    replicas: tuple[ReplicaSpec, ...]


@dataclass(frozen=True, slots=True)
class TenantSpec:
    """Who may use what. `pools` empty means every pool. Keys themselves are never held, only their digests."""

    name: str
    key_sha256: tuple[bytes, ...]
    pools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Topology:
    """The whole world, as a source tells it. `version` is the source's own."""

    pools: tuple[PoolSpec, ...]
    tenants: tuple[TenantSpec, ...] = ()
    version: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says of itself; the fields of WorkerState in worker.proto, in its order. `kv_used` is 0 to 1."""

    incarnation: str
    phase: Phase
    running: int = 0
    waiting: int = 0
    max_running: int = 0
    kv_used: float = 0.0
    kv_capacity_tokens: int = 0
    kv_block_tokens: int = 0
    prompt_tokens_total: int = 0
    output_tokens_total: int = 0
    prefix_query_tokens_total: int = 0
    prefix_hit_tokens_total: int = 0
    draft_tokens_total: int = 0
    accepted_tokens_total: int = 0
    preemptions_total: int = 0
    models: tuple[str, ...] = ()
    engine: str = ""
    simulated: bool = False
    embeddings: bool = False
    max_context_tokens: int = 0
    reports_token_ids: bool = False
    cache_clears_total: int = 0
    parses_tool_calls: bool = False


class TopologyRefused(ValueError):
    """The topology contradicts itself. Each line of the text starts with the path of a key."""


def check(pools: Sequence[PoolSpec], tenants: Sequence[TenantSpec]) -> None:
    """Raises TopologyRefused, naming every fault, unless the router could serve exactly this."""
    if faults := [*_pool_faults(pools), *_replica_faults(pools), *_tenant_faults(tenants)]:
        raise TopologyRefused("\n".join(faults))


def missing_pools(pools: Sequence[PoolSpec], tenants: Sequence[TenantSpec]) -> Iterator[str]:
    """Pools that a tenant may use and that are not there. Not a fault: a pool may leave while its tenants stay."""
    there = {pool.name for pool in pools}
    for t, tenant in enumerate(tenants):
        for name in tenant.pools:
            if name not in there:
                yield f"tenants[{t}].pools: there is no pool {name!r}"


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
