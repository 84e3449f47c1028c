import math

import pytest

from controlplane.feed import wire as codec
from controlplane.feed.model import FleetSeen
from controlplane.feed.reports import MOST_REVISIONS
from controlplane.feed.snapshot import build
from headgate.v1 import topology_pb2 as wire
from tests.controlplane.feed.seen import digest, endpoint, policy, pool, tenant


def told(**seen: object) -> wire.TopologySnapshot:
    return wire.TopologySnapshot.FromString(codec.stamp(codec.encode(build(FleetSeen(**seen))), 7))  # type: ignore[arg-type]


def test_a_pool_as_routers_read_it() -> None:
    seen = pool(
        "p",
        endpoint("x", revision="r1", terminating=True),
        tier="moe",
        role="decode",
        prefillPool="pre",
        model={"name": "m", "aliases": ["z", "n"]},
        prices={"inputUsdPerMtok": 1.0, "cachedInputUsdPerMtok": 0.5, "outputUsdPerMtok": 2.0},
        hosting={
            "usdPerHour": 4.0,
            "tokensPerSecond": 900,
            "powerWatts": 700,
            "pue": 1.25,
            "carbonGPerKwh": 390,
            "waterSiteLPerKwh": 0.2,
            "waterSourceLPerKwh": 3.1,
        },
        objectives={"ttftMs": 300, "tpotMs": 20},
        coldStart={"waitSeconds": 60},
    )
    snapshot = told(pools=(seen,))
    assert snapshot.version == 7
    (read,) = snapshot.pools
    assert (read.name, read.tier, read.role, read.prefill_pool, list(read.models)) == (
        "p",
        "moe",
        "decode",
        "pre",
        ["m", "z", "n"],
    )
    prices = read.prices
    assert (prices.input_usd_per_mtok, prices.cached_input_usd_per_mtok, prices.output_usd_per_mtok) == (1.0, 0.5, 2.0)
    assert (read.ttft_ms, read.tpot_ms, read.cold_start_wait_s) == (300, 20, 60)
    assert read.hosting == wire.Hosting(
        usd_per_hour=4.0,
        tokens_per_s=900.0,
        power_w=700.0,
        pue=1.25,
        carbon_g_per_kwh=390.0,
        water_site_l_per_kwh=0.2,
        water_source_l_per_kwh=3.1,
    )
    assert list(read.replicas) == [wire.Replica(id="x", address="10.0.0.1:7000", draining=True, revision="r1")]


def test_hosting_is_told_where_it_is_given_and_without_a_throughput_that_is_to_be_measured() -> None:
    plain, hosted = told(pools=(pool("a"), pool("b", hosting={"usdPerHour": 1.0}))).pools
    assert not plain.HasField("hosting")
    assert hosted.hosting == wire.Hosting(usd_per_hour=1.0, pue=1.0)


def test_a_pool_that_refuses_while_cold_lets_nobody_wait() -> None:
    assert told(pools=(pool("p", coldStart={"policy": "Refuse"}),)).pools[0].cold_start_wait_s == 0


def test_a_tenant_as_routers_read_it() -> None:
    seen = tenant(
        "t",
        "key",
        pools=["b", "a"],
        weight=2.5,
        priority=-3,
        parent="org",
        budget={"usd": 10.0, "window": "day", "hard": True},
        policy="p",
        cacheGroup="g",
    )
    org, read = told(tenants=(seen, tenant("org")), policies=(policy("p"),)).tenants
    assert read == wire.Tenant(
        name="t",
        key_sha256=[digest("key")],
        pools=["a", "b"],
        weight=2.5,
        priority=-3,
        parent="org",
        budget=wire.Budget(usd=10.0, window="day", hard=True),
        policy="p",
        cache_group="g",
    )
    assert not org.HasField("budget")
    assert org.weight == 1.0


