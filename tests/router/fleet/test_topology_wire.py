from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from headgate.v1 import topology_pb2 as wire
from router.fleet.specs import (
    BudgetSpec,
    CanarySpec,
    CascadeSpec,
    ChunkSearchSpec,
    HostingSpec,
    PolicySpec,
    PolicyWeights,
    PoolSpec,
    ReplicaSpec,
    TenantSpec,
    Topology,
    TopologyRefused,
)
from router.fleet.topology_wire import decode
from router.snapshot import Prices
from tests.router.fleet.control_plane import snapshot
from tests.router.fleet.given import store

WHOLE = wire.TopologySnapshot(
    version=12,
    pools=[
        wire.Pool(
            name="small",
            tier="moe",
            models=["m", "n"],
            prices={"input_usd_per_mtok": 1.0, "cached_input_usd_per_mtok": 0.5, "output_usd_per_mtok": 2.0},
            replicas=[wire.Replica(id="r", address="h:1", draining=True, revision="abc")],
            role="decode",
            prefill_pool="p",
            ttft_ms=500,
            tpot_ms=40,
            cold_start_wait_s=60,
            hosting={
                "usd_per_hour": 4.0,
                "tokens_per_s": 900.0,
                "power_w": 700.0,
                "pue": 1.25,
                "carbon_g_per_kwh": 390.0,
                "water_site_l_per_kwh": 0.2,
                "water_source_l_per_kwh": 3.1,
            },
        )
    ],
    tenants=[
        wire.Tenant(
            name="t",
            key_sha256=[bytes(32)],
            pools=["small"],
            weight=2.0,
            priority=-3,
            parent="u",
            budget={"usd": 5.0, "window": "day", "hard": True},
            policy="thrifty",
            cache_group="g",
        )
    ],
    policies=[
        wire.Policy(
            name="thrifty",
            strategy="qualityFloor",
            pool="small",
            quality_floor=0.0,
            weights={"quality": 1.0, "cost": 2.0, "latency": 3.0, "energy": 4.0, "carbon": 5.0, "water": 6.0},
            cascade={
                "pools": ["a", "b"],
                "min_confidence": 0.7,
                "max_cost_usd": 0.25,
                "evidence": "agreement",
                "samples": 5,
            },
            chunks={"enabled": False, "deadline_ms": 7, "max_tokens": 900},
            canaries=[{"pool": "c", "percent": 5}],
            explore_share=0.05,
        ),
        wire.Policy(
            name="own",
            strategy="custom",
            custom="night-shift",
            weights={"quality": 1.0},
            cascade={"pools": ["a", "b"], "evidence": "verifier", "samples": 1},
            chunks={"enabled": True, "deadline_ms": 5},
        ),
    ],
)

TOPOLOGY = Topology(
    (
        PoolSpec(
            "small",
            "moe",
            ("m", "n"),
            Prices(1.0, 0.5, 2.0),
            (ReplicaSpec("r", "h:1", draining=True, revision="abc"),),
            "decode",
            "p",
            500,
            40,
            60,
            HostingSpec(4.0, 900.0, 700.0, 1.25, 390.0, 0.2, 3.1),
        ),
    ),
    (TenantSpec("t", (bytes(32),), ("small",), 2.0, -3, "u", BudgetSpec(5.0, "day", hard=True), "thrifty", "g"),),
    12,
    (
        PolicySpec(
            "thrifty",
            "qualityFloor",
            "small",
            0.0,
            PolicyWeights(1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
            CascadeSpec(("a", "b"), 0.7, 0.25, "agreement", 5),
            ChunkSearchSpec(enabled=False, deadline_ms=7, max_tokens=900),
            (CanarySpec("c", 5),),
            explore_share=0.05,
        ),
        PolicySpec(
            "own",
            "custom",
            weights=PolicyWeights(1.0, 0.0, 0.0),
            cascade=CascadeSpec(("a", "b"), 0.0, evidence="verifier", samples=1),
            custom="night-shift",
        ),
    ),
)


def test_everything_that_is_sent_arrives() -> None:
    assert decode(wire.TopologySnapshot.FromString(WHOLE.SerializeToString())) == TOPOLOGY


def test_what_is_not_sent_has_its_default() -> None:
    sparse = wire.TopologySnapshot(
        pools=[wire.Pool(name="a", tier="small", models=["m"]), wire.Pool(name="b", tier="moe", models=["n"], hosting={})],
        tenants=[wire.Tenant(name="t", budget={"usd": 1.0})],
        policies=[wire.Policy(name="p", cascade={"pools": ["a", "b"], "min_confidence": 0.5}, chunks={"enabled": True})],
    )
    assert decode(sparse) == Topology(
        (
            PoolSpec("a", "small", ("m",), Prices(), ()),
            PoolSpec("b", "moe", ("n",), Prices(), (), hosting=HostingSpec(pue=1.0)),
        ),
        (TenantSpec("t", (), budget=BudgetSpec(1.0)),),
        policies=(
            PolicySpec("p", cascade=CascadeSpec(("a", "b"), 0.5, None, "logprob", 3), chunks=ChunkSearchSpec(deadline_ms=0)),
        ),
    )


@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        (snapshot(1, "a", tier="huge"), "pools[0].tier: 'huge' is none of small, large, moe"),
        (snapshot(1, "a", role="both"), "pools[0].role: 'both' is none of aggregated, prefill, decode"),
        (
            wire.TopologySnapshot(tenants=[wire.Tenant(name="t", budget={"window": "year"})]),
            "tenants[0].budget.window: 'year' is none of hour, day, week, month",
        ),
        (
            wire.TopologySnapshot(policies=[wire.Policy(name="p", strategy="luck")]),
            "policies[0].strategy: 'luck' is none of balanced, qualityFloor, budget, fixed, custom",
        ),
        (
            wire.TopologySnapshot(policies=[wire.Policy(name="p", cascade={"pools": ["a", "b"], "evidence": "mood"})]),
            "policies[0].cascade.evidence: 'mood' is none of logprob, agreement, verifier",
        ),
    ],
)
def test_words_that_this_router_does_not_know_are_refused(sent: wire.TopologySnapshot, fault: str) -> None:
    with pytest.raises(TopologyRefused) as refused:
        decode(sent)
    assert str(refused.value) == fault


def test_the_sample_of_these_tests_can_be_served() -> None:
    """Or the mutants below would all be refused for the same reason."""
    fleet = store()
    fleet.apply_topology(TOPOLOGY.pools, TOPOLOGY.tenants, TOPOLOGY.version, TOPOLOGY.policies)
    assert fleet.policies == TOPOLOGY.policies


def mutated(message: bytes) -> Any:
    """Messages that were nearly right: a few bytes of a good one replaced, or its end cut off."""
    edits = st.lists(st.tuples(st.integers(0, len(message) - 1), st.integers(0, 255)), max_size=6)

    def apply(changes: list[tuple[int, int]], keep: int) -> bytes:
        raw = bytearray(message)
        for at, value in changes:
            raw[at] = value
        return bytes(raw[:keep])

    return st.builds(apply, edits, st.integers(0, len(message)))


@given(mutated(WHOLE.SerializeToString()))
def test_whatever_is_sent_is_taken_or_refused(sent: bytes) -> None:
    """And what is taken can be served from: the view is made of it."""
    fleet = store()
    try:
        topology = decode(wire.TopologySnapshot.FromString(sent))
        fleet.apply_topology(topology.pools, topology.tenants, topology.version, topology.policies)
    except (DecodeError, TopologyRefused):
        assert fleet.view().pools == ()
    else:
        assert len(fleet.view().pools) == len(topology.pools)
