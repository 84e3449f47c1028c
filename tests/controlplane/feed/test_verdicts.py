from random import Random

import pytest

from controlplane.feed.model import Fault, FleetSeen, PoolSeen
from controlplane.feed.verdicts import Verdicts, judge, name_owners
from tests.controlplane.feed.seen import policy, pool, tenant


def judged(*seen: object) -> Verdicts:
    """In any order: the verdict must not depend on it."""
    parts: dict[str, list[object]] = {"PoolSeen": [], "TenantSeen": [], "PolicySeen": []}
    for one in Random(5).sample(seen, len(seen)):
        parts[type(one).__name__].append(one)
    return judge(FleetSeen(*(tuple(part) for part in parts.values())))  # type: ignore[arg-type]


def brief(faults: tuple[Fault, ...]) -> list[tuple[str, str, bool]]:
    return [(fault.field, fault.reason, fault.withheld) for fault in faults]


def test_all_is_well() -> None:
    found = judged(
        pool("small"),
        pool("large"),
        policy("p", strategy="fixed", pool="large", canaries=[{"pool": "small", "percent": 5}]),
        tenant("org", "a"),
        tenant("team", "b", "c", parent="org", policy="p", pools=["small", "large"]),
    )
    assert found == Verdicts(
        {("ns", "small"): (), ("ns", "large"): ()}, {("ns", "org"): (), ("ns", "team"): ()}, {("ns", "p"): ()}
    )


@pytest.mark.parametrize(
    ("younger", "field"),
    [
        (pool("small", created_s=2.0, namespace="other"), "metadata.name"),
        (pool("b", created_s=2.0, model={"name": "small-model"}), "spec.model.name"),
        (pool("b", created_s=2.0, model={"name": "small"}), "spec.model.name"),  # a pool's name is asked for like a model's
        (pool("b", created_s=2.0, model={"name": "m", "aliases": ["free", "alias"]}), "spec.model.aliases[1]"),
        (pool("alias", created_s=2.0), "metadata.name"),
    ],
)
def test_the_older_pool_has_a_name(younger: PoolSeen, field: str) -> None:
    older = pool("small", model={"name": "small-model", "aliases": ["alias"]})
    found = judged(younger, older)
    assert found.pools["ns", "small"] == ()
    assert brief(found.pools[younger.namespace, younger.name]) == [(field, "NameTaken", True)]
    assert "ModelPool ns/small" in found.pools[younger.namespace, younger.name][0].message
    assert name_owners([younger, older]) == {(younger.namespace, younger.name): "ns/small"}


def test_of_the_same_second_the_first_name_has_it() -> None:
    twins = [pool("b", model={"name": "m"}), pool("a", model={"name": "m"})]
    assert name_owners(twins) == name_owners(twins[::-1]) == {("ns", "b"): "ns/a"}


def test_a_pool_that_lost_holds_none_of_its_names() -> None:
    first, second, third = (
        pool("a", created_s=1, model={"name": "m"}),
        pool("b", created_s=2, model={"name": "m", "aliases": ["x"]}),
        pool("c", created_s=3, model={"name": "x"}),
    )
    assert name_owners([first, second, third]) == {("ns", "b"): "ns/a"}


def test_a_pool_that_is_not_accepted_keeps_its_names_from_younger_ones() -> None:
    broken, younger = pool("a", accepted=False, model={"name": "m"}), pool("b", created_s=2.0, model={"name": "m"})
    assert name_owners([broken, younger]) == {("ns", "b"): "ns/a"}


def test_auto_is_the_routers() -> None:
    assert brief(judged(pool("auto")).pools["ns", "auto"]) == [("metadata.name", "NameReserved", True)]


def test_pools_that_are_not_there_are_named_and_the_rest_holds() -> None:
    found = judged(
        pool("small"),
        pool("broken", accepted=False),
        policy("p", canaries=[{"pool": "small", "percent": 1}, {"pool": "gone", "percent": 1}]),
        policy("c", cascade={"pools": ["small", "broken"]}),
        policy("f", strategy="fixed", pool="gone"),
        tenant("t", pools=["small", "gone"], policy="p"),
    )
    assert brief(found.policies["ns", "p"]) == [("spec.canaries[1].pool", "PoolNotFound", False)]
    assert brief(found.policies["ns", "c"]) == [("spec.cascade.pools[1]", "PoolNotFound", False)]
    assert brief(found.policies["ns", "f"]) == [("spec.pool", "PoolNotFound", False)]
    assert brief(found.tenants["ns", "t"]) == [("spec.pools[1]", "PoolNotFound", False)]


def test_names_of_tenants_and_policies_are_the_older_ones_over_all_namespaces() -> None:
    found = judged(
        tenant("t"),
        tenant("t", created_s=0.5, namespace="other"),
        policy("p", created_s=2.0),
        policy("p", namespace="other"),
    )
    assert brief(found.tenants["ns", "t"]) == [("metadata.name", "NameTaken", True)]
    assert found.tenants["other", "t"] == ()
    assert brief(found.policies["ns", "p"]) == [("metadata.name", "NameTaken", True)]
    assert found.policies["other", "p"] == ()


def test_a_key_belongs_to_the_older_tenant() -> None:
    found = judged(tenant("new", "mine", "shared", created_s=2.0), tenant("old", "shared", "shared"))
    assert brief(found.tenants["ns", "new"]) == [("spec.keys[1]", "KeyShared", False)]
    assert found.tenants["ns", "old"] == ()


def test_keys_that_are_missing_or_empty() -> None:
    found = judged(tenant("t", None, "", "good"))
    assert brief(found.tenants["ns", "t"]) == [
        ("spec.keys[0].secret", "KeyNotFound", False),
        ("spec.keys[1]", "KeyEmpty", False),
    ]
    assert "Secret 'keys' has no key 'k0'" in found.tenants["ns", "t"][0].message


def test_a_policy_is_looked_for_in_the_tenants_namespace() -> None:
    found = judged(
        policy("p", namespace="other"),
        policy("twice", namespace="other"),
        policy("twice", created_s=2.0),
        tenant("t", policy="p"),
        tenant("u", policy="twice"),
    )
    assert brief(found.tenants["ns", "t"]) == [("spec.policy", "PolicyNotFound", False)]
    assert brief(found.tenants["ns", "u"]) == [("spec.policy", "PolicyNotAccepted", False)]


def test_a_tenant_whose_parents_budget_cannot_hold_is_withheld_and_so_is_all_below() -> None:
    found = judged(
        tenant("org", namespace="other"),
        tenant("orphan", parent="org"),
        tenant("child", parent="orphan"),
        tenant("grandchild", parent="child"),
        tenant("a", parent="b"),
        tenant("b", parent="c"),
        tenant("c", parent="a"),
        tenant("below", parent="a"),
        tenant("self", parent="self"),
        tenant("well"),
    )
    reasons = {name: brief(faults) for (_, name), faults in found.tenants.items()}
    assert reasons["orphan"] == [("spec.parent", "ParentNotFound", True)]
    assert reasons["child"] == reasons["grandchild"] == reasons["below"] == [("spec.parent", "ParentNotAccepted", True)]
    assert reasons["a"] == reasons["b"] == reasons["c"] == reasons["self"] == [("spec.parent", "ParentCycle", True)]
    assert reasons["well"] == reasons["org"] == []


def test_messages_hold_no_keys() -> None:
    found = judged(tenant("a", "secret-key"), tenant("b", "secret-key", "", None, created_s=2.0))
    assert "secret-key" not in repr(found)
