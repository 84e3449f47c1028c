import itertools
from collections.abc import Sequence

import pytest

from router.fleet.checks import MOST_REPLICAS, MOST_TOLD, check, dangling, is_address
from router.fleet.specs import (
    BudgetSpec,
    CanarySpec,
    CascadeSpec,
    HostingSpec,
    PolicySpec,
    PolicyWeights,
    PoolSpec,
    ReplicaSpec,
    TenantSpec,
    Topology,
    TopologyRefused,
)
from router.snapshot import Prices
from tests.router.fleet.given import pool

A, B = bytes(32), bytes(31) + b"b"


def test_a_pool_may_bear_the_name_of_its_own_model_and_two_pools_may_share_a_worker() -> None:
    shared = "127.0.0.1:1"
    pools = [pool("x", ReplicaSpec("x-0", shared), models=("x", "y")), pool("z", ReplicaSpec("z-0", shared))]
    check(Topology(tuple(pools), (TenantSpec("a", (A,)), TenantSpec("b", (B,), ("x",)))))


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
        ([pool("a", hosting=HostingSpec(usd_per_hour=-1.0))], [], "pools[0].hosting.usd_per_hour: -1.0 can't be"),
        ([pool("a", hosting=HostingSpec(power_w=float("inf")))], [], "pools[0].hosting.power_w: inf can't be"),
        ([pool("a", hosting=HostingSpec(pue=0.99))], [], "pools[0].hosting.pue: 0.99 can't be; give a number from 1 to 1e+09"),
        ([pool("a", hosting=HostingSpec(power_w=1e300))], [], "pools[0].hosting.power_w: 1e+300 can't be"),
        ([pool("a", hosting=HostingSpec(pue=float("nan")))], [], "pools[0].hosting.pue: nan can't be"),
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
        check(Topology(tuple(pools), tuple(tenants)))
    assert str(refused.value).startswith(fault)


def test_every_fault_is_named() -> None:
    with pytest.raises(TopologyRefused) as refused:
        check(Topology((pool("auto", ReplicaSpec("r", "x")),), (TenantSpec("", ()),)))
    assert len(str(refused.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("tenant", "fault"),
    [
        (TenantSpec("t", (A,), weight=0.0), "tenants[0].weight: 0.0 is not a share"),
        (TenantSpec("t", (A,), weight=float("inf")), "tenants[0].weight: inf is not a share"),
        (TenantSpec("t", (A,), budget=BudgetSpec(-1.0)), "tenants[0].budget.usd: -1.0 is not an amount"),
        (TenantSpec("t", (A,), budget=BudgetSpec(float("nan"))), "tenants[0].budget.usd: nan is not an amount"),
        (TenantSpec("t", (A,), budget=BudgetSpec(1.0, hard=True)), "tenants[0].budget.window: a hard budget needs a window"),
        (TenantSpec("t", (A,), parent="t"), "tenants[0].parent: 't' → 't' is a circle"),
    ],
)
def test_tenants_that_make_no_sense_are_refused(tenant: TenantSpec, fault: str) -> None:
    with pytest.raises(TopologyRefused) as refused:
        check(Topology((), (tenant,)))
    assert str(refused.value).startswith(fault)


def test_a_hard_budget_of_nothing_and_one_without_a_window_that_is_soft_are_fine() -> None:
    check(
        Topology(
            (), (TenantSpec("t", (A,), budget=BudgetSpec(0.0, "day", hard=True)), TenantSpec("u", (B,), budget=BudgetSpec(0.0)))
        )
    )


def chain(*names: str) -> list[TenantSpec]:
    """Each under the next."""
    return [TenantSpec(name, (), parent=parent) for name, parent in itertools.pairwise(names)]


@pytest.mark.parametrize(
    ("tenants", "faults"),
    [
        ([*chain("a", "b", "c"), TenantSpec("c", ())], []),
        (chain("a", "b", "nobody"), []),
        (chain("a", "b", "c", "a"), ["tenants[0].parent: 'a' → 'b' → 'c' → 'a' is a circle"]),
        # Who stands below a circle is no part of it, wherever the search begins.
        (chain("x", "y", "a", "b", "a"), ["tenants[2].parent: 'a' → 'b' → 'a' is a circle"]),
        (
            [*chain("a", "b", "a"), *chain("x", "a"), *chain("c", "d", "c")],
            ["tenants[0].parent: 'a' → 'b' → 'a' is a circle", "tenants[3].parent: 'c' → 'd' → 'c' is a circle"],
        ),
    ],
)
def test_each_circle_of_parents_is_told_once(tenants: list[TenantSpec], faults: list[str]) -> None:
    told = []
    try:
        check(Topology((), tuple(tenants)))
    except TopologyRefused as refused:
        told = str(refused).splitlines()
    assert told == faults


def test_a_long_chain_and_a_long_circle_of_parents() -> None:
    names = [f"t{n}" for n in range(20_000)]
    check(Topology((), (*chain(*names), TenantSpec(names[-1], ()))))
    with pytest.raises(TopologyRefused) as refused:
        check(Topology((), tuple(chain(*names, names[0]))))
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    ("policy", "fault"),
    [
        (PolicySpec("p", weights=PolicyWeights(cost=-1.0)), "policies[0].weights.cost: -1.0 is not a weight"),
        (PolicySpec("p", weights=PolicyWeights(energy=float("nan"))), "policies[0].weights.energy: nan is not a weight"),
        (PolicySpec("p", quality_floor=1.5), "policies[0].quality_floor: 1.5 is not between 0 and 1"),
        (PolicySpec("p", quality_floor=float("nan")), "policies[0].quality_floor: nan is not between 0 and 1"),
        (PolicySpec("p", cascade=CascadeSpec(("a", "b"), -0.1)), "policies[0].cascade.min_confidence: -0.1 is not between"),
        (
            PolicySpec("p", cascade=CascadeSpec(("a", "b"), 0.5, -1.0)),
            "policies[0].cascade.max_cost_usd: -1.0 is not an amount",
        ),
        (PolicySpec("p", canaries=(CanarySpec("a", 60), CanarySpec("b", 41))), "policies[0].canaries: more than 100 percent"),
        (PolicySpec(""), "policies[0].name: is empty"),
        (PolicySpec("p", weights=PolicyWeights(water=float("inf"))), "policies[0].weights.water: inf is not a weight"),
        (PolicySpec("p", explore_share=1.01), "policies[0].explore_share: 1.01 is not between 0 and 1"),
        (PolicySpec("p", explore_share=float("nan")), "policies[0].explore_share: nan is not between 0 and 1"),
        (PolicySpec("p", cascade=CascadeSpec(("a", "b"), samples=0)), "policies[0].cascade.samples: 0 is not between 1 and 16"),
        (PolicySpec("p", cascade=CascadeSpec(("a", "b"), samples=17)), "policies[0].cascade.samples: 17 is not between"),
        (PolicySpec("p", "custom"), "policies[0].custom: strategy custom needs the name of a chooser, and only it has one"),
        (PolicySpec("p", "budget", custom="x"), "policies[0].custom: strategy custom needs the name of a chooser"),
    ],
)
def test_policies_that_make_no_sense_are_refused(policy: PolicySpec, fault: str) -> None:
    with pytest.raises(TopologyRefused) as refused:
        check(Topology((), policies=(policy,)))
    assert str(refused.value).startswith(fault)


