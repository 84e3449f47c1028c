"""API key → tenant. Pure: holds only digests of keys, so neither this process's memory nor an error text can give one away."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from router.errors import Unauthenticated
from router.snapshot import Budget, Tenant

ANONYMOUS = Tenant("anonymous")


class KeyHolder(Protocol):
    """A tenant as the topology describes it: `router.fleet.specs.TenantSpec`. `key_sha256` has 32 bytes per key."""

    @property
    def name(self) -> str: ...
    @property
    def key_sha256(self) -> tuple[bytes, ...]: ...
    @property
    def pools(self) -> tuple[str, ...]: ...
    @property
    def cache_group(self) -> str: ...
    @property
    def parent(self) -> str: ...
    @property
    def policy(self) -> str: ...
    @property
    def budget(self) -> "GivenBudget | None": ...


class GivenBudget(Protocol):
    """`router.fleet.specs.BudgetSpec`."""

    @property
    def usd(self) -> float: ...
    @property
    def window(self) -> str: ...
    @property
    def hard(self) -> bool: ...


class Keyring:
    """The keys of one topology snapshot; a new snapshot makes a new keyring.

    `open` is True where no tenant is configured: everybody may ask, as one anonymous tenant.

    Raises ValueError where two tenants hold the same key: whose request it is would be a matter of luck.
    """

    def __init__(self, tenants: Sequence[KeyHolder]) -> None:
        self._tenants: dict[bytes, Tenant] = {}
        # Not "no key": a tenant whose key is missing must shut the door, not open it.
        self.open = not tenants
        named = {spec.name: spec for spec in tenants}
        for spec in tenants:
            tenant = Tenant(spec.name, frozenset(spec.pools), _salt(spec), spec.policy, tuple(_budgets(spec, named)))
            for digest in spec.key_sha256:
                other = self._tenants.setdefault(digest, tenant)
                if other.name != tenant.name:
                    raise ValueError(f"tenants {other.name} and {tenant.name} hold the same API key")

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


def _budgets(spec: KeyHolder, named: Mapping[str, KeyHolder]) -> Iterator[Budget]:
    """The tenant's own, then its parents'. A parent that isn't there holds everything back: its budget can't be known."""
    seen = {spec.name}
    while True:
        if (given := spec.budget) is not None:
            yield Budget(spec.name, given.usd, given.window, given.hard)
        if not spec.parent or spec.parent in seen:  # a circle is refused with the topology; here it just ends
            return
        seen.add(spec.parent)
        if (parent := named.get(spec.parent)) is None:
            yield Budget(spec.parent, 0.0, hard=True)
            return
        spec = parent


def _salt(spec: KeyHolder) -> str:
    """What keeps a group's cached KV apart, or a tenant's that is in none: 32 characters, whatever it is called."""
    whose = f"group {spec.cache_group}" if spec.cache_group else f"tenant {spec.name}"
    return hashlib.blake2b(whose.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