def test_a_policy_as_routers_read_it() -> None:
    full = policy(
        "full",
        strategy="qualityFloor",
        qualityFloor=0.0,
        weights={"quality": 1, "cost": 2, "latency": 3, "energy": 4, "carbon": 5, "water": 6},
        cascade={"pools": ["b", "a"], "minConfidence": 0.7, "maxCostUsd": 0.1, "evidence": "verifier", "samples": 2},
        chunks={"enabled": False, "deadlineMs": 9, "maxTokens": 100},
        canaries=[{"pool": "c", "percent": 5}],
        exploreShare=0.05,
    )
    plain, read = sorted(told(policies=(full, policy("a-plain", strategy="fixed", pool="x"))).policies, key=lambda p: p.name)
    assert read == wire.Policy(
        name="full",
        strategy="qualityFloor",
        quality_floor=0.0,
        weights=wire.PolicyWeights(quality=1, cost=2, latency=3, energy=4, carbon=5, water=6),
        cascade=wire.Cascade(pools=["b", "a"], min_confidence=0.7, max_cost_usd=0.1, evidence="verifier", samples=2),
        chunks=wire.ChunkSearch(enabled=False, deadline_ms=9, max_tokens=100),
        canaries=[wire.Canary(pool="c", percent=5)],
        explore_share=0.05,
    )
    assert read.HasField("quality_floor")
    assert (plain.strategy, plain.pool) == ("fixed", "x")
    assert not plain.HasField("quality_floor")
    assert not plain.HasField("cascade")
    assert (plain.chunks.enabled, plain.chunks.deadline_ms, plain.chunks.HasField("max_tokens")) == (True, 5, False)


def test_a_policy_of_ones_own() -> None:
    (read,) = told(policies=(policy("p", strategy="custom", custom="night-shift"),)).policies
    assert (read.strategy, read.custom, read.explore_share) == ("custom", "night-shift", 0.0)


@pytest.mark.parametrize("version", [0, 1, 2**63])
def test_the_version_is_added_to_encoded_content(version: int) -> None:
    body = codec.encode(build(FleetSeen(pools=(pool("p", "x"),))))
    expected = wire.TopologySnapshot.FromString(body)
    expected.version = version
    assert wire.TopologySnapshot.FromString(codec.stamp(body, version)) == expected


@pytest.mark.parametrize(
    ("said", "taken"), [(0.5, 0.5), (-1.0, 0.0), (7.0, 1.0), (math.nan, 0.0), (math.inf, 0.0), (-math.inf, 0.0)]
)
def test_figures_are_brought_into_range(said: float, taken: float) -> None:
    message = wire.RouterReport(pools=[wire.ReportedPool(pool="p", kv_used=said, oldest_wait_s=said * 1e9)])
    read = codec.report(message, frozenset({"p"})).pools["p"]
    assert read.kv_used == taken
    assert 0 <= read.oldest_wait_s <= 86_400


def test_counters_and_counts_that_cannot_be() -> None:
    big = 2**64 - 1
    message = wire.RouterReport(
        pools=[
            wire.ReportedPool(
                pool="p",
                arrivals_total=big,
                slots=2**32 - 1,
                waiting_here=2**32 - 1,
                revisions=[wire.ReportedRevision(revision="r", requests_total=big)],
            )
        ]
    )
    read = codec.report(message, frozenset({"p"})).pools["p"]
    assert read.arrivals == read.revisions["r"].requests == 2**53
    assert read.slots == read.waiting_here == 10_000_000


def test_a_router_cannot_make_us_keep_what_it_invents() -> None:
    message = wire.RouterReport(
        router_id="x" * 10_000,
        incarnation="y" * 10_000,
        pools=[wire.ReportedPool(pool=f"invented-{n}") for n in range(100)]
        + [wire.ReportedPool(pool="p", revisions=[wire.ReportedRevision(revision=f"{n}" * 1000) for n in range(100)])],
    )
    read = codec.report(message, frozenset({"p"}))
    assert set(read.pools) == {"p"}
    assert len(read.router_id) == len(read.incarnation) == 253
    assert len(read.pools["p"].revisions) == MOST_REVISIONS
    assert all(len(name) <= 253 for name in read.pools["p"].revisions)
