"""Money where nobody keeps budgets: everything is allowed and nothing is written down."""

import math
from collections.abc import Sequence

from router.admission.money import Expected, Hold
from router.choosing.terms import OWN_TERMS, Terms
from router.request import BudgetState
from router.snapshot import Tenant


class Unlimited:
    """Offers what embedding and quotes ask of a `Treasury`."""

    def terms(self, tenant: Tenant) -> Terms:
        return OWN_TERMS

    async def hold(self, request_id: str, tenant: Tenant, bounds_usd: Sequence[float], expected: Expected) -> Hold:
        return Hold(request_id, math.inf)

    def settle(self, tenant: Tenant, hold: Hold, actual_usd: float, expected_usd: float) -> None:
        pass

    def unavailable(self, tenant: Tenant) -> str:
        return ""

    def states(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        return ()

    async def look(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        return ()

    def refusal(self, tenant: Tenant, bound_usd: float) -> str:
        return ""
