"""Digests of tenants' API keys, read from Secrets one by one and looked up again now and then: they can't be watched here."""

from collections.abc import Iterable

from controlplane.cluster.secrets import Secrets
from controlplane.errors import ApiError
from controlplane.resources.envelope import Tenant
from controlplane.resources.tenant import TenantKey

Place = tuple[str, str]  # namespace, name
Digests = tuple[bytes | None, ...]


class Keyring:
    """`of` answers from memory; `refresh` reads."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._known: dict[Place, dict[str, bytes | None]] = {}

    def of(self, tenant: Tenant) -> Digests | None:
        """Digests of the tenant's keys in their order; None for one that its Secret lacks, or that was not read yet. None for a
        tenant of which nothing was ever read: it must not be shown without its keys."""
        known = self._known.get((tenant.namespace, tenant.name))
        return None if known is None else tuple(known.get(_mark(key)) for key in tenant.spec.keys)

    async def refresh(self, tenants: Iterable[Tenant]) -> tuple[frozenset[Place], bool]:
        """Reads what is due; returns the tenants for which something changed, and whether all could be read."""
        changed, complete, here = set(), True, set()
        for tenant in tenants:
            place = (tenant.namespace, tenant.name)
            here.add(place)
            try:
                read = {_mark(key): await self._digest(tenant.namespace, key) for key in tenant.spec.keys}
            except ApiError:
                complete = False
                continue
            if self._known.get(place) != read:
                self._known[place] = read
                changed.add(place)
        for place in self._known.keys() - here:
            del self._known[place]
        return frozenset(changed), complete

    async def _digest(self, namespace: str, key: TenantKey) -> bytes | None:
        if key.secret is not None:
            return await self._secrets.digest(namespace, key.secret.name, key.secret.key)
        return bytes.fromhex(key.sha256 or "")


def _mark(key: TenantKey) -> str:
    """Which key is meant."""
    return key.model_dump_json()
