import dataclasses
from collections.abc import Sequence

import pytest

from headgate.v1 import worker_pb2
from router.fleet.specs import PoolSpec, ReplicaSpec, Report, TenantSpec, TopologyRefused, check, is_address, missing_pools
from router.snapshot import Prices
from tests.router.fleet.given import pool

A, B = bytes(32), bytes(31) + b"b"


def test_a_report_has_the_fields_of_the_wire_in_its_order() -> None:
    assert [field.name for field in dataclasses.fields(Report)] == [f.name for f in worker_pb2.WorkerState.DESCRIPTOR.fields]


def test_a_pool_may_bear_the_name_of_its_own_model_and_two_pools_may_share_a_worker() -> None:
    shared = "127.0.0.1:1"
    pools = [pool("x", ReplicaSpec("x-0", shared), models=("x", "y")), pool("z", ReplicaSpec("z-0", shared))]
    check(pools, [TenantSpec("a", (A,)), TenantSpec("b", (B,), ("x",))])


@pytest.mark.parametrize(
    ("pools", "tenants", "fault"),
    [
        ([pool("a"), pool("a", models=("n",))], [], "pools[1].name: 'a' is taken by pools[0].name"),
        ([pool("")], [], "pools[0].name: is empty"),
        ([pool("a", "r"), pool("b", "r")], [], "pools[1].replicas[0].id: 'r' is taken by pools[0].replicas[0].id"),
        ([pool("a", models=("m",)), pool("b", models=("k", "m"))], [], "pools[1].models[1]: 'm' already leads to pools[0]"),
        ([pool("a", models=("b",)), pool("b")], [], "pools[0].models[0]: 'b' already leads to pools[1]"),
        ([pool("a", models=())], [], "pools[0].models: name at least one model"),
        ([pool("auto")], [], "pools[0]: 'auto' is how callers leave the choice"),
        ([pool("a", models=("m", "auto"))], [], "pools[0]: 'auto' is how callers leave the choice"),
        ([pool("a", prices=Prices(output=-1.0))], [], "pools[0].prices.output: -1.0 is not a price"),
        ([pool("a", prices=Prices(input=float("nan")))], [], "pools[0].prices.input: nan is not a price"),
        ([pool("a", ReplicaSpec("r", "nowhere"))], [], "pools[0].replicas[0].address: 'nowhere' is not host:port"),
        ([], [TenantSpec("t", (A,)), TenantSpec("t", (B,))], "tenants[1].name: 't' is taken by tenants[0].name"),
        ([], [TenantSpec("t", (b"short",))], "tenants[0].key_sha256[0]: a SHA-256 digest has 32 bytes, this has 5"),
        ([], [TenantSpec("t", (A,)), TenantSpec("u", (B, A))], "tenants[1].key_sha256[1]: tenants[0] has the same key"),
    ],
)
def test_a_topology_that_contradicts_itself_is_refused(
    pools: Sequence[PoolSpec], tenants: Sequence[TenantSpec], fault: str
) -> None:
    with pytest.raises(TopologyRefused) as refused:
        check(pools, tenants)
    assert str(refused.value).startswith(fault)


def test_every_fault_is_named() -> None:
    with pytest.raises(TopologyRefused) as refused:
        check([pool("auto", ReplicaSpec("r", "x"))], [TenantSpec("", ())])
    assert len(str(refused.value).splitlines()) == 3


def test_a_tenant_may_name_a_pool_that_is_not_there_now() -> None:
    assert list(missing_pools([pool("a")], [TenantSpec("t", (A,), ("a", "b"))])) == ["tenants[0].pools: there is no pool 'b'"]


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "worker-0.pool.svc.cluster.local.:65535", "a_b:80", "[::1]:50051", "[fe80::1%eth0]:1"]
)
def test_addresses(address: str) -> None:
    assert is_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        ":1",
        "a",
        "a:",
        "a:0",
        "a:65536",
        "a:x",
        "a:１",
        "::1:80",
        "[]:1",
        "[x:80",
        "a b:1",
        "http://a:1",
        "bücher:1",
        "a..b:1",
        f"{'a' * 64}:1",
        "a:1\n",
    ],
)
def test_no_addresses(address: str) -> None:
    assert not is_address(address)
