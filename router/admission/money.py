"""What the request path needs of a tenant's budgets, whoever keeps them. Values and Protocol.

A reservation is a spend that may be given back in part, once. So whatever dies between the two, nothing is free.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple, Protocol

from router.request import BudgetState
from router.snapshot import Tenant


@dataclass(frozen=True, slots=True)
class Hold:
    """Money set aside for one request: it can't cost more. `usd` is infinite for a tenant without a budget.

    `states` are the tenant's budgets after setting aside, its own first; empty where there are none.
    """

    request_id: str
    usd: float
    states: tuple[BudgetState, ...] = ()


NOTHING_HELD = Hold("", inf)  # of a tenant without a budget


class Expected(NamedTuple):
    """What a request will probably cost, and what it would on the mean of the pools that could take it: routers that share a
    budget agree on the latter, whatever they choose.
    """

    usd: float
    typical_usd: float


class Money(Protocol):
    """Budgets of tenants."""

    async def reserve(self, request_id: str, tenant: Tenant, bounds_usd: Sequence[float]) -> Hold:
        """Sets aside the largest of `bounds_usd` that every budget of the tenant allows, in one atomic step.

        Soft budgets allow anything. Raises BudgetExhausted, with the time to wait, where not even the smallest fits.
        """
        ...

    def settle(self, tenant: Tenant, hold: Hold, actual_usd: float) -> None:
        """Gives back what was not needed. Returns at once; it is carried out soon, and once. More than held is not charged."""
        ...

    def unavailable(self, tenant: Tenant) -> str:
        """Why nothing could be set aside now, whatever the amount; "" where that is not so. Without I/O."""
        ...

    def states(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        """The tenant's budgets as last seen, its own first. Without I/O."""
        ...

    async def look(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        """The same, asked anew."""
        ...
