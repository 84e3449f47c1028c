"""Digests of tenants' API keys, read from Secrets one by one and looked up again now and then: they can't be watched here."""

from collections.abc import Iterable

from controlplane.cluster.secrets import Secrets
from controlplane.errors import ApiError
from controlplane.resources.envelope import Tenant

Place = tuple[str, str]  # namespace, name
Digests = tuple[bytes | None, ...]


class Keyring:
    """`of` answers from memory; `refresh` reads."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._known: dict[Place, tuple[str, Digests]] = {}

    def of(self, tenant: Tenant) -> Digests | None:
        """Digests of the tenant's keys in their order, None for one that its Secret lacks. None instead of them all while these
        very keys were never read: such a tenant must not be shown without its keys."""
        known = self._known.get((tenant.namespace, tenant.name))
        return known[1] if known is not None and known[0] == _mark(tenant) else None

    async def refresh(self, tenants: Iterable[Tenant]) -> tuple[frozenset[Place], bool]:
        """Reads what is due; returns the tenants for which something changed, and whether all could be read."""
        changed, complete, here = set(), True, set()
        for tenant in tenants:
            place = (tenant.namespace, tenant.name)
            here.add(place)
            try:
                read = (_mark(tenant), await self._digests(tenant))
            except ApiError:
                complete = False
                continue
            if self._known.get(place) != read:
                self._known[place] = read
                changed.add(place)
        for place in self._known.keys() - here:
            del self._known[place]
        return frozenset(changed), complete

    async def _digests(self, tenant: Tenant) -> Digests:
        digests: list[bytes | None] = []
        for key in tenant.spec.keys:
            if key.secret is not None:
                digests.append(await self._secrets.digest(tenant.namespace, key.secret.name, key.secret.key))
            else:
                digests.append(bytes.fromhex(key.sha256 or ""))
        return tuple(digests)


def _mark(tenant: Tenant) -> str:
    """Which keys the tenant asks for."""
    return tenant.uid + "|" + "|".join(key.model_dump_json() for key in tenant.spec.keys)
