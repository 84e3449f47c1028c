"""The topology as the control plane sends it: TopologySnapshot of topology.proto into the store's values. Does no I/O."""

from typing import Any, get_args

from headgate.v1 import topology_pb2 as wire
from router.fleet.specs import (
    BudgetSpec,
    CanarySpec,
    CascadeSpec,
    ChunkSearchSpec,
    Evidence,
    HostingSpec,
    PolicySpec,
    PolicyWeights,
    PoolSpec,
    ReplicaSpec,
    Strategy,
    TenantSpec,
    Topology,
    TopologyRefused,
    Window,
)
from router.snapshot import Prices, Role, Tier


def decode(snapshot: wire.TopologySnapshot) -> Topology:
    """Raises TopologyRefused for a word that this router does not know; the rest is checked by the store."""
    return Topology(
        tuple(_pool(f"pools[{p}]", pool) for p, pool in enumerate(snapshot.pools)),
        tuple(_tenant(f"tenants[{t}]", tenant) for t, tenant in enumerate(snapshot.tenants)),
        snapshot.version,
        tuple(_policy(f"policies[{p}]", policy) for p, policy in enumerate(snapshot.policies)),
    )


def _pool(path: str, pool: wire.Pool) -> PoolSpec:
    price = pool.prices
    return PoolSpec(
        name=pool.name,
        tier=_word(f"{path}.tier", pool.tier, Tier),
        models=tuple(pool.models),
        prices=Prices(price.input_usd_per_mtok, price.cached_input_usd_per_mtok, price.output_usd_per_mtok),
        replicas=tuple(ReplicaSpec(each.id, each.address, each.draining, each.revision) for each in pool.replicas),
        role=_word(f"{path}.role", pool.role or "aggregated", Role),
        prefill_pool=pool.prefill_pool,
        ttft_ms=pool.ttft_ms,
        tpot_ms=pool.tpot_ms,
        cold_start_wait_s=pool.cold_start_wait_s,
        hosting=_hosting(pool.hosting) if pool.HasField("hosting") else None,
    )


def _hosting(hosting: wire.Hosting) -> HostingSpec:
    return HostingSpec(
        hosting.usd_per_hour,
        hosting.tokens_per_s,
        hosting.power_w,
        hosting.pue or 1.0,
        hosting.carbon_g_per_kwh,
        hosting.water_site_l_per_kwh,
        hosting.water_source_l_per_kwh,
    )


def _tenant(path: str, tenant: wire.Tenant) -> TenantSpec:
    budget = None
    if tenant.HasField("budget"):
        window = _word(f"{path}.budget.window", tenant.budget.window, Window)
        budget = BudgetSpec(tenant.budget.usd, window, tenant.budget.hard)
    return TenantSpec(
        name=tenant.name,
        key_sha256=tuple(tenant.key_sha256),
        pools=tuple(tenant.pools),
        weight=tenant.weight or 1.0,
        priority=tenant.priority,
        parent=tenant.parent,
        budget=budget,
        policy=tenant.policy,
        cache_group=tenant.cache_group,
    )


def _policy(path: str, policy: wire.Policy) -> PolicySpec:
    given: dict[str, Any] = {}
    if policy.HasField("weights"):
        given["weights"] = _weights(policy.weights)
    if policy.HasField("cascade"):
        given["cascade"] = _cascade(f"{path}.cascade", policy.cascade)
    if policy.HasField("chunks"):
        chunks = policy.chunks
        most_tokens = chunks.max_tokens if chunks.HasField("max_tokens") else None
        given["chunks"] = ChunkSearchSpec(chunks.enabled, chunks.deadline_ms, most_tokens)
    return PolicySpec(
        name=policy.name,
        strategy=_word(f"{path}.strategy", policy.strategy or "balanced", Strategy),
        pool=policy.pool,
        quality_floor=policy.quality_floor if policy.HasField("quality_floor") else None,
        canaries=tuple(CanarySpec(canary.pool, canary.percent) for canary in policy.canaries),
        custom=policy.custom,
        explore_share=policy.explore_share,
        **given,
    )


def _weights(weights: wire.PolicyWeights) -> PolicyWeights:
    return PolicyWeights(weights.quality, weights.cost, weights.latency, weights.energy, weights.carbon, weights.water)


def _cascade(path: str, cascade: wire.Cascade) -> CascadeSpec:
    return CascadeSpec(
        tuple(cascade.pools),
        cascade.min_confidence,
        cascade.max_cost_usd if cascade.HasField("max_cost_usd") else None,
        _word(f"{path}.evidence", cascade.evidence or "logprob", Evidence),
        cascade.samples or 3,
    )


def _word(path: str, word: str, known: Any) -> Any:
    """The word, if it is one of the words of the Literal `known`."""
    words = get_args(known)
    if word not in words:
        raise TopologyRefused(f"{path}: {word!r} is none of {', '.join(filter(None, words))}")
    return word
