"""What routers are told follows what runs, not only what is written."""

from typing import Any

from controlplane.cluster.cache import Cache
from controlplane.cluster.fleet_view import FleetView
from controlplane.cluster.keyring import Keyring
from controlplane.cluster.secrets import Secrets
from controlplane.errors import NotFound
from controlplane.world import Object, Ref

API = "headgate.dev/v1alpha1"


class NoSecrets:
    async def get(self, ref: Ref) -> Object:
        raise NotFound(ref.name)


def view() -> tuple[Cache, FleetView, Keyring]:
    cache = Cache()
    keyring = Keyring(Secrets(NoSecrets()))
    return cache, FleetView(cache, keyring), keyring


def meta(name: str, version: int, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": "ns",
        "uid": name,
        "resourceVersion": str(version),
        "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        **more,
    }


def pool(version: int, accepted: tuple[str, str] | None, **spec: Any) -> dict[str, Any]:
    said = [] if accepted is None else [condition("Accepted", *accepted)]
    spec = {"model": {"name": "m"}, "tier": "small", **spec}
    return {
        "apiVersion": API,
        "kind": "ModelPool",
        "metadata": meta("llama", version),
        "spec": spec,
        "status": {"conditions": said},
    }


def condition(kind: str, status: str, reason: str) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "lastTransitionTime": "2026-01-01T00:00:00Z"}


def slice_of(version: int) -> dict[str, Any]:
    entry = {"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "targetRef": {"name": "llama-0"}}
    labels = {"headgate.dev/pool": "llama"}
    found = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": meta("llama-x", version, labels=labels)}
    return {**found, "ports": [{"name": "worker", "port": 7000}], "endpoints": [entry]}


def accepted(fleet: FleetView) -> list[bool]:
    return [pool.accepted for pool in fleet.look().pools]


def test_a_pool_is_told_once_it_is_accepted() -> None:
    cache, fleet, _ = view()
    cache.offer(pool(1, None))
    assert accepted(fleet) == [False]
    cache.offer(pool(2, ("True", "Accepted")))
    assert accepted(fleet) == [True]


def test_what_runs_goes_on_being_told_when_its_spec_can_no_longer_be_followed() -> None:
    cache, fleet, _ = view()
    cache.offer(slice_of(1))
    cache.offer(pool(2, ("False", "SecretNotFound")))
    assert accepted(fleet) == [True]
    cache.offer(pool(3, ("False", "NameTaken")))
    assert accepted(fleet) == [False], "a name must not be served twice"


def test_a_spec_that_cannot_be_parsed_leaves_the_last_one_that_could() -> None:
    cache, fleet, _ = view()
    cache.offer(pool(1, ("True", "Accepted")))
    assert accepted(fleet) == [True]
    cache.offer(pool(2, ("True", "Accepted"), nonsense=True))
    (seen,) = fleet.look().pools
    assert (seen.accepted, seen.spec.model.name) == (True, "m")


def test_endpoints_are_looked_at_again_when_they_moved() -> None:
    cache, fleet, _ = view()
    cache.offer(pool(1, ("True", "Accepted")))
    assert fleet.look().pools[0].endpoints == ()
    cache.offer(slice_of(2))
    fleet.moved(("ns", "llama"))
    assert [seen.pod for seen in fleet.look().pools[0].endpoints] == ["llama-0"]


async def test_a_tenant_is_never_shown_before_its_keys_were_read() -> None:
    cache, fleet, keyring = view()
    spec = {"keys": [{"sha256": "ab" * 32}, {"secret": {"name": "s", "key": "k"}}]}
    cache.offer({"apiVersion": API, "kind": "Tenant", "metadata": meta("acme", 1), "spec": spec})
    assert fleet.look().tenants == ()
    assert await keyring.refresh(fleet.tenants) == (frozenset({("ns", "acme")}), True)
    assert fleet.look().tenants[0].digests == (bytes.fromhex("ab" * 32), None)
    # A key that is added waits for its own turn; those that are known stay.
    more = {"keys": [{"sha256": "cd" * 32}, *spec["keys"]]}
    cache.offer({"apiVersion": API, "kind": "Tenant", "metadata": meta("acme", 2), "spec": more})
    assert fleet.look().tenants[0].digests == (None, bytes.fromhex("ab" * 32), None)
