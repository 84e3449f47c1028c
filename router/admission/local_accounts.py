"""Budgets of a router that has no Redis: what is soft is counted in this process, what is hard can't be kept and is refused."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from router.admission import refusals
from router.admission.amounts import MOST_NANO, charge_nano, to_usd
from router.admission.bookings import Bookings
from router.admission.figures import MoneyFigures
from router.admission.money import Hold
from router.admission.records import Chain
from router.admission.windows import bounds
from router.config import BudgetSettings
from router.request import BudgetState
from router.snapshot import Budget, Tenant


@dataclass(frozen=True, slots=True)
class Counted(Hold):
    """Counted when it is settled."""

    hold_id: str = ""
    nano: int = 0


class LocalMoney:
    """`now_s` gives Unix time. `run` and `close` are there to be called as those of `RedisMoney` are."""

    def __init__(self, settings: BudgetSettings, now_s: Callable[[], float]) -> None:
        self._open = settings.when_away == "open"
        self._now_s = now_s
        self._ids = itertools.count(1)
        self._under_way = Bookings()
        self._spent: dict[str, tuple[int, int]] = {}  # by record: its window's start, and nano-USD
        self._shown: dict[str, Budget] = {}
        self._refused = 0

    async def reserve(self, request_id: str, tenant: Tenant, bounds_usd: Sequence[float]) -> Hold:
        if not tenant.budgets:
            return Hold(request_id, inf)
        chain = Chain.of(tenant.budgets)
        if chain.hard and not self._open:
            self._refused += 1
            raise refusals.no_store(chain)
        usd, hold_id = max(bounds_usd), str(next(self._ids))
        self._under_way.begin(hold_id, chain, charge_nano(usd))
        return Counted(request_id, usd, self.states(tenant), hold_id, charge_nano(usd))

    def settle(self, tenant: Tenant, hold: Hold, actual_usd: float) -> None:
        if not isinstance(hold, Counted):
            return
        self._under_way.settle(hold.hold_id, min(hold.nano, charge_nano(actual_usd)))
        for chain, amount in self._under_way.take().items():
            for budget, key in zip(chain.budgets, chain.keys, strict=True):
                start_s, _ = bounds(budget.window, self._now_s())
                before = self._spent.get(key, (start_s, 0))
                self._spent[key] = (start_s, min(MOST_NANO, amount + (before[1] if before[0] == start_s else 0)))
                self._shown[key] = budget
            self._under_way.booked(amount)

    def unavailable(self, tenant: Tenant) -> str:
        chain = Chain.of(tenant.budgets)
        return refusals.no_store(chain).message if chain.hard and not self._open else ""

    def states(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        chain = Chain.of(tenant.budgets)
        return tuple(self._state(budget, key) for budget, key in zip(chain.budgets, chain.keys, strict=True))

    async def look(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        return self.states(tenant)

    def figures(self) -> MoneyFigures:
        shown = tuple(self._state(budget, key) for key, budget in self._shown.items())
        return MoneyFigures(store=False, connected=False, states=shown, refused=self._refused)

    async def run(self) -> None:
        """Nothing to keep; returns when cancelled."""
        await asyncio.Event().wait()

    async def close(self, within_s: float = 0.0) -> bool:
        return True

    def _state(self, budget: Budget, key: str) -> BudgetState:
        start_s, end_s = bounds(budget.window, self._now_s())
        counted_s, nano = self._spent.get(key, (start_s, 0))
        spent_usd = to_usd(nano) if counted_s == start_s else 0.0
        return BudgetState(budget.tenant, budget.usd, spent_usd, budget.window, end_s, budget.hard)
