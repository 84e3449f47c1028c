"""API keys: who is let in as whom, and that nothing tells a key."""

import hashlib
from dataclasses import dataclass, replace

import pytest

from router.admission.keys import ANONYMOUS, Keyring
from router.errors import Unauthenticated
from router.fleet.specs import BudgetSpec
from router.snapshot import Budget, Tenant


@dataclass(frozen=True)
class Spec:
    name: str
    key_sha256: tuple[bytes, ...] = ()
    pools: tuple[str, ...] = ()
    cache_group: str = ""
    parent: str = ""
    policy: str = ""
    budget: BudgetSpec | None = None


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


RED = Spec("red", (digest("key-red"), digest("key-red-2")), ("small",))
BLUE = Spec("blue", (digest("key-blüe"),))


def test_no_tenant_configured_is_open_to_everybody() -> None:
    ring = Keyring(())
    assert ring.open
    assert ring.tenant_for(None) == ring.tenant_for("whatever") == ANONYMOUS == Tenant("anonymous")


def test_tenants_whose_keys_are_missing_shut_the_door() -> None:
    ring = Keyring((Spec("red", ()),))
    assert not ring.open
    for bearer in (None, "whatever"):
        with pytest.raises(Unauthenticated):
            ring.tenant_for(bearer)


@pytest.mark.parametrize(
    ("bearer", "tenant"),
    [
        ("key-red", Tenant("red", frozenset({"small"}))),
        ("key-red-2", Tenant("red", frozenset({"small"}))),
        ("key-blüe", Tenant("blue")),
    ],
)
def test_each_key_names_its_tenant(bearer: str, tenant: Tenant) -> None:
    ring = Keyring((RED, BLUE))
    assert not ring.open
    assert replace(ring.tenant_for(bearer), cache_salt="") == tenant


def test_cached_kv_is_shared_within_a_group_and_else_by_nobody() -> None:
    keys = {name: (digest(name),) for name in ("a", "b", "c", "g", "tenant a")}
    ring = Keyring(
        (
            Spec("a", keys["a"]),
            Spec("b", keys["b"], cache_group="g"),
            Spec("c", keys["c"], cache_group="g"),
            Spec("g", keys["g"]),
            Spec("d", keys["tenant a"], cache_group="tenant a"),
        )
    )
    salts = {name: ring.tenant_for(name).cache_salt for name in keys}
    assert salts["b"] == salts["c"]
    assert len(set(salts.values())) == 4
    assert {len(salt) for salt in salts.values()} == {32}
    assert ANONYMOUS.cache_salt == ""


@pytest.mark.parametrize(
    "bearer", [None, "", "key-re", "key-red ", "KEY-RED", "\udcff", "x" * 100_000, digest("key-red").hex()]
)
def test_anything_else_is_refused_and_not_repeated(bearer: str | None) -> None:
    with pytest.raises(Unauthenticated) as refused:
        Keyring((RED, BLUE)).tenant_for(bearer)
    assert "API key" in refused.value.message
    assert not bearer or bearer not in refused.value.message


def test_the_ring_keeps_no_key() -> None:
    ring = Keyring((RED,))
    ring.tenant_for("key-red")
    assert "key-red" not in repr(vars(ring))


def test_one_key_of_two_tenants_is_a_fault_of_the_topology() -> None:
    with pytest.raises(ValueError, match="red and thief hold the same API key"):
        Keyring((RED, Spec("thief", RED.key_sha256)))
    assert Keyring((Spec("red", (digest("a"), digest("a"))),)).tenant_for("a").name == "red"


def budgets_of(ring: Keyring, key: str) -> tuple[Budget, ...]:
    return ring.tenant_for(key).budgets


def test_the_budgets_of_those_above_hold_too_own_first() -> None:
    ring = Keyring(
        (
            Spec("org", budget=BudgetSpec(100.0, "month", hard=True)),
            Spec("team", (digest("team"),), parent="org"),  # none of its own
            Spec("key", (digest("key"),), parent="team", policy="cheap", budget=BudgetSpec(1.0, "hour")),
            Spec("free", (digest("free"),)),
        )
    )
    org, own = Budget("org", 100.0, "month", hard=True), Budget("key", 1.0, "hour")
    assert budgets_of(ring, "key") == (own, org)
    assert budgets_of(ring, "team") == (org,)
    assert budgets_of(ring, "free") == ()
    assert ring.tenant_for("key").policy == "cheap"


def test_a_parent_that_is_not_there_lets_nothing_be_spent() -> None:
    ring = Keyring((Spec("key", (digest("key"),), parent="gone", budget=BudgetSpec(1.0)),))
    assert budgets_of(ring, "key") == (Budget("key", 1.0), Budget("gone", 0.0, hard=True))


def test_a_circle_of_parents_ends() -> None:
    ring = Keyring(
        (
            Spec("a", (digest("a"),), parent="b", budget=BudgetSpec(1.0)),
            Spec("b", (digest("b"),), parent="a", budget=BudgetSpec(2.0)),
        )
    )
    assert budgets_of(ring, "a") == (Budget("a", 1.0), Budget("b", 2.0))
