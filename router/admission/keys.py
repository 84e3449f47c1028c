"""API key → tenant. Pure: holds only digests of keys, so neither this process's memory nor an error text can give one away."""

import hashlib
from collections.abc import Sequence
from typing import Protocol

from router.errors import Unauthenticated
from router.snapshot import Tenant

ANONYMOUS = Tenant("anonymous")


class KeyHolder(Protocol):
    """A tenant as the topology describes it: `router.fleet.specs.TenantSpec`. `key_sha256` has 32 bytes per key."""

    @property
    def name(self) -> str: ...
    @property
    def key_sha256(self) -> tuple[bytes, ...]: ...
    @property
    def pools(self) -> tuple[str, ...]: ...


class Keyring:
    """The keys of one topology snapshot; a new snapshot makes a new keyring.

    Raises ValueError where two tenants hold the same key: whose request it is would be a matter of luck.
    """

    def __init__(self, tenants: Sequence[KeyHolder]) -> None:
        self._tenants: dict[bytes, Tenant] = {}
        for spec in tenants:
            tenant = Tenant(spec.name, frozenset(spec.pools))
            for digest in spec.key_sha256:
                other = self._tenants.setdefault(digest, tenant)
                if other.name != tenant.name:
                    raise ValueError(f"tenants {other.name} and {tenant.name} hold the same API key")

    @property
    def open(self) -> bool:
        """True while no key is configured: everybody may ask, as one anonymous tenant."""
        return not self._tenants

    def tenant_for(self, bearer: str | None) -> Tenant:
        """The tenant that holds this key. Raises Unauthenticated for no key and for an unknown one.

        A plain dict lookup does: what it compares are digests, and to learn one by timing gives no key.
        """
        if self.open:
            return ANONYMOUS
        if not bearer:
            raise Unauthenticated("an API key is needed: authorization: Bearer KEY")
        tenant = self._tenants.get(hashlib.sha256(bearer.encode("utf-8", "surrogatepass")).digest())
        if tenant is None:
            raise Unauthenticated("the API key is not known")
        return tenant
