from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.feed.model import FleetSeen
from controlplane.feed.snapshot import FedReplica, build
from controlplane.feed.wire import encode
from tests.controlplane.feed.seen import digest, endpoint, policy, pool, tenant


def replicas(*seen: object) -> dict[str, tuple[FedReplica, ...]]:
    return {fed.name: fed.replicas for fed in build(FleetSeen(pools=tuple(seen))).pools}  # type: ignore[arg-type]


def test_what_is_withheld_is_not_told() -> None:
    snapshot = build(
        FleetSeen(
            pools=(pool("b"), pool("a"), pool("c", accepted=False), pool("d", created_s=2.0, model={"name": "a-model"})),
            tenants=(tenant("t"), tenant("orphan", parent="gone"), tenant("s", parent="t")),
            policies=(policy("q"), policy("p"), policy("p", namespace="other", created_s=2.0, strategy="budget")),
        )
    )
    assert [fed.name for fed in snapshot.pools] == ["a", "b"]
    assert [fed.name for fed in snapshot.tenants] == ["s", "t"]
    assert [(fed.name, fed.spec.strategy) for fed in snapshot.policies] == [("p", "balanced"), ("q", "balanced")]


def test_a_tenant_is_told_without_what_is_wrong_with_it_but_never_gets_more_than_it_names() -> None:
    fleet = FleetSeen(
        tenants=(
            tenant("new", "b", "shared", None, "", "a", "a", created_s=2.0, policy="gone", pools=["gone"]),
            tenant("old", "shared"),
        )
    )
    new, _ = build(fleet).tenants
    assert new.key_sha256 == tuple(sorted((digest("a"), digest("b"))))
    assert new.policy == ""
    assert new.spec.pools == ["gone"], "none named would be all"


def test_replicas_are_those_that_are_ready_or_end() -> None:
    seen = pool(
        "p",
        endpoint("c", "10.0.0.3", revision="r1"),
        endpoint("b", "10.0.0.2", ready=False),
        endpoint("a", "fd00::1", ready=False, terminating=True),
        endpoint("d", ""),
        endpoint("e", port=0),
    )
    assert replicas(seen) == {
        "p": (FedReplica("a", "[fd00::1]:7000", True, ""), FedReplica("c", "10.0.0.3:7000", False, "r1")),
    }


def test_a_pod_in_two_slices_is_one_replica() -> None:
    twice = (
        endpoint("a", "fd00::1"),
        endpoint("a", "10.0.0.9"),
        endpoint("a", "10.0.0.1"),
        endpoint("b", "10.0.0.2", terminating=True),
        endpoint("b", "10.0.0.3", terminating=False),
        endpoint("c", "10.0.0.4", terminating=False),
        endpoint("c", "10.0.0.4", terminating=True),
    )
    # It goes away as soon as one says so: no new requests for a pod that ends.
    expected = {
        "p": (
            FedReplica("a", "10.0.0.1:7000", False, ""),
            FedReplica("b", "10.0.0.2:7000", True, ""),
            FedReplica("c", "10.0.0.4:7000", True, ""),
        )
    }
    assert replicas(pool("p", *twice)) == replicas(pool("p", *reversed(twice))) == expected


def test_pods_of_one_name_in_two_namespaces_are_two_replicas() -> None:
    seen = (pool("p", "x"), pool("q", "x", "y", namespace="other"))
    assert [[fed.id for fed in part] for part in replicas(*seen).values()] == [["x"], ["other/x", "y"]]


NAMES = st.sampled_from(["a", "b", "c", "d"])
POOLS = st.builds(
    lambda name, namespace, created, pods: pool(name, *pods, namespace=namespace, created_s=created),
    NAMES,
    st.sampled_from(["ns", "other"]),
    st.sampled_from([1.0, 2.0]),
    st.lists(
        st.builds(
            endpoint,
            NAMES,
            st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1"]),
            ready=st.booleans(),
            terminating=st.booleans(),
        )
    ),
)
TENANTS = st.builds(
    lambda name, keys, parent, uses: tenant(name, *keys, parent=parent, pools=uses, policy="a"),
    NAMES,
    st.lists(NAMES, max_size=3),
    st.none() | NAMES,
    st.lists(NAMES, max_size=3, unique=True),
)
POLICIES = st.builds(lambda name, namespace: policy(name, namespace=namespace), NAMES, st.sampled_from(["ns", "other"]))


def unique(seen: object) -> object:
    return seen.namespace, seen.name  # type: ignore[attr-defined]


@settings(deadline=None, derandomize=True)
@given(
    st.lists(POOLS, max_size=5, unique_by=unique),
    st.lists(TENANTS, max_size=4, unique_by=unique),
    st.lists(POLICIES, max_size=4, unique_by=unique),
    st.randoms(use_true_random=False),
)
def test_equal_content_gives_equal_bytes_in_any_order(pools: list, tenants: list, policies: list, rng: Random) -> None:  # type: ignore[type-arg]
    straight = FleetSeen(tuple(pools), tuple(tenants), tuple(policies))
    endpoints = [replace(seen, endpoints=tuple(rng.sample(seen.endpoints, len(seen.endpoints)))) for seen in pools]
    shuffled = FleetSeen(*(tuple(rng.sample(part, len(part))) for part in (endpoints, tenants, policies)))
    assert encode(build(straight)) == encode(build(shuffled))


@settings(deadline=None, derandomize=True)
@given(st.lists(POOLS, max_size=5, unique_by=unique), st.lists(TENANTS, max_size=4, unique_by=unique))
def test_whatever_is_seen_names_ids_and_keys_are_unique(pools: list, tenants: list) -> None:  # type: ignore[type-arg]
    snapshot = build(FleetSeen(tuple(pools), tuple(tenants)))
    ids = [replica.id for fed in snapshot.pools for replica in fed.replicas]
    keys = [key for fed in snapshot.tenants for key in fed.key_sha256]
    names = [fed.name for fed in snapshot.pools]
    for values in (ids, keys, names, [fed.name for fed in snapshot.tenants]):
        assert len(values) == len(set(values))
    told = {fed.name for fed in snapshot.tenants}
    assert all(fed.spec.parent is None or fed.spec.parent in told for fed in snapshot.tenants), "no budget is lost"
