"""Snapshots as bytes, made once for all routers, and reports as values in range. The only place that knows both."""

from collections.abc import Iterable
from math import isfinite

from controlplane.feed.reports import MOST_POOLS, MOST_REVISIONS, PoolReport, Report, RevisionCounts
from controlplane.feed.snapshot import FedPolicy, FedPool, FedTenant, Snapshot
from controlplane.resources.hardware import Hosting
from controlplane.resources.routing_policy import Cascade, Weights
from controlplane.resources.tenant import Budget
from headgate.v1 import inference_pb2
from headgate.v1 import topology_pb2 as wire

_LONGEST_NAME = 253
_MOST = 10_000_000  # requests, slots: beyond what any pool has
_LARGEST_COUNTER = 2**53  # exact as a float, and beyond what a router counts in its life
_LONGEST_WAIT_S = 86_400.0


def encode(snapshot: Snapshot) -> bytes:
    """The message as bytes; the same snapshot gives the same bytes."""
    return message(snapshot).SerializeToString(deterministic=True)


def message(snapshot: Snapshot) -> wire.TopologySnapshot:
    """Without a version."""
    return wire.TopologySnapshot(
        pools=map(_pool, snapshot.pools), tenants=map(_tenant, snapshot.tenants), policies=map(_policy, snapshot.policies)
    )


def stamp(body: bytes, version: int) -> bytes:
    """The encoded snapshot with its version. Fields of a message may come in pieces, so the content isn't encoded again."""
    return wire.TopologySnapshot(version=version).SerializeToString() + body


def report(told: wire.RouterReport, served: frozenset[str]) -> Report:
    """What a router said, each figure brought into range; without pools that aren't served and what is too much of anything."""
    pools = {pool.pool: _pool_report(pool) for pool in told.pools[:MOST_POOLS] if pool.pool in served}
    return Report(told.router_id[:_LONGEST_NAME], told.incarnation[:_LONGEST_NAME], told.topology_version, pools)


def _pool(pool: FedPool) -> wire.Pool:
    spec = pool.spec
    prices = spec.prices
    return wire.Pool(
        name=pool.name,
        tier=spec.tier,
        models=(spec.model.name, *spec.model.aliases),
        prices=inference_pb2.Prices(
            input_usd_per_mtok=prices.input_usd_per_mtok,
            cached_input_usd_per_mtok=prices.cached_input_usd_per_mtok,
            output_usd_per_mtok=prices.output_usd_per_mtok,
        ),
        replicas=(
            wire.Replica(id=replica.id, address=replica.address, draining=replica.draining, revision=replica.revision)
            for replica in pool.replicas
        ),
        role=spec.role,
        prefill_pool=spec.prefill_pool or "",
        ttft_ms=spec.objectives.ttft_ms,
        tpot_ms=spec.objectives.tpot_ms,
        cold_start_wait_s=spec.cold_start.wait_seconds if spec.cold_start.policy == "Wait" else 0,
        hosting=_hosting(spec.hosting) if spec.hosting else None,
    )


def _hosting(hosting: Hosting) -> wire.Hosting:
    return wire.Hosting(
        usd_per_hour=hosting.usd_per_hour,
        tokens_per_s=hosting.tokens_per_second,
        power_w=hosting.power_watts,
        pue=hosting.pue,
        carbon_g_per_kwh=hosting.carbon_g_per_kwh,
        water_site_l_per_kwh=hosting.water_site_l_per_kwh,
        water_source_l_per_kwh=hosting.water_source_l_per_kwh,
    )


def _tenant(tenant: FedTenant) -> wire.Tenant:
    spec = tenant.spec
    return wire.Tenant(
        name=tenant.name,
        key_sha256=tenant.key_sha256,
        pools=sorted(spec.pools),
        weight=spec.weight,
        priority=spec.priority,
        parent=spec.parent or "",
        budget=_budget(spec.budget) if spec.budget else None,
        policy=tenant.policy,
        cache_group=spec.cache_group or "",
    )


def _policy(policy: FedPolicy) -> wire.Policy:
    spec, chunks = policy.spec, policy.spec.chunks
    return wire.Policy(
        name=policy.name,
        strategy=spec.strategy,
        pool=spec.pool or "",
        quality_floor=spec.quality_floor,
        weights=_weights(spec.weights),
        cascade=_cascade(spec.cascade) if spec.cascade else None,
        chunks=wire.ChunkSearch(enabled=chunks.enabled, deadline_ms=chunks.deadline_ms, max_tokens=chunks.max_tokens),
        canaries=(wire.Canary(pool=canary.pool, percent=canary.percent) for canary in spec.canaries),
        custom=spec.custom or "",
        explore_share=spec.explore_share,
    )


def _weights(weights: Weights) -> wire.PolicyWeights:
    return wire.PolicyWeights(
        quality=weights.quality,
        cost=weights.cost,
        latency=weights.latency,
        energy=weights.energy,
        carbon=weights.carbon,
        water=weights.water,
    )


def _budget(budget: Budget) -> wire.Budget:
    return wire.Budget(usd=budget.usd, window=budget.window or "", hard=budget.hard)


def _cascade(cascade: Cascade) -> wire.Cascade:
    return wire.Cascade(
        pools=cascade.pools,
        min_confidence=cascade.min_confidence,
        max_cost_usd=cascade.max_cost_usd,
        evidence=cascade.evidence,
        samples=cascade.samples,
    )


def _pool_report(pool: wire.ReportedPool) -> PoolReport:
    return PoolReport(
        arrivals=_counter(pool.arrivals_total),
        answers=_counter(pool.answers_total),
        ttft_met=_counter(pool.ttft_met_total),
        tpot_met=_counter(pool.tpot_met_total),
        waiting_here=min(pool.waiting_here, _MOST),
        oldest_wait_s=_within(pool.oldest_wait_s, _LONGEST_WAIT_S),
        ready=min(pool.ready, _MOST),
        waiting_there=min(pool.waiting_there, _MOST),
        running=min(pool.running, _MOST),
        slots=min(pool.slots, _MOST),
        kv_used=_within(pool.kv_used, 1.0),
        revisions=_revisions(pool.revisions),
    )


def _revisions(told: Iterable[wire.ReportedRevision]) -> dict[str, RevisionCounts]:
    counts: dict[str, RevisionCounts] = {}
    for revision in told:
        if len(counts) == MOST_REVISIONS:
            break
        counts[revision.revision[:_LONGEST_NAME]] = RevisionCounts(
            requests=_counter(revision.requests_total),
            errors=_counter(revision.errors_total),
            prefix_query_tokens=_counter(revision.prefix_query_tokens_total),
            prefix_hit_tokens=_counter(revision.prefix_hit_tokens_total),
        )
    return counts


def _counter(told: int) -> int:
    return min(told, _LARGEST_COUNTER)


def _within(told: float, most: float) -> float:
    return min(max(told, 0.0), most) if isfinite(told) else 0.0
