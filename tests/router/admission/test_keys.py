"""API keys: who is let in as whom, and that nothing tells a key."""

import hashlib
from dataclasses import dataclass

import pytest

from router.admission.keys import ANONYMOUS, Keyring
from router.errors import Unauthenticated
from router.snapshot import Tenant


@dataclass(frozen=True)
class Spec:
    name: str
    key_sha256: tuple[bytes, ...] = ()
    pools: tuple[str, ...] = ()


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


RED = Spec("red", (digest("key-red"), digest("key-red-2")), ("small",))
BLUE = Spec("blue", (digest("key-blüe"),))


def test_no_key_configured_is_open_to_everybody() -> None:
    for ring in (Keyring(()), Keyring((Spec("red", ()),))):
        assert ring.open
        assert ring.tenant_for(None) == ring.tenant_for("whatever") == ANONYMOUS == Tenant("anonymous")


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
    assert ring.tenant_for(bearer) == tenant


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
