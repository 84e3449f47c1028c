"""Cache → what feed and verdicts are made from. Parses each object once per version, a pool's endpoints once per change."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic

from controlplane.cluster.cache import Cache
from controlplane.cluster.keyring import Keyring
from controlplane.cluster.kinds import ENDPOINT_SLICE, MODEL_POOL, POD, ROUTING_POLICY, TENANT, Kind
from controlplane.cluster.sightings import endpoints
from controlplane.feed.model import EndpointSeen, FleetSeen, PolicySeen, PoolSeen, TenantSeen
from controlplane.resources import definitions
from controlplane.resources.definitions import Definition, Spec, Status
from controlplane.resources.envelope import Resource, parse
from controlplane.resources.faults import InvalidObject
from controlplane.resources.status import Condition
from controlplane.world import Object

Place = tuple[str, str]  # namespace, name
NAME_TAKEN = "NameTaken"


class Parsed(Generic[Spec, Status]):
    """The objects of one kind, typed. One that can't be parsed (its reconcile says so) counts as it last could be: what runs by
    a spec that was good is not taken from the routers for an edit that is not.
    """

    def __init__(self, cache: Cache, kind: Kind, definition: Definition[Spec, Status]) -> None:
        self._cache = cache
        self._kind = kind
        self._definition = definition
        self._known: dict[Place, Resource[Spec, Status]] = {}

    def get(self, seen: Object) -> Resource[Spec, Status]:
        """Raises InvalidObject."""
        meta = seen["metadata"]
        place, version = (meta["namespace"], meta["name"]), meta["resourceVersion"]
        known = self._known.get(place)
        if known is None or known.resource_version != version:
            known = self._known[place] = parse(seen, self._definition)
        return known

    def forget(self, place: Place) -> None:
        self._known.pop(place, None)

    def __iter__(self) -> Iterator[Resource[Spec, Status]]:
        for seen in list(self._cache.all(self._kind)):
            try:
                yield self.get(seen)
            except InvalidObject:
                known = self._known.get((seen["metadata"]["namespace"], seen["metadata"]["name"]))
                if known is not None and known.uid == seen["metadata"]["uid"]:
                    yield known


class FleetView:
    """`pools`, `tenants` and `policies` as they are now; `look` puts them together."""

    def __init__(self, cache: Cache, keyring: Keyring) -> None:
        self._cache = cache
        self._keyring = keyring
        self.pools = Parsed(cache, MODEL_POOL, definitions.MODEL_POOL)
        self.tenants = Parsed(cache, TENANT, definitions.TENANT)
        self.policies = Parsed(cache, ROUTING_POLICY, definitions.ROUTING_POLICY)
        self._endpoints: dict[Place, tuple[EndpointSeen, ...]] = {}

    def moved(self, place: Place) -> None:
        """Something of this pool's pods or endpoints changed."""
        self._endpoints.pop(place, None)

    def forget(self, kind: str, place: Place) -> None:
        """An object of ours is gone."""
        if kind == MODEL_POOL.kind:
            self.pools.forget(place)
            self._endpoints.pop(place, None)
        elif kind == TENANT.kind:
            self.tenants.forget(place)
        else:
            self.policies.forget(place)

    def look(self) -> FleetSeen:
        """A tenant whose keys were never read is not there yet."""
        pools = tuple(
            PoolSeen(p.namespace, p.name, p.created_s, p.spec, *self._served((p.namespace, p.name), p.status.conditions))
            for p in self.pools
            if not p.deleting
        )
        tenants = tuple(
            TenantSeen(t.namespace, t.name, t.created_s, t.spec, digests)
            for t in self.tenants
            if not t.deleting and (digests := self._keyring.of(t)) is not None
        )
        policies = tuple(PolicySeen(p.namespace, p.name, p.created_s, p.spec) for p in self.policies if not p.deleting)
        return FleetSeen(pools, tenants, policies)

    def _served(self, place: Place, conditions: Sequence[Condition]) -> tuple[bool, tuple[EndpointSeen, ...]]:
        """Whether routers are to know the pool, and its endpoints. One whose spec can't be followed any more goes on serving
        with what it has; only a name that is another pool's must not be served twice."""
        found = self._endpoints_of(place)
        accepted = next((condition for condition in conditions if condition.type == "Accepted"), None)
        if accepted is None:
            return False, found
        return accepted.status == "True" or (accepted.reason != NAME_TAKEN and bool(found)), found

    def _endpoints_of(self, place: Place) -> tuple[EndpointSeen, ...]:
        known = self._endpoints.get(place)
        if known is None:
            pods = {seen["metadata"]["name"]: seen for seen in self._cache.of_kind(POD, *place)}
            known = self._endpoints[place] = endpoints(self._cache.of_kind(ENDPOINT_SLICE, *place), pods)
        return known


def says(conditions: Iterable[Condition], kind: str) -> bool:
    """Whether that condition is True."""
    return any(condition.type == kind and condition.status == "True" for condition in conditions)