def test_a_policy_with_everything_is_fine() -> None:
    cascade, canaries = CascadeSpec(("a", "b"), 1.0, 0.5), (CanarySpec("a", 50), CanarySpec("b", 50))
    check(Topology((), policies=(PolicySpec("p", "qualityFloor", "a", 0.0, cascade=cascade, canaries=canaries),)))
    check(Topology((), policies=(PolicySpec("p", "custom", cascade=cascade, custom="mine", explore_share=1.0),)))


def test_more_replicas_than_connections_can_be_held_are_refused_before_anything_else() -> None:
    same = tuple(ReplicaSpec("same", "nowhere") for _ in range(MOST_REPLICAS + 1))
    with pytest.raises(TopologyRefused) as refused:
        check(Topology((pool("a", *same),)))
    assert str(refused.value) == f"pools: {MOST_REPLICAS + 1} replicas, and this router connects to at most {MOST_REPLICAS}"


def test_a_text_of_faults_is_bounded() -> None:
    same = tuple(ReplicaSpec("same", "nowhere") for _ in range(MOST_TOLD))
    with pytest.raises(TopologyRefused) as refused:
        check(Topology((pool("a", *same),)))
    lines = str(refused.value).splitlines()
    assert (len(lines), lines[-1]) == (MOST_TOLD + 1, f"and {MOST_TOLD - 1} more")


def test_names_that_lead_nowhere_are_told_and_are_no_fault() -> None:
    topology = Topology(
        (pool("a"), pool("b", role="decode", prefill_pool="w")),
        (TenantSpec("t", (A,), ("a", "x"), parent="u", policy="q"), TenantSpec("s", (B,), parent="t", policy="p")),
        policies=(
            PolicySpec("p", pool="a", cascade=CascadeSpec(("a", "y"))),
            PolicySpec("o", pool="z", canaries=(CanarySpec("v", 1),)),
        ),
    )
    check(topology)
    assert list(dangling(topology)) == [
        "pools[1].prefill_pool: there is no pool 'w'",
        "tenants[0].pools: there is no pool 'x'",
        "tenants[0].parent: there is no tenant 'u'",
        "tenants[0].policy: there is no policy 'q'",
        "policies[0].cascade.pools: there is no pool 'y'",
        "policies[1].pool: there is no pool 'z'",
        "policies[1].canaries: there is no pool 'v'",
    ]


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
