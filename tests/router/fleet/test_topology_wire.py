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
            weights={"quality": 1.0, "cost": 2.0, "latency": 3.0, "energy": 4.0, "carbon": 5.0},
            cascade={"pools": ["a", "b"], "min_confidence": 0.7, "max_cost_usd": 0.25},
            chunks={"enabled": False, "deadline_ms": 7, "max_tokens": 900},
            canaries=[{"pool": "c", "percent": 5}],
        )
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
            PolicyWeights(1.0, 2.0, 3.0, 4.0, 5.0),
            CascadeSpec(("a", "b"), 0.7, 0.25),
            ChunkSearchSpec(enabled=False, deadline_ms=7, max_tokens=900),
            (CanarySpec("c", 5),),
        ),
    ),
)


def test_everything_that_is_sent_arrives() -> None:
    assert decode(wire.TopologySnapshot.FromString(WHOLE.SerializeToString())) == TOPOLOGY


def test_what_is_not_sent_has_its_default() -> None:
    sparse = wire.TopologySnapshot(
        pools=[wire.Pool(name="a", tier="small", models=["m"])],
        tenants=[wire.Tenant(name="t", budget={"usd": 1.0})],
        policies=[wire.Policy(name="p", cascade={"pools": ["a", "b"], "min_confidence": 0.5}, chunks={"enabled": True})],
    )
    assert decode(sparse) == Topology(
        (PoolSpec("a", "small", ("m",), Prices(), ()),),
        (TenantSpec("t", (), budget=BudgetSpec(1.0)),),
        policies=(PolicySpec("p", cascade=CascadeSpec(("a", "b"), 0.5), chunks=ChunkSearchSpec(deadline_ms=0)),),
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
            "policies[0].strategy: 'luck' is none of balanced, qualityFloor, budget, fixed",
        ),
    ],
)
def test_words_that_this_router_does_not_know_are_refused(sent: wire.TopologySnapshot, fault: str) -> None:
    with pytest.raises(TopologyRefused) as refused:
        decode(sent)
    assert str(refused.value) == fault


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
